/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/base/error.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"

void error_done(struct error *e)
{
	free(e->text);
	free(e->param[0]);
	free(e->param[1]);
	*e = ERROR_INIT;
}

static char *vtext(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *vtext(const char *fmt, va_list ap)
{
	struct buf b = BUF_INIT;

	buf_vprintf(&b, fmt, ap);
	return buf_take(&b);
}

int error_set(struct error *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		char *text = vtext(fmt, ap);
		va_end(ap);
		error_done(e);
		e->code = code;
		e->text = text;
	}
	return -code;
}

int error_set_kind(struct error *e, int code, enum error_kind kind, const char *p1, const char *p2,
		   const char *fmt, ...)
{
	va_list ap;

	if (e) {
		struct error new = {.code = code, .kind = kind};

		va_start(ap, fmt);
		new.text = vtext(fmt, ap);
		va_end(ap);
		new.param[0] = p1 ? xstrdup(p1) : NULL;
		new.param[1] = p2 ? xstrdup(p2) : NULL;
		error_done(e);
		*e = new;
	}
	return -code;
}

int error_context(struct error *e, const char *fmt, ...)
{
	va_list ap;

	if (!e) {
		return 0;
	}
	va_start(ap, fmt);
	char *context = vtext(fmt, ap);
	va_end(ap);
	char *text = xasprintf("%s: %s", context, error_text(e));

	free(context);
	free(e->text);
	e->text = text;
	return -e->code;
}

void error_move(struct error *to, struct error *from)
{
	if (to) {
		error_done(to);
		*to = *from;
		*from = ERROR_INIT;
	} else {
		error_done(from);
	}
}

void error_copy(struct error *to, const struct error *from)
{
	struct error new = {.code = from->code, .kind = from->kind};

	new.text = from->text ? xstrdup(from->text) : NULL;
	for (int i = 0; i < 2; i++) {
		new.param[i] = from->param[i] ? xstrdup(from->param[i]) : NULL;
	}
	error_done(to);
	*to = new;
}

const char *error_text(const struct error *e)
{
	return e->text ? e->text : e->code ? strerror(e->code) : "unknown error";
}
