/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/content/multipart.h"

#include <errno.h>

#include "http/content/param.h"

/* --- the boundary --- */

/* RFC 2046 section 5.1.1: bcharsnospace, and the space where it is not the last. */
static bool is_boundary(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      (c && strchr("'()+_,-./:=? ", c)))) {
			return false;
		}
	}
	return s.n > 0 && s.n <= MULTIPART_BOUNDARY_MAX && s.p[s.n - 1] != ' ';
}

int multipart_boundary(struct span content_type, struct multipart_boundary *ret)
{
	struct span rest, type = http_param_main(content_type, &rest);
	struct span boundary = SPAN_NONE;
	struct http_param param;
	int r;

	if (!span_eq_ci(type, SPAN("multipart/form-data"))) {
		return -EINVAL;
	}
	while ((r = http_param_next(&rest, &param)) > 0) {
		if (!span_eq_ci(param.name, SPAN("boundary"))) {
			continue;
		}
		if (boundary.p) {
			return -EINVAL;
		}
		boundary = param.value; /* no character of it needs an escape */
	}
	if (r < 0 || !boundary.p || !is_boundary(boundary)) {
		return -EINVAL;
	}
	memcpy(ret->text, boundary.p, boundary.n);
	ret->text[boundary.n] = '\0';
	ret->n = boundary.n;
	return 0;
}

/* --- searching ---
 *
 * CR stands nowhere in the needle but at its beginning, so a comparison that
 * fails has seen no other beginning: nothing is compared twice. To keep floods of
 * CR, of CRLF and of almost-boundaries as cheap as other data, sixteen places are
 * compared at once with several bytes of the needle before any is looked at alone.
 */

#define LANES 16

typedef uint8_t lanes __attribute__((vector_size(LANES)));

static lanes equal(const char *p, char c)
{
	lanes v;

	memcpy(&v, p, sizeof(v));
	return (lanes)(v == (lanes){} + (uint8_t)c);
}

static bool any(lanes v)
{
	uint64_t half[2];

	memcpy(half, &v, sizeof(half));
	return half[0] | half[1];
}

/* The first of the places in hit where the whole needle stands, or LANES. */
static size_t find_among(const struct multipart *m, const char *p, lanes hit)
{
	uint8_t places[LANES];

	memcpy(places, &hit, sizeof(places));
	for (const uint8_t *at = places; (at = memchr(at, 0xff, (size_t)(places + LANES - at)));
	     at++) {
		if (memcmp(p + (at - places), m->needle, m->needle_n) == 0) {
			return (size_t)(at - places);
		}
	}
	return LANES;
}

/* Where the whole needle begins in s, or s.n. */
static size_t find_whole(const struct multipart *m, struct span s)
{
	size_t last = m->needle_n - 1, i = 0;

	if (s.n < m->needle_n) {
		return s.n;
	}
	size_t places = s.n - last;

	for (; i + LANES <= places; i += LANES) {
		const char *p = s.p + i;
		lanes hit = equal(p, '\r') & equal(p + last, m->needle[last]);

		if (!any(hit)) {
			continue;
		}
		hit &= equal(p + 1, '\n') & equal(p + 3, '-') &
		       equal(p + last / 2, m->needle[last / 2]);
		if (any(hit)) {
			size_t k = find_among(m, p, hit);

			if (k < LANES) {
				return i + k;
			}
		}
	}
	for (; i < places; i++) {
		if (s.p[i] == '\r' && memcmp(s.p + i, m->needle, m->needle_n) == 0) {
			return i;
		}
	}
	return s.n;
}

/* Where s ends with a beginning of the needle (which is not in it whole), or s.n. */
static size_t find_beginning(const struct multipart *m, struct span s)
{
	size_t from = s.n < m->needle_n ? 0 : s.n - (m->needle_n - 1);

	while (from < s.n) {
		const char *cr = memchr(s.p + from, '\r', s.n - from);

		if (!cr) {
			break;
		}
		from = (size_t)(cr - s.p);
		if (memcmp(cr, m->needle, s.n - from) == 0) {
			return from;
		}
		from++;
	}
	return s.n;
}

/* --- parts --- */

