/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

/* RFC 4648 section 10. */
static const char *const vectors[][2] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

static void test_encode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		_cleanup_buf_ struct buf text = { 0 };

		base64_encode(&text, vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(buf_text(&text), vectors[i][1]);
	}
}

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		_cleanup_buf_ struct buf bytes = { 0 };

		assert_int_equal(base64_decode(&bytes, vectors[i][1], strlen(vectors[i][1])), 0);
		assert_string_equal(buf_text(&bytes), vectors[i][0]);
	}
}

static void test_all_bytes_there_and_back(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, bytes = { 0 };
	unsigned char all[256];

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	base64_encode(&text, all, sizeof(all));
	assert_int_equal(base64_decode(&bytes, text.data, text.len), 0);
	assert_int_equal(bytes.len, sizeof(all));
	assert_memory_equal(bytes.data, all, sizeof(all));
}

static void test_malformed(void **state)
{
	static const char *const texts[] = { "Z",      "Zg=",  "Zg",      "Zg==Zg==", "Z===", "====",
					     "Zm9v\n", "Zm 9", "Zm9\xff", "Zh==",     "Zm9=", "-_-_" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_buf_ struct buf bytes = { 0 };

		buf_adds(&bytes, "kept");
		assert_int_equal(base64_decode(&bytes, texts[i], strlen(texts[i])), -EINVAL);
		assert_string_equal(buf_text(&bytes), "kept");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_all_bytes_there_and_back),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
