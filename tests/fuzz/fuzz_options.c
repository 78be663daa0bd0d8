/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Options from a command line (OPTION=TEXT a line) and from JSON (one that
 * begins with a brace): what is taken is valid, complete and taken again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "proto/base/alloc.h"
#include "proto/options.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void use(const char *mode, const json_t *set)
{
	struct error err = ERROR_INIT;

	if (options_validate(mode, set, &err) < 0) {
		check(err.kind == ERROR_INVALID_VALUE && err.param[0] && err.param[1]);
		error_done(&err);
		return;
	}
	json_t *all = options_complete(mode, set);

	check(options_validate(mode, all, NULL) == 0);
	json_t *again = options_complete(mode, all);

	check(json_equal(all, again));
	json_decref(again);
	json_decref(all);
}

static void line(const char *mode, struct span text, json_t *set)
{
	struct error err = ERROR_INIT;
	bool negated;
	struct span name = span_cut(&text, '=');
	const struct option *o = option_find_spelling(mode, name, &negated);
	_cleanup_free_ char *value = text.p ? xmemdup(text.p, text.n) : NULL;
	json_t *parsed;

	if (!o) {
		return;
	}
	if (option_parse_text(o, value, &parsed, &err) == 0) {
		json_object_set_new(set, o->name, parsed);
	} else {
		check(err.text);
	}
	error_done(&err);
}

static void try(const char *mode, const uint8_t *data, size_t n)
{
	struct span rest = span_of((const char *)data, n);
	json_t *set;

	if (n && data[0] == '{') {
		set = wire_parse_json(rest, NULL);
		if (set) {
			use(mode, set);
		}
		json_decref(set);
		return;
	}
	set = json_object();
	while (rest.n) {
		line(mode, span_cut(&rest, '\n'), set);
	}
	check(options_validate(mode, set, NULL) == 0);
	use(mode, set);
	json_decref(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	try("share", data, n);
	try("receive", data, n);
	try("website", data, n);
	try("chat", data, n);
	return 0;
}
