-- SPDX-License-Identifier: GPL-3.0-or-later
-- Reports that wait until their target has taken them; the smallest id is the oldest.
CREATE TABLE webhooks (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	service_id INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
	content_type TEXT NOT NULL,
	body TEXT NOT NULL,
	created_ms INTEGER NOT NULL,
	next_ms INTEGER NOT NULL,        -- not to be tried before
	tries INTEGER NOT NULL,
	last_error TEXT
) STRICT;
CREATE INDEX webhooks_service ON webhooks (service_id, id);