static int fail(struct multipart *m, int error)
{
	m->state = MULTIPART_FAILED;
	m->error = error;
	return error;
}

static int give(struct multipart *m, struct span bytes)
{
	if (!bytes.n) {
		return 0;
	}
	if (m->in_part) {
		return m->ops->data(m->ud, bytes);
	}
	m->around += bytes.n;
	return m->around > MULTIPART_AROUND_MAX ? -EMSGSIZE : 0;
}

/* What looked like a boundary was data. */
static int give_held(struct multipart *m)
{
	size_t from = m->assumed;
	size_t n = m->held - from;

	m->held = m->assumed = 0;
	return give(m, span_of(m->needle + from, n));
}

static int end_part(struct multipart *m)
{
	if (!m->in_part) {
		return 0;
	}
	m->in_part = false;
	return m->ops->end(m->ud);
}

/* Preamble and data alike: all up to a boundary. Takes at least one byte of s. */
static int on_data(struct multipart *m, struct span *s)
{
	if (m->held) {
		size_t want = m->needle_n - m->held;
		size_t n = s->n < want ? s->n : want;

		if (memcmp(s->p, m->needle + m->held, n) == 0) {
			m->held += n;
			*s = span_from(*s, n);
			m->state = m->held == m->needle_n ? MULTIPART_BEHIND : m->state;
			return 0;
		}
		int r = give_held(m);

		if (r) {
			return r;
		}
	}
	size_t whole = find_whole(m, *s);
	size_t at = whole < s->n ? whole : find_beginning(m, *s);
	struct span data = span_of(s->p, at);

	if (whole < s->n) {
		m->held = m->needle_n;
		m->state = MULTIPART_BEHIND;
		*s = span_from(*s, at + m->needle_n);
	} else {
		m->held = s->n - at;
		*s = span_from(*s, s->n);
	}
	return give(m, data);
}

/* The bytes behind a boundary were no end of a line: a longer boundary, of nested parts perhaps. */
static int not_a_boundary(struct multipart *m, bool dash)
{
	int r = give_held(m);

	m->state = m->in_part ? MULTIPART_DATA : MULTIPART_PREAMBLE;
	return r == 0 && dash ? give(m, SPAN("-")) : r;
}

/* Looks at one byte behind a boundary; takes it unless it was none. */
static int on_behind(struct multipart *m, struct span *s)
{
	char c = *s->p;

	switch (c) {
	case '-':
		m->state = MULTIPART_BEHIND_DASH;
		break;
	case '\r':
	case ' ':
	case '\t':
		m->held = m->assumed = 0;
		m->padding = 1;
		m->state = c == '\r' ? MULTIPART_LINE_FEED : MULTIPART_PADDING;
		*s = span_from(*s, 1);
		return end_part(m);
	default:
		return not_a_boundary(m, false);
	}
	*s = span_from(*s, 1);
	return 0;
}

static int on_behind_dash(struct multipart *m, struct span *s)
{
	if (*s->p != '-') {
		return not_a_boundary(m, true);
	}
	*s = span_from(*s, 1);
	m->held = m->assumed = 0;
	m->around = 0;
	m->state = MULTIPART_EPILOGUE;
	return end_part(m);
}

static int on_padding(struct multipart *m, struct span *s)
{
	char c = *s->p;

	*s = span_from(*s, 1);
	if (c == '\r') {
		m->state = MULTIPART_LINE_FEED;
		return 0;
	}
	if (c != ' ' && c != '\t') {
		return -EINVAL;
	}
	return ++m->padding > MULTIPART_PADDING_MAX ? -EMSGSIZE : 0;
}

static int on_line_feed(struct multipart *m, struct span *s)
{
	if (*s->p != '\n') {
		return -EINVAL;
	}
	*s = span_from(*s, 1);
	if (m->parts == m->max_parts) {
		return -E2BIG;
	}
	m->parts++;
	buf_clear(&m->head);
	m->state = MULTIPART_HEAD;
	return 0;
}

/* --- a part's head --- */

struct disposition {
	struct buf name, filename;
	bool has_name, has_filename, extended;
};

