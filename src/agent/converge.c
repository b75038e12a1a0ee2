/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/converge.h"

static enum converge_step leave(const struct converge_view *view)
{
	bool here = view->container != CONTAINER_NONE;

	if (view->container == CONTAINER_UNKNOWN || (here && !view->explained))
		return CONVERGE_NOTHING;
	if (view->registered)
		return CONVERGE_DEREGISTER;
	if (here)
		return CONVERGE_REMOVE;
	return view->has_state ? CONVERGE_FORGET : CONVERGE_NOTHING;
}

static enum converge_step keep_running(const struct converge_view *view)
{
	if (!view->proven)
		return CONVERGE_PROBE;
	if (!view->registered || !view->level)
		return CONVERGE_REGISTER;
	if (!view->configured)
		return CONVERGE_CONFIGURE;
	if (!view->sized)
		return CONVERGE_RESIZE;
	return view->unwell && view->desired == NODE_RUN ? CONVERGE_DIAGNOSE : CONVERGE_NOTHING;
}

static enum converge_step run(const struct converge_view *view)
{
	if (view->foreign)
		return CONVERGE_NOTHING;
	if (view->container == CONTAINER_RUNNING)
		return keep_running(view);
	if (!view->image_ready)
		return CONVERGE_PREPARE;
	return view->links_known && !view->volumes_held ? CONVERGE_LAUNCH : CONVERGE_NOTHING;
}

/* Does not run, and will not by itself: what ended, a runtime may be about to start again. */
static bool at_rest(const struct converge_view *view)
{
	switch (view->container) {
	case CONTAINER_UNKNOWN:
	case CONTAINER_RUNNING:
		return false;
	case CONTAINER_EXITED:
		return view->stopped;
	default:
		return true;
	}
}

static enum converge_step stop(const struct converge_view *view)
{
	if (view->registered)
		return CONVERGE_DEREGISTER;
	return at_rest(view) ? CONVERGE_NOTHING : CONVERGE_STOP;
}

enum converge_step converge_next(const struct converge_view *view)
{
	if (view->now_ms < view->retry_ms)
		return CONVERGE_NOTHING;
	if (!view->assigned)
		return leave(view);
	if (view->container == CONTAINER_UNKNOWN)
		return CONVERGE_NOTHING;
	switch (view->desired) {
	case NODE_PREPARE:
		return view->image_ready ? CONVERGE_NOTHING : CONVERGE_PREPARE;
	case NODE_RUN:
	case NODE_DRAIN:
		return run(view);
	case NODE_STOP:
		return stop(view);
	}
	return CONVERGE_NOTHING;
}

const char *converge_state(const struct converge_view *view, bool failed)
{
	bool runs = view->container == CONTAINER_RUNNING;

	/* Also of one whose last step failed, as a build that was under way: the leader waits for this answer. */
	if (view->desired == NODE_STOP && at_rest(view) && !view->registered)
		return "stopped";
	/* It ended by itself; what was said holds until its runtime was told that it is to stay so. */
	if (view->desired == NODE_STOP && view->container == CONTAINER_EXITED && !view->registered)
		return failed ? "failed" : NULL;
	if (failed || (view->foreign && view->desired != NODE_STOP))
		return "failed";
	if (view->desired == NODE_STOP)
		return "running";
	/* It was told to run once: Consul has an older copy of its data. */
	if (view->desired == NODE_PREPARE && runs)
		return "running";
	if (view->desired == NODE_PREPARE)
		return view->image_ready ? "prepared" : "building";
	/* Who is told that it runs takes it for one that clients reach: it must have left maintenance. */
	if (runs && view->proven && view->desired == NODE_RUN && !(view->registered && view->level))
		return NULL;
	if (runs)
		return view->proven ? "running" : "starting";
	return view->image_ready ? "starting" : "building";
}

const char *converge_step_name(enum converge_step step)
{
	static const char *const names[] = {
		[CONVERGE_NOTHING] = "nothing",       [CONVERGE_PREPARE] = "prepare",
		[CONVERGE_LAUNCH] = "launch",         [CONVERGE_PROBE] = "probe",
		[CONVERGE_REGISTER] = "register",     [CONVERGE_CONFIGURE] = "configure",
		[CONVERGE_DEREGISTER] = "deregister", [CONVERGE_STOP] = "stop",
		[CONVERGE_REMOVE] = "remove",         [CONVERGE_FORGET] = "forget",
		[CONVERGE_RESIZE] = "resize",         [CONVERGE_DIAGNOSE] = "diagnose",
	};

	return names[step];
}
