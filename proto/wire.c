/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/alloc.h"

/* --- framing --- */

void wire_reader_done(struct wire_reader *r)
{
	/* A message may hold a secret. */
	buf_wipe(&r->in);
	*r = WIRE_READER_INIT;
}

/* Moves seen to the first NUL behind begin: is there one? */
static bool find_end(struct wire_reader *r)
{
	const char *nul;

	if (wire_reader_empty(r)) {
		/* Who is idle shall need no memory, and what was read may have been secret. */
		wire_reader_done(r);
		return false;
	}
	if (r->seen < r->begin) {
		r->seen = r->begin;
	}
	if (r->seen == r->in.len) {
		return false;
	}
	nul = memchr(r->in.p + r->seen, '\0', r->in.len - r->seen);
	r->seen = nul ? (size_t)(nul - r->in.p) : r->in.len;
	return nul;
}

int wire_reader_feed(struct wire_reader *r, const void *p, size_t n)
{
	if (r->begin) {
		size_t begin = r->begin;

		buf_consume(&r->in, begin);
		r->seen = r->seen > begin ? r->seen - begin : 0;
		r->begin = 0;
	}
	buf_add(&r->in, p, n);
	if (!find_end(r) && r->in.len > WIRE_MAX_MESSAGE) {
		return -EMSGSIZE;
	}
	return r->seen > WIRE_MAX_MESSAGE ? -EMSGSIZE : 0;
}

bool wire_reader_next(struct wire_reader *r, struct span *ret)
{
	if (!find_end(r)) {
		return false;
	}
	*ret = span_of(r->in.p + r->begin, r->seen - r->begin);
	r->begin = r->seen + 1;
	return true;
}

bool wire_reader_ready(struct wire_reader *r)
{
	return find_end(r);
}

bool wire_reader_empty(const struct wire_reader *r)
{
	return r->begin == r->in.len;
}

/* --- messages --- */

/*
 * Depth and number of values, before anything is allocated for them. Need not
 * understand JSON beyond strings: what is not JSON is refused by the parser.
 */
static int check_size(struct span text, struct error *err)
{
	unsigned depth = 0, values = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (in_string) {
			if (c == '\\') {
				i++;
			} else if (c == '"') {
				in_string = false;
			}
			continue;
		}
		if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > WIRE_MAX_DEPTH) {
				return error_set(err, EMSGSIZE, "nested deeper than %u levels",
						 WIRE_MAX_DEPTH);
			}
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		} else if (c == ',') {
			values++;
		}
		if (values > WIRE_MAX_VALUES) {
			return error_set(err, EMSGSIZE, "more than %u values", WIRE_MAX_VALUES);
		}
	}
	return 0;
}

json_t *wire_parse_json(struct span text, struct error *err)
{
	json_error_t why;
	json_t *value;

	if (text.n > WIRE_MAX_MESSAGE) {
		error_set(err, EMSGSIZE, "longer than %u bytes", WIRE_MAX_MESSAGE);
		return NULL;
	}
	if (check_size(text, err) < 0) {
		return NULL;
	}
	value = json_loadb(text.n ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &why);
	if (!value) {
		error_set(err, EINVAL, "not JSON: %s (byte %d)", why.text, why.position);
	}
	return value;
}

/* What a message may have, and of which type. */
struct member {
	const char *name;
	json_type type; /* JSON_TRUE: a bool */
};

