/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/idl.h"

#include <string.h>

#include "proto/base/alloc.h"

#define LINE_WIDTH 92u

/* Text in lines of at most LINE_WIDTH, each beginning with prefix. */
static void write_wrapped(struct buf *out, const char *prefix, const char *text)
{
	struct span rest = span_str(text);

	while (rest.p && rest.n) {
		size_t used = strlen(prefix);

		buf_add_str(out, prefix);
		for (bool first = true; rest.n; first = false) {
			struct span after = rest;
			struct span word = span_cut(&after, ' ');

			if (!first && used + 1 + word.n > LINE_WIDTH) {
				break;
			}
			buf_printf(out, "%s" SPAN_FMT, first ? "" : " ", SPAN_ARG(word));
			used += word.n + !first;
			rest = after;
		}
		buf_add_char(out, '\n');
	}
}

static const char *kind_name(const struct field *f)
{
	switch (f->kind) {
	case TYPE_BOOL:
		return "bool";
	case TYPE_INT:
		return "int";
	case TYPE_FLOAT:
		return "float";
	case TYPE_STRING:
		return "string";
	case TYPE_OBJECT:
		return "object";
	case TYPE_NAMED:
		return f->type->name;
	}
	return "object";
}

static void write_type(struct buf *out, const struct field *f)
{
	buf_printf(out, "%s%s%s%s", f->flags & FIELD_NULLABLE ? "?" : "",
		   f->flags & FIELD_ARRAY ? "[]" : "", f->flags & FIELD_MAP ? "[string]" : "",
		   kind_name(f));
}

/* "(a: int, b: string)" on one line. */
static void write_fields(struct buf *out, const struct field *fields)
{
	buf_add_char(out, '(');
	for (const struct field *f = fields; f->name; f++) {
		buf_printf(out, "%s%s: ", f == fields ? "" : ", ", f->name);
		write_type(out, f);
	}
	buf_add_char(out, ')');
}

/* A struct with a line and its comment a field. */
static void write_struct(struct buf *out, const struct field *fields)
{
	buf_add_str(out, "(\n");
	for (const struct field *f = fields; f->name; f++) {
		write_wrapped(out, "  # ", f->doc);
		buf_printf(out, "  %s: ", f->name);
		write_type(out, f);
		buf_add_str(out, f[1].name ? ",\n" : "\n");
	}
	buf_add_char(out, ')');
}

static void write_enum(struct buf *out, const char *const *values)
{
	buf_add_char(out, '(');
	for (size_t i = 0; values[i]; i++) {
		buf_printf(out, "%s%s", i ? ", " : "", values[i]);
	}
	buf_add_char(out, ')');
}

static bool is_documented(const struct field *fields)
{
	return fields->name && *fields->doc;
}

static void write_signature(struct buf *out, const struct method_def *m)
{
	buf_printf(out, "method %s", m->name);
	if (is_documented(m->in)) {
		write_struct(out, m->in);
	} else {
		write_fields(out, m->in);
	}
	buf_add_str(out, " -> ");
	if (is_documented(m->out)) {
		write_struct(out, m->out);
	} else {
		write_fields(out, m->out);
	}
	buf_add_char(out, '\n');
}

void idl_write(struct buf *out, const struct interface *i)
{
	write_wrapped(out, "# ", i->doc);
	buf_printf(out, "interface %s\n", i->name);
	for (const struct type_def *const *t = i->types; *t; t++) {
		buf_add_char(out, '\n');
		write_wrapped(out, "# ", (*t)->doc);
		buf_printf(out, "type %s ", (*t)->name);
		if ((*t)->values) {
			write_enum(out, (*t)->values);
		} else {
			write_struct(out, (*t)->fields);
		}
		buf_add_char(out, '\n');
	}
	for (size_t k = 0; k < i->n_methods; k++) {
		const struct method_def *m = &i->methods[k];

		buf_add_char(out, '\n');
		write_wrapped(out, "# ", m->doc);
		buf_printf(out, "# Permission: %s.\n", permission_name(m->permission));
		if (m->flags & METHOD_MUST_STREAM) {
			buf_add_str(out, "# Only with \"more\".\n");
		}
		write_signature(out, m);
	}
	for (size_t k = 0; k < i->n_errors; k++) {
		buf_add_char(out, '\n');
		write_wrapped(out, "# ", i->errors[k].doc);
		buf_printf(out, "error %s ", i->errors[k].name);
		write_fields(out, i->errors[k].fields);
		buf_add_char(out, '\n');
	}
}
