/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the data of a node with volumes is, as far as is known: from when on, and what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "plan-kit.h"

/* The homes that the plan leaves, as "db/1 srv1\n", and a part of its reason (NULL: none); then as plans(). */
static void plans_homes(struct plan_view *view, const char *homes, const char *reason, const char *expected)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_buf_ struct buf text = { 0 };
	const struct plan_status *status;

	assert_int_equal(plan_next(view, &actions, NULL), 0);
	assert_int_equal(actions.n, 1);
	status = &actions.txns[0].actions[0].status;
	for (size_t i = 0; i < status->n_homes; i++)
		buf_printf(&text, "%s/%u %s\n", status->homes[i].component, status->homes[i].n, status->homes[i].host);
	assert_string_equal(buf_text(&text), homes);
	if (reason ? !status->reason || !strstr(status->reason, reason) : status->reason != NULL)
		fail_msg("the reason is: %s", status->reason);
	plans(view, expected);
}

/* A service of one node with a volume, on two hosts. */
static struct plan_service *start_db(struct plan_view *view, enum plan_phase phase)
{
	struct plan_service *service = start_view(view, phase, 2, 0);

	add_host(view, "srv2", NULL);
	add_component(service->spec, "db", "d2", 1)->exclusive = true;
	return service;
}

static struct plan_instance *add_prepared(struct plan_view *view, uint64_t gen, const char *fingerprint)
{
	return add_instance(view, "db", 1, gen, fingerprint, PLAN_PREPARE, PLAN_PREPARED);
}

static void place_on(struct plan_service *service, const char *host)
{
	service->spec->components[0].place.host = xstrdup(host);
}

static void kill_srv1(struct plan_view *view)
{
	view->hosts[0].alive = false;
	view->hosts[0].alive_ms = 0;
	view->hosts[0].dead_ms = 120000;
}

static void what_is_only_prepared_has_no_data(void **state)
{
	struct plan_view view;

	(void)state;
	start_db(&view, PLAN_PREPARING);
	plans_homes(&view, "", NULL, "status preparing 2 good 0 step 8\nassign db/1.2 srv1 prepare\n");
}

static void what_is_told_to_run_has(void **state)
{
	struct plan_view view;

	(void)state;
	start_db(&view, PLAN_ROLLING);
	add_prepared(&view, 2, "d2");
	plans_homes(&view, "db/1 srv1\n", NULL, "status rolling 2 good 0 step 8\ndesire db/1.2 run\n");
}

/* An agent of before told it to run, when what is prepared had a home already. */
static void what_runs_without_one_gets_one(void **state)
{
	struct plan_view view;

	(void)state;
	start_db(&view, PLAN_DONE);
	add_instance(&view, "db", 1, 2, "d2", PLAN_RUN, PLAN_RUNNING);
	plans_homes(&view, "db/1 srv1\n", NULL, "status done 2 good 0 step 8\n");
}

/* An older copy of Consul's data says that it is only to be prepared. */
static void what_turns_out_to_run_has_its_data_there(void **state)
{
	struct plan_view view;

	(void)state;
	start_db(&view, PLAN_PREPARING);
	add_prepared(&view, 2, "d2")->state = PLAN_RUNNING;
	plans_homes(&view, "db/1 srv1\n", NULL, "status preparing 2 good 0 step 8\ndesire db/1.2 run\n");
}

static void what_failed_before_it_had_data_may_go_elsewhere(void **state)
{
	struct plan_view view;

	(void)state;
	start_db(&view, PLAN_PREPARING);
	add_prepared(&view, 2, "d2")->state = PLAN_FAILED;
	plans_homes(&view, "", "could not be prepared", "status failed 2 good 0 step 8\nunassign db/1.2\n");
	place_on(start_db(&view, PLAN_PREPARING), "srv2");
	plans_homes(&view, "", NULL, "status preparing 2 good 0 step 8\nassign db/1.2 srv2 prepare\n");
}

/* The place is not part of what a node is: the same instance would do, but for where it is. */
static void what_has_no_data_follows_its_place(void **state)
{
	struct plan_view view;

	(void)state;
	place_on(start_db(&view, PLAN_PREPARING), "srv2");
	add_prepared(&view, 1, "d2");
	plans_homes(&view, "", NULL, "status preparing 2 good 0 step 8\nassign db/1.2 srv2 prepare\n");
	place_on(start_db(&view, PLAN_ROLLING), "srv2");
	add_prepared(&view, 1, "d2");
	plans_homes(&view, "", NULL, "status rolling 2 good 0 step 8\nassign db/1.2 srv2 prepare\n");
}

