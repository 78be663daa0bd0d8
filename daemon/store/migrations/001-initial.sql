-- SPDX-License-Identifier: GPL-3.0-or-later
-- Sealed columns hold what store/seal.h describes; uid is part of what they are bound to.
CREATE TABLE meta (
	name TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE services (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	uid BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
	name TEXT NOT NULL UNIQUE,
	mode TEXT NOT NULL,
	options TEXT NOT NULL,           -- JSON object
	paths TEXT,                      -- JSON array of strings
	wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
	reason TEXT,
	onion TEXT,
	onion_key BLOB,                  -- sealed
	secret BLOB NOT NULL,            -- sealed
	port INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
	created_ms INTEGER NOT NULL,
	completed INTEGER NOT NULL,
	bytes_in INTEGER NOT NULL,
	bytes_out INTEGER NOT NULL
) STRICT;

CREATE TABLE service_keys (
	service_id INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
	position INTEGER NOT NULL,
	label TEXT NOT NULL,
	public_key BLOB NOT NULL CHECK (length(public_key) = 32),
	private_key BLOB,                -- sealed
	PRIMARY KEY (service_id, position),
	UNIQUE (service_id, label)
) STRICT, WITHOUT ROWID;

-- The name and not the id of a service: what has happened outlives it.
CREATE TABLE history (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at_ms INTEGER NOT NULL,
	service TEXT,
	event TEXT NOT NULL,
	details TEXT                     -- JSON object
) STRICT;
CREATE INDEX history_service ON history (service, id);
CREATE INDEX history_at ON history (at_ms);

-- age grows with each put: the smallest is the oldest.
CREATE TABLE cache (
	age INTEGER PRIMARY KEY AUTOINCREMENT,
	service_id INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
	key TEXT NOT NULL,
	value BLOB NOT NULL,
	UNIQUE (service_id, key)
) STRICT;
