/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From Consul's keys and checks to what the planner sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/leader-view.h"
#include "model/canonical.h"

#define SPEC(r)                                                                                                        \
	"{\"service\":\"portal\",\"revision\":" r                                                                      \
	",\"down\":false,\"components\":{\"web\":{\"nodes\":1,\"body\":{}}},"                                          \
	"\"secrets\":{}}"
#define STATUS(good)                                                                                                   \
	"{\"phase\":\"done\",\"revision\":5,\"good\":" good ",\"step\":9,\"since\":1,\"reason\":null,\"detail\":null," \
	"\"homes\":{}}"
#define ASSIGNMENT                                                                                                     \
	"{\"desired\":\"run\",\"revision\":5,\"fingerprint\":\"f\",\"since\":7,\"proven\":true,\"service\":"           \
	"\"portal\","                                                                                                  \
	"\"component\":\"web\",\"checks\":[],\"body\":{}}"
#define TOLD_AGAIN                                                                                                     \
	"{\"desired\":\"run\",\"revision\":5,\"fingerprint\":\"f\",\"since\":9,\"proven\":true,\"service\":"           \
	"\"portal\",\"component\":\"web\",\"checks\":[],\"body\":{}}"
#define INFO                                                                                                           \
	"{\"runtime\":\"docker\",\"version\":\"1\",\"address\":\"192.0.2.1\",\"labels\":{},\"cpus\":2,\"memory\":"     \
	"1024,"                                                                                                        \
	"\"agent\":\"1\"}"

#define MOST 8

/* Keys as in Consul, sorted; a NULL key ends each list. */
struct world {
	struct consul_kv services[MOST], hosts[MOST];
	struct consul_check checks[MOST];
	struct health_memory *memory;
	struct spec_cache *specs;
	int64_t monotonic_ms;
	struct plan_view view;
	struct strv missing;
};

static struct consul_kv kv(const char *key, const char *value)
{
	return (
	    struct consul_kv){ .key = (char *)key, .value = (char *)value, .len = strlen(value), .modify_index = 42 };
}

static struct consul_check check(const char *id, const char *service_id, enum consul_status status)
{
	return (struct consul_check){
		.node = (char *)"h1", .id = (char *)id, .service_id = (char *)service_id, .status = status
	};
}

/* One node of one service, well, on a host that is alive. */
static int setup(void **state)
{
	static struct world world;

	world = (struct world){
		.services = { kv("tepuy/service/portal/spec", SPEC("5")),
			      kv("tepuy/service/portal/status", STATUS("5")) },
		.hosts = { kv("tepuy/host/h1/info", INFO), kv("tepuy/host/h1/node/portal/web/1.5", ASSIGNMENT),
			   kv("tepuy/host/h1/state/portal/web/1.5",
			      "{\"state\":\"running\",\"since\":8,\"answers\":7}") },
		.checks = { check("serfHealth", NULL, CONSUL_PASSING),
			    check("portal-web-1.5:running", "portal-web-1.5", CONSUL_PASSING) },
		.memory = health_memory_new(),
		.specs = spec_cache_new(),
		.monotonic_ms = 1000,
	};
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	plan_view_release(&world->view);
	strv_release(&world->missing);
	health_memory_free(world->memory);
	spec_cache_free(world->specs);
	return 0;
}

static void look(struct world *world)
{
	struct consul_kvs services = { .v = world->services }, hosts = { .v = world->hosts };
	struct consul_checks checks = { .v = world->checks };
	struct leader_sources from = { .hosts = &hosts,
				       .services = &services,
				       .checks = &checks,
				       .memory = world->memory,
				       .specs = world->specs,
				       .now_ms = 1,
				       .monotonic_ms = world->monotonic_ms };

	while (services.n < MOST && services.v[services.n].key)
		services.n++;
	while (hosts.n < MOST && hosts.v[hosts.n].key)
		hosts.n++;
	while (checks.n < MOST && checks.v[checks.n].id)
		checks.n++;
	plan_view_release(&world->view);
	strv_release(&world->missing);
	leader_view(&from, &world->view, &world->missing);
}

