/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What plan_next makes of time: deadlines, and what nobody saw pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plan-kit.h"

/* Revision 2 is rolling, and its web/1 has never been healthy. */
static void roll_to_a_sick_one(struct plan_view *view, int64_t told_ms)
{
	struct plan_instance *it;

	rolling_web(view, PLAN_RUN, PLAN_STARTING)->phase_ms = told_ms;
	it = &view->instances[3];
	it->health = PLAN_CRITICAL;
	it->health_ms = it->told_ms = told_ms;
	it->since_ms = NOW - 3600000;
}

/* Nobody led, Consul was away, or the clock was set: only what was seen to pass counts. */
static void time_in_which_nobody_looked_ends_no_deadline(void **state)
{
	struct plan_view view;

	(void)state;
	roll_to_a_sick_one(&view, 59000);
	plans(&view, "");
	roll_to_a_sick_one(&view, 60000);
	plans(&view, "status rolling-back 2 good 1 step 8\ndesire web/1.2 drain\nunassign web/2.2\n");
}

static void nobody_is_judged_before_checks_have_run_again(void **state)
{
	struct plan_view view;

	(void)state;
	roll_to_a_sick_one(&view, 10000);
	view.services[0].spec->components[0].update.deadline_ms = 5000;
	view.looking_ms = 10000;
	plans(&view, "");
	roll_to_a_sick_one(&view, PLAN_SETTLE_MS);
	view.services[0].spec->components[0].update.deadline_ms = 5000;
	view.looking_ms = PLAN_SETTLE_MS;
	plans(&view, "status rolling-back 2 good 1 step 8\ndesire web/1.2 drain\nunassign web/2.2\n");
}

/* That it serves may be Consul's word of before it was away. */
static void who_takes_over_has_been_seen_to_serve(void **state)
{
	struct plan_view view;

	(void)state;
	rolling_web(&view, PLAN_RUN, PLAN_RUNNING);
	view.instances[3].proven = true;
	view.looking_ms = PLAN_SETTLE_MS - 1;
	plans(&view, "");
	rolling_web(&view, PLAN_RUN, PLAN_RUNNING);
	view.instances[3].proven = true;
	view.looking_ms = PLAN_SETTLE_MS;
	plans(&view, "status rolling 2 good 1 step 8\ndesire web/1.1 drain proven\n");
}

/* Stop-first: an old one that is ill may go; one of whom that is not known yet may not. */
static void illness_of_before_counts_for_nothing(void **state)
{
	struct plan_view view;
	static const int64_t looking[] = { PLAN_SETTLE_MS - 1, PLAN_SETTLE_MS };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		rolling_web(&view, PLAN_PREPARE, PLAN_PREPARED);
		view.services[0].spec->components[0].update.stop_first = true;
		view.instances[0].health = view.instances[1].health = PLAN_CRITICAL;
		view.instances[0].health_ms = view.instances[1].health_ms = 14000;
		view.looking_ms = looking[i];
		plans(&view,
		      i ? "status rolling 2 good 1 step 8\ndesire web/1.1 drain proven\ndesire web/2.1 drain proven\n"
			: "");
	}
}

static void a_drain_has_the_time_that_its_consumers_had(void **state)
{
	struct plan_view view;
	static const int64_t told[] = { 29000, 60000 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct plan_service *service = start_view(&view, PLAN_ROLLING, 2, 1);

		add_component(service->spec, "front", "f1", 1);
		add_component(service->spec, "web", "w2", 1);
		strv_add(&add_instance(&view, "front", 1, 1, "f1", PLAN_RUN, PLAN_RUNNING)->links, "web");
		add_instance(&view, "web", 1, 1, "w1", PLAN_DRAIN, PLAN_RUNNING)->told_ms = told[i];
		view.instances[1].since_ms = NOW - 3600000;
		add_instance(&view, "web", 1, 2, "w2", PLAN_RUN, PLAN_RUNNING);
		plans(&view, i ? "status rolling 2 good 1 step 8\ndesire web/1.1 stop proven\n" : "");
	}
}

