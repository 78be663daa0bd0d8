/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All SQL of the running daemon, prepared once. Its schema: migrations/. */
#pragma once

#define STATEMENTS(X)                                                                           \
	X(BEGIN, "BEGIN IMMEDIATE")                                                             \
	X(COMMIT, "COMMIT")                                                                     \
	X(ROLLBACK, "ROLLBACK")                                                                 \
                                                                                                \
	X(SERVICES, "SELECT id, uid, name, mode, options, paths, wanted, reason, onion,"        \
		    " onion_key, secret, port, created_ms, completed, bytes_in, bytes_out,"     \
		    " sources, layout FROM services ORDER BY id")                               \
	X(SERVICE_COUNT, "SELECT count(*) FROM services")                                       \
	X(DATA_DIRS, "SELECT json_extract(options, '$.data_dir') FROM services"                 \
		     " WHERE json_valid(options)"                                               \
		     " AND json_type(options, '$.data_dir') = 'text'")                          \
	X(SERVICE_SEALED, "SELECT uid, secret FROM services WHERE id = ?1")                     \
	X(SERVICE_INSERT,                                                                       \
	  "INSERT INTO services (uid, name, mode, options, paths, wanted, reason, onion,"       \
	  " onion_key, secret, port, created_ms, completed, bytes_in, bytes_out,"               \
	  " sources, layout)"                                                                   \
	  " VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"    \
	  " ?18)")                                                                              \
	X(SERVICE_UPDATE,                                                                       \
	  "UPDATE services SET name = ?3, mode = ?4, options = ?5, paths = ?6, wanted = ?7,"    \
	  " reason = ?8, onion = ?9, onion_key = ?10, secret = ?11, port = ?12,"                \
	  " created_ms = ?13, completed = ?14, bytes_in = ?15, bytes_out = ?16,"                \
	  " sources = ?17, layout = ?18"                                                        \
	  " WHERE id = ?1 AND uid = ?2")                                                        \
	X(SERVICE_DELETE, "DELETE FROM services WHERE id = ?1")                                 \
	X(SERVICE_COUNTERS, "UPDATE services SET completed = ?2, bytes_in = ?3, bytes_out = ?4" \
			    " WHERE id = ?1")                                                   \
                                                                                                \
	X(KEYS, "SELECT label, public_key, private_key FROM service_keys WHERE service_id = ?1" \
		" ORDER BY position")                                                           \
	X(KEY_INSERT, "INSERT INTO service_keys"                                                \
		      " (service_id, position, label, public_key, private_key)"                 \
		      " VALUES (?1, ?2, ?3, ?4, ?5)")                                           \
	X(KEYS_DELETE, "DELETE FROM service_keys WHERE service_id = ?1")                        \
                                                                                                \
	X(SCHEDULE, "SELECT start_ms, stop_ms FROM schedules WHERE service_id = ?1")            \
	X(SCHEDULE_SET, "INSERT OR REPLACE INTO schedules (service_id, start_ms, stop_ms)"      \
			" VALUES (?1, ?2, ?3)")                                                 \
	X(SCHEDULE_DELETE, "DELETE FROM schedules WHERE service_id = ?1")                       \
                                                                                                \
	X(HISTORY_INSERT, "INSERT INTO history (at_ms, service, event, details)"                \
			  " VALUES (?1, ?2, ?3, ?4)")                                           \
	X(HISTORY_RENAME, "UPDATE history SET service = ?2 WHERE service ="                     \
			  " (SELECT name FROM services WHERE id = ?1 AND name <> ?2)"           \
			  " AND at_ms >= (SELECT created_ms FROM services WHERE id = ?1)")      \
	X(HISTORY_COUNT, "SELECT count(*) FROM history")                                        \
	X(HISTORY_DROP_OLDEST, "DELETE FROM history WHERE id IN"                                \
			       " (SELECT id FROM history ORDER BY id LIMIT ?1)")                \
	X(HISTORY_DROP_BEFORE, "DELETE FROM history WHERE at_ms < ?1")                          \
	X(HISTORY_LIST, "SELECT id, at_ms, service, event, details FROM history"                \
			" WHERE id < ?1 ORDER BY id DESC LIMIT ?2")                             \
	X(HISTORY_LIST_SERVICE, "SELECT id, at_ms, service, event, details FROM history"        \
				" WHERE id < ?1 AND service = ?3 ORDER BY id DESC LIMIT ?2")    \
                                                                                                \
	X(CACHE_DELETE, "DELETE FROM cache WHERE service_id = ?1 AND key = ?2")                 \
	X(CACHE_INSERT, "INSERT INTO cache (service_id, key, value) SELECT ?1, ?2, ?3"          \
			" WHERE EXISTS (SELECT 1 FROM services WHERE id = ?1)")                 \
	X(CACHE_GET, "SELECT value FROM cache WHERE service_id = ?1 AND key = ?2")              \
	X(CACHE_SIZE, "SELECT count(*), coalesce(sum(length(value)), 0) FROM cache")            \
	X(CACHE_OLDEST, "SELECT age FROM cache ORDER BY age LIMIT 1")                           \
	X(CACHE_DROP, "DELETE FROM cache WHERE age = ?1 RETURNING length(value)")               \
                                                                                                \
	X(INBOX_INSERT, "INSERT INTO inbox_intents (data_dir, staging, day, stamp)"             \
			" VALUES (?1, ?2, ?3, ?4)")                                             \
	X(INBOX_DELETE, "DELETE FROM inbox_intents WHERE id = ?1")                              \
	X(INBOX_LIST, "SELECT id, staging, day, stamp FROM inbox_intents WHERE data_dir = ?1"   \
		      " ORDER BY id")                                                           \
                                                                                                \
	X(WEBHOOK_INSERT, "INSERT INTO webhooks"                                                \
			  " (service_id, content_type, body, created_ms, next_ms, tries)"       \
			  " SELECT ?1, ?2, ?3, ?4, ?4, 0"                                       \
			  " WHERE EXISTS (SELECT 1 FROM services WHERE id = ?1)")               \
	X(WEBHOOK_BOUND, "DELETE FROM webhooks WHERE service_id = ?1 AND id <="                 \
			 " (SELECT id FROM webhooks WHERE service_id = ?1"                      \
			 " ORDER BY id DESC LIMIT 1 OFFSET ?2)")                                \
	X(WEBHOOK_TRIED, "UPDATE webhooks SET next_ms = ?2, tries = tries + 1, last_error = ?3" \
			 " WHERE id = ?1")                                                      \
	X(WEBHOOK_DELETE, "DELETE FROM webhooks WHERE id = ?1")                                 \
	X(WEBHOOK_CLEAR, "DELETE FROM webhooks WHERE service_id = ?1")                          \
	X(WEBHOOK_LIST, "SELECT id, created_ms, next_ms, tries, last_error FROM webhooks"       \
			" WHERE service_id = ?1 ORDER BY id LIMIT ?2")                          \
	X(WEBHOOK_GET, "SELECT content_type, body FROM webhooks WHERE id = ?1")                 \
                                                                                                \
	X(SETTING_GET, "SELECT value FROM settings WHERE name = ?1")                            \
	X(SETTING_PUT, "INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")         \
	X(SETTING_DELETE, "DELETE FROM settings WHERE name = ?1")

enum statement {
#define X(name, sql) STATEMENT_##name,
	STATEMENTS(X)
#undef X
		STATEMENTS_N,
};