/* Browsers write %22, %0D and %0A for what would break the quotes, and nothing else (HTML). */
static void decode_browser_escapes(struct buf *b)
{
	static const struct {
		const char *text;
		char c;
	} escapes[] = {{"%22", '"'}, {"%0D", '\r'}, {"%0A", '\n'}};
	size_t to = 0;

	for (size_t i = 0; i < b->len; to++) {
		b->p[to] = b->p[i];
		size_t taken = 1;

		for (size_t k = 0; k < 3 && b->len - i >= 3; k++) {
			if (span_eq_ci(span_of(b->p + i, 3), span_str(escapes[k].text))) {
				b->p[to] = escapes[k].c;
				taken = 3;
				break;
			}
		}
		i += taken;
	}
	if (b->p) {
		b->len = to;
		b->p[to] = '\0';
	}
}

/* One that cannot be understood yields to the plain one; without that it is taken as it stands. */
static int on_extended(struct disposition *d, struct span value)
{
	struct buf name = BUF_INIT;

	if (d->extended) {
		return -EINVAL;
	}
	int r = http_param_extended(value, &name);

	if (r < 0 && d->has_filename) {
		buf_wipe(&name);
		return 0;
	}
	if (r == -EINVAL) {
		const char *quote = memrchr(value.p, '\'', value.n);

		buf_clear(&name);
		buf_add_span(&name,
			     quote ? span_from(value, (size_t)(quote + 1 - value.p)) : value);
	}
	buf_wipe(&d->filename);
	d->filename = name;
	d->extended = r == 0;
	return 0;
}

static int on_param(struct disposition *d, const struct http_param *param)
{
	if (span_eq_ci(param->name, SPAN("name"))) {
		if (d->has_name) {
			return -EINVAL;
		}
		d->has_name = true;
		http_param_unquote(param, &d->name);
	} else if (span_eq_ci(param->name, SPAN("filename"))) {
		if (d->has_filename) {
			return -EINVAL;
		}
		d->has_filename = true;
		if (!d->extended) {
			buf_clear(&d->filename);
			http_param_unquote(param, &d->filename);
			decode_browser_escapes(&d->filename);
		}
	} else if (span_eq_ci(param->name, SPAN("filename*"))) {
		return on_extended(d, param->value);
	}
	return 0;
}

static int read_disposition(struct span value, struct disposition *d)
{
	struct span rest, type = http_param_main(value, &rest);
	struct http_param param;
	int r;

	if (!span_eq_ci(type, SPAN("form-data"))) {
		return -EINVAL;
	}
	while ((r = http_param_next(&rest, &param)) > 0) {
		if (on_param(d, &param) < 0) {
			return -EINVAL;
		}
	}
	return r;
}

/* The next field; a line that begins with white space continues the one before (RFC 5322). */
static int next_field(struct span *head, struct span *name, struct span *value)
{
	const char *end = head->p;
	const char *stop = head->p + head->n;

	do {
		end = memmem(end, (size_t)(stop - end), "\r\n", 2);
		if (!end) {
			return -EINVAL;
		}
		end += 2;
	} while (end < stop && (*end == ' ' || *end == '\t'));
	struct span line = span_of(head->p, (size_t)(end - 2 - head->p));

	*head = span_of(end, (size_t)(stop - end));
	*name = span_cut(&line, ':');
	*value = span_trim(line);
	return line.p && http_is_token(*name) ? 0 : -EINVAL;
}

/* Line breaks of folded lines become nothing: the white space behind them is enough. */
static void unfold(struct span value, struct buf *ret)
{
	while (value.n) {
		const char *fold = memmem(value.p, value.n, "\r\n", 2);
		size_t n = fold ? (size_t)(fold - value.p) : value.n;

		buf_add(ret, value.p, n);
		value = span_from(value, fold ? n + 2 : n);
	}
}

