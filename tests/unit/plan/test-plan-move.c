/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where plan_next puts nodes when hosts differ, and what becomes of those that are where they may no longer be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plan-kit.h"

static void add_xen(struct plan_view *view, const char *name)
{
	struct plan_host *host = add_host(view, name, NULL);

	free(host->runtime);
	host->runtime = xstrdup("xen");
}

static void move_to(struct plan_instance *it, const char *host)
{
	free(it->host);
	it->host = xstrdup(host);
}

/* srv1 has Docker, xen1 Xen. Revision 1 had web anywhere, revision 2 wants the same on Xen. */
static struct plan_service *to_xen(struct plan_view *view, enum plan_phase phase)
{
	struct plan_service *service = start_view(view, phase, 2, 1);

	add_xen(view, "xen1");
	service->good = new_spec(1);
	add_component(service->good, "web", "w1", 1);
	add_component(service->spec, "web", "w1", 1)->place.runtime = xstrdup("xen");
	add_instance(view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	return service;
}

static struct plan_instance *add_on_xen(struct plan_view *view, enum plan_desired desired, enum plan_state state)
{
	struct plan_instance *it = add_instance(view, "web", 1, 2, "w1", desired, state);

	move_to(it, "xen1");
	it->proven = false;
	return it;
}

static void nodes_go_where_their_runtime_is(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_xen(&view, "xen1");
	add_xen(&view, "xen2");
	add_component(service->spec, "db", "d1", 1)->place.runtime = xstrdup("docker");
	add_component(service->spec, "web", "w1", 2)->place.runtime = xstrdup("xen");
	plans(&view, "status preparing 1 good 0 step 8\nassign db/1.1 srv1 prepare\nassign web/1.1 xen2 prepare\n"
		     "assign web/2.1 xen1 prepare\n"); /* spread */
}

static void runtime_that_no_host_has_fails(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 1)->place.runtime = xstrdup("xen");
	plans(&view, "status failed 1 good 0 step 8\n");
}

/* The same body: what is wanted differs in the place alone. */
static void another_runtime_is_another_instance(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_PREPARING);
	plans(&view, "status preparing 2 good 1 step 8\nassign web/1.2 xen1 prepare\n");
	to_xen(&view, PLAN_PREPARING);
	add_on_xen(&view, PLAN_PREPARE, PLAN_BUILDING);
	plans(&view, "");
	to_xen(&view, PLAN_PREPARING);
	add_on_xen(&view, PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.2 run\n");
}

static void another_runtime_takes_over_start_first(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_ROLLING);
	add_on_xen(&view, PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.2 run\n");
	to_xen(&view, PLAN_ROLLING);
	add_on_xen(&view, PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.2 run proven\ndesire web/1.1 drain proven\n");
}

static void another_runtime_takes_over_stop_first(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_ROLLING)->spec->components[0].update.stop_first = true;
	add_on_xen(&view, PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.1 drain proven\n");
}

static void a_move_that_fails_goes_back_to_where_it_was(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_ROLLING);
	add_on_xen(&view, PLAN_RUN, PLAN_FAILED);
	plans(&view, "status rolling-back 2 good 1 step 8\ndesire web/1.2 drain\n");
}

static void a_runtime_whose_hosts_are_down_is_waited_for(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_PREPARING);
	view.hosts[1].alive = false;
	view.hosts[1].alive_ms = 0;
	plans(&view, "status preparing 2 good 1 step 8\n"); /* and not taken for done where it is: with a reason */
}

static void it_is_not_done_where_it_may_not_be(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_ROLLING);
	view.hosts[1].cordoned = true;
	plans(&view, "status rolling 2 good 1 step 8\n");
}

/* As when the labels of hosts change, or when it was out while the revision was rolled out. */
static void it_moves_also_when_all_is_done(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_DONE);
	plans(&view, "status done 2 good 1 step 8\nassign web/1.2 xen1 prepare\n");
	to_xen(&view, PLAN_DONE);
	add_on_xen(&view, PLAN_RUN, PLAN_RUNNING)->proven = true;
	plans(&view, "status done 2 good 1 step 8\ndesire web/1.1 drain proven\n");
}

