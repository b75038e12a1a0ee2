/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses of machines: no two get one, and what is not needed any more comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "agent/guests.h"
#include "fake-consul.h"

/* A runtime with one range of three addresses, on a bridge that is not there. */
static int networks(struct runtime *rt, struct runtime_network **ret, size_t *ret_n, struct err *err)
{
	struct runtime_network *network = xcalloc(1, sizeof(*network));

	(void)rt, (void)err;
	*network = (struct runtime_network){ .bridge = xstrdup("tt-none"),
					     .address = xstrdup("192.0.2.100"),
					     .last = xstrdup("192.0.2.102"),
					     .prefix = 24,
					     .gateway = xstrdup("192.0.2.1") };
	*ret = network;
	*ret_n = 1;
	return 0;
}

static const struct runtime_ops machine_ops = { .name = "machines", .machines = true, .networks = networks };
static const struct runtime_ops container_ops = { .name = "containers" };

struct world {
	struct fake_consul *fake;
	struct runtime runtime;
	struct node_env env, other; /* two hosts of one cluster */
	struct guests *guests, *others;
};

static int setup(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));

	world->fake = fake_consul_start();
	world->runtime.ops = &machine_ops;
	world->env.runtime = world->other.runtime = &world->runtime;
	world->env.consul = consul_new(fake_consul_base(world->fake), NULL, NULL);
	world->other.consul = consul_new(fake_consul_base(world->fake), NULL, NULL);
	world->env.host = "x1";
	world->other.host = "x2";
	world->guests = guests_new(&world->env);
	world->others = guests_new(&world->other);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	guests_free(world->guests);
	guests_free(world->others);
	consul_free(world->env.consul);
	consul_free(world->other.consul);
	fake_consul_stop(world->fake);
	free(world);
	return 0;
}