static int read_fields(struct span head, struct disposition *d, struct span *content_type)
{
	bool seen = false;

	for (unsigned i = 0; head.n; i++) {
		struct span name, value;

		if (i == MULTIPART_FIELDS_MAX) {
			return -EMSGSIZE;
		}
		if (next_field(&head, &name, &value) < 0) {
			return -EINVAL;
		}
		if (span_eq_ci(name, SPAN("content-disposition"))) {
			struct buf unfolded = BUF_INIT;

			unfold(value, &unfolded);
			int r = seen ? -EINVAL : read_disposition(buf_span(&unfolded), d);

			buf_wipe(&unfolded);
			if (r < 0) {
				return r;
			}
			seen = true;
		} else if (span_eq_ci(name, SPAN("content-type"))) {
			*content_type = value;
		}
	}
	return 0;
}

static struct span span_or_none(const struct buf *b, bool there)
{
	return !there ? SPAN_NONE : b->p ? buf_span(b) : SPAN("");
}

/* The head is there, its empty line not in it. */
static int begin_part(struct multipart *m)
{
	struct disposition d = {0};
	struct multipart_part part = {0};
	int r = read_fields(buf_span(&m->head), &d, &part.content_type);

	if (r == 0) {
		part.name = span_or_none(&d.name, d.has_name);
		part.filename = span_or_none(&d.filename, d.has_filename || d.filename.p);
		m->in_part = true;
		r = m->ops->begin(m->ud, &part);
	}
	buf_done(&d.name);
	buf_wipe(&d.filename);
	return r;
}

/* Up to and with the next line feed. */
static int on_head(struct multipart *m, struct span *s)
{
	const char *lf = memchr(s->p, '\n', s->n);
	size_t n = lf ? (size_t)(lf - s->p) + 1 : s->n;

	if (m->head.len + n > MULTIPART_HEAD_MAX) {
		return -EMSGSIZE;
	}
	buf_add(&m->head, s->p, n);
	*s = span_from(*s, n);
	struct span head = buf_span(&m->head);

	if (!span_eq(head, SPAN("\r\n")) && !span_ends(head, SPAN("\r\n\r\n"))) {
		return 0;
	}
	m->head.len -= 2;
	m->head.p[m->head.len] = '\0';
	m->state = MULTIPART_DATA;
	/* A part without any data may end with the line end of its head. */
	m->held = m->assumed = 2;
	return begin_part(m);
}

static int on_epilogue(struct multipart *m, struct span *s)
{
	m->around += s->n;
	*s = span_from(*s, s->n);
	return m->around > MULTIPART_AROUND_MAX ? -EMSGSIZE : 0;
}

static int step(struct multipart *m, struct span *s)
{
	switch (m->state) {
	case MULTIPART_PREAMBLE:
	case MULTIPART_DATA:
		return on_data(m, s);
	case MULTIPART_BEHIND:
		return on_behind(m, s);
	case MULTIPART_BEHIND_DASH:
		return on_behind_dash(m, s);
	case MULTIPART_PADDING:
		return on_padding(m, s);
	case MULTIPART_LINE_FEED:
		return on_line_feed(m, s);
	case MULTIPART_HEAD:
		return on_head(m, s);
	case MULTIPART_EPILOGUE:
		return on_epilogue(m, s);
	case MULTIPART_FAILED:
		break;
	}
	return m->error;
}

/* --- outside --- */

void multipart_init(struct multipart *m, const struct multipart_boundary *boundary,
		    unsigned max_parts, const struct multipart_ops *ops, void *ud)
{
	*m = (struct multipart){.ops = ops, .ud = ud, .max_parts = max_parts};
	memcpy(m->needle, "\r\n--", 4);
	memcpy(m->needle + 4, boundary->text, boundary->n);
	m->needle_n = 4 + boundary->n;
	m->held = m->assumed = 2; /* the first boundary stands at the beginning of a line */
}

void multipart_done(struct multipart *m)
{
	buf_wipe(&m->head);
}

int multipart_feed(struct multipart *m, struct span bytes)
{
	while (bytes.n) {
		int r = step(m, &bytes);

		if (r) {
			return fail(m, r);
		}
	}
	return m->state == MULTIPART_FAILED ? m->error : 0;
}

int multipart_finish(struct multipart *m)
{
	if (m->state == MULTIPART_FAILED) {
		return m->error;
	}
	return m->state == MULTIPART_EPILOGUE ? 0 : fail(m, -EINVAL);
}
