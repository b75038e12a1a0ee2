/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plan/plan.h"

#include <errno.h>
#include <string.h>

static const char *const desired_names[] = { "prepare", "run", "drain", "stop" };
static const char *const state_names[] = { "none", "building", "prepared", "starting", "running", "failed", "stopped" };
static const char *const health_names[] = { "unknown", "passing", "warning", "critical", "maintenance" };
static const char *const phase_names[] = { "new",         "preparing", "rolling",  "done",   "rolling-back",
					   "rolled-back", "failed",    "removing", "removed" };

static int find(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; name && i < n; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -EINVAL;
}

const char *plan_desired_name(enum plan_desired desired)
{
	return desired_names[desired];
}

const char *plan_state_name(enum plan_state state)
{
	return state_names[state];
}

const char *plan_health_name(enum plan_health health)
{
	return health_names[health];
}

const char *plan_phase_name(enum plan_phase phase)
{
	return phase_names[phase];
}

int plan_desired_parse(const char *name, enum plan_desired *ret)
{
	int i = find(desired_names, ARRAY_SIZE(desired_names), name);

	if (i < 0)
		return i;
	*ret = (enum plan_desired)i;
	return 0;
}

int plan_state_parse(const char *name, enum plan_state *ret)
{
	int i = find(state_names, ARRAY_SIZE(state_names), name);

	if (i < 0)
		return i;
	*ret = (enum plan_state)i;
	return 0;
}

int plan_phase_parse(const char *name, enum plan_phase *ret)
{
	int i = find(phase_names, ARRAY_SIZE(phase_names), name);

	if (i < 0)
		return i;
	*ret = (enum plan_phase)i;
	return 0;
}

bool plan_phase_is_final(enum plan_phase phase)
{
	return phase == PLAN_DONE || phase == PLAN_ROLLED_BACK || phase == PLAN_GAVE_UP || phase == PLAN_REMOVED;
}
