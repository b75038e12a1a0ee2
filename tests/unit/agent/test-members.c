/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/members.h"

static enum member_health health(const char *id, enum consul_status first, enum consul_status second)
{
	struct consul_check list[] = { { .id = (char *)"portal-web-1.5:http-1", .status = first },
				       { .id = (char *)id, .status = second } };
	struct consul_checks checks = { .v = list, .n = 2 };

	return members_health(&checks, NULL);
}

static void test_the_worst_check_counts(void **state)
{
	(void)state;
	assert_int_equal(health("portal-web-1.5:tcp-1", CONSUL_PASSING, CONSUL_WARNING), MEMBER_WARNING);
}

static void test_maintenance_outranks_passing(void **state)
{
	(void)state;
	assert_int_equal(health("_service_maintenance:portal-web-1.5", CONSUL_PASSING, CONSUL_CRITICAL),
			 MEMBER_MAINTENANCE);
}

/* Otherwise nobody would answer for the drain of an ill node, and it would last until its deadline. */
static void test_maintenance_outranks_critical(void **state)
{
	(void)state;
	assert_int_equal(health("_service_maintenance:portal-web-1.5", CONSUL_CRITICAL, CONSUL_CRITICAL),
			 MEMBER_MAINTENANCE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_worst_check_counts),
		cmocka_unit_test(test_maintenance_outranks_passing),
		cmocka_unit_test(test_maintenance_outranks_critical),
	};

	return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
