/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an older copy of Consul's data says of nodes that have changed since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plan-kit.h"

/* It was told to run after the copy was made. */
static void what_runs_and_is_to_be_prepared_is_told_to_run(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 2, 1);

	(void)state;
	add_component(service->spec, "web", "w2", 2);
	add_instance(&view, "web", 1, 2, "w2", PLAN_PREPARE, PLAN_RUNNING);
	add_instance(&view, "web", 2, 2, "w2", PLAN_PREPARE, PLAN_PREPARED);
	plans(&view, "status preparing 2 good 1 step 8\ndesire web/1.2 run\n");
}

/* It is not taken away as one that never ran, when another revision is wanted. */
static void what_runs_leaves_as_what_runs(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_ROLLING, 3, 1);

	(void)state;
	add_component(service->spec, "web", "w3", 1);
	add_instance(&view, "web", 1, 2, "w2", PLAN_PREPARE, PLAN_RUNNING);
	add_instance(&view, "web", 1, 3, "w3", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status rolling 3 good 1 step 8\ndesire web/1.2 run\n");
}

static void nothing_is_told_to_run_on_a_dead_host(void **state)
{
	struct plan_view view;
	struct plan_service *service = start_view(&view, PLAN_PREPARING, 2, 1);

	(void)state;
	add_host(&view, "srv2", NULL);
	view.hosts[0].alive = false;
	view.hosts[0].alive_ms = 0;
	view.hosts[0].dead_ms = 5000;
	add_component(service->spec, "web", "w2", 1);
	add_instance(&view, "web", 1, 2, "w2", PLAN_PREPARE, PLAN_RUNNING);
	plans(&view, "");
}

static struct plan_service *two_with_one_volume(struct plan_view *view, const char *wanted)
{
	struct plan_service *service = start_view(view, PLAN_ROLLING, 3, 1);

	add_component(service->spec, "db", wanted, 1)->exclusive = true;
	return service;
}

/* By the copy db/1.1 runs; db/1.2 does, and its agent lets no other start. */
static void of_two_with_one_volume_the_one_that_is_told_to_run_stays(void **state)
{
	struct plan_view view;

	(void)state;
	two_with_one_volume(&view, "d1");
	add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_STARTING);
	add_instance(&view, "db", 1, 2, "d2", PLAN_PREPARE, PLAN_RUNNING);
	plans(&view, "status rolling 3 good 1 step 8\ndesire db/1.2 drain\n");
}

/* Told to run both, neither could ever be taken out for the other. */
static void who_never_came_to_run_makes_room_first(void **state)
{
	struct plan_view view;

	(void)state;
	two_with_one_volume(&view, "d1");
	add_instance(&view, "db", 1, 1, "d1", PLAN_DRAIN, PLAN_STARTING);
	add_instance(&view, "db", 1, 2, "d2", PLAN_RUN, PLAN_RUNNING);
	plans(&view, "status rolling 3 good 1 step 8\ndesire db/1.1 stop proven\ndesire db/1.2 drain proven\n");
}

static void who_runs_is_not_stopped_for_it(void **state)
{
	struct plan_view view;

	(void)state;
	two_with_one_volume(&view, "d2");
	add_instance(&view, "db", 1, 1, "d1", PLAN_RUN, PLAN_STARTING);
	add_instance(&view, "db", 1, 2, "d2", PLAN_DRAIN, PLAN_RUNNING);
	plans(&view, "status rolling 3 good 1 step 8\ndesire db/1.2 run proven\n");
}

/* The copy has what was said of an earlier drain of the same instance. */
static void an_ack_of_another_drain_ends_none(void **state)
{
	(void)state;
	for (int this = 0; this < 2; this ++) {
		struct plan_view view;
		struct plan_service *service = start_view(&view, PLAN_DONE, 1, 1);
		struct plan_instance *web;

		link_to(add_component(service->spec, "front", "f1", 1), "web", false);
		strv_add(&add_instance(&view, "front", 1, 1, "f1", PLAN_RUN, PLAN_RUNNING)->links, "web");
		web = add_instance(&view, "web", 1, 1, "w1", PLAN_DRAIN, PLAN_RUNNING);
		web->since_ms = NOW - 1000;
		web->told_ms = 1000;
		*plan_view_add_ack(&view) = (struct plan_ack){ .host = xstrdup("srv1"),
							       .service = xstrdup("portal"),
							       .component = xstrdup("web"),
							       .n = 1,
							       .gen = 1,
							       .consumer = xstrdup("front.1.1"),
							       .since_ms = this ? NOW - 1000 : NOW - 60000 };
		plans(&view, this ? "status done 1 good 1 step 8\ndesire web/1.1 stop proven\n" : "");
	}
}

static struct plan_instance *on(struct plan_instance *it, const char *host)
{
	free(it->host);
	it->host = xstrdup(host);
	return it;
}

/* The leader planned before the host could tell what it has: a name twice, or data at two places. */
static void what_was_prepared_in_vain_goes(void **state)
{
	(void)state;
	for (int exclusive = 0; exclusive < 2; exclusive++) {
		uint64_t gen = exclusive ? 3 : 2;
		struct plan_view view;
		struct plan_service *service = start_view(&view, PLAN_PREPARING, gen, 1);
		struct plan_instance *found;

		add_component(service->spec, "web", "w2", 1)->exclusive = exclusive;
		add_host(&view, "srv2", NULL);
		add_instance(&view, "web", 1, gen, "w2", PLAN_PREPARE, PLAN_PREPARED);
		found = on(add_instance(&view, "web", 1, 2, "w2", PLAN_RUN, PLAN_NONE), "srv2");
		found->found = true;
		found->index = found->revision = 0;
		plans(&view, exclusive
				 ? "status preparing 3 good 1 step 8\nunassign web/1.3\nassign web/1.2 srv2 run\n"
				 : "status preparing 2 good 1 step 8\nunassign web/1.2\nassign web/1.2 srv2 run\n");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_runs_and_is_to_be_prepared_is_told_to_run),
		cmocka_unit_test(what_runs_leaves_as_what_runs),
		cmocka_unit_test(nothing_is_told_to_run_on_a_dead_host),
		cmocka_unit_test(of_two_with_one_volume_the_one_that_is_told_to_run_stays),
		cmocka_unit_test(who_never_came_to_run_makes_room_first),
		cmocka_unit_test(who_runs_is_not_stopped_for_it),
		cmocka_unit_test(what_was_prepared_in_vain_goes),
		cmocka_unit_test(an_ack_of_another_drain_ends_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
