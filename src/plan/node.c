/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One step for one node: its current instance on the way to `run`, the old ones on the way out. */
#include "plan/work.h"

#include <string.h>

#include "base/i18n.h"

#define RETRY_MS 300000

/* Assigns a new instance, or says what it waits for. Returns whether it was assigned. */
bool assign_node(struct work *work, struct group *group, struct node *node, enum plan_desired desired)
{
	char *why = NULL;
	bool never = false;
	struct place_host *host = place_node(work, group, node, &why, &never);

	if (host)
		return act_assign(work, group, node, host, desired);
	if (never && work->status.phase == PLAN_PREPARING)
		deployment_failed(work, NULL, why, NULL);
	else if (!node->current || node->current->misplaced)
		act_reason(work, why);
	else
		free(why);
	return false;
}

static bool others_live(const struct node *node)
{
	for (size_t i = 0; i < node->n_units; i++)
		if (&node->units[i] != node->current && unit_live(&node->units[i]))
			return true;
	return false;
}

/* Has it an old instance that still does its work, so that replacing it is to be done a few at a time? */
static bool others_work(struct work *work, const struct group *group, const struct node *node)
{
	for (size_t i = 0; i < node->n_units; i++) {
		const struct unit *unit = &node->units[i];

		if (unit != node->current && unit->desired == PLAN_RUN && !unit->gone &&
		    !unit_ill(work, unit, group->want->update.healthy_for_ms))
			return true;
	}
	return false;
}

static bool may_start(struct work *work, struct group *group, const struct node *node, enum roll_mode mode)
{
	/* Nobody can say what else still runs there when it returns. */
	if (node->current->lost)
		return false;
	if (group->want->exclusive ? !node_alone(node, node->current)
				   : component_stop_first(group->want) && others_live(node))
		return false;
	if (mode != ROLL_STEADY && !group_gate(work, group))
		return false;
	if (!others_work(work, group, node))
		return true;
	group_count(work, group);
	return group->busy < group->want->update.parallel;
}

/* Whether it has been healthy for long enough since it was told to run, by its agent's word and the catalog's. */
static bool passes(struct work *work, const struct plan_component *want, const struct unit *unit)
{
	return unit_healthy(unit) && unit_answers(unit, PLAN_RUNNING) &&
	       reached(work, health_for(work, unit), want->update.healthy_for_ms);
}

/* A node that was to move could not be prepared at its new place: nothing waits for it, so it is tried again. */
static bool failed_long_ago(struct work *work, const struct unit *unit)
{
	return unit_answers(unit, PLAN_FAILED) && reached(work, told_for(work, unit), RETRY_MS);
}

/*
 * One that is on its way out runs, and may serve again. But where there may be only one, it may have been told to run
 * while another one did and never have come to it: as by an older copy of Consul's data.
 */
static bool may_return(const struct group *group, const struct node *node)
{
	bool one = group->want->exclusive || group->want->fixed_ports;

	return !one || node_alone(node, node->current) || unit_answers(node->current, PLAN_RUNNING);
}

static void bring_in(struct work *work, struct group *group, struct node *node, enum roll_mode mode)
{
	struct unit *unit = node->current;
	bool ready = unit_answers(unit, PLAN_PREPARED) || (mode == ROLL_STEADY && !others_live(node));

	switch (unit->desired) {
	case PLAN_PREPARE:
		if (ready && may_start(work, group, node, mode))
			act_desire(work, unit, PLAN_RUN);
		else if (mode == ROLL_STEADY && failed_long_ago(work, unit))
			act_unassign(work, unit); /* the next call makes another */
		break;
	case PLAN_RUN:
		if (!unit->proven && passes(work, group->want, unit))
			act_prove(work, unit);
		break;
	case PLAN_DRAIN:
		if (may_return(group, node))
			act_desire(work, unit, PLAN_RUN);
		else if (unit_drained(work, group, unit, group->want->update.deadline_ms))
			act_desire(work, unit, PLAN_STOP);
		break;
	case PLAN_STOP:
		if (may_start(work, group, node, mode))
			act_desire(work, unit, PLAN_RUN);
		break;
	}
}

static void take_out(struct work *work, struct group *group, const struct node *node, struct unit *unit)
{
	if (unit->desired == PLAN_RUN) {
		if (act_desire(work, unit, PLAN_DRAIN))
			act_event(work, "disconnect", unit, _("%s/%u is taken out"), group->name, node->n);
	} else if (unit->desired == PLAN_DRAIN && node->out->stop &&
		   unit_drained(work, group, unit, node->out->deadline_ms)) {
		act_desire(work, unit, PLAN_STOP);
	}
}

