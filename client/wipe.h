/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * From now on every piece of memory that Jansson gives back is wiped first:
 * private keys pass through it. Before the first JSON value is made.
 */
void wipe_json_memory(void);
