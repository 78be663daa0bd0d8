/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "mode/files/coverage.h"
#include "unit.h"

static void a_whole_is_the_union_of_its_parts(void **state)
{
	struct coverage c = {0};

	(void)state;
	assert_true(coverage_is_whole(&c, 0));
	assert_false(coverage_is_whole(&c, 1));
	coverage_add(&c, 5, 10);
	coverage_add(&c, 0, 3);
	assert_int_equal(c.n, 2);
	assert_false(coverage_is_whole(&c, 10));
	coverage_add(&c, 3, 5);
	assert_int_equal(c.n, 1);
	assert_true(coverage_is_whole(&c, 10));
	assert_false(coverage_is_whole(&c, 11));
	coverage_add(&c, 4, 4);
	coverage_add(&c, 8, 2);
	assert_int_equal(coverage_bytes(&c), 10);
	coverage_done(&c);
}

/* Against a map of single bytes, with a generator that is the same on every run. */
static void it_agrees_with_a_map_of_bytes(void **state)
{
	enum { TOTAL = 400 };
	uint32_t x = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct coverage c = {0}, d = {0};
		struct buf b = BUF_INIT;
		bool map[TOTAL] = {false};

		for (int k = 0; k < 60; k++) {
			x = x * 1664525u + 1013904223u;
			unsigned from = x >> 8 & 0x1FF, len = x >> 20 & 15;
			unsigned to = from + len < TOTAL ? from + len : TOTAL;
			unsigned bytes = 0;

			coverage_add(&c, from, to);
			for (unsigned i = from; i < to; i++) {
				map[i] = true;
			}
			for (unsigned i = 0; i < TOTAL; i++) {
				bytes += map[i];
			}
			assert_int_equal(coverage_bytes(&c), bytes);
			assert_int_equal(coverage_is_whole(&c, TOTAL), bytes == TOTAL);
			for (size_t i = 0; i < c.n; i++) {
				assert_true(c.ranges[i].from < c.ranges[i].to);
				assert_true(i == 0 || c.ranges[i - 1].to < c.ranges[i].from);
			}
		}
		coverage_encode(&c, &b);
		assert_int_equal(coverage_decode(&d, buf_span(&b)), 0);
		assert_int_equal(d.n, c.n);
		assert_memory_equal(d.ranges, c.ranges, c.n * sizeof(*c.ranges));
		buf_done(&b);
		coverage_done(&c);
		coverage_done(&d);
	}
}

static void too_many_ranges_are_forgotten_not_claimed(void **state)
{
	struct coverage c = {0};

	(void)state;
	for (uint64_t i = 0; i < 2 * COVERAGE_MAX; i++) {
		coverage_add(&c, 10 * i, 10 * i + 1);
	}
	assert_int_equal(c.n, COVERAGE_MAX);
	assert_int_equal(coverage_bytes(&c), COVERAGE_MAX);
	/* A larger one pushes a smaller one out, wherever it stands. */
	coverage_add(&c, 100000, 100100);
	assert_int_equal(c.n, COVERAGE_MAX);
	assert_int_equal(coverage_bytes(&c), COVERAGE_MAX - 1 + 100);
	coverage_add(&c, 3, 8);
	assert_int_equal(coverage_bytes(&c), COVERAGE_MAX - 2 + 100 + 5);
	coverage_add(&c, 0, 200000);
	assert_true(coverage_is_whole(&c, 200000));
	coverage_done(&c);
}

static void nonsense_is_not_decoded(void **state)
{
	struct coverage c = {0};
	char bytes[32] = {0};

	(void)state;
	assert_int_equal(coverage_decode(&c, span_of(bytes, 15)), -EINVAL);
	assert_int_equal(coverage_decode(&c, span_of(bytes, 16)), -EINVAL); /* empty range */
	bytes[8] = 5;
	assert_int_equal(coverage_decode(&c, span_of(bytes, 16)), 0);
	assert_int_equal(coverage_bytes(&c), 5);
	bytes[16] = 5; /* touches the one before */
	bytes[24] = 6;
	assert_int_equal(coverage_decode(&c, span_of(bytes, 32)), -EINVAL);
	assert_int_equal(c.n, 0);
	coverage_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_is_the_union_of_its_parts),
		cmocka_unit_test(it_agrees_with_a_map_of_bytes),
		cmocka_unit_test(too_many_ranges_are_forgotten_not_claimed),
		cmocka_unit_test(nonsense_is_not_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
