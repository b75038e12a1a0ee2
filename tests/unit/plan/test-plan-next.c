/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Single decisions of plan_next; tests/sim proves what they add up to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plan-kit.h"

static void first_deployment_prepares_everything(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_NEW, 1, 0);

	(void)state;
	service->status.revision = 0;
	add_component(service->spec, "db", "d1", 1);
	link_to(add_component(service->spec, "web", "w1", 2), "db", false);
	plans(&view, "status preparing 1 good 0 step 8\nassign db/1.1 srv1 prepare\nassign web/1.1 srv1 prepare\n"
		     "assign web/2.1 srv1 prepare\n");
}

static void consumer_waits_for_its_provider(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 1, 0);

	(void)state;
	add_component(service->spec, "db", "d1", 1);
	link_to(add_component(service->spec, "web", "w1", 1), "db", false);
	add_instance(&view, "db", 1, 1, "d1", PLAN_PREPARE, PLAN_PREPARED);
	add_instance(&view, "web", 1, 1, "w1", PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status rolling 1 good 0 step 8\ndesire db/1.1 run\n");
}

static void cycle_of_optional_links_does_not_block(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 1, 0);

	(void)state;
	link_to(add_component(service->spec, "a", "a1", 1), "b", true);
	link_to(add_component(service->spec, "b", "b1", 1), "a", true);
	add_instance(&view, "a", 1, 1, "a1", PLAN_PREPARE, PLAN_PREPARED);
	add_instance(&view, "b", 1, 1, "b1", PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status rolling 1 good 0 step 8\ndesire a/1.1 run\ndesire b/1.1 run\n");
}

