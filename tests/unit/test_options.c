/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
/* after those */
#include <cmocka.h>

#include "proto/age/age.h"
#include "proto/base/alloc.h"
#include "proto/options.h"

static int validate(const char *text, struct error *err)
{
	json_auto_t *in = json_loads(text, 0, NULL);

	assert_non_null(in);
	return options_validate("share", in, err);
}

static int validate_receive(const char *text, struct error *err)
{
	json_auto_t *in = json_loads(text, 0, NULL);

	assert_non_null(in);
	return options_validate("receive", in, err);
}

static void good_values_are_taken(void **state)
{
	static const char *const good[] = {
		"{}",
		"{\"title\": \"Holiday \xe2\x9d\xa4\xef\xb8\x8f\"}",
		"{\"title\": null, \"public\": true, \"pow\": false, \"max_connections\": 1}",
		"{\"max_connections\": 100000, \"port\": 65535, \"max_downloads\": 1}",
		"{\"no_autostop_sharing\": true, \"log_filenames\": null}",
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(validate(good[i], &err), 0);
	}
	assert_int_equal(options_validate("share", NULL, &err), 0);
	assert_null(err.text);
}

static void bad_values_name_option_and_reason(void **state)
{
	static const struct {
		const char *json, *field, *why;
	} bad[] = {
		{"{\"public\": 1}", "public", "must be true or false"},
		{"{\"max_connections\": 0}", "max_connections",
		 "must be a whole number from 1 to 100000"},
		{"{\"max_connections\": 100001}", "max_connections",
		 "must be a whole number from 1 to 100000"},
		{"{\"max_connections\": 1.0}", "max_connections",
		 "must be a whole number from 1 to 100000"},
		{"{\"max_connections\": \"5\"}", "max_connections",
		 "must be a whole number from 1 to 100000"},
		{"{\"port\": 65536}", "port", "must be a whole number from 1 to 65535"},
		{"{\"title\": 5}", "title", "must be text"},
		{"{\"title\": \"\"}", "title", "must not be empty"},
		{"{\"title\": \"a\\nb\"}", "title", "must be one line without control characters"},
		{"{\"title\": \"a\\u202eb\"}", "title",
		 "must be one line without control characters"},
		{"{\"colour\": \"red\"}", "colour", "is no option of the mode share"},
		{"{\"a\\u001bb\": 1}", "a\\x1bb", "is no option of the mode share"},
		{"{\"\": 1}", "options", "is no option of the mode share"},
		{"[]", "options", "must be an object"},
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(validate(bad[i].json, &err), -EINVAL);
		assert_int_equal(err.kind, ERROR_INVALID_VALUE);
		assert_string_equal(err.param[0], bad[i].field);
		assert_string_equal(err.param[1], bad[i].why);
	}
	assert_int_equal(options_validate("dance", NULL, &err), -EINVAL);
	assert_string_equal(err.param[0], "mode");
	error_done(&err);
}

static void titles_are_counted_in_characters(void **state)
{
	struct error err = ERROR_INIT;
	char text[2 * (OPTION_TITLE_MAX + 1) + 1];

	(void)state;
	for (size_t i = 0; i <= OPTION_TITLE_MAX; i++) {
		memcpy(text + 2 * i, "\xc3\xa4", 2);
	}
	for (size_t n = OPTION_TITLE_MAX; n <= OPTION_TITLE_MAX + 1; n++) {
		json_auto_t *in = json_pack("{s:s%}", "title", text, 2 * n);

		assert_int_equal(options_validate("share", in, &err),
				 n > OPTION_TITLE_MAX ? -EINVAL : 0);
	}
	assert_string_equal(err.text, "title: is longer than 200 characters");
	error_done(&err);
}

static void what_is_not_set_has_its_default(void **state)
{
	json_auto_t *set = json_pack("{s:i, s:n, s:b}", "max_downloads", 3, "title", "pow", 1);
	json_auto_t *all = options_complete("share", set);
	json_auto_t *want =
		json_pack("{s:n, s:b, s:b, s:n, s:i, s:n, s:b, s:i, s:b, s:n, s:n, s:n, s:n, s:b}",
			  "title", "public", 0, "pow", 1, "backend_of", "max_connections", 1000,
			  "port", "no_autostop_sharing", 0, "max_downloads", 3, "log_filenames", 0,
			  "start_at", "stop_at", "auto_start_timer", "auto_stop_timer", "copy", 0);
	json_auto_t *defaults = options_complete("share", NULL);

	(void)state;
	assert_true(json_equal(all, want));
	assert_true(json_is_null(json_object_get(defaults, "max_downloads")));
	/* What is complete is also right. */
	assert_int_equal(options_validate("share", defaults, NULL), 0);
}

