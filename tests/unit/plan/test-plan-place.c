/* SPDX-License-Identifier: GPL-3.0-or-later */
/* On which hosts plan_next puts nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plan-kit.h"

static void nodes_spread_over_the_hosts_that_match(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_host(&view, "srv2", "disk=ssd");
	add_host(&view, "srv3", "disk=ssd");
	strv_add(&add_component(service->spec, "web", "w1", 3)->place.labels, "disk=ssd");
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.1 srv2 prepare\nassign web/2.1 srv3 prepare\n"
		     "assign web/3.1 srv3 prepare\n");
}

static void place_that_no_host_has_fails(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	strv_add(&add_component(service->spec, "web", "w1", 1)->place.labels, "disk=ssd");
	plans(&view, "status failed 1 good 0 step 8\n");
}

/* Moving from containers to machines is an update like another one. */
static void node_that_its_host_does_not_fit_is_made_elsewhere(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 2, 1);

	(void)state;
	add_component(service->spec, "web", "w1", 1)->place.runtime = xstrdup("xen");
	add_host(&view, "xen1", NULL);
	free(view.hosts[1].runtime);
	view.hosts[1].runtime = xstrdup("xen");
	view.hosts[1].machines = true;
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status preparing 2 good 1 step 8\nassign web/1.2 xen1 prepare\n");
}

static void node_with_data_stays_where_it_is(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);
	struct plan_component *web = add_component(service->spec, "web", "w1", 1);

	(void)state;
	web->place.runtime = xstrdup("xen");
	web->exclusive = true;
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "");
}

/* Two machines of 512 MiB, which nobody asked for, do not fit where there are 1100: each needs more for itself. */
static void a_machine_needs_memory_though_nobody_says_how_much(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 2);
	view.hosts[0].machines = true;
	view.hosts[0].memory = UINT64_C(1100) << 20;
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.1 srv1 prepare\n");
}

static void machines_publish_their_own_ports_only(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);
	struct plan_component *web = add_component(service->spec, "web", "w1", 1);

	(void)state;
	view.hosts[0].machines = true;
	web->fixed_ports = true;
	web->translated = xstrdup("http");
	web->translated_port = 80;
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.txns[0].actions[0].status.phase, PLAN_GAVE_UP);
	assert_non_null(strstr(actions.txns[0].actions[0].status.reason, "its port http cannot be published under "
									 "another number than 80"));
}

static void machines_of_one_host_have_no_ports_in_common(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 2)->fixed_ports = true;
	view.hosts[0].machines = true;
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.1 srv1 prepare\nassign web/2.1 srv1 prepare\n");
}

/* A node with volumes goes nowhere else. */
static void waiting_for_a_dead_host_is_said_while_preparing(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);
	struct plan_instance *db;

	(void)state;
	add_host(&view, "srv2", NULL);
	add_component(service->spec, "db", "d1", 1)->exclusive = true;
	db = add_instance(&view, "db", 1, 1, "d1", PLAN_PREPARE, PLAN_BUILDING);
	view.hosts[0].alive = false;
	view.hosts[0].alive_ms = 0;
	view.hosts[0].dead_ms = 120000;
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.n, 1);
	assert_int_equal(actions.txns[0].n, 1);
	assert_non_null(strstr(actions.txns[0].actions[0].status.reason, "Waiting for host srv1, where db/1 is to be"));
	plan_actions_release(&actions);
	db->state = PLAN_PREPARED;
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.txns[0].actions[0].status.phase, PLAN_ROLLING);
}

#define GIB(n) (UINT64_C(n) << 30)

/* Revision 2 is prepared where revision 1 runs, on a host with 8 GiB for what two machines ask for. */
static struct plan_component *update_in_8_gib(struct plan_view *view, unsigned nodes, uint64_t memory)
{
	struct plan_service *service = start_view(view, PLAN_PREPARING, 2, 1);
	struct plan_component *web = add_component(service->spec, "web", "w2", nodes);

	view->hosts[0].machines = true;
	view->hosts[0].memory = GIB(8) + 2 * PLAN_MACHINE_SYSTEM;
	web->memory = memory;
	web->update.stop_first = true;
	for (unsigned n = 1; n <= nodes; n++)
		add_instance(view, "web", n, 1, "w1", PLAN_RUN, PLAN_RUNNING)->memory = memory;
	return web;
}

static void what_starts_after_another_stopped_has_its_memory(void **state)
{
	struct plan_view view;

	(void)state;
	update_in_8_gib(&view, 1, GIB(5));
	plans(&view, "status preparing 2 good 1 step 8\nassign web/1.2 srv1 prepare\n");
	update_in_8_gib(&view, 1, GIB(5))->update.stop_first = false;
	plans(&view, "status preparing 2 good 1 step 8\n");
}

static void it_needs_what_it_has_more_than_the_other(void **state)
{
	static const uint64_t other[] = { GIB(2), GIB(3) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		struct plan_view view;

		update_in_8_gib(&view, 1, GIB(6));
		view.instances[0].memory = GIB(4);
		add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_RUNNING)->memory = other[i];
		plans(&view, i ? "status preparing 2 good 1 step 8\n"
			       : "status preparing 2 good 1 step 8\nassign web/1.2 srv1 prepare\n");
	}
}

/* Nothing starts before all is prepared: what is prepared must not take the others' place. */
static void what_is_prepared_leaves_room_for_the_others(void **state)
{
	struct plan_view view;

	(void)state;
	update_in_8_gib(&view, 2, GIB(3));
	plans(&view, "status preparing 2 good 1 step 8\nassign web/1.2 srv1 prepare\nassign web/2.2 srv1 prepare\n");
	update_in_8_gib(&view, 2, GIB(7) / 2);
	view.instances[0].memory = view.instances[1].memory = GIB(3);
	add_instance(&view, "web", 1, 2, "w2", PLAN_PREPARE, PLAN_PREPARED)->memory = GIB(7) / 2;
	plans(&view, "status preparing 2 good 1 step 8\nassign web/2.2 srv1 prepare\n");
}

/* A stopped one is kept for going back, and has none. */
static void what_has_stopped_frees_no_memory_once_more(void **state)
{
	struct plan_view view;

	(void)state;
	update_in_8_gib(&view, 1, GIB(5));
	view.instances[0].desired = PLAN_STOP;
	view.instances[0].state = PLAN_STOPPED;
	view.instances[0].proven = false;
	add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_RUNNING)->memory = GIB(4);
	plans(&view, "status preparing 2 good 1 step 8\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_spread_over_the_hosts_that_match),
		cmocka_unit_test(place_that_no_host_has_fails),
		cmocka_unit_test(node_that_its_host_does_not_fit_is_made_elsewhere),
		cmocka_unit_test(node_with_data_stays_where_it_is),
		cmocka_unit_test(a_machine_needs_memory_though_nobody_says_how_much),
		cmocka_unit_test(machines_publish_their_own_ports_only),
		cmocka_unit_test(machines_of_one_host_have_no_ports_in_common),
		cmocka_unit_test(waiting_for_a_dead_host_is_said_while_preparing),
		cmocka_unit_test(what_starts_after_another_stopped_has_its_memory),
		cmocka_unit_test(it_needs_what_it_has_more_than_the_other),
		cmocka_unit_test(what_is_prepared_leaves_room_for_the_others),
		cmocka_unit_test(what_has_stopped_frees_no_memory_once_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
