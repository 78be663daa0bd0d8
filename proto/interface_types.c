/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the methods of interface.c are made of: the types of the interface, as tables. */
#include "proto/base/alloc.h"
#include "proto/interface_table.h"

#define ENUM(variable, name_, doc_, ...)                                    \
	static const char *const variable##_values[] = {__VA_ARGS__, NULL}; \
	const struct type_def variable = {.name = name_, .doc = doc_, .values = variable##_values};
#define STRUCT(variable, name_, doc_) \
	const struct type_def variable = {.name = name_, .doc = doc_, .fields = variable##_fields}

ENUM(type_mode, "Mode", "What a service does for its visitors.", "share", "receive", "website",
     "chat")

ENUM(type_state, "State",
     "Where a service is in its life. publishing: its address is fixed but not yet announced by "
     "Tor. offline: Tor was lost, it comes back by itself.",
     "stopped", "scheduled", "preparing", "publishing", "running", "draining", "offline", "failed")

ENUM(type_goal, "Goal",
     "What can be waited for. running: its visitors are served. reachable: and Tor has announced "
     "its address. stopped: it is down.",
     "running", "stopped", "reachable")

ENUM(type_event_kind, "EventKind",
     "snapshot: everything, the first event. state: a service's state changed. transfer: of a "
     "visitor. submission: it has come in and is where it belongs. members: people came into a "
     "chat room or left it. tor: Tor's state changed.",
     "snapshot", "state", "transfer", "submission", "members", "tor")

ENUM(type_direction, "Direction", "out: to the visitor.", "out", "in")

ENUM(type_phase, "Phase", "Of a transfer. Progress comes at most four times a second.", "started",
     "progress", "completed", "cancelled")

static const struct field type_key_fields[] = {
	F("label", STRING, 0, "Whose key it is; \"default\" is made with the service."),
	F("private_key", STRING, NULLABLE,
	  "What a visitor types into Tor Browser: base32, 52 characters. null: only the visitor "
	  "has "
	  "it."),
	F("public_key", STRING, 0, "The same key's public half, base32."),
	END,
};
STRUCT(type_key, "Key", "A private key that opens a service to those who have it.");

static const struct field type_transfers_fields[] = {
	F("active", INT, 0, "Transfers under way."),
	F("completed", INT, 0, "Transfers that came to their end, since the service was made."),
	F("bytes_in", INT, 0, "From visitors."),
	F("bytes_out", INT, 0, "To visitors."),
	END,
};
STRUCT(type_transfers, "Transfers", "What has gone through a service.");

static const struct field type_webhook_fields[] = {
	F("pending", INT, 0, "Reports that the target has not taken yet."),
	F("last_error", STRING, NULLABLE, "Why the last try failed; null: it did not."),
	F("last_error_at", STRING, NULLABLE, "When that was."),
	F("last_success_at", STRING, NULLABLE,
	  "When a report was taken last, since the daemon was started."),
	END,
};
STRUCT(type_webhook, "Webhook", "How the reports of submissions fare.");

static const struct field type_service_fields[] = {
	F("name", STRING, 0, "1 to 64 of A-Z a-z 0-9 . _ - and not beginning with a dot or dash."),
	T("mode", type_mode, 0, "What it does."),
	T("state", type_state, 0, "Where it is in its life."),
	F("wanted", BOOL, 0, "Started, and so comes back after a restart of the daemon."),
	F("reason", STRING, NULLABLE, "Why it is in this state, when that is not obvious."),
	F("url", STRING, NULLABLE, "Its address; null: not made yet."),
	F("onion", STRING, NULLABLE, "Its onion address without \".onion\"; null without Tor."),
	F("backend", STRING, NULLABLE,
	  "The socket that it listens on: unix:PATH or tcp:HOST:PORT."),
	F("public", BOOL, 0, "Visitors need no private key."),
	T("keys", type_key, ARRAY, "Private keys; none for a public service."),
	F("title", STRING, NULLABLE, "Shown to visitors."),
	F("start_at", STRING, NULLABLE, "When it starts by itself (RFC 3339)."),
	F("stop_at", STRING, NULLABLE, "When it stops by itself (RFC 3339)."),
	F("options", OBJECT, 0, "The options of its mode, those not set with their default."),
	F("paths", STRING, ARRAY, "What it serves; none for modes without content."),
	F("ephemeral", BOOL, 0, "One-off: gone with the connection that made it."),
	T("transfers", type_transfers, 0, "What has gone through it."),
	T("webhook", type_webhook, NULLABLE, "How its reports fare; null: it has none."),
	F("created_at", STRING, 0, "RFC 3339, in UTC, as all times."),
	F("started_at", STRING, NULLABLE, "When it came to its present run."),
	END,
};
STRUCT(type_service, "Service", "A service of the daemon.");

static const struct field type_bootstrap_fields[] = {
	F("percent", INT, 0, "How far Tor has come, 0 to 100; -1: not known."),
	F("summary", STRING, 0, "Tor's own words for it."),
	END,
};
STRUCT(type_bootstrap, "Bootstrap", "How far Tor is on its way into the network.");

static const struct field type_tor_status_fields[] = {
	F("mode", STRING, 0, "managed: the daemon's own tor. system: one that was there. none."),
	F("state", STRING, 0, "Of the connection to tor; \"ready\" is the good one."),
	F("version", STRING, NULLABLE, "Of tor; null: not known yet."),
	T("bootstrap", type_bootstrap, 0, "How far it is."),
	F("reachable", BOOL, 0, "Services can be reached from the Tor network."),
	F("problem", STRING, NULLABLE, "What is wrong and what to do."),
	F("advice", STRING, NULLABLE, "What works, and should be changed all the same."),
	F("control", STRING, NULLABLE, "The control port that is used; null: none is."),
	F("socks", STRING, NULLABLE, "Its SOCKS port; null: there is none, or it is not known."),
	F("bridges", INT, 0, "So many bridges were set here for it."),
	END,
};
STRUCT(type_tor_status, "TorStatus", "Tor as the daemon sees it.");

static const struct field type_bridges_fields[] = {
	F("bridges", STRING, ARRAY,
	  "Bridge lines, as tor takes them; none: Tor is entered directly."),
	F("source", STRING, 0,
	  "Who has set them. command: BridgesSet. configuration: the file of the daemon."),
	END,
};
STRUCT(type_bridges, "Bridges", "By which bridges Tor is entered.");

static const struct field type_check_step_fields[] = {
	F("step", STRING, 0, "tor, service, local, published, descriptor, visit; in this order."),
	F("good", BOOL, 0, "It is as it should be. Else it is the last step."),
	F("text", STRING, 0, "What was found, and where it helps what to do."),
	END,
};
STRUCT(type_check_step, "CheckStep", "A step of a visit through Tor.");

ENUM(type_balance_role, "BalanceRole", "What an address is in an Onionbalance.", "frontend",
     "backend")

static const struct field type_descriptor_fields[] = {
	F("fetched", BOOL, 0,
	  "From the network's directories just now. Else they did not hand it out, and it is what "
	  "tor had of an earlier visit."),
	F("published_after", STRING, NULLABLE,
	  "It is not older than that: its certificate tells the hour. null: that would be in the "
	  "future; this machine's clock or that one's is wrong."),
	F("published_before", STRING, NULLABLE, "It is not younger than that."),
	F("lifetime", INT, 0, "Seconds that directories keep it."),
	F("revision", INT, 0, "Grows with each publication; of two, the greater one is newer."),
	END,
};
STRUCT(type_descriptor, "Descriptor", "What an address is found by, as tor knows it.");

static const struct field type_balance_visit_fields[] = {
	T("role", type_balance_role, 0, "What it is."),
	F("onion", STRING, 0, "Its address without \".onion\"."),
	F("good", BOOL, 0, "It answers for the frontend's name, and not with an error."),
	F("status", INT, NULLABLE, "Of its answer; null: there was none."),
	F("path", STRING, NULLABLE, "What was asked for."),
	F("etag", STRING, NULLABLE, "The strong validator of that; null: it has none."),
	F("text", STRING, 0, "What was found."),
	T("descriptor", type_descriptor, NULLABLE, "null: there is none."),
	END,
};
STRUCT(type_balance_visit, "BalanceVisit", "A visit to a frontend or to a backend.");

ENUM(type_balance_release, "BalanceRelease",
     "same: all answer with the same status and validator. different: they do not, or one does "
     "not answer. unknown: with the same status, and nothing to tell by, as dropboxes do.",
     "same", "different", "unknown")

static const struct field type_counts_fields[] = {
	F("total", INT, 0, "Saved and one-off services."),
	F("running", INT, 0, "Those that visitors are served by."),
	F("failed", INT, 0, "Those that cannot run."),
	END,
};
STRUCT(type_counts, "Counts", "Numbers of services.");

ENUM(type_part_kind, "PartKind",
     "Of a submission. encrypted: all of it, to the service's recipients.", "file", "message",
     "encrypted")

static const struct field type_file_fields[] = {
	F("name", STRING, 0, "The visitor's own word, made safe."),
	F("size", INT, 0, "In bytes."),
	END,
};
STRUCT(type_file, "File", "A file of a submission.");

static const struct field type_part_fields[] = {
	F("name", STRING, 0, "As in File; of a message: message.txt."),
	F("size", INT, 0, "In bytes."),
	T("kind", type_part_kind, 0, "What it is."),
	END,
};
STRUCT(type_part, "Part", "What can be read of a submission.");

static const struct field type_submission_fields[] = {
	F("id", INT, 0, "Its number: when it came in, in microseconds since 1970."),
	F("received_at", STRING, 0, "When it came in (RFC 3339)."),
	T("files", type_file, ARRAY, "Its files, by name, at most 1000."),
	F("message", BOOL, 0, "There is a message. Not known of what is encrypted: false."),
	F("path", STRING, 0, "Where it is; of a message alone, that file."),
	F("encrypted", BOOL, 0, "It is one encrypted file; names and message are in it."),
	END,
};
STRUCT(type_submission, "Submission", "What a visitor has sent to a receive service.");

ENUM(type_entry_kind, "EntryKind",
     "Of what is handed over. file: a new one, with what its descriptor holds. more: that is put "
     "behind what the last file holds.",
     "directory", "file", "more")

static const struct field type_entry_fields[] = {
	F("name", STRING, NULLABLE,
	  "The number of its path (\"0\" for the first), then the way to it: "
	  "\"0/site/index.html\"."),
	F("bytes", STRING, NULLABLE, "The same in base64, where it is not UTF-8."),
	T("kind", type_entry_kind, 0, "What it is."),
	END,
};
STRUCT(type_entry, "Entry", "A file or directory that is handed over.");

const struct type_def *const interface_types[] = {
	&type_mode,          &type_state,
	&type_key,           &type_transfers,
	&type_webhook,       &type_service,
	&type_bootstrap,     &type_tor_status,
	&type_bridges,       &type_check_step,
	&type_balance_role,  &type_descriptor,
	&type_balance_visit, &type_balance_release,
	&type_counts,        &type_goal,
	&type_event_kind,    &type_direction,
	&type_phase,         &type_file,
	&type_part_kind,     &type_part,
	&type_submission,    &type_entry_kind,
	&type_entry,         NULL,
};