#define ADDRESS "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"

static void backends_have_a_frontend_and_are_open_to_all(void **state)
{
	struct error err = ERROR_INIT;
	json_t *value = NULL;

	(void)state;
	assert_int_equal(validate("{\"backend_of\": \"" ADDRESS ".onion\"}", &err), 0);
	assert_int_equal(validate("{\"backend_of\": \"" ADDRESS "\"}", &err), 0);
	assert_int_equal(validate("{\"backend_of\": 5}", &err), -EINVAL);
	assert_int_equal(validate("{\"backend_of\": \"x\"}", &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "backend_of: must be an onion address"));
	json_auto_t *private = json_pack("{s:s, s:b}", "backend_of", ADDRESS, "public", 0);
	json_auto_t *pow =
		json_pack("{s:s, s:b, s:b}", "backend_of", ADDRESS, "public", 1, "pow", 1);
	json_auto_t *good =
		json_pack("{s:s, s:b, s:b}", "backend_of", ADDRESS, "public", 1, "pow", 0);

	assert_int_equal(options_check_together("share", private, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "needs a public service"));
	assert_int_equal(options_check_together("share", pow, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "together with pow"));
	assert_int_equal(options_check_together("share", good, &err), 0);
	assert_null(option_find("chat", "backend_of"));
	const struct option *o = option_find("website", "backend_of");

	assert_int_equal(option_parse_text(o, "http://" ADDRESS ".onion/", &value, &err), 0);
	assert_string_equal(json_string_value(value), ADDRESS ".onion");
	json_decref(value);
	error_done(&err);
}

static void data_directories_are_absolute(void **state)
{
	struct error err = ERROR_INIT;
	char *text = xmalloc(OPTION_PATH_MAX + 100);
	json_t *value = NULL;

	(void)state;
	assert_int_equal(validate_receive("{\"data_dir\": \"/srv/\u00fc box\"}", &err), 0);
	assert_int_equal(validate_receive("{\"data_dir\": null}", &err), 0);
	assert_int_equal(validate_receive("{\"data_dir\": \"srv\"}", &err), -EINVAL);
	assert_string_equal(error_text(&err), "data_dir: must be an absolute path");
	assert_int_equal(validate_receive("{\"data_dir\": 5}", &err), -EINVAL);
	assert_int_equal(validate("{\"data_dir\": \"/srv\"}", &err), -EINVAL);
	memset(text, 'x', OPTION_PATH_MAX + 1);
	text[0] = '/';
	text[OPTION_PATH_MAX] = '\0';
	const struct option *o = option_find("receive", "data_dir");

	assert_int_equal(option_parse_text(o, text, &value, &err), 0);
	json_decref(value);
	text[OPTION_PATH_MAX] = 'x';
	text[OPTION_PATH_MAX + 1] = '\0';
	assert_int_equal(option_parse_text(o, text, &value, &err), -EINVAL);
	/* As the shell means it. */
	assert_int_equal(option_parse_text(o, "in/box", &value, &err), 0);
	assert_int_equal(json_string_value(value)[0], '/');
	assert_non_null(strstr(json_string_value(value), "/in/box"));
	json_decref(value);
	assert_int_equal(option_parse_text(o, "", &value, &err), -EINVAL);
	free(text);
	error_done(&err);
}