static void start_first_starts_one_at_a_time(void **state)
{
	struct plan_view view;

	(void)state;
	rolling_web(&view, PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.2 run\n");
}

static void healthy_one_is_proven_and_the_old_leaves(void **state)
{
	struct plan_view view;

	(void)state;
	rolling_web(&view, PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.2 run proven\ndesire web/1.1 drain proven\n");
}

static void failed_start_goes_back(void **state)
{
	struct plan_view view;

	(void)state;
	rolling_web(&view, PLAN_RUN, PLAN_FAILED);
	plans(&view, "status rolling-back 2 good 1 step 8\ndesire web/1.2 drain\nunassign web/2.2\n");
}

/* The instance and its state go, which `up` may not have seen. */
static void what_failed_leaves_its_last_words(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	struct plan_view view;
	const char *detail = NULL;

	(void)state;
	rolling_web(&view, PLAN_RUN, PLAN_FAILED);
	for (size_t i = 0; i < view.n_instances; i++)
		if (view.instances[i].state == PLAN_FAILED) {
			view.instances[i].why = xstrdup("it ended");
			view.instances[i].log = xstrdup("no licence");
		}
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	for (size_t i = 0; i < actions.n; i++)
		for (size_t j = 0; j < actions.txns[i].n; j++)
			if (actions.txns[i].actions[j].status.detail)
				detail = actions.txns[i].actions[j].status.detail;
	assert_non_null(detail);
	assert_string_equal(detail, "it ended\nno licence");
	plan_view_release(&view);
}

static void on_failure_stop_stays(void **state)
{
	struct plan_view view;
	struct plan_service *service = rolling_web(&view, PLAN_RUN, PLAN_FAILED);

	(void)state;
	service->spec->components[0].update.rollback = false;
	plans(&view, "status failed 2 good 1 step 8\nunassign web/2.2\n");
}

static void drained_instance_stops_when_its_consumer_let_go(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 2, 1);
	struct plan_ack *ack;

	(void)state;
	add_component(service->spec, "front", "f1", 1);
	add_component(service->spec, "web", "w2", 1);
	strv_add(&add_instance(&view, "front", 1, 1, "f1", PLAN_RUN, PLAN_RUNNING)->links, "web");
	add_instance(&view, "web", 1, 1, "w1", PLAN_DRAIN, PLAN_RUNNING);
	add_instance(&view, "web", 1, 2, "w2", PLAN_RUN, PLAN_RUNNING);
	ack = plan_view_add_ack(&view);
	*ack = (struct plan_ack){
		xstrdup("srv1"), xstrdup("portal"), xstrdup("web"), 1, 1, xstrdup("front.1.1"), NOW - 50000, 0
	};
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.1 stop proven\n");
}

/* web/1.2 serves in place of web/1.1, which has stopped. */
static struct plan_service *replaced_web(struct plan_view *view)
{
	struct plan_service *service = start_view(view, PLAN_ROLLING, 2, 1);

	add_component(service->spec, "web", "w2", 1);
	add_instance(view, "web", 1, 2, "w2", PLAN_RUN, PLAN_RUNNING);
	return service;
}

/* What it could go back to is kept until every node serves, but no longer: who is told "done" finds nothing of it. */
static void deployment_is_done_when_the_old_instances_are_gone(void **state)
{
	struct plan_view view;

	(void)state;
	replaced_web(&view);
	add_instance(&view, "web", 1, 1, "w1", PLAN_STOP, PLAN_STOPPED);
	plans(&view, "status rolling 2 good 1 step 8\nunassign web/1.1\n");

	replaced_web(&view)->n_leaving = 1;
	plans(&view, "");

	replaced_web(&view);
	plans(&view, "status done 2 good 2 step 8\n");
}

static void old_instance_on_a_dead_host_keeps_no_deployment_from_being_done(void **state)
{
	struct plan_instance *old;
	struct plan_view view;
	struct plan_host *host;

	(void)state;
	replaced_web(&view);
	host = add_host(&view, "srv2", NULL);
	host->alive = false;
	host->dead_ms = PLAN_RESCHEDULE_MS;
	old = add_instance(&view, "web", 1, 1, "w1", PLAN_STOP, PLAN_RUNNING);
	free(old->host);
	old->host = xstrdup("srv2");
	plans(&view, "status done 2 good 2 step 8\n");
}

/* Acks lie below their writer's host. */
static void consumer_on_another_host_lets_go(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);
	struct plan_instance *front;

	(void)state;
	add_host(&view, "srv2", NULL);
	service->good = new_spec(1);
	add_component(service->good, "front", "f1", 1);
	link_to(add_component(service->spec, "front", "f1", 1), "web", false);
	front = add_instance(&view, "front", 1, 1, "f1", PLAN_RUN, PLAN_RUNNING);
	free(front->host);
	front->host = xstrdup("srv2");
	strv_add(&front->links, "web");
	add_instance(&view, "web", 1, 1, "w1", PLAN_DRAIN, PLAN_RUNNING)->since_ms = NOW - 1000;
	*plan_view_add_ack(&view) = (struct plan_ack){ .host = xstrdup("srv2"),
						       .service = xstrdup("portal"),
						       .component = xstrdup("web"),
						       .n = 1,
						       .gen = 1,
						       .consumer = xstrdup("front.1.1") };
	plans(&view, "status done 1 good 1 step 8\ndesire web/1.1 stop proven\n");
}

/* What was said of an earlier drain must not end the next one. */
static void acks_on_other_hosts_go_when_a_node_returns(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);
	const struct plan_action *action;

	(void)state;
	add_host(&view, "srv2", NULL);
	add_host(&view, "srv3", NULL);
	add_component(service->spec, "web", "w1", 1);
	add_instance(&view, "web", 1, 1, "w1", PLAN_DRAIN, PLAN_RUNNING);
	for (unsigned i = 0; i < 3; i++)
		*plan_view_add_ack(&view) = (struct plan_ack){ .host = xstrdup(i < 2 ? "srv3" : "srv2"),
							       .service = xstrdup("portal"),
							       .component = xstrdup("web"),
							       .n = 1,
							       .gen = 1,
							       .consumer = xasprintf("front.%u.1", i + 1) };
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	action = &actions.txns[0].actions[1];
	assert_int_equal(action->desired, PLAN_RUN);
	assert_int_equal(action->drop_acks.n, 2);
	assert_string_equal(action->drop_acks.v[0], "srv2");
	assert_string_equal(action->drop_acks.v[1], "srv3");
}

