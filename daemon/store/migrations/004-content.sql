-- SPDX-License-Identifier: GPL-3.0-or-later
-- Of each path where it comes from: a JSON array of objects beside paths, or NULL where nothing
-- is to be said of any. And how the paths stand in the root (mode/content.h).
ALTER TABLE services ADD COLUMN sources TEXT;
ALTER TABLE services ADD COLUMN layout INTEGER NOT NULL DEFAULT 0 CHECK (layout BETWEEN 0 AND 2);
