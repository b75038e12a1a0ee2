/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The phases of a deployment: preparing → rolling → done, or → rolling-back → rolled-back; and removing → removed. */
#include "plan/work.h"

#include "base/i18n.h"

/* Returns whether the node has an instance that is ready or runs already, where it may be. */
static bool prepare_node(struct work *work, struct group *group, struct node *node)
{
	const struct unit *unit = node->current;
	char *refused = place_refused(work, group, node);

	if (refused) {
		deployment_failed(work, NULL, refused, NULL);
		return false;
	}
	if (!unit || unit->displaced) {
		if (assign_node(work, group, node, PLAN_PREPARE) || !unit || unit->misplaced)
			return false;
	}
	if (unit->desired != PLAN_PREPARE || unit_answers(unit, PLAN_PREPARED))
		return true;
	/* It goes nowhere else: with nothing said, nobody would know what is waited for. */
	if (group->want->exclusive && unit->host && !unit->host->alive)
		act_reason(work,
			   xasprintf(_("Waiting for host %s, where %s/%u is to be prepared and which does not answer: "
				       "bring it back, or, if it is gone for good, forget it with `tepuy host "
				       "remove %s --force`"),
				     unit->it->host, group->name, node->n, unit->it->host));
	return false;
}

/* Instances that were made ready for what is no longer wanted; they never ran. */
static void drop_prepared(struct work *work, bool all)
{
	for (size_t i = 0; i < work->n_groups; i++)
		for (size_t j = 0; j < work->groups[i].n_nodes; j++) {
			struct node *node = &work->groups[i].nodes[j];

			for (size_t k = 0; k < node->n_units; k++)
				if (node->units[k].desired == PLAN_PREPARE && (all || &node->units[k] != node->current))
					act_unassign(work, &node->units[k]);
		}
}

static void hold_nodes(struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++)
		for (size_t j = 0; j < work->groups[i].n_nodes; j++)
			hold_node(work, &work->groups[i], &work->groups[i].nodes[j]);
}

/* False when a node failed and the phase is another one now. */
static bool none_failed(struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++) {
		struct group *group = &work->groups[work->order[i]];

		for (size_t j = 0; j < group->n_nodes; j++)
			if (group->nodes[j].wanted && node_failed(work, group, &group->nodes[j]))
				return false;
	}
	return true;
}

static void preparing(struct work *work)
{
	bool ready = true;

	if (!none_failed(work))
		return;
	for (size_t i = 0; i < work->n_groups; i++) {
		struct group *group = &work->groups[work->order[i]];

		for (size_t j = 0; j < group->n_nodes; j++) {
			if (group->nodes[j].wanted)
				ready &= prepare_node(work, group, &group->nodes[j]);
			if (work->status.phase != PLAN_PREPARING)
				return;
		}
	}
	drop_prepared(work, false);
	if (ready && !work->acted && !work->full) {
		act_phase(work, PLAN_ROLLING, NULL, NULL);
		return;
	}
	hold_nodes(work);
}

static void roll_wanted(struct work *work, enum roll_mode mode)
{
	for (size_t i = 0; i < work->n_groups; i++) {
		struct group *group = &work->groups[work->order[i]];

		for (size_t j = 0; j < group->n_nodes; j++)
			if (group->nodes[j].wanted)
				roll_node(work, group, &group->nodes[j], mode);
	}
}

static bool all_right(struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++)
		if (!group_right(work, &work->groups[i]))
			return false;
	return true;
}

/* Consumers first, and of a component the highest first. */
static void retire_extras(struct work *work)
{
	for (size_t i = work->n_groups; i-- > 0;) {
		struct group *group = &work->groups[work->order[i]];

		for (size_t j = group->n_nodes; j-- > 0;)
			if (!group->nodes[j].wanted)
				retire_extra(work, group, &group->nodes[j]);
	}
}

/* Every wanted node serves: what stopped, and was kept for the case that it goes back, is not needed any more. */
static void retire_kept(struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++)
		for (size_t j = 0; j < work->groups[i].n_nodes; j++)
			if (work->groups[i].nodes[j].wanted)
				retire_old(work, &work->groups[i], &work->groups[i].nodes[j], ROLL_STEADY);
}

/* Is there more than the wanted nodes' instances? What is on hosts that do not answer is cleaned up when they do. */
static bool old_ones_left(const struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++)
		for (size_t j = 0; j < work->groups[i].n_nodes; j++) {
			const struct node *node = &work->groups[i].nodes[j];

			for (size_t k = 0; k < node->n_units; k++) {
				const struct unit *unit = &node->units[k];

				if (unit != node->current && !unit->gone && (!unit->host || unit->host->alive))
					return true;
			}
		}
	return false;
}

static void rolling(struct work *work)
{
	bool back = work->status.phase == PLAN_ROLLING_BACK;

	if (!none_failed(work))
		return;
	roll_wanted(work, back ? ROLL_BACK : ROLL_FORWARD);
	if (!all_right(work))
		return;
	retire_extras(work);
	retire_kept(work);
	if (work->acted || work->full || old_ones_left(work) || work->service->n_leaving)
		return;
	if (back) {
		act_event(work, "rolled-back", NULL, _("Back at revision %llu"), (unsigned long long)work->status.good);
		act_phase(work, PLAN_ROLLED_BACK, xstrdup(work->status.reason), xstrdup(work->status.detail));
		return;
	}
	work->status.good = work->status.revision;
	act_event(work, "done", NULL, _("Revision %llu is done"), (unsigned long long)work->status.revision);
	act_phase(work, PLAN_DONE, NULL, NULL);
}

static void steady(struct work *work)
{
	if (!work->spec)
		return;
	roll_wanted(work, ROLL_STEADY);
	retire_extras(work);
}

static void given_up(struct work *work)
{
	drop_prepared(work, true);
	hold_nodes(work);
}

static void removing(struct work *work)
{
	retire_extras(work);
	if (work->n_units || work->service->n_leaving || work->status.phase == PLAN_REMOVED)
		return;
	work->status.good = 0;
	act_event(work, "removed", NULL, _("The service is down; its data is kept"));
	act_phase(work, PLAN_REMOVED, NULL, NULL);
}

const struct plan_spec *service_aim(const struct plan_service *service, enum plan_phase phase)
{
	switch (phase) {
	case PLAN_ROLLING_BACK:
	case PLAN_ROLLED_BACK:
		return service->good;
	case PLAN_REMOVING:
	case PLAN_REMOVED:
		return NULL;
	default:
		return service->spec;
	}
}

void plan_phase_step(struct work *work)
{
	groups_build(work, service_aim(work->service, work->status.phase));
	switch (work->status.phase) {
	case PLAN_NEW:
		break;
	case PLAN_PREPARING:
		preparing(work);
		break;
	case PLAN_ROLLING:
		rolling(work);
		break;
	case PLAN_ROLLING_BACK:
		if (work->spec)
			rolling(work);
		else
			act_phase(work, PLAN_GAVE_UP, xstrdup(work->status.reason), xstrdup(work->status.detail));
		break;
	case PLAN_DONE:
	case PLAN_ROLLED_BACK:
		steady(work);
		break;
	case PLAN_GAVE_UP:
		given_up(work);
		break;
	case PLAN_REMOVING:
	case PLAN_REMOVED:
		removing(work);
		break;
	}
}