static void a_webhook_has_one_of_two_formats(void **state)
{
	const struct option *o = option_find("receive", "webhook_format");
	json_auto_t *defaults = options_complete("receive", NULL);
	struct error err = ERROR_INIT;
	json_t *value = NULL;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(defaults, "webhook_format")), "text");
	assert_int_equal(options_validate("receive", defaults, NULL), 0);
	assert_int_equal(validate_receive("{\"webhook_format\": \"json\"}", &err), 0);
	assert_int_equal(validate_receive("{\"webhook_format\": null}", &err), 0);
	assert_int_equal(validate_receive("{\"webhook_format\": \"xml\"}", &err), -EINVAL);
	assert_string_equal(error_text(&err), "webhook_format: must be one of text|json");
	assert_int_equal(validate_receive("{\"webhook_format\": \"\"}", &err), -EINVAL);
	assert_int_equal(validate_receive("{\"webhook_format\": 1}", &err), -EINVAL);
	assert_int_equal(validate("{\"webhook_format\": \"text\"}", &err), -EINVAL);
	assert_int_equal(option_parse_text(o, "json", &value, &err), 0);
	assert_string_equal(json_string_value(value), "json");
	json_decref(value);
	assert_int_equal(option_parse_text(o, "JSON", &value, &err), -EINVAL);
	assert_int_equal(option_parse_text(o, NULL, &value, &err), -EINVAL);
	error_done(&err);
}

static void a_dropbox_takes_files_or_messages(void **state)
{
	json_auto_t *good = json_pack("{s:b, s:b}", "disable_text", 1, "disable_files", 0);
	json_auto_t *bad = json_pack("{s:b, s:b}", "disable_text", 1, "disable_files", 1);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(options_check_together("receive", good, &err), 0);
	assert_int_equal(options_check_together("receive", bad, &err), -EINVAL);
	assert_int_equal(err.kind, ERROR_INVALID_VALUE);
	error_done(&err);
}

#define RECIPIENT "age1hjt9pj3sf557lu7ymacxwv4rl0vsegddugagdywgtn0vr3guxueqvz6pew"

static void recipients_are_checked_one_by_one(void **state)
{
	const struct option *o = option_find("receive", "encrypt_to");
	json_auto_t *defaults = options_complete("receive", NULL);
	struct error err = ERROR_INIT;
	json_t *value = NULL;

	(void)state;
	assert_int_equal(json_array_size(json_object_get(defaults, "encrypt_to")), 0);
	assert_true(json_is_array(json_object_get(defaults, "encrypt_to")));
	assert_int_equal(validate_receive("{\"encrypt_to\": [\"" RECIPIENT "\"]}", &err), 0);
	assert_int_equal(validate_receive("{\"encrypt_to\": []}", &err), 0);
	assert_int_equal(validate_receive("{\"encrypt_to\": null}", &err), 0);
	assert_int_equal(validate_receive("{\"encrypt_to\": \"" RECIPIENT "\"}", &err), -EINVAL);
	error_done(&err);
	assert_int_equal(validate_receive("{\"encrypt_to\": [7]}", &err), -EINVAL);
	error_done(&err);
	assert_int_equal(validate_receive("{\"encrypt_to\": [\"" RECIPIENT "\", \"age1x\"]}", &err),
			 -EINVAL);
	assert_non_null(strstr(error_text(&err), "recipient 2"));
	error_done(&err);
	assert_int_equal(option_parse_text(o, RECIPIENT, &value, &err), 0);
	assert_int_equal(json_array_size(value), 1);
	json_decref(value);
	assert_int_equal(option_parse_text(o, "AGE-SECRET-KEY-1CANARY", &value, &err), -EINVAL);
	assert_non_null(strstr(error_text(&err), "secret key"));
	assert_null(strstr(error_text(&err), "CANARY"));
	error_done(&err);
	/* As many as there is room for, and no more. */
	json_auto_t *many = json_pack("{s:[]}", "encrypt_to");

	for (unsigned i = 0; i < AGE_RECIPIENTS_MAX; i++) {
		json_array_append_new(json_object_get(many, "encrypt_to"), json_string(RECIPIENT));
	}
	assert_int_equal(options_validate("receive", many, NULL), 0);
	json_array_append_new(json_object_get(many, "encrypt_to"), json_string(RECIPIENT));
	assert_int_equal(options_validate("receive", many, NULL), -EINVAL);
}

static const char *a_mode_of(const struct option *o)
{
	static const char *const modes[] = {"share", "receive", "website", "chat"};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (o->modes & options_mode(modes[i])) {
			return modes[i];
		}
	}
	return NULL;
}