static int check_members(json_t *message, const struct member *members, size_t n, struct error *err)
{
	if (!json_is_object(message)) {
		return error_set(err, EINVAL, "a message must be an object");
	}
	for (void *it = json_object_iter(message); it; it = json_object_iter_next(message, it)) {
		const char *name = json_object_iter_key(it);
		const json_t *value = json_object_iter_value(it);
		size_t i = 0;

		while (i < n && strcmp(members[i].name, name) != 0) {
			i++;
		}
		if (i == n) {
			return error_set(err, EINVAL, "a message with an unknown member");
		}
		if (!json_is_null(value) && json_typeof(value) != members[i].type &&
		    !(members[i].type == JSON_TRUE && json_is_boolean(value))) {
			return error_set(err, EINVAL, "the message's \"%s\" has the wrong type",
					 members[i].name);
		}
	}
	return 0;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * interface_name of varlink's grammar: two or more parts between dots, of
 * letters, digits and inner dashes, the first beginning with a letter.
 */
static bool is_interface_name(struct span s)
{
	unsigned parts = 0;

	if (s.n == 0 || !is_alnum(s.p[0]) || (s.p[0] >= '0' && s.p[0] <= '9')) {
		return false;
	}
	while (s.p) {
		struct span part = span_cut(&s, '.');

		if (part.n == 0 || part.p[0] == '-' || part.p[part.n - 1] == '-') {
			return false;
		}
		for (size_t i = 0; i < part.n; i++) {
			if (!is_alnum(part.p[i]) && part.p[i] != '-') {
				return false;
			}
		}
		parts++;
	}
	return parts >= 2;
}

/* "a.b.Method" to interface and method; false: not a full name. */
static bool split_name(struct span name, struct span *ret_interface, struct span *ret_method)
{
	size_t dot = name.n;

	while (dot > 0 && name.p[dot - 1] != '.') {
		dot--;
	}
	if (dot == 0) {
		return false;
	}
	struct span method = span_from(name, dot);

	if (method.n == 0 || method.p[0] < 'A' || method.p[0] > 'Z') {
		return false;
	}
	for (size_t i = 0; i < method.n; i++) {
		if (!is_alnum(method.p[i])) {
			return false;
		}
	}
	*ret_interface = span_of(name.p, dot - 1);
	*ret_method = method;
	return is_interface_name(*ret_interface);
}

int wire_parse_call(struct span text, struct wire_call *ret, struct error *err)
{
	static const struct member members[] = {
		{"method", JSON_STRING}, {"parameters", JSON_OBJECT}, {"more", JSON_TRUE},
		{"oneway", JSON_TRUE},   {"upgrade", JSON_TRUE},
	};
	struct wire_call c = {.message = wire_parse_json(text, err)};
	const json_t *name;
	int r;

	if (!c.message) {
		return -EINVAL;
	}
	r = check_members(c.message, members, ARRAY_SIZE(members), err);
	if (r < 0) {
		goto fail;
	}
	name = json_object_get(c.message, "method");
	c.name = json_string_value(name);
	if (!c.name ||
	    !split_name(span_of(c.name, json_string_length(name)), &c.interface, &c.method)) {
		r = error_set(err, EINVAL, "the message's \"method\" is not INTERFACE.METHOD");
		goto fail;
	}
	c.params = json_object_get(c.message, "parameters");
	if (json_is_null(c.params)) {
		c.params = NULL;
	}
	c.more = json_is_true(json_object_get(c.message, "more"));
	c.oneway = json_is_true(json_object_get(c.message, "oneway"));
	c.upgrade = json_is_true(json_object_get(c.message, "upgrade"));
	if (c.more && c.oneway) {
		r = error_set(err, EINVAL, "a call cannot be both \"more\" and \"oneway\"");
		goto fail;
	}
	*ret = c;
	return 0;
fail:
	json_decref(c.message);
	return r;
}

int wire_parse_reply(struct span text, struct wire_reply *ret, struct error *err)
{
	static const struct member members[] = {{"parameters", JSON_OBJECT},
						{"continues", JSON_TRUE},
						{"error", JSON_STRING}};
	struct wire_reply w = {.message = wire_parse_json(text, err)};
	struct span interface, name;
	const json_t *error;
	int r;

	if (!w.message) {
		return -EINVAL;
	}
	r = check_members(w.message, members, ARRAY_SIZE(members), err);
	if (r < 0) {
		goto fail;
	}
	error = json_object_get(w.message, "error");
	w.error = json_string_value(error);
	if (w.error &&
	    !split_name(span_of(w.error, json_string_length(error)), &interface, &name)) {
		r = error_set(err, EINVAL, "the message's \"error\" is not INTERFACE.ERROR");
		goto fail;
	}
	w.params = json_object_get(w.message, "parameters");
	if (json_is_null(w.params)) {
		w.params = NULL;
	}
	w.continues = json_is_true(json_object_get(w.message, "continues"));
	*ret = w;
	return 0;
fail:
	json_decref(w.message);
	return r;
}

void wire_call_done(struct wire_call *c)
{
	json_decref(c->message);
	*c = (struct wire_call){0};
}

void wire_reply_done(struct wire_reply *r)
{
	json_decref(r->message);
	*r = (struct wire_reply){0};
}

json_t *wire_make_call(const char *method, json_t *params, bool more, bool oneway)
{
	json_t *message = json_object();

	json_object_set_new(message, "method", json_string(method));
	json_object_set_new(message, "parameters", params ? params : json_object());
	if (more) {
		json_object_set_new(message, "more", json_true());
	}
	if (oneway) {
		json_object_set_new(message, "oneway", json_true());
	}
	return message;
}

json_t *wire_make_reply(json_t *params, bool continues)
{
	json_t *message = json_object();

	json_object_set_new(message, "parameters", params ? params : json_object());
	if (continues) {
		json_object_set_new(message, "continues", json_true());
	}
	return message;
}

struct writer {
	struct buf *out;
	size_t begin;
};

static int write_piece(const char *p, size_t n, void *ud)
{
	struct writer *w = ud;

	if (w->out->len - w->begin + n > WIRE_MAX_MESSAGE) {
		return -1;
	}
	buf_add(w->out, p, n);
	return 0;
}

int wire_add(struct buf *out, const json_t *message)
{
	struct writer w = {.out = out, .begin = out->len};

	if (json_dump_callback(message, write_piece, &w, JSON_COMPACT) < 0) {
		out->len = w.begin;
		return -EMSGSIZE;
	}
	buf_add_char(out, '\0');
	return 0;
}

/* --- sockets --- */

union control {
	char space[CMSG_SPACE(sizeof(int) * WIRE_MAX_DESCRIPTORS)];
	struct cmsghdr align;
};

ssize_t wire_send(int sock, struct span data, const int *fds, unsigned n_fds)
{
	union control control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data.p, .iov_len = data.n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds > WIRE_MAX_DESCRIPTORS) {
		return -EMFILE;
	}
	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Takes the descriptors of one control message: false if there is no room for all. */
static bool take_descriptors(const struct cmsghdr *c, int *fds, unsigned max, unsigned *n_fds)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool room = true;

	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (*n_fds < max) {
			fds[(*n_fds)++] = fd;
		} else {
			close(fd);
			room = false;
		}
	}
	return room;
}

ssize_t wire_recv(int sock, void *p, size_t n, int *fds, unsigned max, unsigned *n_fds)
{
	union control control = {0};
	struct iovec iov = {.iov_base = p, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	unsigned before = *n_fds;
	bool room;
	ssize_t got;

	do {
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		return -errno;
	}
	/* Truncated: the kernel has closed those that did not fit. */
	room = !(msg.msg_flags & MSG_CTRUNC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			room = take_descriptors(c, fds, max, n_fds) && room;
		}
	}
	if (room) {
		return got;
	}
	while (*n_fds > before) {
		close(fds[--*n_fds]);
	}
	return -EMFILE;
}
