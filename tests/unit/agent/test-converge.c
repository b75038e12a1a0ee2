/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an agent does next: single views, and every view there is followed to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/converge.h"

/* More steps than this from anywhere is a circle. */
#define MOST_STEPS 8

static const struct {
	const char *what;
	struct converge_view view;
	enum converge_step step;
} table[] = {
	{ "the runtime has not answered: not even an assigned one is touched",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_UNKNOWN },
	  CONVERGE_NOTHING },
	{ "after a failure time must pass",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_NONE, .retry_ms = 2, .now_ms = 1 },
	  CONVERGE_NOTHING },
	{ "and then it goes on",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_NONE, .retry_ms = 2, .now_ms = 2 },
	  CONVERGE_PREPARE },
	{ "preparing builds",
	  { .assigned = true, .desired = NODE_PREPARE, .container = CONTAINER_NONE },
	  CONVERGE_PREPARE },
	{ "prepared is enough",
	  { .assigned = true, .desired = NODE_PREPARE, .container = CONTAINER_NONE, .image_ready = true },
	  CONVERGE_NOTHING },
	{ "no launch before the links are known",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_NONE, .image_ready = true },
	  CONVERGE_NOTHING },
	{ "then it is launched",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_NONE,
	    .image_ready = true,
	    .links_known = true },
	  CONVERGE_LAUNCH },
	{ "no launch beside another writer of its volume",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_NONE,
	    .image_ready = true,
	    .links_known = true,
	    .volumes_held = true },
	  CONVERGE_NOTHING },
	{ "one that ended is launched again",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_EXITED,
	    .image_ready = true,
	    .links_known = true },
	  CONVERGE_LAUNCH },
	{ "one that was created only is launched",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_CREATED,
	    .image_ready = true,
	    .links_known = true },
	  CONVERGE_LAUNCH },
	{ "a new one is asked whether it is well",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_RUNNING },
	  CONVERGE_PROBE },
	{ "a registration that differs is brought level before files are",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_RUNNING, .proven = true, .registered = true },
	  CONVERGE_REGISTER },
	{ "other links, other files",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_RUNNING,
	    .proven = true,
	    .registered = true,
	    .level = true },
	  CONVERGE_CONFIGURE },
	{ "all is well",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_RUNNING,
	    .proven = true,
	    .registered = true,
	    .level = true,
	    .configured = true,
	    .sized = true },
	  CONVERGE_NOTHING },
	{ "a container of another document is not taken for it",
	  { .assigned = true, .desired = NODE_RUN, .container = CONTAINER_RUNNING, .foreign = true },
	  CONVERGE_NOTHING },
	{ "nor started as it",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_EXITED,
	    .image_ready = true,
	    .links_known = true,
	    .foreign = true },
	  CONVERGE_NOTHING },
	{ "but stopped when nothing is to run there",
	  { .assigned = true, .desired = NODE_STOP, .container = CONTAINER_RUNNING, .foreign = true },
	  CONVERGE_STOP },
	{ "what drains is kept running",
	  { .assigned = true,
	    .desired = NODE_DRAIN,
	    .container = CONTAINER_EXITED,
	    .image_ready = true,
	    .links_known = true },
	  CONVERGE_LAUNCH },
	{ "one that does not pass its checks is asked why",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_RUNNING,
	    .registered = true,
	    .level = true,
	    .proven = true,
	    .configured = true,
	    .sized = true,
	    .unwell = true },
	  CONVERGE_DIAGNOSE },
	{ "but not while it drains",
	  { .assigned = true,
	    .desired = NODE_DRAIN,
	    .container = CONTAINER_RUNNING,
	    .registered = true,
	    .level = true,
	    .proven = true,
	    .configured = true,
	    .sized = true,
	    .unwell = true },
	  CONVERGE_NOTHING },
	{ "what runs gets other limits when clients reach it again",
	  { .assigned = true,
	    .desired = NODE_RUN,
	    .container = CONTAINER_RUNNING,
	    .registered = true,
	    .level = true,
	    .proven = true,
	    .configured = true },
	  CONVERGE_RESIZE },
	{ "out of Consul before it stops",
	  { .assigned = true, .desired = NODE_STOP, .container = CONTAINER_RUNNING, .registered = true },
	  CONVERGE_DEREGISTER },
	{ "then it stops", { .assigned = true, .desired = NODE_STOP, .container = CONTAINER_RUNNING }, CONVERGE_STOP },
	{ "what ended may be about to be started again by its runtime, so it is stopped too",
	  { .assigned = true, .desired = NODE_STOP, .container = CONTAINER_EXITED },
	  CONVERGE_STOP },
	{ "stopped is kept",
	  { .assigned = true,
	    .desired = NODE_STOP,
	    .container = CONTAINER_EXITED,
	    .stopped = true,
	    .image_ready = true,
	    .links_known = true },
	  CONVERGE_NOTHING },
	{ "what Consul does not explain is left alone, registered or not",
	  { .container = CONTAINER_RUNNING, .registered = true },
	  CONVERGE_NOTHING },
	{ "a ghost in the catalog goes", { .container = CONTAINER_NONE, .registered = true }, CONVERGE_DEREGISTER },
	{ "what Consul explains is removed when it is assigned no more",
	  { .container = CONTAINER_RUNNING, .explained = true },
	  CONVERGE_REMOVE },
	{ "its state key is the last to go", { .container = CONTAINER_NONE, .has_state = true }, CONVERGE_FORGET },
	{ "nothing is left", { .container = CONTAINER_NONE }, CONVERGE_NOTHING },
};

