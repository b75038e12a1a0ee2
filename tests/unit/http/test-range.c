/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of a body: what is asked for, what is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/range.h"

#define SIZE 1000

static void asks_for(const char *value, uint64_t size, uint64_t from, uint64_t len)
{
	struct http_part part = { 0 };

	assert_int_equal(http_range_asked(value, size, &part), HTTP_RANGE_PART);
	assert_int_equal(part.from, from);
	assert_int_equal(part.len, len);
	assert_int_equal(part.total, size);
}

static void test_from_a_byte_on(void **state)
{
	(void)state;
	asks_for("bytes=5-", SIZE, 5, 995);
}

static void test_the_last_byte(void **state)
{
	(void)state;
	asks_for("bytes=999-", SIZE, 999, 1);
}

static void test_between_two_bytes(void **state)
{
	(void)state;
	asks_for("Bytes= 5-9 ", SIZE, 5, 5);
}

static void test_an_end_behind_the_end(void **state)
{
	(void)state;
	asks_for("bytes=5-18446744073709551614", SIZE, 5, 995);
}

static void test_the_end_of_it(void **state)
{
	(void)state;
	asks_for("bytes=-10", SIZE, 990, 10);
}

static void test_an_end_larger_than_all(void **state)
{
	(void)state;
	asks_for("bytes=-2000", SIZE, 0, SIZE);
}

static void test_behind_the_end(void **state)
{
	struct http_part part;

	(void)state;
	assert_int_equal(http_range_asked("bytes=1000-", SIZE, &part), HTTP_RANGE_BEYOND);
	assert_int_equal(http_range_asked("bytes=5000-6000", SIZE, &part), HTTP_RANGE_BEYOND);
	assert_int_equal(http_range_asked("bytes=-0", SIZE, &part), HTTP_RANGE_BEYOND);
	assert_int_equal(http_range_asked("bytes=0-", 0, &part), HTTP_RANGE_BEYOND);
	assert_int_equal(http_range_asked("bytes=-5", 0, &part), HTTP_RANGE_BEYOND);
}

static void test_what_is_ignored(void **state)
{
	static const char *const values[] = { NULL,
					      "",
					      "bytes=",
					      "bytes=-",
					      "bytes=5",
					      "bytes=a-",
					      "bytes=5-4",
					      "bytes=0-1,5-",
					      "lines=0-",
					      "bytes=5-x",
					      "bytes=5 -9",
					      "bytes=--5",
					      "bytes=+5-",
					      "bytes=0x5-",
					      "bytes=5-9;",
					      "bytes=5-9 x",
					      "bytes=99999999999999999999-" };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct http_part part = { 1, 1, 1 };

		assert_int_equal(http_range_asked(values[i], SIZE, &part), HTTP_RANGE_WHOLE);
		assert_int_equal(part.from, 0);
		assert_int_equal(part.len, SIZE);
	}
}

static void test_given(void **state)
{
	struct http_part part;

	(void)state;
	assert_true(http_range_given(" bytes 5-9/10\r\n", &part));
	assert_int_equal(part.from, 5);
	assert_int_equal(part.len, 5);
	assert_int_equal(part.total, 10);
}

static void test_given_of_an_unknown_total(void **state)
{
	struct http_part part;

	(void)state;
	assert_true(http_range_given("bytes 0-0/*", &part));
	assert_int_equal(part.len, 1);
	assert_true(part.total == HTTP_TOTAL_UNKNOWN);
}

static void test_given_in_contradiction(void **state)
{
	static const char *const values[] = { "",
					      "bytes",
					      "bytes */10",
					      "bytes 5-4/10",
					      "bytes 5-10/10",
					      "bytes 5-9/",
					      "bytes 5-9",
					      "bytes -9/10",
					      "bytes 5-9/10x",
					      "bytes 0-18446744073709551615/18446744073709551616",
					      "bytes 0-18446744073709551615/18446744073709551615" };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct http_part part;

		assert_false(http_range_given(values[i], &part));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_a_byte_on),
		cmocka_unit_test(test_the_last_byte),
		cmocka_unit_test(test_between_two_bytes),
		cmocka_unit_test(test_an_end_behind_the_end),
		cmocka_unit_test(test_the_end_of_it),
		cmocka_unit_test(test_an_end_larger_than_all),
		cmocka_unit_test(test_behind_the_end),
		cmocka_unit_test(test_what_is_ignored),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_given_of_an_unknown_total),
		cmocka_unit_test(test_given_in_contradiction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
