/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of Consul's keys are wishes of other hosts that nobody is at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/wish.h"

#define BUNDLE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WISH WISH_PREFIX "xen1/" BUNDLE
#define TEXT(s) ((char[]){ s })

/* Whether the key, with another one beside it, is for srv1 to take on. */
static bool is_wish(const char *key, const char *value, const char *session, struct consul_kv beside)
{
	struct consul_kv v[] = {
		{ .key = (char *)key, .value = (char *)value, .len = strlen(value), .session = (char *)session }, beside
	};
	struct consul_kvs kvs = { .v = v, .n = beside.key ? 2 : 1 };
	struct wish_seen seen = { 0 };
	bool is = wish_read(&kvs, 0, "srv1", &seen);

	wish_seen_release(&seen);
	return is;
}

static const struct consul_kv nothing;

static void a_wish_is_read(void **state)
{
	struct consul_kv v[] = {
		{ .key = TEXT(WISH), .value = TEXT("{\"machine\":true}"), .len = 16, .session = TEXT("s1") }
	};
	struct consul_kvs kvs = { .v = v, .n = 1 };
	struct wish_seen seen = { 0 };

	(void)state;
	assert_true(wish_read(&kvs, 0, "srv1", &seen));
	assert_string_equal(seen.host, "xen1");
	assert_string_equal(seen.bundle, BUNDLE);
	assert_true(seen.machine);
	assert_string_equal(seen.taker, WISH "/taker");
	assert_string_equal(seen.id, WISH " s1");
	wish_seen_release(&seen);
}

static void ones_own_is_left_alone(void **state)
{
	(void)state;
	assert_true(is_wish(WISH_PREFIX "srv2/" BUNDLE, "{}", "s1", nothing));
	assert_false(is_wish(WISH_PREFIX "srv1/" BUNDLE, "{}", "s1", nothing));
}

static void what_somebody_is_at_is_left_to_him(void **state)
{
	struct consul_kv taker = { .key = TEXT(WISH "/taker"), .value = TEXT("srv2"), .len = 4, .session = TEXT("s2") };
	struct consul_kv ended = { .key = TEXT(WISH "/taker"), .value = TEXT("srv2"), .len = 4 };

	(void)state;
	assert_false(is_wish(WISH, "{}", "s1", taker));
	assert_true(is_wish(WISH, "{}", "s1", ended));
}

static void what_is_no_wish_is_ignored(void **state)
{
	(void)state;
	assert_false(is_wish(WISH, "{}", NULL, nothing));
	assert_false(is_wish(WISH, "[", "s1", nothing));
	assert_false(is_wish(WISH, "3", "s1", nothing));
	assert_false(is_wish(WISH "/taker", "srv2", "s1", nothing));
	assert_false(is_wish(WISH_PREFIX "xen1/../../etc", "{}", "s1", nothing));
	assert_false(is_wish(WISH_PREFIX "xen1", "{}", "s1", nothing));
	assert_false(is_wish(WISH_PREFIX "/" BUNDLE, "{}", "s1", nothing));
	assert_false(is_wish("tepuy/image/x", "{}", "s1", nothing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wish_is_read),
		cmocka_unit_test(ones_own_is_left_alone),
		cmocka_unit_test(what_somebody_is_at_is_left_to_him),
		cmocka_unit_test(what_is_no_wish_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