/* But only when its host has been there for so long that it would have said that it runs. */
static void what_perhaps_has_data_waits_and_does_not_start(void **state)
{
	static const enum plan_phase phases[] = { PLAN_PREPARING, PLAN_ROLLING };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		struct plan_view view;

		place_on(start_db(&view, phases[i]), "srv2");
		add_prepared(&view, 1, "d2");
		view.hosts[0].alive_ms = PLAN_SETTLE_MS - 1;
		plans_homes(&view, "", "Waiting for word from host srv1",
			    i ? "status rolling 2 good 0 step 8\n" : "status preparing 2 good 0 step 8\n");
	}
}

static void what_has_data_does_not(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_db(&view, PLAN_PREPARING);

	(void)state;
	say_home(service, "db", "srv1");
	place_on(service, "srv2");
	add_prepared(&view, 1, "d2");
	plans_homes(&view, "db/1 srv1\n", "The data of db/1 is on host srv1",
		    "status failed 2 good 0 step 8\nunassign db/1.1\n");
}

/* It may have begun there, and the older copy that came back not say so. */
static void a_host_that_does_not_answer_is_waited_for(void **state)
{
	static const char *const fingerprints[] = { "d2", "d1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fingerprints); i++)
		for (int placed = 0; placed < 2; placed++) {
			struct plan_view view;
			struct plan_service *service = start_db(&view, PLAN_PREPARING);

			if (placed)
				place_on(service, "srv2");
			add_prepared(&view, 1, fingerprints[i])->state = PLAN_BUILDING;
			kill_srv1(&view);
			plans_homes(&view, "", "Waiting for host srv1, where db/1 was being prepared",
				    "status preparing 2 good 0 step 8\n");
		}
}

static void what_failed_unheard_is_kept(void **state)
{
	struct plan_view view;

	(void)state;
	start_db(&view, PLAN_GAVE_UP);
	add_prepared(&view, 2, "d2");
	kill_srv1(&view);
	plans(&view, "");
	start_db(&view, PLAN_GAVE_UP);
	add_prepared(&view, 2, "d2");
	view.hosts[0].alive_ms = PLAN_SETTLE_MS - 1;
	plans(&view, "");
	start_db(&view, PLAN_GAVE_UP);
	add_prepared(&view, 2, "d2");
	view.hosts[0].alive_ms = PLAN_SETTLE_MS;
	plans_homes(&view, "", NULL, "status failed 2 good 0 step 8\nunassign db/1.2\n");
}

static void what_is_let_go_of_unheard_counts_as_having_data(void **state)
{
	(void)state;
	for (int dead = 0; dead < 2; dead++) {
		struct plan_view view;

		start_db(&view, PLAN_REMOVING)->spec->down = true;
		add_prepared(&view, 2, "d2");
		if (dead)
			kill_srv1(&view);
		plans_homes(&view, dead ? "db/1 srv1\n" : "", NULL,
			    "status removing 2 good 0 step 8\nunassign db/1.2\n");
	}
}

/* srv2 was taken away while it was prepared on srv1, and is there again. */
static void what_was_prepared_beside_its_data_is_not_started(void **state)
{
	struct plan_view view;

	(void)state;
	say_home(start_db(&view, PLAN_ROLLING), "db", "srv2");
	add_prepared(&view, 1, "d2");
	plans_homes(&view, "db/1 srv2\n", NULL,
		    "status rolling 2 good 0 step 8\nassign db/1.2 srv2 prepare\nunassign db/1.1\n");
}

/* Data on a host that was taken away is no more. */
static void what_was_prepared_instead_is(void **state)
{
	struct plan_view view;

	(void)state;
	say_home(start_db(&view, PLAN_ROLLING), "db", "srv3");
	add_prepared(&view, 1, "d2");
	plans_homes(&view, "db/1 srv1\n", NULL, "status rolling 2 good 0 step 8\ndesire db/1.1 run\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_only_prepared_has_no_data),
		cmocka_unit_test(what_is_told_to_run_has),
		cmocka_unit_test(what_runs_without_one_gets_one),
		cmocka_unit_test(what_turns_out_to_run_has_its_data_there),
		cmocka_unit_test(what_failed_before_it_had_data_may_go_elsewhere),
		cmocka_unit_test(what_has_no_data_follows_its_place),
		cmocka_unit_test(what_perhaps_has_data_waits_and_does_not_start),
		cmocka_unit_test(what_has_data_does_not),
		cmocka_unit_test(a_host_that_does_not_answer_is_waited_for),
		cmocka_unit_test(what_failed_unheard_is_kept),
		cmocka_unit_test(what_is_let_go_of_unheard_counts_as_having_data),
		cmocka_unit_test(what_was_prepared_beside_its_data_is_not_started),
		cmocka_unit_test(what_was_prepared_instead_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
