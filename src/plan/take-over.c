/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nodes that run though Consul does not know why, as after it lost its data: agents tell what they found, and a spec of
 * the service explains it. Each becomes an instance like any other by getting an assignment, and all else follows from
 * that: what matches is kept as it runs, what does not is replaced or removed in the ordinary way. So does one that
 * runs and is told no more than to prepare itself, by an older copy of Consul's data.
 */
#include "plan/work.h"

#include <string.h>

#include "base/i18n.h"

/* Providers are waited for so long before their consumers are taken over, which would otherwise find nobody there. */
#define PROVIDER_MS 10000

static bool taken_over(const struct unit *unit)
{
	return !unit->it->found && !unit->it->revision;
}

static bool runs_already(const struct unit *unit)
{
	return unit_answers(unit, PLAN_RUNNING) && unit->desired == PLAN_PREPARE && unit->host && unit->host->alive;
}

/* Its consumers wait for it: it is to be taken over yet, or was, and its checks have not passed. */
static bool is_awaited(struct work *work, const struct unit *unit, bool *ret_soon)
{
	if (unit->it->desired != PLAN_RUN || !unit->host || !unit->host->alive)
		return false;
	if (unit->it->found)
		return true;
	if (!taken_over(unit) || unit_healthy(unit) || reached(work, told_for(work, unit), PROVIDER_MS))
		return false;
	*ret_soon = true;
	return true;
}

static bool has_awaited_providers(struct work *work, const struct unit *unit, bool *ret_soon)
{
	for (size_t i = 0; i < work->n_units; i++) {
		const struct unit *other = &work->units[i];

		if (strcmp(other->it->component, unit->it->component) &&
		    strv_has(&unit->it->links, other->it->component) && is_awaited(work, other, ret_soon))
			return true;
	}
	return false;
}

/* Is another instance of its node told to run? */
static bool has_rival(const struct work *work, const struct unit *unit)
{
	for (size_t i = 0; i < work->n_units; i++) {
		const struct unit *other = &work->units[i];
		bool assigned = !other->it->found || other->touched;

		if (other != unit && assigned && other->it->n == unit->it->n &&
		    !strcmp(other->it->component, unit->it->component) &&
		    (other->desired == PLAN_RUN || other->desired == PLAN_DRAIN))
			return true;
	}
	return false;
}

/*
 * Where there may be one at a time and Consul's word is that it is another one, as when an old copy of its data came
 * back, this one makes room. Its agent lets none start on its volumes before.
 */
static enum plan_desired desired_for(const struct work *work, const struct unit *unit)
{
	const struct plan_component *want = spec_component(work->service->spec, unit->it->component);
	bool one = service_exclusive(work->service, unit->it->component) || (want && component_stop_first(want));

	if (unit->it->desired != PLAN_RUN && !runs_already(unit))
		return PLAN_STOP;
	return one && has_rival(work, unit) ? PLAN_DRAIN : PLAN_RUN;
}

/*
 * An instance that was only prepared, as the leader did not know yet what the host has: one of the same name, or one
 * where there may be only one and the data is here. Takes them away; false when that must wait.
 */
static bool prepared_in_vain_gone(struct work *work, const struct unit *unit)
{
	bool one = service_exclusive(work->service, unit->it->component);

	if (!unit->it->found)
		return true;
	for (size_t i = 0; i < work->n_units; i++) {
		struct unit *other = &work->units[i];
		bool same = other->it->n == unit->it->n && !strcmp(other->it->component, unit->it->component);
		bool vain = other->it->gen == unit->it->gen || (one && strcmp(other->it->host, unit->it->host));

		if (other != unit && !other->it->found && !other->gone && other->desired == PLAN_PREPARE &&
		    !runs_already(other) && same && vain && !act_unassign(work, other))
			return false;
	}
	return true;
}

static void take_over_unit(struct work *work, struct unit *unit)
{
	enum plan_desired desired = desired_for(work, unit);

	if (!prepared_in_vain_gone(work, unit))
		return;
	if (unit->it->found ? act_take_over(work, unit, desired, service_exclusive(work->service, unit->it->component))
			    : act_desire(work, unit, desired))
		act_event(work, "taken-over", unit, _("%s/%u was found on host %s: it is taken over"),
			  unit->it->component, unit->it->n, unit->it->host);
}

bool take_over(struct work *work)
{
	bool found = false, soon = false;

	/* The latest first: of two, it is the one that goes on. */
	for (size_t i = work->n_units; i-- > 0;) {
		struct unit *unit = &work->units[i];

		found |= unit->it->found || runs_already(unit);
		if (runs_already(unit))
			take_over_unit(work, unit);
		else if (unit->it->found && !has_awaited_providers(work, unit, &soon))
			take_over_unit(work, unit);
	}
	/* All wait for one another. */
	for (size_t i = work->n_units; found && !work->acted && !work->full && !soon && i-- > 0;)
		if (work->units[i].it->found) {
			take_over_unit(work, &work->units[i]);
			break;
		}
	return found;
}
