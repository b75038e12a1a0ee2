/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions about instances, nodes and components that the phases decide by. */
#include "plan/work.h"

#include <string.h>

#define ILL_MS 10000 /* shorter illness may pass: it is no reason to take an instance out */

bool unit_healthy(const struct unit *unit)
{
	return unit->health == PLAN_PASSING || unit->health == PLAN_WARNING;
}

bool unit_answers(const struct unit *unit, enum plan_state state)
{
	return unit->it->state == state && unit->it->answers_ms == unit->it->since_ms &&
	       unit->desired == unit->it->desired;
}

int64_t health_for(const struct work *work, const struct unit *unit)
{
	int64_t told_ms = told_for(work, unit);

	return unit->health_ms < told_ms ? unit->health_ms : told_ms;
}

bool unit_ill(struct work *work, const struct unit *unit, int64_t for_ms)
{
	int64_t known_ms;

	if (unit->lost || !unit->host)
		return true;
	if (!unit->host->alive || (unit->health != PLAN_CRITICAL && !unit_answers(unit, PLAN_FAILED)))
		return false;
	/* What the catalog says of a host that has just come back may be from before. */
	known_ms = health_for(work, unit);
	if (unit->host->alive_ms < known_ms)
		known_ms = unit->host->alive_ms;
	return sure(work) && reached(work, known_ms, for_ms > ILL_MS ? for_ms : ILL_MS);
}

bool unit_stopped(const struct unit *unit)
{
	return unit->gone || !unit->host || unit->desired == PLAN_PREPARE ||
	       (unit->desired == PLAN_STOP && unit_answers(unit, PLAN_STOPPED));
}

bool unit_live(const struct unit *unit)
{
	return !unit->lost && !unit_stopped(unit);
}

static int64_t at_most(int64_t ms, int64_t most_ms)
{
	return ms < most_ms ? ms : most_ms;
}

int64_t told_for(const struct work *work, const struct unit *unit)
{
	return at_most(unit->it->told_ms, work->lookup->view->looking_ms);
}

int64_t phase_for(const struct work *work)
{
	const struct plan_status *seen = &work->service->status;
	bool new = work->status.phase != seen->phase || work->status.revision != seen->revision;

	return new ? 0 : at_most(work->service->phase_ms, work->lookup->view->looking_ms);
}

bool sure(struct work *work)
{
	return reached(work, work->lookup->view->looking_ms, PLAN_SETTLE_MS);
}

bool reached(struct work *work, int64_t elapsed_ms, int64_t limit_ms)
{
	int64_t at = work->now_ms + (limit_ms - elapsed_ms);

	if (elapsed_ms >= limit_ms)
		return true;
	if (at < work->wake_ms)
		work->wake_ms = at;
	return false;
}

bool host_given_up(struct work *work, const struct plan_host *host)
{
	int64_t limit_ms = work->lookup->view->reschedule_ms;

	return !host->alive && sure(work) && reached(work, host->dead_ms, limit_ms ? limit_ms : PLAN_RESCHEDULE_MS);
}

bool component_stop_first(const struct plan_component *want)
{
	return want->exclusive || want->fixed_ports || want->update.stop_first;
}

bool node_alone(const struct node *node, const struct unit *but)
{
	for (size_t i = 0; i < node->n_units; i++)
		if (&node->units[i] != but && !unit_stopped(&node->units[i]))
			return false;
	return true;
}

/*
 * Which of two matching instances is the better one to keep. What is decided must not change by itself afterwards: the
 * other one is drained, and a drained one never wins over one that runs.
 */
static bool better(const struct unit *a, const struct unit *b)
{
	bool a_serves = a->desired == PLAN_RUN && a->proven, b_serves = b->desired == PLAN_RUN && b->proven;

	if (a->displaced != b->displaced)
		return b->displaced;
	if (a_serves != b_serves)
		return a_serves;
	if (a_serves && unit_healthy(a) != unit_healthy(b))
		return unit_healthy(a);
	if (a->proven != b->proven)
		return a->proven;
	return a->it->gen > b->it->gen;
}

/*
 * What failed in an earlier deployment is not tried again: a new deployment makes a new instance. Nor does it become
 * good again by being taken out. Once a deployment is done, an instance that fails is its agent's matter.
 */
static bool spent(const struct work *work, const struct unit *unit)
{
	if (unit->proven || unit->it->revision >= work->spec->revision || work->status.phase == PLAN_DONE ||
	    work->status.phase == PLAN_ROLLED_BACK)
		return false;
	return unit->desired == PLAN_DRAIN || unit->desired == PLAN_STOP ||
	       (unit->desired == PLAN_RUN && unit_answers(unit, PLAN_FAILED));
}

struct unit *node_match(struct work *work, const struct group *group, struct node *node)
{
	struct unit *best = NULL;

	for (size_t i = 0; i < node->n_units; i++) {
		struct unit *unit = &node->units[i];

		if (unit->gone || !unit->host || strcmp(unit->it->fingerprint, group->want->fingerprint) ||
		    spent(work, unit))
			continue;
		if (!best || better(unit, best))
			best = unit;
	}
	return best;
}

static bool others_gone(const struct node *node)
{
	for (size_t i = 0; i < node->n_units; i++)
		if (&node->units[i] != node->current && unit_live(&node->units[i]))
			return false;
	return true;
}

bool node_right(struct work *work, const struct group *group, const struct node *node)
{
	const struct unit *unit = node->current;

	if (!unit || !others_gone(node))
		return false;
	/* No host is there for it yet; but what was good is not waited for. */
	if (unit->misplaced && work->status.phase != PLAN_ROLLING_BACK)
		return false;
	if (node->out)
		return unit->desired != PLAN_RUN &&
		       (unit->desired != PLAN_PREPARE || unit_answers(unit, PLAN_PREPARED));
	if (unit->desired != PLAN_RUN || unit->it->desired != PLAN_RUN || !unit->proven)
		return false;
	/* One that was proven and is ill for long is not this deployment's to wait for. */
	return unit_healthy(unit) ||
	       (sure(work) && reached(work, health_for(work, unit), group->want->update.deadline_ms));
}

static bool find_right(struct work *work, const struct group *group)
{
	for (size_t i = 0; i < group->n_nodes; i++)
		if (group->nodes[i].wanted && !node_right(work, group, &group->nodes[i]))
			return false;
	return true;
}

bool group_right(struct work *work, struct group *group)
{
	if (group->right_at != work->acted + 1) {
		group->right = find_right(work, group);
		group->right_at = work->acted + 1;
	}
	return group->right;
}

static bool find_gate(struct work *work, const struct group *group)
{
	for (size_t i = 0; i < work->n_edges; i++) {
		const struct edge *edge = &work->edges[i];

		if (edge->required && edge->kept && &work->groups[edge->consumer] == group &&
		    !group_right(work, &work->groups[edge->provider]))
			return false;
	}
	return true;
}

bool group_gate(struct work *work, struct group *group)
{
	if (group->gate_at != work->acted + 1) {
		group->gate = find_gate(work, group);
		group->gate_at = work->acted + 1;
	}
	return group->gate;
}