static void a_policy_is_what_a_field_can_hold(void **state)
{
	static const char *const bad[] = {"", "a\r\nb", "a\nb", "a\tb", "a\x7f", "\u00fc"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		json_t *in = json_pack("{s:s}", "custom_csp", bad[i]);

		assert_int_equal(options_validate("website", in, &err), -EINVAL);
		assert_string_equal(err.param[0], "custom_csp");
		json_decref(in);
	}
	struct error err = ERROR_INIT;
	json_t *in = json_pack("{s:s, s:b}", "custom_csp", "default-src 'none'", "disable_csp", 1);

	assert_int_equal(options_validate("website", in, &err), 0);
	assert_int_equal(options_check_together("website", in, &err), -EINVAL);
	error_done(&err);
	json_object_del(in, "disable_csp");
	assert_int_equal(options_check_together("website", in, &err), 0);
	assert_int_equal(options_validate("share", in, &err), -EINVAL);
	error_done(&err);
	json_decref(in);
}

static void table_agrees_with_itself(void **state)
{
	size_t n;
	const struct option *all = options_all(&n);

	(void)state;
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		const struct option *o = &all[i];
		bool negated = true;
		char spelling[64];

		assert_int_not_equal(o->modes & OPTION_ALL_MODES, 0);
		assert_ptr_equal(option_find(a_mode_of(o), o->name), o);
		assert_non_null(o->help);
		assert_true((o->metavar == NULL) == (o->type == OPTION_BOOL));
		assert_true(o->type == OPTION_BOOL || o->min <= o->max);
		/* OPTION_BOOL with an opposite, or OPTION_INT with a default out of its range */
		assert_true(!o->opposite || o->type == OPTION_BOOL);
		assert_true(o->type != OPTION_INT || !o->has_default ||
			    (o->default_value >= o->min && o->default_value <= o->max));
		option_spelling(o, spelling, sizeof(spelling));
		assert_null(strchr(spelling, '_'));
		assert_ptr_equal(option_find_spelling(NULL, span_str(spelling), &negated), o);
		assert_false(negated);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(all[k].name, o->name);
		}
	}
	assert_null(option_find("share", "colour"));
	assert_null(option_find("dance", "title"));
	assert_null(option_find(NULL, "title"));
}

static void dash_and_underscore_are_the_same_on_the_command_line(void **state)
{
	const struct option *o = option_find("share", "no_autostop_sharing");
	bool negated = true;
	char tiny[4];

	(void)state;
	assert_ptr_equal(option_find_spelling("share", SPAN("no-autostop-sharing"), &negated), o);
	assert_ptr_equal(option_find_spelling(NULL, SPAN("no_autostop-sharing"), &negated), o);
	assert_false(negated);
	assert_null(option_find_spelling("share", SPAN("no-autostop"), &negated));
	assert_null(option_find_spelling("share", SPAN("no-autostop-sharing "), &negated));
	assert_null(option_find_spelling("share", SPAN(""), &negated));
	assert_ptr_equal(option_find_spelling("share", SPAN("private"), &negated),
			 option_find("share", "public"));
	assert_true(negated);
	option_spelling(o, tiny, sizeof(tiny));
	assert_string_equal(tiny, "no-");
}