/* An instance that is no longer wanted; `may` says whether one that runs may begin to leave. */
static void retire(struct work *work, struct group *group, struct unit *unit, bool may, bool keep)
{
	int64_t deadline_ms = group->want ? group->want->update.deadline_ms : PLAN_DRAIN_MS;

	switch (unit->desired) {
	case PLAN_PREPARE:
		act_unassign(work, unit);
		break;
	case PLAN_RUN:
		if (may)
			act_desire(work, unit, PLAN_DRAIN);
		break;
	case PLAN_DRAIN:
		if (unit_drained(work, group, unit, deadline_ms))
			act_desire(work, unit, PLAN_STOP);
		break;
	case PLAN_STOP:
		if (unit_stopped(unit) && (!keep || !unit->host))
			act_unassign(work, unit);
		break;
	}
}

/* Old instances that have stopped are kept while it rolls: going back starts them again instead of making them anew. */
void retire_old(struct work *work, struct group *group, struct node *node, enum roll_mode mode)
{
	for (size_t i = 0; i < node->n_units; i++) {
		struct unit *unit = &node->units[i];

		if (unit == node->current || unit->gone)
			continue;
		retire(work, group, unit, unit->desired == PLAN_RUN && may_drain(work, group, node, unit),
		       mode == ROLL_FORWARD);
	}
}

void roll_node(struct work *work, struct group *group, struct node *node, enum roll_mode mode)
{
	struct unit *unit = node->current;

	if (!unit || unit->displaced) {
		bool now =
		    mode == ROLL_STEADY && !group->want->exclusive && !others_live(node) && (!unit || !unit_live(unit));

		assign_node(work, group, node, now ? PLAN_RUN : PLAN_PREPARE);
	}
	if (unit && node->out)
		take_out(work, group, node, unit);
	else if (unit)
		bring_in(work, group, node, mode);
	/* One that was taken over and is kept is from now on of the revision in work. */
	if (unit && !unit->touched && (strcmp(unit->it->around, group->want->around) || !unit->it->revision))
		act_around(work, group->want, unit);
	retire_old(work, group, node, mode);
}

/* Consumers that leave as well go first. */
static bool consumers_left(struct work *work, const struct group *group)
{
	for (size_t i = 0; i < work->n_edges; i++) {
		const struct edge *edge = &work->edges[i];
		const struct group *consumer = &work->groups[edge->consumer];

		if (!edge->kept || consumer->want || &work->groups[edge->provider] != group)
			continue;
		for (size_t j = 0; j < consumer->n_units; j++)
			if (unit_live(&consumer->units[j]) && !host_given_up(work, consumer->units[j].host))
				return true;
	}
	return false;
}

void retire_extra(struct work *work, struct group *group, struct node *node)
{
	bool may = group->want || !consumers_left(work, group);

	for (size_t i = 0; i < node->n_units; i++)
		if (!node->units[i].gone)
			retire(work, group, &node->units[i], may, false);
}

static bool better_to_restore(const struct unit *a, const struct unit *b)
{
	if (!b || a->desired != b->desired)
		return !b || a->desired == PLAN_DRAIN;
	return a->it->gen > b->it->gen;
}

static bool is_good(const struct work *work, const struct group *group, const struct node *node)
{
	const struct plan_component *good = spec_component(work->service->good, group->name);

	return good && node->n <= good->nodes;
}

/* When nothing of a node runs that somebody wants, what last passed its checks serves again. */
static void restore(struct work *work, const struct group *group, struct node *node)
{
	struct unit *best = NULL;

	/* As after `down`: what was on its way out goes on leaving when the new revision rolls. */
	if (!node->wanted && !is_good(work, group, node))
		return;
	for (size_t i = 0; i < node->n_units; i++) {
		struct unit *unit = &node->units[i];

		if (unit->desired == PLAN_RUN && !unit->gone)
			return;
		if (unit->proven && !unit->gone && unit->host && !unit->lost && better_to_restore(unit, best))
			best = unit;
	}
	if (best && (best->desired == PLAN_DRAIN || (best->desired == PLAN_STOP && node_alone(node, best))))
		act_desire(work, best, PLAN_RUN);
}

void hold_node(struct work *work, struct group *group, struct node *node)
{
	if (!node->out) {
		restore(work, group, node);
		return;
	}
	for (size_t i = 0; i < node->n_units; i++)
		take_out(work, group, node, &node->units[i]);
}
