-- SPDX-License-Identifier: GPL-3.0-or-later
-- What commands have set of the daemon itself, not of a service. The values are sealed.
CREATE TABLE settings (
	name TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT;