static void drained_instance_waits_for_sessions(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 2, 1);

	(void)state;
	add_component(service->spec, "front", "f1", 1);
	add_component(service->spec, "web", "w2", 1);
	strv_add(&add_instance(&view, "front", 1, 1, "f1", PLAN_RUN, PLAN_RUNNING)->links, "web");
	add_instance(&view, "web", 1, 1, "w1", PLAN_DRAIN, PLAN_RUNNING);
	add_instance(&view, "web", 1, 2, "w2", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "");
}

static void stopped_of_another_time_starts_no_second_writer(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 2, 1);

	(void)state;
	add_component(service->spec, "db", "d2", 1)->exclusive = true;
	add_instance(&view, "db", 1, 1, "d1", PLAN_STOP, PLAN_STOPPED)->answers_ms = NOW - 60000;
	add_instance(&view, "db", 1, 2, "d2", PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "");
}

static void settled_service_gives_nothing(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_component(service->spec, "web", "w1", 1);
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "");
}

static void changed_checks_touch_no_container(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	free(add_component(service->spec, "web", "w1", 1)->around);
	service->spec->components[0].around = xstrdup("other checks");
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status done 1 good 1 step 8\ndesire web/1.1 run proven\n");
}

static void disconnected_node_drains_and_returns(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_component(service->spec, "web", "w1", 2);
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	add_instance(&view, "web", 2, 1, "w1", PLAN_DRAIN, PLAN_RUNNING);
	service->disconnects = xcalloc(1, sizeof(*service->disconnects));
	service->disconnects[0] = (struct plan_disconnect){ xstrdup("web"), 1, false, 0 };
	service->n_disconnects = 1;
	plans(&view, "status done 1 good 1 step 8\ndesire web/1.1 drain proven\ndesire web/2.1 run proven\n");
}

static void node_of_a_dead_host_moves(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_host(&view, "srv2", NULL);
	view.hosts[0].alive = false;
	view.hosts[0].dead_ms = 60000;
	service->good = new_spec(1);
	add_component(service->spec, "web", "w1", 1);
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status done 1 good 1 step 8\nassign web/1.2 srv2 run\n");
}

/* Consul leaves a service's checks as they are when its host dies: they say nothing. */
static void what_is_on_a_dead_host_is_not_healthy(void **state)
{
	struct plan_view view;
	struct plan_instance *it;

	(void)state;
	rolling_web(&view, PLAN_RUN, PLAN_RUNNING);
	add_host(&view, "srv2", NULL);
	view.hosts[1].alive = false;
	view.hosts[1].alive_ms = 0;
	view.hosts[1].dead_ms = 5000;
	it = &view.instances[3];
	free(it->host);
	it->host = xstrdup("srv2");
	it->proven = true;
	plans(&view, "");
}

/* What ran before its host died may have ended with it, whatever Consul remembers. */
static void what_returned_with_its_host_proves_itself_anew(void **state)
{
	struct plan_view view;

	(void)state;
	rolling_web(&view, PLAN_RUN, PLAN_RUNNING);
	view.hosts[0].alive_ms = 1000;
	plans(&view, "");
}