static void keys_become_a_view(void **state)
{
	struct world *world = *state;
	const struct plan_view *view = &world->view;

	look(world);
	assert_int_equal(view->n_services, 1);
	assert_string_equal(view->services[0].name, "portal");
	assert_int_equal(view->services[0].spec->revision, 5);
	assert_int_equal(view->services[0].good->revision, 5);
	assert_int_equal(view->services[0].status_index, 42);
	assert_int_equal(view->n_hosts, 1);
	assert_true(view->hosts[0].alive);
	assert_int_equal(view->n_instances, 1);
	assert_int_equal(view->instances[0].index, 42);
	assert_int_equal(view->instances[0].state, PLAN_RUNNING);
	assert_int_equal(view->instances[0].answers_ms, 7);
	assert_int_equal(view->instances[0].health, PLAN_PASSING);
	assert_int_equal(world->missing.n, 0);
}

static void a_good_revision_that_is_not_there_is_asked_for(void **state)
{
	struct world *world = *state;

	world->services[1] = kv("tepuy/service/portal/status", STATUS("3"));
	look(world);
	assert_int_equal(world->view.n_services, 0);
	assert_int_equal(world->missing.n, 1);
	assert_string_equal(world->missing.v[0], "portal/3");
}

static void and_used_when_it_came(void **state)
{
	struct world *world = *state;

	world->services[1] = kv("tepuy/service/portal/status", STATUS("3"));
	spec_cache_put(world->specs, "portal", 3, json_loads(SPEC("3"), 0, NULL));
	look(world);
	assert_int_equal(world->missing.n, 0);
	assert_int_equal(world->view.services[0].good->revision, 3);
}

/* It was dropped from Consul: the planner is told that there is none. */
static void and_not_waited_for_when_it_is_gone(void **state)
{
	struct world *world = *state;

	world->services[1] = kv("tepuy/service/portal/status", STATUS("3"));
	spec_cache_put(world->specs, "portal", 3, json_null());
	look(world);
	assert_int_equal(world->missing.n, 0);
	assert_int_equal(world->view.n_services, 1);
	assert_null(world->view.services[0].good);
}

static void malformed_keys_are_skipped(void **state)
{
	struct world *world = *state;

	world->services[2] = kv("tepuy/service/portal/zzz", "x");
	world->services[3] = kv("tepuy/service/z", "x");
	world->hosts[3] = kv("tepuy/host/h1/zzz/portal", "x");
	world->hosts[4] = kv("tepuy/host/h2/ack/portal/web/1.5/front.1.5", "x");
	world->hosts[5] = kv("tepuy/host/h2/info", "[1]");
	world->hosts[6] = kv("tepuy/host/h3", "x");
	look(world);
	assert_int_equal(world->view.n_services, 1);
	/* A host that cannot be read is there nevertheless: it may run what is assigned to it. */
	assert_int_equal(world->view.n_hosts, 2);
	assert_string_equal(world->view.hosts[1].name, "h2");
	assert_true(world->view.hosts[1].cordoned);
	assert_int_equal(world->view.n_instances, 1);
	assert_int_equal(world->view.n_acks, 0);
}

static void a_host_is_closed_by_its_admin_key(void **state)
{
	static const struct {
		const char *value;
		bool cordoned, drained;
	} table[] = {
		{ "{\"cordoned\":false,\"drained\":false}", false, false },
		{ "{\"cordoned\":true,\"drained\":false}", true, false },
		{ "{\"cordoned\":false,\"drained\":true,\"by\":\"ana\",\"since\":5}", false, true },
		{ "what is this", true, false },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		plan_view_release(&world->view);
		world->hosts[3] = world->hosts[2];
		world->hosts[2] = world->hosts[1];
		world->hosts[1] = world->hosts[0];
		world->hosts[0] = kv("tepuy/host/h1/admin", table[i].value);
		look(world);
		assert_int_equal(world->view.hosts[0].cordoned, table[i].cordoned);
		assert_int_equal(world->view.hosts[0].drained, table[i].drained);
		memmove(world->hosts, world->hosts + 1, 3 * sizeof(*world->hosts));
		world->hosts[3] = (struct consul_kv){ 0 };
	}
}