static void text_becomes_values(void **state)
{
	static const struct {
		const char *option, *text, *json;
	} rows[] = {
		{"public", NULL, "true"},      {"public", "yes", "true"},
		{"public", "off", "false"},    {"public", "0", "false"},
		{"max_connections", "7", "7"}, {"title", "a b", "\"a b\""},
		{"title", "5", "\"5\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_auto_t *want = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
		json_t *got = NULL;

		assert_int_equal(option_parse_text(option_find("share", rows[i].option),
						   rows[i].text, &got, NULL),
				 0);
		assert_true(json_equal(got, want));
		json_decref(got);
	}
}

static void sizes_become_bytes(void **state)
{
	const struct option size = {.name = "quota",
				    .type = OPTION_SIZE,
				    .min = 1024,
				    .max = INT64_C(1) << 50};
	struct error err = ERROR_INIT;
	json_t *got = NULL;

	(void)state;
	assert_int_equal(option_parse_text(&size, "2G", &got, NULL), 0);
	assert_int_equal(json_integer_value(got), INT64_C(2) << 30);
	json_decref(got);
	assert_int_equal(option_parse_text(&size, "2X", &got, &err), -EINVAL);
	assert_int_equal(option_parse_text(&size, "1023", &got, &err), -EINVAL);
	assert_int_equal(option_parse_text(&size, "18446744073709551615", &got, &err), -EINVAL);
	error_done(&err);
}

static void bad_text_is_refused(void **state)
{
	static const struct {
		const char *option, *text, *message;
	} rows[] = {
		{"public", "maybe", "public: must be yes or no"},
		{"port", NULL, "port: needs a value"},
		{"port", "", "port: must be a whole number from 1 to 65535"},
		{"port", "80x", "port: must be a whole number from 1 to 65535"},
		{"port", "-1", "port: must be a whole number from 1 to 65535"},
		{"port", "99999999999999999999", "port: must be a whole number from 1 to 65535"},
		{"title", "\xff", "title: is not valid UTF-8"},
		{"title", "a\tb", "title: must be one line without control characters"},
	};
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *got = NULL;

		assert_int_equal(option_parse_text(option_find("share", rows[i].option),
						   rows[i].text, &got, &err),
				 -EINVAL);
		assert_string_equal(error_text(&err), rows[i].message);
		assert_null(got);
	}
	error_done(&err);
}

static void times_are_absolute_or_of_the_callers_zone(void **state)
{
	static const struct {
		const char *text, *value;
	} times[] = {
		{"2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z"},
		{"2026-11-22T14:00:00+05:30", "2026-11-22T14:00:00+05:30"},
		{"2026-11-22 14:00", "2026-11-22T19:00:00Z"},
		{"2026-07-22T14:00:30", "2026-07-22T18:00:30Z"}, /* daylight saving */
		{"2026-02-30 14:00", NULL},
		{"2026-11-22", NULL},
		{"14:00", NULL},
		{"2026-11-22 14:00 ", NULL},
		{"tomorrow", NULL},
		{"", NULL},
	};
	const struct option *o = option_find("share", "start_at");

	(void)state;
	setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		json_t *value = NULL;
		int r = option_parse_text(o, times[i].text, &value, NULL);

		assert_int_equal(r, times[i].value ? 0 : -EINVAL);
		if (times[i].value) {
			assert_string_equal(json_string_value(value), times[i].value);
		}
		json_decref(value);
	}
	unsetenv("TZ");
	tzset();
}

static void timers_are_seconds_or_written_out(void **state)
{
	const struct option *o = option_find("receive", "auto_stop_timer");
	json_t *value;

	(void)state;
	assert_int_equal(option_parse_text(o, "1h30m", &value, NULL), 0);
	assert_int_equal(json_integer_value(value), 5400);
	json_decref(value);
	assert_int_equal(option_parse_text(o, "90", &value, NULL), 0);
	assert_int_equal(json_integer_value(value), 90);
	json_decref(value);
	assert_int_equal(option_parse_text(o, "0", &value, NULL), -EINVAL);
	assert_int_equal(option_parse_text(o, "-1", &value, NULL), -EINVAL);
	assert_int_equal(option_parse_text(o, "99999999999999999999", &value, NULL), -EINVAL);
	assert_int_equal(option_parse_text(o, "9999999999", &value, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_values_are_taken),
		cmocka_unit_test(bad_values_name_option_and_reason),
		cmocka_unit_test(titles_are_counted_in_characters),
		cmocka_unit_test(what_is_not_set_has_its_default),
		cmocka_unit_test(backends_have_a_frontend_and_are_open_to_all),
		cmocka_unit_test(data_directories_are_absolute),
		cmocka_unit_test(a_webhook_has_one_of_two_formats),
		cmocka_unit_test(a_dropbox_takes_files_or_messages),
		cmocka_unit_test(recipients_are_checked_one_by_one),
		cmocka_unit_test(a_policy_is_what_a_field_can_hold),
		cmocka_unit_test(table_agrees_with_itself),
		cmocka_unit_test(dash_and_underscore_are_the_same_on_the_command_line),
		cmocka_unit_test(text_becomes_values),
		cmocka_unit_test(sizes_become_bytes),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(times_are_absolute_or_of_the_callers_zone),
		cmocka_unit_test(timers_are_seconds_or_written_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
