/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mode/receive/fields.h"

#include <errno.h>
#include <string.h>

#include "mode/receive/form.h"
#include "mode/receive/safename.h"

/* For multipart's callbacks, which stop by it. */
static int refuse(struct fields *f, enum refusal why)
{
	f->refused = why;
	return why == REFUSED_NOT ? 0 : -ECANCELED;
}

static int begin_file(struct fields *f)
{
	struct buf name = BUF_INIT;

	if (!f->config.files) {
		return refuse(f, REFUSED_FILES);
	}
	safename_apart(&name, f->names, buf_span(&f->raw_name));
	buf_printf(&f->shown, "%s%s", f->files ? ", " : "", name.p);
	records_add(f->out, INBOX_FILE, buf_span(&name));
	buf_wipe(&name);
	f->files++;
	f->open = true;
	return 0;
}

static int on_part(void *ud, const struct multipart_part *part)
{
	struct fields *f = ud;

	f->open = f->nonblank = f->after_cr = false;
	f->chars = f->text_bytes = 0;
	f->part = span_eq(part->name, SPAN("file[]")) ? FIELDS_FILE
		  : span_eq(part->name, SPAN("text")) ? FIELDS_TEXT
						      : FIELDS_OTHER;
	if (f->part != FIELDS_FILE) {
		return 0;
	}
	buf_clear(&f->raw_name);
	buf_add_span(&f->raw_name, part->filename);
	/* An input that was left empty has no name, and no bytes will come. */
	return part->filename.n ? begin_file(f) : 0;
}

static bool is_blank(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!strchr(" \t\r\n\v\f", s.p[i]) || !s.p[i]) {
			return false;
		}
	}
	return true;
}

/* Characters of UTF-8; CR LF is one, as it is for browsers when they count. */
static void count_chars(struct fields *f, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		f->chars += (c & 0xc0) != 0x80 && !(c == '\n' && f->after_cr);
		f->after_cr = c == '\r';
	}
}

static int on_text(struct fields *f, struct span bytes)
{
	bool blank = is_blank(bytes);

	if (!f->config.text) {
		return blank ? 0 : refuse(f, REFUSED_TEXT);
	}
	if (!blank && !f->nonblank && f->message) {
		return refuse(f, REFUSED_MALFORMED); /* two messages: which one? */
	}
	if (f->message && blank && !f->open) {
		return 0;
	}
	count_chars(f, bytes);
	f->text_bytes += bytes.n;
	f->nonblank |= !blank;
	/* The bytes too: in what is no UTF-8 there may be no characters to count. */
	if (f->chars > FORM_TEXT_MAX || f->text_bytes > 4 * (uint64_t)FORM_TEXT_MAX) {
		return refuse(f, REFUSED_NOTHING);
	}
	if (!f->open) {
		records_add(f->out, INBOX_MESSAGE, SPAN_NONE);
		f->open = true;
	}
	records_add_data(f->out, bytes);
	return 0;
}

static int on_data(void *ud, struct span bytes)
{
	struct fields *f = ud;

	if (f->part == FIELDS_OTHER) {
		return 0;
	}
	int r = refuse(f, f->config.count(f->config.ud, bytes.n));

	if (r == 0 && f->part == FIELDS_TEXT) {
		return on_text(f, bytes);
	}
	if (r == 0 && !f->open) {
		r = begin_file(f);
	}
	if (r == 0) {
		records_add_data(f->out, bytes);
	}
	return r;
}

static int on_part_end(void *ud)
{
	struct fields *f = ud;

	if (!f->open) {
		return 0;
	}
	f->open = false;
	if (f->part == FIELDS_TEXT && !f->nonblank) {
		records_add(f->out, INBOX_DROP, SPAN_NONE);
		return 0;
	}
	f->message |= f->part == FIELDS_TEXT;
	records_add(f->out, INBOX_END, SPAN_NONE);
	return 0;
}

static const struct multipart_ops form_ops = {on_part, on_data, on_part_end};

void fields_init(struct fields *f, const struct multipart_boundary *boundary,
		 const struct fields_config *config, struct records *out)
{
	*f = (struct fields){.config = *config, .out = out, .names = names_new(4)};
	if (config->taken.n) {
		names_add(f->names, config->taken);
	}
	multipart_init(&f->mp, boundary, FIELDS_PARTS_MAX, &form_ops, f);
}

void fields_done(struct fields *f)
{
	multipart_done(&f->mp);
	names_free(f->names);
	buf_wipe(&f->raw_name);
	buf_wipe(&f->shown);
}

enum refusal fields_feed(struct fields *f, struct span bytes)
{
	int r = f->refused == REFUSED_NOT ? multipart_feed(&f->mp, bytes) : 0;

	if (r < 0 && f->refused == REFUSED_NOT) {
		f->refused = r == -E2BIG      ? REFUSED_TOO_MANY
			     : r == -EMSGSIZE ? REFUSED_LONG_HEAD
					      : REFUSED_MALFORMED;
	}
	return f->refused;
}

enum refusal fields_end(struct fields *f)
{
	if (f->refused == REFUSED_NOT && multipart_finish(&f->mp) < 0) {
		f->refused = REFUSED_MALFORMED;
	} else if (f->refused == REFUSED_NOT && !f->files && !f->message) {
		f->refused = REFUSED_NOTHING;
	}
	return f->refused;
}