static void a_host_is_given_up_by_who_has_looked_for_long(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);

	(void)state;
	add_host(&view, "srv2", NULL);
	view.hosts[0].alive = false;
	view.hosts[0].dead_ms = view.looking_ms = 10000;
	view.reschedule_ms = 5000;
	service->good = new_spec(1);
	add_component(service->spec, "web", "w1", 1);
	add_instance(&view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "");
}

/* web/2.1 does not pass its checks, and web/1 is being replaced: it is waited for, if it is not ill for long. */
static void short_illness_takes_nothing_out(void **state)
{
	(void)state;
	for (int64_t ill_ms = 5000; ill_ms <= 15000; ill_ms += 10000) {
		struct plan_view view;
		struct plan_service *service = rolling_web(&view, PLAN_RUN, PLAN_STARTING);

		service->spec->components[0].update.stop_first = true;
		view.instances[0].desired = PLAN_STOP;
		view.instances[0].state = PLAN_STOPPED;
		view.instances[1].health = PLAN_CRITICAL;
		view.instances[1].health_ms = ill_ms;
		view.instances[3].told_ms = 1000;
		plans(&view, ill_ms < 10000 ? "" : "status rolling 2 good 1 step 8\ndesire web/2.1 drain proven\n");
	}
}

/* Revision 3 is rolling and its db/1.3 starts; web/1, proven before, is ill for its deadline. */
static struct plan_instance *roll_beside_a_sick_one(struct plan_view *view, uint64_t gen, uint64_t revision)
{
	struct plan_service *service = start_view(view, PLAN_ROLLING, 3, 2);
	struct plan_instance *web;

	service->phase_ms = 60000;
	service->good = new_spec(2);
	add_component(service->good, "db", "d1", 1);
	add_component(service->good, "web", "w1", 1);
	add_component(service->spec, "db", "d2", 1);
	add_component(service->spec, "web", "w1", 1);
	add_instance(view, "db", 1, 1, "d1", PLAN_RUN, PLAN_RUNNING);
	add_instance(view, "db", 1, 3, "d2", PLAN_RUN, PLAN_STARTING)->proven = false;
	web = add_instance(view, "web", 1, gen, "w1", PLAN_RUN, PLAN_RUNNING);
	web->revision = revision;
	web->health = PLAN_CRITICAL;
	web->health_ms = web->told_ms = 60000;
	return web;
}

/* Its number runs ahead of the revision that made it: it was moved a few times, or is of a history that was lost. */
static void what_a_revision_does_not_touch_does_not_fail_it(void **state)
{
	struct plan_view view;

	(void)state;
	roll_beside_a_sick_one(&view, 12, 1);
	plans(&view, "");
	roll_beside_a_sick_one(&view, 12, 0)->revision = 2;
	plans(&view, "");
	roll_beside_a_sick_one(&view, 3, 3);
	plans(&view, "status rolling-back 3 good 2 step 8\ndesire db/1.3 drain\n");
}

/* What the good revision made is not what going back makes, though it is of the revision that it aims at. */
static void going_back_does_not_fail_for_what_was_there(void **state)
{
	static const uint64_t gens[] = { 2, 4 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gens); i++) {
		struct plan_view view;

		roll_beside_a_sick_one(&view, gens[i], 2);
		view.services[0].status.phase = PLAN_ROLLING_BACK;
		view.instances[1].desired = PLAN_DRAIN;
		view.instances[1].told_ms = 1000;
		plans(&view, i ? "status failed 3 good 2 step 8\n"
			       : "status rolling-back 3 good 2 step 8\ndesire db/1.3 stop\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_in_which_nobody_looked_ends_no_deadline),
		cmocka_unit_test(nobody_is_judged_before_checks_have_run_again),
		cmocka_unit_test(who_takes_over_has_been_seen_to_serve),
		cmocka_unit_test(illness_of_before_counts_for_nothing),
		cmocka_unit_test(a_drain_has_the_time_that_its_consumers_had),
		cmocka_unit_test(a_host_is_given_up_by_who_has_looked_for_long),
		cmocka_unit_test(short_illness_takes_nothing_out),
		cmocka_unit_test(what_a_revision_does_not_touch_does_not_fail_it),
		cmocka_unit_test(going_back_does_not_fail_for_what_was_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