static void each_view_has_its_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (converge_next(&table[i].view) != table[i].step)
			fail_msg("%s: %s, not %s", table[i].what, converge_step_name(converge_next(&table[i].view)),
				 converge_step_name(table[i].step));
}

/* Every combination; the number's digits are the members. */
static bool view_number(unsigned number, struct converge_view *ret)
{
	unsigned bits = number % 8192, rest = number / 8192;

	*ret = (struct converge_view){
		.assigned = bits & 1,
		.explained = bits & 2,
		.image_ready = bits & 4,
		.links_known = bits & 8,
		.registered = bits & 16,
		.level = bits & 32,
		.proven = bits & 64,
		.configured = bits & 128,
		.has_state = bits & 256,
		.retry_ms = bits & 512 ? 1 : 0,
		.unwell = bits & 1024,
		.sized = bits & 2048,
		.stopped = bits & 4096,
		.desired = (enum node_desired)(rest % 4),
		.container = (enum container)(rest / 4),
	};
	return rest / 4 <= CONTAINER_EXITED;
}

/* What a step does when it succeeds. */
static void take_effect(struct converge_view *view, enum converge_step step)
{
	switch (step) {
	case CONVERGE_PREPARE:
		view->image_ready = true;
		break;
	case CONVERGE_LAUNCH:
		view->container = CONTAINER_RUNNING;
		view->proven = view->level = view->stopped = false;
		view->configured = true;
		break;
	case CONVERGE_PROBE:
	case CONVERGE_REGISTER:
		view->registered = view->proven = view->level = true;
		break;
	case CONVERGE_CONFIGURE:
		view->configured = true;
		break;
	case CONVERGE_RESIZE:
		view->sized = true;
		break;
	case CONVERGE_DIAGNOSE:
		view->unwell = false; /* until the next look */
		break;
	case CONVERGE_DEREGISTER:
		view->registered = false;
		break;
	case CONVERGE_STOP:
		view->container = CONTAINER_EXITED;
		view->stopped = true;
		break;
	case CONVERGE_REMOVE:
		view->container = CONTAINER_NONE;
		break;
	case CONVERGE_FORGET:
		view->has_state = false;
		break;
	case CONVERGE_NOTHING:
		break;
	}
}

/* What must not be, whatever the view. NULL: all is well. */
static const char *wrong(const struct converge_view *view, enum converge_step step)
{
	bool to_run = view->assigned && (view->desired == NODE_RUN || view->desired == NODE_DRAIN);

	if (step == CONVERGE_NOTHING)
		return NULL;
	if (view->now_ms < view->retry_ms)
		return "a step before its time";
	if (view->container == CONTAINER_UNKNOWN)
		return "a step before the runtime has answered";
	if (step == CONVERGE_REMOVE && view->assigned)
		return "an assigned one removed";
	if (!view->assigned && !view->explained && view->container != CONTAINER_NONE)
		return "something done to what nobody explains";
	if ((step == CONVERGE_STOP || step == CONVERGE_REMOVE) && view->registered)
		return "stopped while consumers are sent there";
	if ((step == CONVERGE_LAUNCH || step == CONVERGE_PROBE || step == CONVERGE_REGISTER) && !to_run)
		return "brought up while it is not wanted";
	if (step == CONVERGE_LAUNCH &&
	    (!view->image_ready || !view->links_known || view->container == CONTAINER_RUNNING))
		return "launched without what it takes, or twice";
	if (step == CONVERGE_FORGET && (view->container != CONTAINER_NONE || view->registered))
		return "forgotten while it is here";
	return NULL;
}

static void nothing_forbidden_is_ever_done(void **state)
{
	struct converge_view view;

	(void)state;
	for (unsigned number = 0; view_number(number, &view); number++) {
		const char *why = wrong(&view, converge_next(&view));

		if (why)
			fail_msg("view %u: %s: %s", number, converge_step_name(converge_next(&view)), why);
	}
}