/* The address that it gets; the caller owns it. */
static char *take(struct guests *guests, const char *instance)
{
	struct runtime_network *got = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t n = 0;
	char *address;

	if (guests_take(guests, instance, &got, &n, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(n, 1);
	assert_null(got[0].last);
	assert_string_equal(got[0].gateway, "192.0.2.1");
	address = xstrdup(got[0].address);
	runtime_networks_free(got, n);
	return address;
}

static void takes(struct guests *guests, const char *instance, const char *address)
{
	_cleanup_(freep) char *got = take(guests, instance);

	assert_string_equal(got, address);
}

static bool is_taken(struct world *world, const char *address)
{
	_cleanup_(freep) char *key = xasprintf(GUESTS_PREFIX "%s", address), *value = fake_consul_get(world->fake, key);

	return value != NULL;
}

static void containers_have_none(void **state)
{
	struct runtime runtime = { .ops = &container_ops };
	struct node_env env = { .runtime = &runtime };

	(void)state;
	assert_null(guests_new(&env));
	guests_drop(NULL, "portal/web/1.1");
}

static void no_two_hosts_give_the_same(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *value = NULL;

	takes(world->guests, "portal/web/1.1", "192.0.2.100");
	takes(world->others, "portal/web/2.1", "192.0.2.101");
	takes(world->guests, "portal/web/3.1", "192.0.2.102");
	value = fake_consul_get(world->fake, GUESTS_PREFIX "192.0.2.101");
	assert_string_equal(value, "{\"host\":\"x2\",\"instance\":\"portal/web/2.1\"}");
}

static void who_asks_again_gets_the_same(void **state)
{
	struct world *world = *state;

	takes(world->guests, "portal/web/1.1", "192.0.2.100");
	takes(world->guests, "portal/web/1.1", "192.0.2.100");
	assert_false(is_taken(world, "192.0.2.101"));
}

static void an_exhausted_range_says_what_to_do(void **state)
{
	struct world *world = *state;
	struct runtime_network *got = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t n = 0;

	takes(world->guests, "portal/web/1.1", "192.0.2.100");
	takes(world->guests, "portal/web/2.1", "192.0.2.101");
	takes(world->guests, "portal/web/3.1", "192.0.2.102");
	assert_int_equal(guests_take(world->guests, "portal/web/4.1", &got, &n, &err), -EADDRNOTAVAIL);
	assert_null(got);
	assert_non_null(strstr(err_text(&err), "None of the 3 addresses 192.0.2.100-192.0.2.102"));
	assert_non_null(strstr(err_text(&err), "tepuy host apply"));
}

static void level(struct guests *guests, const struct guest *there, size_t n, const char *keep)
{
	_cleanup_strv_ struct strv list = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (keep)
		strv_add(&list, keep);
	if (guests_level(guests, there, n, &list, &err) < 0)
		fail_msg("%s", err_text(&err));
}

static void what_is_gone_comes_back(void **state)
{
	struct world *world = *state;

	takes(world->guests, "portal/web/1.1", "192.0.2.100");
	takes(world->others, "portal/web/2.1", "192.0.2.101");
	level(world->guests, NULL, 0, NULL); /* it is being made just now */
	assert_true(is_taken(world, "192.0.2.100"));
	guests_drop(world->guests, "portal/web/1.1");
	level(world->guests, NULL, 0, "portal/web/1.1");
	assert_true(is_taken(world, "192.0.2.100"));
	level(world->guests, NULL, 0, NULL);
	assert_false(is_taken(world, "192.0.2.100"));
	assert_true(is_taken(world, "192.0.2.101")); /* another host's */
}

/* As when they vanished while the agent was away: it took nothing in this life. */
static void what_vanished_meanwhile_comes_back(void **state)
{
	struct world *world = *state;
	struct guest there = { (char *)"portal/web/2.1", (char *)"192.0.2.101" };

	fake_consul_set(world->fake, GUESTS_PREFIX "192.0.2.100", "{\"host\":\"x1\",\"instance\":\"portal/web/1.1\"}");
	fake_consul_set(world->fake, GUESTS_PREFIX "192.0.2.101", "{\"host\":\"x1\",\"instance\":\"portal/web/2.1\"}");
	fake_consul_set(world->fake, GUESTS_PREFIX "192.0.2.102", "not ours to judge");
	level(world->guests, &there, 1, NULL);
	assert_false(is_taken(world, "192.0.2.100"));
	assert_true(is_taken(world, "192.0.2.101"));
	assert_true(is_taken(world, "192.0.2.102"));
}

static void what_consul_forgot_is_taken_again(void **state)
{
	struct world *world = *state;
	struct guest there[] = { { (char *)"portal/web/1.1", (char *)"192.0.2.100,198.51.100.7" },
				 { (char *)"portal/web/9.1", NULL } };

	level(world->guests, there, 2, NULL);
	assert_true(is_taken(world, "192.0.2.100"));
	assert_true(is_taken(world, "198.51.100.7"));
	takes(world->others, "portal/web/2.1", "192.0.2.101");
}

static void an_address_of_two_is_refused(void **state)
{
	struct world *world = *state;
	_cleanup_err_ struct err err = ERR_INIT;

	takes(world->others, "portal/web/2.1", "192.0.2.100");
	assert_int_equal(guests_confirm(world->guests, "portal/web/1.1", "192.0.2.100", &err), -EADDRINUSE);
	assert_non_null(strstr(err_text(&err), "192.0.2.100"));
	assert_int_equal(guests_confirm(world->guests, "portal/web/1.1", "192.0.2.101", NULL), 0);
	assert_true(is_taken(world, "192.0.2.101"));
}

static void a_host_that_is_taken_out_leaves_nothing(void **state)
{
	struct world *world = *state;

	takes(world->guests, "portal/web/1.1", "192.0.2.100");
	takes(world->others, "portal/web/2.1", "192.0.2.101");
	assert_int_equal(guests_forget_host(world->other.consul, "x1", NULL), 0);
	assert_false(is_taken(world, "192.0.2.100"));
	assert_true(is_taken(world, "192.0.2.101"));
}

static void without_consul_what_is_there_may_start_and_nothing_is_given(void **state)
{
	struct world *world = *state;
	struct runtime_network *got = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t n = 0;

	fake_consul_fail(world->fake, 100);
	assert_int_equal(guests_confirm(world->guests, "portal/web/1.1", "192.0.2.100", &err), 0);
	assert_true(guests_take(world->guests, "portal/web/2.1", &got, &n, &err) < 0);
	assert_null(got);
	fake_consul_fail(world->fake, 0);
	assert_false(is_taken(world, "192.0.2.100"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_have_none),
		cmocka_unit_test_setup_teardown(no_two_hosts_give_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(who_asks_again_gets_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(an_exhausted_range_says_what_to_do, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_gone_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_vanished_meanwhile_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_consul_forgot_is_taken_again, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_of_two_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_is_taken_out_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(without_consul_what_is_there_may_start_and_nothing_is_given, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
