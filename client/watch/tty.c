/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "client/watch/tty.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "client/out.h"
#include "proto/base/buf.h"

/* The other page, the cursor hidden, no wrapping of a line that proves wider than we think. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

#define USUAL_COLUMNS 80
#define USUAL_ROWS    24
#define MOST          1000 /* columns or rows; nobody reads more */

static struct {
	bool entered, keys_hidden;
	struct termios before;
} tty;

bool tty_can(void)
{
	return out_style(STYLE_BOLD)[0] != '\0';
}

/* What somebody types would stand in the middle of it. */
static void hide_keys(void)
{
	struct termios t;

	if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &tty.before) < 0) {
		return; /* in the background, or not a terminal */
	}
	t = tty.before;
	t.c_lflag &= ~(tcflag_t)ECHO;
	tty.keys_hidden = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

void tty_enter(void)
{
	if (!tty.entered) {
		tty.entered = true;
		hide_keys();
		out_raw(ENTER);
	}
}

void tty_leave(void)
{
	if (!tty.entered) {
		return;
	}
	tty.entered = false;
	out_raw(LEAVE);
	if (tty.keys_hidden) {
		/* Keys typed meanwhile were not meant for the shell. */
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &tty.before);
		tty.keys_hidden = false;
	}
}

/* As SIGTSTP does it by itself, which does nothing where nobody could continue us. */
void tty_suspend(void)
{
	sigset_t set;

	tty_leave();
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	tty_enter();
}

void tty_size(size_t *ret_columns, size_t *ret_rows)
{
	struct winsize ws = {0};
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0;

	*ret_columns = known && ws.ws_col > 0 ? ws.ws_col : USUAL_COLUMNS;
	*ret_rows = known && ws.ws_row > 0 ? ws.ws_row : USUAL_ROWS;
	*ret_columns = *ret_columns < MOST ? *ret_columns : MOST;
	*ret_rows = *ret_rows < MOST ? *ret_rows : MOST;
}

/*
 * Over what stands there, in one piece and without clearing first, so that nothing flickers.
 * A full line is not cleared behind: that would take its last character.
 */
void tty_draw(const struct screen *screen)
{
	struct buf text = BUF_INIT;
	size_t columns, rows;

	tty_size(&columns, &rows);
	for (size_t i = 0; i < screen->n; i++) {
		const struct screen_line *line = &screen->lines[i];

		buf_printf(&text, "\033[%zu;1H%s%s", i + 1, line->text,
			   line->columns < columns ? "\033[K" : "");
	}
	buf_add_str(&text, screen->n < rows ? "\033[J" : "");
	out_raw(text.p);
	buf_done(&text);
}