/* It would look like a new one, and forget where its data is. */
static void without_its_status_a_service_is_not_planned(void **state)
{
	struct world *world = *state;

	world->services[1] = kv("tepuy/service/portal/status", "{\"phase\":\"unheard-of\"}");
	look(world);
	assert_int_equal(world->view.n_services, 0);
}

/* Its node would look absent while it runs. */
static void without_an_assignment_a_service_is_not_planned(void **state)
{
	struct world *world = *state;

	world->hosts[1] = kv("tepuy/host/h1/node/portal/web/1.5", "{\"desired\":\"fly\"}");
	look(world);
	assert_int_equal(world->view.n_services, 0);
	assert_int_equal(world->view.n_instances, 0);
}

static void without_a_state_an_instance_has_none(void **state)
{
	struct world *world = *state;

	world->hosts[2] = kv("tepuy/host/h1/state/portal/web/1.5", "{}");
	look(world);
	assert_int_equal(world->view.instances[0].state, PLAN_NONE);
}

static void the_worst_check_counts_and_maintenance_most(void **state)
{
	struct world *world = *state;

	world->checks[2] = check("portal-web-1.5:http-1", "portal-web-1.5", CONSUL_CRITICAL);
	look(world);
	assert_int_equal(world->view.instances[0].health, PLAN_CRITICAL);
	world->checks[3] = check("_service_maintenance:portal-web-1.5", "portal-web-1.5", CONSUL_CRITICAL);
	look(world);
	assert_int_equal(world->view.instances[0].health, PLAN_MAINTENANCE);
}

static void times_count_from_when_it_was_first_seen_so(void **state)
{
	struct world *world = *state;

	look(world);
	assert_int_equal(world->view.hosts[0].alive_ms, 0);
	world->monotonic_ms = 3000;
	look(world);
	assert_int_equal(world->view.hosts[0].alive_ms, 2000);
	assert_int_equal(world->view.hosts[0].dead_ms, 0);
	assert_int_equal(world->view.instances[0].health_ms, 2000);
	world->checks[0].status = world->checks[1].status = CONSUL_CRITICAL;
	look(world);
	assert_int_equal(world->view.instances[0].health_ms, 0);
	world->monotonic_ms = 3500;
	look(world);
	assert_int_equal(world->view.hosts[0].alive_ms, 0);
	assert_int_equal(world->view.hosts[0].dead_ms, 500);
	assert_int_equal(world->view.instances[0].health_ms, 500);
}

static void what_is_told_is_counted_from_when_it_was_seen(void **state)
{
	struct world *world = *state;

	look(world);
	assert_int_equal(world->view.looking_ms, 0);
	world->monotonic_ms = 3000;
	look(world);
	assert_int_equal(world->view.looking_ms, 2000);
	assert_int_equal(world->view.instances[0].told_ms, 2000);
	assert_int_equal(world->view.services[0].phase_ms, 2000);
	world->hosts[1] = kv("tepuy/host/h1/node/portal/web/1.5", TOLD_AGAIN);
	look(world);
	assert_int_equal(world->view.instances[0].told_ms, 0);
	assert_int_equal(world->view.services[0].phase_ms, 2000);
}

/* As Consul's agent says of all its checks when it was started. */
static void a_check_that_has_not_run_says_nothing(void **state)
{
	struct world *world = *state;

	world->checks[2] = check("portal-web-1.5:http-1", "portal-web-1.5", CONSUL_CRITICAL);
	world->checks[2].type = (char *)"http";
	look(world);
	assert_int_equal(world->view.instances[0].health, PLAN_UNKNOWN);
	world->checks[2].output = (char *)"connection refused";
	look(world);
	assert_int_equal(world->view.instances[0].health, PLAN_CRITICAL);
	world->checks[2].output = NULL;
	world->checks[1].status = CONSUL_CRITICAL; /* its agent says that it ended */
	look(world);
	assert_int_equal(world->view.instances[0].health, PLAN_CRITICAL);
}

