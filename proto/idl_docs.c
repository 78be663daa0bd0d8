/* SPDX-License-Identifier: GPL-3.0-or-later */
/* docs/rpc.md from the tables: what a person needs who writes another client. */
#include <inttypes.h>

#include "proto/base/alloc.h"
#include "proto/errors.h"
#include "proto/idl.h"
#include "proto/options.h"
#include "proto/wire.h"

static const char preface[] =
	"<!-- SPDX-License-Identifier: GPL-3.0-or-later -->\n"
	"<!-- Written by the program gen-docs from the tables in proto/: change those. -->\n"
	"# Talking to the daemon\n"
	"\n"
	"The daemon answers [Varlink](https://varlink.org) calls on its control socket\n"
	"(`RUNTIME/control.sock`). A message is one JSON object and a NUL byte. By hand:\n"
	"\n"
	"    printf '{\"method\":\"org.varlink.service.GetInfo\"}\\0' |\n"
	"        socat - UNIX-CONNECT:/run/onionshared/control.sock\n"
	"    onionsharectl call Status\n"
	"    varlinkctl call /run/onionshared/control.sock org.onionshared.Control.Status '{}'\n"
	"\n"
	"Calls on one connection are answered in their order. With `\"more\": true` some methods\n"
	"answer several times; all replies but the last have `\"continues\": true`. With\n"
	"`\"oneway\": true` there is no answer.\n"
	"\n"
	"A parameter that the method does not know, or of another type than stands here, is\n"
	"refused (`org.varlink.service.InvalidParameter`) before anything is changed. A message\n"
	"that is not a call at all closes its connection and no other.\n"
	"\n"
	"Descriptors (`SCM_RIGHTS`) are sent with the message that they belong to, in a\n"
	"`sendmsg` of its own. They say what the caller may read; the daemon opens nothing by\n"
	"name for those who could not have opened it themselves.\n"
	"\n";

static void write_limits(struct buf *out)
{
	buf_printf(out,
		   "## Limits\n"
		   "\n"
		   "| what | at most |\n"
		   "|---|---|\n"
		   "| a message, either way | %u KiB |\n"
		   "| objects and arrays in each other | %u |\n"
		   "| values in a message | %u |\n"
		   "| descriptors with a message | %u |\n"
		   "| connections of one user | 64 |\n"
		   "| what waits for a watcher who does not read | 1 MiB, then he is dropped |\n"
		   "\n",
		   WIRE_MAX_MESSAGE / 1024, WIRE_MAX_DEPTH, WIRE_MAX_VALUES, WIRE_MAX_DESCRIPTORS);
}

static void write_permissions(struct buf *out, const struct interface *i)
{
	buf_add_str(
		out,
		"## Permissions\n"
		"\n"
		"Callers are known by the credentials of their socket. root and the daemon's own\n"
		"user may do everything (`admin`). Members of the control group (`onionshare`)\n"
		"have `read` and `control`.\n"
		"\n"
		"| method | permission | streams | descriptors |\n"
		"|---|---|---|---|\n");
	for (size_t k = 0; k < i->n_methods; k++) {
		const struct method_def *m = &i->methods[k];

		buf_printf(out, "| %s | %s | %s | %s |\n", m->name, permission_name(m->permission),
			   m->flags & METHOD_MUST_STREAM  ? "always"
			   : m->flags & METHOD_MAY_STREAM ? "if asked"
							  : "",
			   m->flags & METHOD_DESCRIPTORS ? "yes" : "");
	}
	buf_add_char(out, '\n');
}

static void write_admin_parameters(struct buf *out, const struct interface *i)
{
	for (size_t k = 0; k < i->n_methods; k++) {
		for (const struct field *f = i->methods[k].in; f->name; f++) {
			if (f->flags & FIELD_ADMIN) {
				buf_printf(out, "`%s` of %s needs `admin`. ", f->name,
					   i->methods[k].name);
			}
		}
	}
	buf_add_str(out, "Paths without a descriptor are taken from who has `admin`.\n\n");
}