static void every_view_comes_to_rest(void **state)
{
	struct converge_view view;

	(void)state;
	for (unsigned number = 0; view_number(number, &view); number++) {
		unsigned steps = 0;
		enum converge_step step;

		while ((step = converge_next(&view)) != CONVERGE_NOTHING) {
			take_effect(&view, step);
			if (++steps > MOST_STEPS)
				fail_msg("view %u goes round", number);
			if (wrong(&view, converge_next(&view)))
				fail_msg("view %u: %s", number, wrong(&view, converge_next(&view)));
		}
	}
}

/* What is wanted and possible is reached, not only something quiet. */
static void rest_is_what_was_wanted(void **state)
{
	struct converge_view view;

	(void)state;
	for (unsigned number = 0; view_number(number, &view); number++) {
		enum converge_step step;

		if (view.retry_ms || view.container == CONTAINER_UNKNOWN)
			continue;
		while ((step = converge_next(&view)) != CONVERGE_NOTHING)
			take_effect(&view, step);
		if (!view.assigned) {
			if (view.explained)
				assert_true(view.container == CONTAINER_NONE && !view.registered && !view.has_state);
		} else if (view.desired == NODE_STOP)
			assert_true(view.container != CONTAINER_RUNNING && !view.registered &&
				    (view.container != CONTAINER_EXITED || view.stopped));
		else if (view.desired == NODE_PREPARE)
			assert_true(view.image_ready);
		else if (view.links_known)
			assert_true(view.container == CONTAINER_RUNNING && view.registered && view.level &&
				    view.proven && view.configured);
	}
}

static const struct {
	const char *what;
	struct converge_view view;
	bool failed;
	const char *state; /* NULL: nothing is said */
} states[] = {
	{ "an image that is being made", { .desired = NODE_PREPARE, .container = CONTAINER_NONE }, false, "building" },
	{ "one that is there",
	  { .desired = NODE_PREPARE, .container = CONTAINER_NONE, .image_ready = true },
	  false,
	  "prepared" },
	{ "one that runs, as an older copy of Consul's data does not know",
	  { .desired = NODE_PREPARE, .container = CONTAINER_RUNNING, .image_ready = true },
	  false,
	  "running" },
	{ "one that could not be made", { .desired = NODE_PREPARE, .container = CONTAINER_NONE }, true, "failed" },
	{ "started, not proven",
	  { .desired = NODE_RUN, .container = CONTAINER_RUNNING, .image_ready = true },
	  false,
	  "starting" },
	{ "it runs as told",
	  { .desired = NODE_RUN, .container = CONTAINER_RUNNING, .proven = true, .registered = true, .level = true },
	  false,
	  "running" },
	{ "it runs, still in maintenance: clients do not reach it yet",
	  { .desired = NODE_RUN, .container = CONTAINER_RUNNING, .proven = true, .registered = true },
	  false,
	  NULL },
	{ "it drains", { .desired = NODE_DRAIN, .container = CONTAINER_RUNNING, .proven = true }, false, "running" },
	{ "stopped, though its last step, a build, failed",
	  { .desired = NODE_STOP, .container = CONTAINER_NONE },
	  true,
	  "stopped" },
	{ "not stopped while it runs", { .desired = NODE_STOP, .container = CONTAINER_RUNNING }, false, "running" },
	{ "that it cannot be stopped", { .desired = NODE_STOP, .container = CONTAINER_RUNNING }, true, "failed" },
	{ "not stopped while it is registered",
	  { .desired = NODE_STOP, .container = CONTAINER_EXITED, .registered = true },
	  false,
	  "running" },
	{ "what ended may start again until its runtime was told to stop it",
	  { .desired = NODE_STOP, .container = CONTAINER_EXITED },
	  false,
	  NULL },
	{ "then it is stopped",
	  { .desired = NODE_STOP, .container = CONTAINER_EXITED, .stopped = true },
	  false,
	  "stopped" },
	{ "not stopped while nobody knows",
	  { .desired = NODE_STOP, .container = CONTAINER_UNKNOWN },
	  false,
	  "running" },
	{ "of another document",
	  { .desired = NODE_RUN, .container = CONTAINER_EXITED, .foreign = true, .image_ready = true },
	  false,
	  "failed" },
};

static void each_view_has_its_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const char *said = converge_state(&states[i].view, states[i].failed);

		if (!said != !states[i].state || (said && strcmp(said, states[i].state)))
			fail_msg("%s: %s", states[i].what, said ? said : "nothing");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_view_has_its_step),         cmocka_unit_test(each_view_has_its_state),
		cmocka_unit_test(nothing_forbidden_is_ever_done), cmocka_unit_test(every_view_comes_to_rest),
		cmocka_unit_test(rest_is_what_was_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