static void what_was_found_is_an_instance_until_it_is_assigned(void **state)
{
	struct world *world = *state;

	world->hosts[1] = kv("tepuy/host/h1/found/portal/web/1.5", ASSIGNMENT);
	world->hosts[2] = kv("tepuy/host/h1/node/portal/web/2.5", ASSIGNMENT);
	look(world);
	assert_int_equal(world->view.n_instances, 2);
	assert_true(world->view.instances[0].found);
	assert_int_equal(world->view.instances[0].revision, 0);
	assert_false(world->view.instances[1].found);
	world->hosts[2] = kv("tepuy/host/h1/node/portal/web/1.5", ASSIGNMENT);
	look(world);
	assert_int_equal(world->view.n_instances, 1);
	assert_false(world->view.instances[0].found);
}

static void what_its_agent_has_still_to_take_away_is_counted(void **state)
{
	struct world *world = *state;

	look(world);
	assert_int_equal(world->view.services[0].n_leaving, 0);
	world->hosts[1] = kv("tepuy/host/h1/state/portal/web/1.4", "{\"state\":\"stopped\",\"answers\":7}");
	look(world);
	assert_int_equal(world->view.services[0].n_leaving, 2);
	world->checks[0] = check("serfHealth", NULL, CONSUL_CRITICAL);
	look(world);
	assert_int_equal(world->view.services[0].n_leaving, 0); /* nobody waits for a dead host */
	world->checks[0] = check("serfHealth", NULL, CONSUL_PASSING);
	world->hosts[0] = kv("tepuy/host/h1/ack/portal/web/1.4/front.1.1", "{\"sessions\":0}");
	look(world);
	assert_int_equal(world->view.services[0].n_leaving, 0); /* the host is not of the cluster any more */
}

static void what_is_gone_is_forgotten(void **state)
{
	struct world *world = *state;
	struct consul_kv kept = world->hosts[1];

	look(world);
	world->hosts[1] = kv("tepuy/host/h1/state/portal/web/1.5", "{\"state\":\"running\"}");
	look(world);
	world->hosts[1] = kept;
	world->monotonic_ms = 9000;
	look(world);
	assert_int_equal(world->view.instances[0].health_ms, 0);
	assert_int_equal(world->view.hosts[0].alive_ms, 8000);
}

static void revisions_that_nobody_needs_are_dropped(void **state)
{
	struct world *world = *state;

	spec_cache_put(world->specs, "portal", 4, json_null());
	spec_cache_put(world->specs, "other", 5, json_null());
	look(world);
	spec_cache_trim(world->specs, &world->view);
	assert_non_null(spec_cache_get(world->specs, "portal", 5));
	assert_null(spec_cache_get(world->specs, "portal", 4));
	assert_null(spec_cache_get(world->specs, "other", 5));
}

static void a_check_without_a_host_is_nobodys(void **state)
{
	struct world *world = *state;

	world->checks[2] = check("serfHealth", NULL, CONSUL_PASSING);
	world->checks[2].node = NULL;
	look(world);
	assert_true(world->view.hosts[0].alive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys_become_a_view, setup, teardown),
		cmocka_unit_test_setup_teardown(a_good_revision_that_is_not_there_is_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(and_used_when_it_came, setup, teardown),
		cmocka_unit_test_setup_teardown(and_not_waited_for_when_it_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed_keys_are_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_is_closed_by_its_admin_key, setup, teardown),
		cmocka_unit_test_setup_teardown(without_its_status_a_service_is_not_planned, setup, teardown),
		cmocka_unit_test_setup_teardown(without_an_assignment_a_service_is_not_planned, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_state_an_instance_has_none, setup, teardown),
		cmocka_unit_test_setup_teardown(the_worst_check_counts_and_maintenance_most, setup, teardown),
		cmocka_unit_test_setup_teardown(times_count_from_when_it_was_first_seen_so, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_told_is_counted_from_when_it_was_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(a_check_that_has_not_run_says_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_found_is_an_instance_until_it_is_assigned, setup, teardown),
		cmocka_unit_test_setup_teardown(what_its_agent_has_still_to_take_away_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_gone_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(revisions_that_nobody_needs_are_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_check_without_a_host_is_nobodys, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
