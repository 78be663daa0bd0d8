/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The terminal at stdout as a screen of our own: its other page, no cursor, no
 * echo of keys; and as it was again afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/watch/screen.h"

/* Can stdout be a screen? Not where there is no terminal, or none that styles are wanted on. */
bool tty_can(void);
/* Both may be called again and again. */
void tty_enter(void);
void tty_leave(void);
/* Until somebody continues us, with the terminal as it was before. */
void tty_suspend(void);
/* At least 1; 80x24 where the terminal does not know. */
void tty_size(size_t *ret_columns, size_t *ret_rows);
void tty_draw(const struct screen *screen);
