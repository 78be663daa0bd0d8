-- SPDX-License-Identifier: GPL-3.0-or-later
-- When a wanted service starts and stops by itself, in ms since 1970; 0: not. Absolute, so that
-- neither a restart nor a clock that is set moves it.
CREATE TABLE schedules (
	service_id INTEGER PRIMARY KEY REFERENCES services (id) ON DELETE CASCADE,
	start_ms INTEGER NOT NULL,
	stop_ms INTEGER NOT NULL
) STRICT;
