/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * From now on every piece of memory that Jansson gives back is wiped first:
 * private keys and people's messages pass through it. Out of memory ends the
 * process there too. Before the first JSON value is made. What Jansson hands
 * out as text (json_dumps) may be given to free().
 */
void wipe_json_memory(void);