/* A node that went back while its host is given up is made elsewhere, not started there as well. */
static void nothing_is_started_on_a_dead_host(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING_BACK, 2, 1);

	(void)state;
	service->good = new_spec(1);
	add_component(service->good, "web", "w1", 1);
	add_component(service->spec, "web", "w2", 1);
	add_instance(&view, "web", 1, 1, "w1", PLAN_STOP, PLAN_STOPPED);
	free(view.instances[0].host);
	view.instances[0].host = xstrdup("srv2");
	add_host(&view, "srv2", NULL);
	view.hosts[1].alive = false;
	view.hosts[1].alive_ms = 0;
	view.hosts[1].dead_ms = PLAN_RESCHEDULE_MS;
	plans(&view, "status rolling-back 2 good 1 step 8\nassign web/1.2 srv1 prepare\n");
}

static void node_with_data_never_moves(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_host(&view, "srv2", NULL);
	view.hosts[0].alive = false;
	view.hosts[0].dead_ms = 6000000;
	add_component(service->spec, "db", "d1", 1)->exclusive = true;
	add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "");
}

static void nothing_is_done_when_all_hosts_look_dead(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	view.hosts[0].alive = false;
	add_component(service->spec, "web", "w1", 1);
	plans(&view, "");
}

static void down_drains_consumers_first(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_REMOVING, 2, 1);

	(void)state;
	service->spec->down = true;
	add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_RUNNING);
	strv_add(&add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING)->links, "db");
	plans(&view, "status removing 2 good 1 step 8\ndesire web/1.1 drain proven\n");
}

static void what_no_spec_explains_is_left_alone(void **state)
{
	struct plan_actions actions;
	struct plan_view view;

	(void)state;
	start_view(&view, PLAN_DONE, 1, 1);
	free(add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING)->service);
	view.instances[0].service = xstrdup("stranger");
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.n, 0);
	assert_int_equal(actions.n_unexplained, 1);
	plan_actions_release(&actions);
	plan_view_release(&view);
}

/* What a host found: as after Consul lost its data. */
static struct plan_instance *add_found(struct plan_view *view, const char *component, uint64_t gen,
				       const char *fingerprint, bool runs)
{
	struct plan_instance *it =
	    add_instance(view, component, 1, gen, fingerprint, runs ? PLAN_RUN : PLAN_STOP, PLAN_NONE);

	it->found = true;
	it->proven = false;
	it->index = it->revision = 0;
	return it;
}

/* One that was taken over is of no revision. */
static struct plan_instance *add_taken(struct plan_view *view, const char *component, uint64_t gen,
				       const char *fingerprint, bool healthy)
{
	struct plan_instance *it =
	    add_instance(view, component, 1, gen, fingerprint, PLAN_RUN, healthy ? PLAN_RUNNING : PLAN_STARTING);

	it->revision = 0;
	it->proven = false;
	it->since_ms = it->answers_ms = NOW - 5000;
	it->told_ms = 5000;
	return it;
}

static void what_hosts_found_is_taken_over_before_anything_else(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view = { 0 };
	struct plan_service *service = start_view(&view, PLAN_NEW, 1, 0);

	(void)state;
	service->status.revision = 0;
	add_component(service->spec, "web", "w1", 2);
	add_found(&view, "web", 7, "other", true);
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.n, 1);
	for (size_t i = 0; i < actions.txns[0].n; i++) {
		const struct plan_action *action = &actions.txns[0].actions[i];

		if (action->kind != PLAN_ASSIGN)
			continue;
		assert_true(action->found);
		assert_int_equal(action->gen, 7);
		assert_int_equal(action->revision, 0); /* no spec's of that number */
		assert_int_equal(action->desired, PLAN_RUN);
		assert_string_equal(action->fingerprint, "other");
		return;
	}
	fail_msg("it was not assigned");
}

static void numbers_begin_above_what_was_taken_over(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 2);
	add_taken(&view, "web", 7, "other", true);
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.8 srv1 prepare\nassign web/2.1 srv1 prepare\n");
}

static void what_was_taken_over_and_matches_is_kept(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 1);
	add_taken(&view, "web", 7, "w1", true);
	plans(&view, "status rolling 1 good 0 step 8\ndesire web/1.7 run proven\n");
}

