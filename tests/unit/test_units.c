/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include "proto/base/alloc.h"
#include "proto/units.h"

/* What was there before a parser ran; a refusal must leave it. */
#define UNTOUCHED 4242

static void sizes_count_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"1k", 1024},
		{"1K", 1024},
		{"5M", UINT64_C(5) << 20},
		{"2G", UINT64_C(2) << 30},
		{"3T", UINT64_C(3) << 40},
		{"3t", UINT64_C(3) << 40},
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", UINT64_C(16777215) << 40},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t n = UNTOUCHED;

		assert_int_equal(units_parse_size(span_str(good[i].text), &n), 0);
		assert_true(n == good[i].value);
	}
}

static void sizes_that_are_not_are_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
	} bad[] = {
		{"", -EINVAL},          {"K", -EINVAL},   {"-1", -EINVAL},
		{"1.5G", -EINVAL},      {"1 K", -EINVAL}, {"1KB", -EINVAL},
		{"1P", -EINVAL},        {"+1", -EINVAL},  {"0x10", -EINVAL},
		{"1KK", -EINVAL},       {" 1", -EINVAL},  {"18446744073709551616", -ERANGE},
		{"16777216T", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t n = UNTOUCHED;

		assert_int_equal(units_parse_size(span_str(bad[i].text), &n), bad[i].result);
		assert_true(n == UNTOUCHED);
	}
}

static void sizes_are_printed_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0.0 B"},
		{6, "6.0 B"},
		{1023, "1023.0 B"},
		{1024, "1.0 KiB"},
		{300749, "293.7 KiB"},
		/* rounding must not print 1024.0 of the smaller unit */
		{1048575, "1.0 MiB"},
		{UINT64_C(5) << 30, "5.0 GiB"},
		{UINT64_MAX, "16.0 EiB"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[UNITS_SIZE_TEXT];

		assert_string_equal(units_print_size(rows[i].bytes, text), rows[i].text);
	}
}

static void durations_are_read_and_printed(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
		const char *printed;
	} rows[] = {
		{"1d2h3m4s", 93784, "1d2h3m4s"},
		{"90", 90, "1m30s"},
		{"0", 0, "0s"},
		{"0s", 0, "0s"},
		{"25h", 90000, "1d1h"},
		{"2d", 172800, "2d"},
		{"1h5s", 3605, "1h5s"},
		{"18446744073709551615", UINT64_MAX, "213503982334601d7h15s"},
	};
	char text[UNITS_DURATION_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t n = UNTOUCHED;

		assert_int_equal(units_parse_duration(span_str(rows[i].text), &n), 0);
		assert_true(n == rows[i].seconds);
		assert_string_equal(units_print_duration(n, text), rows[i].printed);
	}
}

static void durations_that_are_not_are_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
	} bad[] = {
		{"", -EINVAL},
		{"s", -EINVAL},
		{"1m1h", -EINVAL},
		{"1h1h", -EINVAL},
		{"1w", -EINVAL},
		{"-1s", -EINVAL},
		{"1h30", -EINVAL},
		{"1.5h", -EINVAL},
		{"1 h", -EINVAL},
		{"99999999999999999999s", -ERANGE},
		{"300000000000000d", -ERANGE},
		{"213503982334601d24h", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t n = UNTOUCHED;

		assert_int_equal(units_parse_duration(span_str(bad[i].text), &n), bad[i].result);
		assert_true(n == UNTOUCHED);
	}
}

static void times_are_rfc_3339(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-22T14:00:00Z", INT64_C(1795356000000)},
		{"2026-11-22t14:00:00z", INT64_C(1795356000000)},
		{"2026-11-22 14:00:00Z", INT64_C(1795356000000)},
		{"2026-11-22T16:30:00+02:30", INT64_C(1795356000000)},
		{"2026-11-22T09:00:00.25-05:00", INT64_C(1795356000250)},
		{"2026-11-22T14:00:00.1239999Z", INT64_C(1795356000123)},
		{"2024-02-29T23:59:59Z", INT64_C(1709251199000)},
		{"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
		{"2000-02-29T00:00:00Z", INT64_C(951782400000)},
		{"1969-12-31T23:00:00-01:00", 0},
		{"9999-12-31T23:59:59.999Z", UNITS_TIME_MAX_MS},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		int64_t ms = UNTOUCHED;

		assert_int_equal(units_parse_time(span_str(good[i].text), &ms), 0);
		assert_true(ms == good[i].ms);
	}
}

