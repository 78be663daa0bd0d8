/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/validate.h"

#include <errno.h>

#include "proto/base/alloc.h"
#include "proto/base/buf.h"
#include "proto/base/utf8.h"

#define MAX_NAME_SHOWN 64u /* of what a peer sent */

/* Where in the JSON: a chain on the stack, written out only for an error. */
struct place {
	const struct place *up;
	struct span name; /* a member; else index counts */
	size_t index;
};

struct check {
	enum validate_mode mode;
	struct error *err;
};

static void write_place(struct buf *b, const struct place *p)
{
	if (!p) {
		return;
	}
	write_place(b, p->up);
	if (!p->name.p) {
		buf_printf(b, "[%zu]", p->index);
		return;
	}
	if (b->len) {
		buf_add_char(b, '.');
	}
	utf8_escape(b, p->name.n > MAX_NAME_SHOWN ? span_of(p->name.p, MAX_NAME_SHOWN) : p->name);
}

static int refuse(const struct check *c, const struct place *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct check *c, const struct place *at, const char *fmt, ...)
{
	struct buf why = BUF_INIT, place = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&why, fmt, ap);
	va_end(ap);
	write_place(&place, at);
	error_set_kind(c->err, EINVAL, ERROR_INVALID_VALUE, place.len ? place.p : "parameters",
		       why.p, "%s: %s", place.len ? place.p : "parameters", why.p);
	buf_done(&why);
	buf_done(&place);
	return -EINVAL;
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int expect(const struct check *c, const struct place *at, bool ok, const char *what,
		  const json_t *value)
{
	return ok ? 0 : refuse(c, at, "must be %s, not %s", what, type_name(value));
}

static int check_members(const struct check *c, const struct place *at, const struct field *fields,
			 const json_t *object);

static int check_enum(const struct check *c, const struct place *at, const struct type_def *type,
		      const json_t *value)
{
	struct span s = span_of(json_string_value(value), json_string_length(value));
	struct buf known = BUF_INIT;
	int r;

	for (size_t i = 0; type->values[i]; i++) {
		if (span_eq(s, span_str(type->values[i]))) {
			buf_done(&known);
			return 0;
		}
		buf_printf(&known, "%s\"%s\"", i ? ", " : "", type->values[i]);
	}
	r = refuse(c, at, type->values[1] ? "must be one of %s" : "must be %s", known.p);
	buf_done(&known);
	return r;
}

/* What a table says nothing about: only how deep it is counts. */
static int check_depth(const struct check *c, const struct place *at, const json_t *value,
		       unsigned left)
{
	void *it;
	int r = 0;

	if (!json_is_object(value) && !json_is_array(value)) {
		return 0;
	}
	if (left == 0) {
		return refuse(c, at, "is nested deeper than %u levels", VALIDATE_MAX_DEPTH);
	}
	for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
		r = check_depth(c, at, json_array_get(value, i), left - 1);
	}
	/* Jansson's iterators take a pointer to a mutable object and leave it as it is. */
	json_t *object = (json_t *)(uintptr_t)value;

	for (it = json_object_iter(object); r == 0 && it; it = json_object_iter_next(object, it)) {
		r = check_depth(c, at, json_object_iter_value(it), left - 1);
	}
	return r;
}

static int check_one(const struct check *c, const struct place *at, const struct field *f,
		     const json_t *value)
{
	int r;

	switch (f->kind) {
	case TYPE_BOOL:
		return expect(c, at, json_is_boolean(value), "true or false", value);
	case TYPE_INT:
		return expect(c, at, json_is_integer(value), "a whole number", value);
	case TYPE_FLOAT:
		return expect(c, at, json_is_number(value), "a number", value);
	case TYPE_STRING:
		return expect(c, at, json_is_string(value), "a string", value);
	case TYPE_OBJECT:
		r = expect(c, at, json_is_object(value), "an object", value);
		return r < 0 ? r : check_depth(c, at, value, VALIDATE_MAX_DEPTH);
	case TYPE_NAMED:
		if (f->type->values) {
			r = expect(c, at, json_is_string(value), "a string", value);
			return r < 0 ? r : check_enum(c, at, f->type, value);
		}
		r = expect(c, at, json_is_object(value), "an object", value);
		return r < 0 ? r : check_members(c, at, f->type->fields, value);
	}
	return -EINVAL;
}

static int check_array(const struct check *c, const struct place *at, const struct field *f,
		       const json_t *value)
{
	int r = expect(c, at, json_is_array(value), "an array", value);

	for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
		const struct place item = {.up = at, .index = i};

		r = check_one(c, &item, f, json_array_get(value, i));
	}
	return r;
}

static int check_map(const struct check *c, const struct place *at, const struct field *f,
		     const json_t *value)
{
	json_t *object = (json_t *)(uintptr_t)value;
	int r = expect(c, at, json_is_object(value), "an object", value);
	void *it;

	for (it = json_object_iter(object); r == 0 && it; it = json_object_iter_next(object, it)) {
		const struct place item = {.up = at, .name = span_str(json_object_iter_key(it))};

		r = check_one(c, &item, f, json_object_iter_value(it));
	}
	return r;
}

static int check_field(const struct check *c, const struct place *up, const struct field *f,
		       const json_t *value)
{
	const struct place at = {.up = up, .name = span_str(f->name)};

	if (!value || json_is_null(value)) {
		return f->flags & FIELD_NULLABLE
			       ? 0
			       : refuse(c, &at, value ? "must not be null" : "is missing");
	}
	if (f->flags & FIELD_ARRAY) {
		return check_array(c, &at, f, value);
	}
	if (f->flags & FIELD_MAP) {
		return check_map(c, &at, f, value);
	}
	return check_one(c, &at, f, value);
}

static const struct field *find(const struct field *fields, const char *name)
{
	for (; fields->name; fields++) {
		if (strcmp(fields->name, name) == 0) {
			return fields;
		}
	}
	return NULL;
}

static int check_members(const struct check *c, const struct place *at, const struct field *fields,
			 const json_t *object)
{
	json_t *all = (json_t *)(uintptr_t)object;
	void *it = c->mode == VALIDATE_EXACT ? json_object_iter(all) : NULL;

	for (; it; it = json_object_iter_next(all, it)) {
		const struct place unknown = {.up = at, .name = span_str(json_object_iter_key(it))};

		if (!find(fields, unknown.name.p)) {
			return refuse(c, &unknown, "is not known here");
		}
	}
	for (const struct field *f = fields; f->name; f++) {
		int r = check_field(c, at, f, json_object_get(object, f->name));

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int validate_object(const struct field *fields, const json_t *object, enum validate_mode mode,
		    struct error *err)
{
	const struct check c = {.mode = mode, .err = err};

	if (object && !json_is_object(object)) {
		return refuse(&c, NULL, "must be an object");
	}
	return check_members(&c, NULL, fields, object);
}