/* Wherever it is: the operator's word comes first. */
static void what_is_to_move_can_be_taken_out(void **state)
{
	struct plan_view view;
	struct plan_service *service = to_xen(&view, PLAN_DONE);

	(void)state;
	view.hosts[1].cordoned = true;
	service->disconnects = xcalloc(1, sizeof(*service->disconnects));
	service->disconnects[0] = (struct plan_disconnect){ xstrdup("web"), 0, false, 0 };
	service->n_disconnects = 1;
	plans(&view, "status done 2 good 1 step 8\ndesire web/1.1 drain proven\n");
}

/* Its runtime is not known as its `info` cannot be read. */
static void what_is_not_known_of_a_host_moves_nothing(void **state)
{
	struct plan_view view;

	(void)state;
	to_xen(&view, PLAN_PREPARING);
	free(view.hosts[0].runtime);
	view.hosts[0].runtime = NULL;
	view.hosts[0].cordoned = true;
	plans(&view, "status done 2 good 2 step 8\n");
}

static struct plan_service *data_to_xen(struct plan_view *view, const char *home)
{
	struct plan_service *service = to_xen(view, PLAN_PREPARING);

	service->spec->components[0].exclusive = service->good->components[0].exclusive = true;
	service->status.homes = xcalloc(1, sizeof(*service->status.homes));
	service->status.homes[0] = (struct plan_home){ xstrdup("web"), 1, xstrdup(home) };
	service->status.n_homes = 1;
	return service;
}

static void data_does_not_change_its_runtime(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view;
	const struct plan_status *status;

	(void)state;
	data_to_xen(&view, "srv1");
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.n, 1);
	status = &actions.txns[0].actions[0].status;
	assert_int_equal(status->phase, PLAN_ROLLED_BACK);
	assert_string_equal(status->reason,
			    "The data of web/1 is on host srv1, which runs docker and not xen, and data does not move "
			    "by itself: leave the component on docker, or give it new volumes under another name and "
			    "restore a backup there");
}

static void data_does_not_move_to_another_host(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view;
	struct plan_service *service;
	const char *reason;

	(void)state;
	service = data_to_xen(&view, "srv1");
	free(service->spec->components[0].place.runtime);
	service->spec->components[0].place.runtime = NULL;
	service->spec->components[0].place.host = xstrdup("xen1");
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.n, 1);
	assert_int_equal(actions.txns[0].actions[0].status.phase, PLAN_ROLLED_BACK);
	reason = actions.txns[0].actions[0].status.reason;
	assert_non_null(strstr(reason, "The data of web/1 is on host srv1, where the service does not allow it"));
}

static void data_that_is_there_already_may_have_that_place(void **state)
{
	struct plan_view view;

	(void)state;
	data_to_xen(&view, "xen1");
	move_to(&view.instances[0], "xen1");
	plans(&view, "status done 2 good 2 step 8\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_go_where_their_runtime_is),
		cmocka_unit_test(runtime_that_no_host_has_fails),
		cmocka_unit_test(another_runtime_is_another_instance),
		cmocka_unit_test(another_runtime_takes_over_start_first),
		cmocka_unit_test(another_runtime_takes_over_stop_first),
		cmocka_unit_test(a_move_that_fails_goes_back_to_where_it_was),
		cmocka_unit_test(a_runtime_whose_hosts_are_down_is_waited_for),
		cmocka_unit_test(it_is_not_done_where_it_may_not_be),
		cmocka_unit_test(it_moves_also_when_all_is_done),
		cmocka_unit_test(what_is_to_move_can_be_taken_out),
		cmocka_unit_test(what_is_not_known_of_a_host_moves_nothing),
		cmocka_unit_test(data_does_not_change_its_runtime),
		cmocka_unit_test(data_does_not_move_to_another_host),
		cmocka_unit_test(data_that_is_there_already_may_have_that_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
