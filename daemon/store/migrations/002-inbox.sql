-- SPDX-License-Identifier: GPL-3.0-or-later
-- Submissions that are whole and on the disk, but perhaps not yet where they belong. A row
-- is gone as soon as its submission has been moved.
CREATE TABLE inbox_intents (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	data_dir TEXT NOT NULL,
	staging TEXT NOT NULL,
	day TEXT NOT NULL,
	stamp TEXT NOT NULL
) STRICT;
