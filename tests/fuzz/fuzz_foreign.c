/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of other programs: what is taken of them fits the method Import, and no other. */
#include <stdlib.h>
#include <string.h>

#include "client/move/foreign.h"
#include "client/move/settings.h"
#include "proto/interface.h"
#include "proto/options.h"
#include "proto/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool holds)
{
	if (!holds) {
		abort();
	}
}

/* As Import takes it; what the daemon checks besides may still refuse it, with a sentence. */
static void check(json_t *params)
{
	const struct method_def *import = interface_method(&interface_control, SPAN("Import"));
	struct error err = ERROR_INIT;

	json_object_set_new(params, "name", json_string("name"));
	must(validate_object(import->in, params, VALIDATE_EXACT, NULL) == 0);
	(void)options_validate(json_string_value(json_object_get(params, "mode")),
			       json_object_get(params, "options"), &err);
	error_done(&err);
}

static void try_tor(struct span bytes)
{
	json_t *params = json_pack("{s:s, s:{}, s:[]}", "mode", "chat", "options", "keys");
	struct error err = ERROR_INIT;
	bool bad = foreign_tor_key(bytes, params, &err) < 0;

	must(bad == (err.text != NULL));
	(void)foreign_tor_hostname(bytes, params, NULL);
	(void)foreign_tor_client(bytes, "label", params, NULL);
	check(params);
	json_decref(params);
	error_done(&err);
}

/* Each line of it is one that the configuration may have, and each bridge one for tor. */
static void try_settings(struct span bytes)
{
	struct settings s = SETTINGS_INIT;
	struct error err = ERROR_INIT;
	int r = settings_parse(bytes, &s, &err);

	must((r < 0) == (err.text != NULL));
	must(r < 0 || span_starts(buf_span(&s.conf), SPAN("[tor]\nmode = ")));
	must(s.n_notes <= SETTINGS_NOTES_MAX);
	for (size_t i = 0; i < s.bridges.n; i++) {
		must(!strpbrk(s.bridges.lines[i], "\r\n\""));
	}
	(void)settings_is(bytes);
	settings_done(&s);
	error_done(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span bytes = span_of((const char *)data, n);
	struct error err = ERROR_INIT;
	json_t *params = NULL;
	bool start;

	if (foreign_onionshare(bytes, &params, &start, &err) == 0) {
		check(params);
		json_decref(params);
	} else {
		must(err.text != NULL);
	}
	error_done(&err);
	try_tor(bytes);
	try_settings(bytes);
	return 0;
}