static void write_errors(struct buf *out)
{
	static const struct {
		enum error_kind kind;
		const char *text;
	} kinds[] = {
#define X(symbol, wire_name, status, p1, p2, text) {ERROR_##symbol, text},
		ERROR_KINDS(X)
#undef X
	};

	buf_add_str(out, "## Errors\n"
			 "\n"
			 "Each has, beside its own parameters, `message`: a sentence for people.\n"
			 "\n"
			 "| error | `onionsharectl` exits with | meaning |\n"
			 "|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		buf_printf(out, "| %s | %d | %s |\n", errors_name(kinds[i].kind),
			   errors_exit_status(kinds[i].kind), kinds[i].text);
	}
	buf_add_char(out, '\n');
}

static void write_range(struct buf *out, const struct option *o)
{
	switch (o->type) {
	case OPTION_BOOL:
		buf_add_str(out, "bool");
		break;
	case OPTION_INT:
		buf_printf(out, "int, %" PRId64 " to %" PRId64, o->min, o->max);
		break;
	case OPTION_SECONDS:
		buf_add_str(out, "int, seconds");
		break;
	case OPTION_TIME:
		buf_add_str(out, "string, RFC 3339");
		break;
	case OPTION_SIZE:
		buf_add_str(out, "int, bytes");
		break;
	case OPTION_STRING:
		buf_printf(out, "string, up to %" PRId64 " characters", o->max);
		break;
	case OPTION_PATH:
		buf_add_str(out, "string, an absolute path");
		break;
	case OPTION_WORD:
		for (const char *const *word = o->words; *word; word++) {
			buf_printf(out, "%s\"%s\"", word == o->words ? "" : " or ", *word);
		}
		break;
	case OPTION_RECIPIENTS:
		buf_printf(out, "[]string, up to %" PRId64 " age recipients", o->max);
		break;
	case OPTION_ONION:
		buf_add_str(out, "string, an onion address");
		break;
	}
}

static void write_default(struct buf *out, const struct option *o)
{
	if (!o->has_default) {
		buf_add_str(out, "null");
	} else if (o->type == OPTION_BOOL) {
		buf_add_str(out, o->default_value ? "true" : "false");
	} else if (o->type == OPTION_RECIPIENTS) {
		buf_add_str(out, "[]");
	} else if (o->type == OPTION_WORD) {
		buf_printf(out, "\"%s\"", o->words[o->default_value]);
	} else {
		buf_printf(out, "%" PRId64, o->default_value);
	}
}

static void write_options(struct buf *out)
{
	size_t n;
	const struct option *o = options_all(&n);

	buf_add_str(out, "## Options of services\n"
			 "\n"
			 "Members of `options` in Create and Edit; null stands for the default.\n"
			 "\n"
			 "| name | type | default | meaning |\n"
			 "|---|---|---|---|\n");
	for (; n--; o++) {
		buf_printf(out, "| %s | ", o->name);
		write_range(out, o);
		buf_add_str(out, " | ");
		write_default(out, o);
		buf_printf(out, " | %s%s |\n", o->help,
			   o->flags & OPTION_NEEDS_RESTART
				   ? "; counts after a restart of the service"
				   : "");
	}
	buf_add_char(out, '\n');
}

void idl_write_docs(struct buf *out, const struct interface *i)
{
	buf_add_str(out, preface);
	write_limits(out);
	write_permissions(out, i);
	write_admin_parameters(out, i);
	write_errors(out);
	write_options(out);
	buf_add_str(out, "## The interface\n"
			 "\n"
			 "As `org.varlink.service.GetInterfaceDescription` has it:\n"
			 "\n"
			 "```\n");
	idl_write(out, i);
	buf_add_str(out, "```\n");
}
