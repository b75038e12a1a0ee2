/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is left in the catalog of hosts that are away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/leader-ghosts.h"
#include "fake-consul.h"

#define LIMIT_MS 60000

struct world {
	struct plan_host hosts[2];
	struct consul_kv keys[2];
	struct consul_check checks[3];
	struct plan_view view;
	struct consul_kvs kvs;
	struct consul_checks all;
	struct strv found;
	int64_t wait_ms;
};

static struct consul_check check(const char *node, const char *service)
{
	return (struct consul_check){ .node = (char *)node, .id = (char *)"c", .service_id = (char *)service };
}

/* h1 is there, h2 has been away for long enough; each has an assignment, h2 also something that nobody assigned. */
static int setup(void **state)
{
	static struct world world;

	world = (struct world){
		.hosts = { { .name = (char *)"h1", .alive = true }, { .name = (char *)"h2", .dead_ms = LIMIT_MS } },
		.keys = { { .key = (char *)"tepuy/host/h1/node/portal/web/1.5", .value = (char *)"" },
			  { .key = (char *)"tepuy/host/h2/node/portal/web/2.5", .value = (char *)"" } },
		.checks = { check("h1", "portal-web-1.5"), check("h2", "portal-web-2.5"),
			    check("h2", "portal-web-2.4") },
	};
	world.view = (struct plan_view){ .hosts = world.hosts, .n_hosts = 2, .reschedule_ms = LIMIT_MS };
	world.kvs = (struct consul_kvs){ .v = world.keys, .n = 2 };
	world.all = (struct consul_checks){ .v = world.checks, .n = 3 };
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	strv_release(&((struct world *)*state)->found);
	return 0;
}

static size_t find(struct world *world)
{
	struct leader_sources from = { .hosts = &world->kvs, .checks = &world->all };

	strv_release(&world->found);
	ghosts_find(&from, &world->view, &world->found, &world->wait_ms);
	return world->found.n;
}

static void what_no_assignment_explains_is_found(void **state)
{
	struct world *world = *state;

	assert_int_equal(find(world), 1);
	assert_string_equal(world->found.v[0], "h2");
	assert_true(world->wait_ms == INT64_MAX);
}

static void an_assignment_explains_it(void **state)
{
	struct world *world = *state;

	world->all.n = 2;
	assert_int_equal(find(world), 0);
	assert_true(world->wait_ms == INT64_MAX);
}

/* Its own agent sees to it. */
static void a_host_that_is_there_has_none(void **state)
{
	struct world *world = *state;

	world->hosts[1].alive = true;
	assert_int_equal(find(world), 0);
	world->hosts[1].alive = false;
	world->checks[2] = check("h1", "portal-web-9.9");
	assert_int_equal(find(world), 0);
	assert_true(world->wait_ms == INT64_MAX);
}

static void a_host_that_is_away_for_a_moment_keeps_what_it_has(void **state)
{
	struct world *world = *state;

	world->hosts[1].dead_ms = LIMIT_MS - 1000;
	assert_int_equal(find(world), 0);
	assert_int_equal(world->wait_ms, 1000);
}

static void what_is_not_ours_is_no_host_of_ours(void **state)
{
	struct world *world = *state;

	world->checks[2] = check("printer", "cups");
	assert_int_equal(find(world), 0);
}

/* --- removing --- */

#define AWAY "[{\"Node\":\"h2\",\"CheckID\":\"serfHealth\",\"Name\":\"s\",\"Status\":\"critical\"}]"
#define THERE "[{\"Node\":\"h2\",\"CheckID\":\"serfHealth\",\"Name\":\"s\",\"Status\":\"passing\"}]"
#define OURS(gen)                                                                                                      \
	"\"portal-web-2." gen "\":{\"ID\":\"portal-web-2." gen "\",\"Service\":\"portal-web\",\"Meta\":{\"tepuy\":"    \
	"\"1\",\"service\":\"portal\",\"component\":\"web\",\"node\":\"2\",\"gen\":\"" gen "\"}}"

static int remove_from(const char *health)
{
	struct fake_consul *fake = fake_consul_start();
	struct node_env env = { .consul = consul_new(fake_consul_base(fake), NULL, NULL) };
	_cleanup_err_ struct err err = ERR_INIT;
	unsigned writes;
	int r;

	fake_consul_answer(fake, "/v1/health/node/h2", health);
	fake_consul_answer(
	    fake, "/v1/catalog/node/h2",
	    "{\"Services\":{" OURS("4") "," OURS("5") ",\"cups\":{\"ID\":\"cups\",\"Service\":\"cups\"}}}");
	fake_consul_set(fake, "tepuy/host/h2/node/portal/web/2.5", "{}");
	r = ghosts_remove(&env, "h2", &err);
	writes = fake_consul_writes(fake, "PUT /v1/catalog/deregister");
	if (r < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(writes, r);
	consul_free(env.consul);
	fake_consul_stop(fake);
	return r;
}

static void only_ghosts_are_removed(void **state)
{
	(void)state;
	assert_int_equal(remove_from(AWAY), 1);
}

static void a_host_that_came_back_is_left_alone(void **state)
{
	(void)state;
	assert_int_equal(remove_from(THERE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_no_assignment_explains_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(an_assignment_explains_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_is_there_has_none, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_is_away_for_a_moment_keeps_what_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_ours_is_no_host_of_ours, setup, teardown),
		cmocka_unit_test(only_ghosts_are_removed),
		cmocka_unit_test(a_host_that_came_back_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