static void times_that_are_not_are_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
	} bad[] = {
		{"", -EINVAL},
		{"2026-11-22", -EINVAL},
		{"2026-11-22T14:00Z", -EINVAL},
		{"2026-11-22T14:00:00", -EINVAL},
		{"2026-11-22T14:00:00Zx", -EINVAL},
		{"2026-11-22T24:00:00Z", -EINVAL},
		{"2026-11-22T14:60:00Z", -EINVAL},
		{"2026-11-22T14:00:61Z", -EINVAL},
		{"2026-13-01T00:00:00Z", -EINVAL},
		{"2026-00-01T00:00:00Z", -EINVAL},
		{"2026-02-29T00:00:00Z", -EINVAL},
		{"1900-02-29T00:00:00Z", -EINVAL},
		{"2026-04-31T00:00:00Z", -EINVAL},
		{"2026-04-00T00:00:00Z", -EINVAL},
		{"2026-11-22T14:00:00.Z", -EINVAL},
		{"2026-11-22T14:00:00+2:00", -EINVAL},
		{"2026-11-22T14:00:00+24:00", -EINVAL},
		{"2026-11-22T14:00:00+02:60", -EINVAL},
		{"+026-11-22T14:00:00Z", -EINVAL},
		{"1969-12-31T23:59:59Z", -ERANGE},
		{"0000-01-01T00:00:00Z", -ERANGE},
		{"9999-12-31T23:59:59-00:01", -ERANGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int64_t ms = UNTOUCHED;

		assert_int_equal(units_parse_time(span_str(bad[i].text), &ms), bad[i].result);
		assert_int_equal(ms, UNTOUCHED);
	}
}

static void every_day_is_printed_as_it_is_read(void **state)
{
	char text[UNITS_TIME_TEXT];

	(void)state;
	/* A step that is coprime to days, so that all times of day come by: to the year 2600. */
	for (int64_t ms = 0; ms < INT64_C(19880899200000); ms += INT64_C(86399000) * 3) {
		int64_t back = -1;

		units_print_time(ms, text);
		assert_int_equal(strlen(text), 20);
		assert_int_equal(units_parse_time(span_str(text), &back), 0);
		assert_true(back == ms);
	}
	assert_string_equal(units_print_time(INT64_C(1795356000999), text), "2026-11-22T14:00:00Z");
	assert_string_equal(units_print_time(-1, text), "1970-01-01T00:00:00Z");
	assert_string_equal(units_print_time(INT64_MAX, text), "9999-12-31T23:59:59Z");
}

static void names_of_services(void **state)
{
	static const char *const good[] = {"a", "A.b_c-1", "_x", "9", "a..b", "a-"};
	static const char *const bad[] = {"",   ".a",       "-a",  "a b", "a/b",
					  "..", "\xc3\xa4", "a\n", "a:b"};
	char longest[SERVICE_NAME_MAX + 2];
	struct error err = ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(units_is_name(span_str(good[i])));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(units_is_name(span_str(bad[i])));
	}
	memset(longest, 'n', sizeof(longest));
	assert_true(units_is_name(span_of(longest, SERVICE_NAME_MAX)));
	assert_false(units_is_name(span_of(longest, SERVICE_NAME_MAX + 1)));

	assert_int_equal(units_check_name("new_name", "ok", &err), 0);
	assert_int_equal(units_check_name("new_name", "not ok", &err), -EINVAL);
	assert_int_equal(err.kind, ERROR_INVALID_VALUE);
	assert_string_equal(err.param[0], "new_name");
	error_done(&err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_count_1024),
		cmocka_unit_test(sizes_that_are_not_are_refused),
		cmocka_unit_test(sizes_are_printed_for_people),
		cmocka_unit_test(durations_are_read_and_printed),
		cmocka_unit_test(durations_that_are_not_are_refused),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(times_that_are_not_are_refused),
		cmocka_unit_test(every_day_is_printed_as_it_is_read),
		cmocka_unit_test(names_of_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