static void what_was_kept_is_of_the_revision_in_work(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_component(service->spec, "web", "w1", 1);
	add_taken(&view, "web", 7, "w1", true)->proven = true;
	plans(&view, "status done 1 good 1 step 8\ndesire web/1.7 run proven\n");
}

static void what_stopped_is_taken_over_as_stopped(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 1);
	add_found(&view, "web", 7, "w1", false);
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.7 srv1 stop\n");
}

static struct plan_view *found_consumer(struct plan_view *view)
{
	struct plan_service *service = start_view(view, PLAN_PREPARING, 1, 0);

	add_component(service->spec, "web", "w1", 1);
	link_to(add_component(service->spec, "front", "f1", 1), "web", false);
	strv_add(&add_found(view, "front", 3, "f1", true)->links, "web");
	return view;
}

static void consumers_are_taken_over_after_their_providers(void **state)
{
	struct plan_view view;

	(void)state;
	found_consumer(&view);
	add_found(&view, "web", 7, "w1", true);
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.7 srv1 run\n");
	found_consumer(&view);
	add_taken(&view, "web", 7, "w1", false);
	plans(&view, "");
	found_consumer(&view);
	add_taken(&view, "web", 7, "w1", true);
	plans(&view, "status preparing 1 good 0 step 8\nassign front/1.3 srv1 run\n");
	found_consumer(&view);
	add_taken(&view, "web", 7, "w1", false)->told_ms = 20000; /* ill: not waited for without end */
	plans(&view, "status preparing 1 good 0 step 8\nassign front/1.3 srv1 run\n");
}

static void circles_are_taken_over_too(void **state)
{
	struct plan_view view;

	(void)state;
	found_consumer(&view);
	strv_add(&add_found(&view, "web", 7, "w1", true)->links, "front");
	plans(&view, "status preparing 1 good 0 step 8\nassign web/1.7 srv1 run\n");
}

static void an_old_copy_of_consul_makes_no_second_writer(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_component(service->spec, "db", "d1", 1)->exclusive = true;
	add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_STARTING);
	add_found(&view, "db", 2, "d2", true);
	plans(&view, "status done 1 good 1 step 8\nassign db/1.2 srv1 drain\n");
}

static void data_is_where_it_was_found(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view = { 0 };
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "db", "d1", 1)->exclusive = true;
	add_found(&view, "db", 7, "other", true);
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_int_equal(actions.txns[0].actions[0].status.n_homes, 1);
	assert_string_equal(actions.txns[0].actions[0].status.homes[0].host, "srv1");
}

static void what_a_host_outside_found_is_not_there(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);
	struct plan_instance *it;

	(void)state;
	add_component(service->spec, "web", "w1", 1);
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	it = add_found(&view, "web", 7, "w1", true);
	free(it->host);
	it->host = xstrdup("gone");
	plans(&view, "");
}

static void removed_is_said_when_the_last_container_has_gone(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_REMOVING, 2, 1);

	(void)state;
	service->spec->down = true;
	service->n_leaving = 1;
	plans(&view, "");
	start_view(&view, PLAN_REMOVING, 2, 1)->spec->down = true;
	plans(&view, "status removed 2 good 0 step 8\n");
}

static void a_rollback_ends_when_the_last_container_has_gone(void **state)
{
	struct plan_view view;

	(void)state;
	for (unsigned leaving = 0; leaving < 2; leaving++) {
		struct plan_service *service = start_view(&view, PLAN_ROLLING_BACK, 2, 1);

		service->good = new_spec(1);
		service->n_leaving = leaving;
		plans(&view, leaving ? "" : "status rolled-back 2 good 1 step 8\n");
	}
}

