/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a shell may offer for the word under the cursor, from the tables of
 * commands and options and from the daemon; and the shells' scripts
 * (completion/), which ask for it.
 */
#pragma once

extern const char completion_bash[];
extern const char completion_zsh[];
extern const char completion_fish[];
