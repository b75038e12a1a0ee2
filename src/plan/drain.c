/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking an instance out: when it may begin, and when it has ended. */
#include "plan/work.h"

#include <stdio.h>
#include <string.h>

/* "front.1.5" names the unit? */
static bool is_consumer(const char *name, const struct unit *unit)
{
	char text[128];

	snprintf(text, sizeof(text), "%s.%u.%llu", unit->it->component, unit->it->n, (unsigned long long)unit->it->gen);
	return !strcmp(name, text);
}

static bool let_go(const struct work *work, const struct unit *unit, const struct unit *consumer)
{
	const struct plan_ack **acks = NULL;
	size_t n = lookup_acks(work->lookup, unit->it, &acks);

	for (size_t i = 0; i < n; i++)
		if (!acks[i]->sessions && (!acks[i]->since_ms || acks[i]->since_ms == unit->it->since_ms) &&
		    is_consumer(acks[i]->consumer, consumer))
			return true;
	return false;
}

/* May it use that component? One that is being started may have begun already. */
static bool consumes(struct work *work, const struct unit *unit, const char *component)
{
	return !unit->gone && unit->host && !host_given_up(work, unit->host) && !unit_answers(unit, PLAN_FAILED) &&
	       (unit->desired == PLAN_RUN || unit->desired == PLAN_DRAIN) && strv_has(&unit->it->links, component);
}

static void find_consumers(struct work *work, struct group *group)
{
	for (size_t i = 0; i < work->n_units; i++) {
		if (!consumes(work, &work->units[i], group->name))
			continue;
		group->consumers =
		    grow_array(group->consumers, group->n_consumers, &group->cap_consumers, sizeof(struct unit *));
		group->consumers[group->n_consumers++] = &work->units[i];
	}
	group->consumers_known = true;
}

/* Every consumer took it out and has no session with it; or time is over, or nobody can be asked any more. */
bool unit_drained(struct work *work, struct group *group, const struct unit *unit, int64_t deadline_ms)
{
	if (unit->desired != PLAN_DRAIN || unit->it->desired != PLAN_DRAIN)
		return false;
	if (!unit->host || unit->lost)
		return true;
	if (reached(work, told_for(work, unit), deadline_ms > 0 ? deadline_ms : PLAN_DRAIN_MS))
		return true;
	if (!group->consumers_known)
		find_consumers(work, group);
	for (size_t i = 0; i < group->n_consumers; i++)
		if (!let_go(work, unit, group->consumers[i]))
			return false;
	return true;
}

/* Its agent says that it runs as told: the catalog alone may not know yet that it was taken out a moment ago. */
static bool serves(const struct unit *unit)
{
	return unit->desired == PLAN_RUN && unit_answers(unit, PLAN_RUNNING) && unit_healthy(unit) && !unit->lost &&
	       !unit->gone;
}

static bool node_serves(const struct node *node)
{
	for (size_t i = 0; i < node->n_units; i++)
		if (serves(&node->units[i]))
			return true;
	return false;
}

static bool settled(const struct node *node)
{
	return !node->current || node->current->desired != PLAN_RUN || node->current->proven;
}

/* A node that has been ill for a whole deadline: waiting for it would stop everything and help nobody. */
static bool given_up(struct work *work, const struct group *group, const struct node *node)
{
	const struct unit *unit = node->current;

	return unit && unit->desired == PLAN_RUN && unit->it->desired == PLAN_RUN && unit->proven &&
	       !unit_healthy(unit) && sure(work) &&
	       reached(work, health_for(work, unit), group->want->update.deadline_ms);
}

/* Start-first: between the start of the new instance and the stop of the old one. */
static bool busy(const struct node *node)
{
	if (!node->current || node->current->desired != PLAN_RUN)
		return false;
	for (size_t i = 0; i < node->n_units; i++) {
		const struct unit *unit = &node->units[i];

		if (unit != node->current && !unit->lost && !unit->gone &&
		    (unit->desired == PLAN_RUN || unit->desired == PLAN_DRAIN))
			return true;
	}
	return false;
}

/*
 * Counts a component's healthy instances, how many there should be, and the nodes that do not serve or have only just
 * begun to.
 */
void group_count(struct work *work, struct group *group)
{
	if (group->count_at == work->acted + 1)
		return;
	group->healthy = group->needed = group->down = group->busy = 0;
	for (size_t i = 0; i < group->n_nodes; i++) {
		const struct node *node = &group->nodes[i];
		bool up = node_serves(node), given = !up && given_up(work, group, node);

		for (size_t j = 0; j < node->n_units; j++)
			group->healthy += serves(&node->units[j]);
		group->busy += busy(node);
		if (!node->wanted || node->out || given)
			continue;
		group->needed++;
		group->down += !up || !settled(node);
	}
	group->count_at = work->acted + 1;
}

static bool ready_to_start(const struct unit *unit)
{
	return unit->desired != PLAN_PREPARE || unit_answers(unit, PLAN_PREPARED);
}

/* May an old instance of a wanted node be taken out now? */
bool may_drain(struct work *work, struct group *group, const struct node *node, const struct unit *old)
{
	const struct plan_component *want = group->want;
	const struct unit *current = node->current;

	if (!current)
		return false;
	if (!old->host)
		return true;
	if (node->out)
		return ready_to_start(current);
	if (!sure(work))
		return false;
	group_count(work, group);
	if (current->desired == PLAN_RUN)
		return current->proven && serves(current) && (!serves(old) || group->healthy > group->needed);
	if (!component_stop_first(want) || !ready_to_start(current) || !group_gate(work, group))
		return false;
	if (unit_ill(work, old, want->update.healthy_for_ms))
		return true;
	/* A node that serves until then is not among those that are down; one that does not serve loses nothing. */
	return group->down < want->update.parallel + !node_serves(node);
}