/* `up` while a `down` is under way, without a component that had been there. */
static void what_nobody_wants_any_more_is_not_started_again(void **state)
{
	struct plan_view view;

	(void)state;
	for (unsigned good = 0; good < 2; good++) {
		struct plan_service *service = start_view(&view, PLAN_PREPARING, 2, good);

		add_component(service->spec, "db", "d1", 1);
		if (good) {
			service->good = new_spec(1);
			add_component(service->good, "web", "w1", 1);
		}
		add_instance(&view, "db", 1, 2, "d1", PLAN_PREPARE, PLAN_BUILDING);
		add_instance(&view, "web", 1, 1, "w1", PLAN_STOP, PLAN_STOPPED);
		plans(&view, good ? "status preparing 2 good 1 step 8\ndesire web/1.1 run\n" : "");
	}
}

static void large_transactions_are_cut(void **state)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_plan_view_ struct plan_view view = { 0 };
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 1, 0);

	(void)state;
	add_component(service->spec, "web", "w1", 500);
	assert_int_equal(plan_next(&view, &actions, NULL), 0);
	assert_true(actions.txns[0].n > 50 && actions.txns[0].n <= PLAN_TXN_MAX);
	assert_int_equal(actions.wake_ms, NOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_deployment_prepares_everything),
		cmocka_unit_test(consumer_waits_for_its_provider),
		cmocka_unit_test(cycle_of_optional_links_does_not_block),
		cmocka_unit_test(start_first_starts_one_at_a_time),
		cmocka_unit_test(healthy_one_is_proven_and_the_old_leaves),
		cmocka_unit_test(failed_start_goes_back),
		cmocka_unit_test(what_failed_leaves_its_last_words),
		cmocka_unit_test(on_failure_stop_stays),
		cmocka_unit_test(drained_instance_stops_when_its_consumer_let_go),
		cmocka_unit_test(deployment_is_done_when_the_old_instances_are_gone),
		cmocka_unit_test(old_instance_on_a_dead_host_keeps_no_deployment_from_being_done),
		cmocka_unit_test(consumer_on_another_host_lets_go),
		cmocka_unit_test(acks_on_other_hosts_go_when_a_node_returns),
		cmocka_unit_test(drained_instance_waits_for_sessions),
		cmocka_unit_test(stopped_of_another_time_starts_no_second_writer),
		cmocka_unit_test(settled_service_gives_nothing),
		cmocka_unit_test(changed_checks_touch_no_container),
		cmocka_unit_test(disconnected_node_drains_and_returns),
		cmocka_unit_test(node_of_a_dead_host_moves),
		cmocka_unit_test(what_is_on_a_dead_host_is_not_healthy),
		cmocka_unit_test(what_returned_with_its_host_proves_itself_anew),
		cmocka_unit_test(nothing_is_started_on_a_dead_host),
		cmocka_unit_test(node_with_data_never_moves),
		cmocka_unit_test(nothing_is_done_when_all_hosts_look_dead),
		cmocka_unit_test(down_drains_consumers_first),
		cmocka_unit_test(what_no_spec_explains_is_left_alone),
		cmocka_unit_test(what_hosts_found_is_taken_over_before_anything_else),
		cmocka_unit_test(numbers_begin_above_what_was_taken_over),
		cmocka_unit_test(what_was_taken_over_and_matches_is_kept),
		cmocka_unit_test(what_was_kept_is_of_the_revision_in_work),
		cmocka_unit_test(what_stopped_is_taken_over_as_stopped),
		cmocka_unit_test(consumers_are_taken_over_after_their_providers),
		cmocka_unit_test(circles_are_taken_over_too),
		cmocka_unit_test(an_old_copy_of_consul_makes_no_second_writer),
		cmocka_unit_test(data_is_where_it_was_found),
		cmocka_unit_test(what_a_host_outside_found_is_not_there),
		cmocka_unit_test(removed_is_said_when_the_last_container_has_gone),
		cmocka_unit_test(a_rollback_ends_when_the_last_container_has_gone),
		cmocka_unit_test(what_nobody_wants_any_more_is_not_started_again),
		cmocka_unit_test(large_transactions_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
