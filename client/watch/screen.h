/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lines that watch shows of a scene on a terminal of a given size. Layout
 * only: nothing is printed, no clock is read. What does not fit is cut, and
 * said to be there.
 */
#pragma once

#include <stddef.h>

#include "client/watch/scene.h"

struct screen_line {
	char *text; /* escaped; with control sequences for styles where out_style() has them */
	size_t columns;
};

/* At most as many lines as the terminal has rows, the last of them the footer. */
struct screen {
	struct screen_line *lines;
	size_t n;
};

/* ret: to be given to screen_done. columns and rows: 1 at least. */
void screen_layout(const struct scene *s, const struct scene_time *now, size_t columns, size_t rows,
		   struct screen *ret);
void screen_done(struct screen *screen);
