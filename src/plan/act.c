/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decisions become actions of the service's transaction, and change the working copies. */
#include "plan/work.h"

#include <string.h>

#define OPS_STATUS 1
#define OPS_EVENTS 4 /* always left free, so that a phase's own event has room */
#define OPS_ACKS 20  /* hosts whose acks go in one transaction; an agent also takes back its own */

static struct plan_action *add(struct work *work, enum plan_action_kind kind)
{
	struct plan_txn *txn = &work->txn;

	txn->actions = grow_array(txn->actions, txn->n, &txn->cap, sizeof(*txn->actions));
	txn->actions[txn->n] = (struct plan_action){ .kind = kind };
	return &txn->actions[txn->n++];
}

static bool room(struct work *work, size_t ops)
{
	if (work->ops + ops + OPS_STATUS + OPS_EVENTS > PLAN_TXN_MAX) {
		work->full = true;
		return false;
	}
	work->ops += ops;
	work->acted++;
	return true;
}

static bool room_for(struct work *work, struct unit *unit, size_t ops)
{
	if (unit->touched) {
		work->full = true;
		return false;
	}
	if (!room(work, ops))
		return false;
	unit->touched = true;
	return true;
}

static struct plan_action *add_unit(struct work *work, enum plan_action_kind kind, const struct unit *unit)
{
	struct plan_action *action = add(work, kind);

	action->component = xstrdup(unit->it->component);
	action->host = xstrdup(unit->it->host);
	action->n = unit->it->n;
	action->gen = unit->it->gen;
	action->index = unit->it->index;
	return action;
}

/* The assignment as it is, for DESIRE to change. */
static struct plan_action *add_desire(struct work *work, const struct unit *unit)
{
	struct plan_action *action = add_unit(work, PLAN_DESIRE, unit);

	action->revision = unit->it->revision;
	action->fingerprint = xstrdup(unit->it->fingerprint);
	action->desired = unit->desired;
	action->since_ms = unit->it->since_ms;
	action->proven = unit->proven;
	return action;
}

static void set_home(struct work *work, const char *component, unsigned n, const char *host)
{
	struct plan_status *status = &work->status;
	size_t at = 0;

	while (at < status->n_homes) {
		int d = strcmp(status->homes[at].component, component);

		if (!d && status->homes[at].n == n) {
			free(status->homes[at].host);
			status->homes[at].host = xstrdup(host);
			return;
		}
		if (d > 0 || (!d && status->homes[at].n > n))
			break;
		at++;
	}
	status->homes = xreallocarray(status->homes, status->n_homes + 1, sizeof(*status->homes));
	memmove(&status->homes[at + 1], &status->homes[at], (status->n_homes - at) * sizeof(*status->homes));
	status->homes[at] = (struct plan_home){ xstrdup(component), n, xstrdup(host) };
	status->n_homes++;
}

/* The revision in work, or the next number that no instance of this node has. */
static uint64_t next_gen(const struct work *work, const struct node *node)
{
	uint64_t gen = work->status.revision;

	for (size_t i = 0; i < node->n_units; i++)
		if (node->units[i].it->gen >= gen)
			gen = node->units[i].it->gen + 1;
	return gen;
}

bool act_assign(struct work *work, const struct group *group, struct node *node, struct place_host *host,
		enum plan_desired desired)
{
	struct plan_action *action;

	if (!room(work, 1))
		return false;
	action = add(work, PLAN_ASSIGN);
	action->component = xstrdup(group->name);
	action->host = xstrdup(host->host->name);
	action->n = node->n;
	action->gen = next_gen(work, node);
	action->revision = work->spec->revision;
	action->fingerprint = xstrdup(group->want->fingerprint);
	action->desired = desired;
	action->since_ms = work->now_ms;
	lookup_add_load(work->lookup, host, memory_added(host, group->want, node));
	if (work->lookup->counted == group)
		++*place_same(work->lookup, host);
	if (group->want->exclusive)
		set_home(work, group->name, node->n, host->host->name);
	return true;
}

bool act_take_over(struct work *work, struct unit *unit, enum plan_desired desired, bool exclusive)
{
	struct plan_action *action;

	if (!room_for(work, unit, 1))
		return false;
	unit->desired = desired;
	action = add_unit(work, PLAN_ASSIGN, unit);
	action->index = 0;
	action->found = true;
	action->fingerprint = xstrdup(unit->it->fingerprint);
	action->desired = desired;
	action->since_ms = work->now_ms;
	if (exclusive)
		set_home(work, unit->it->component, unit->it->n, unit->it->host);
	return true;
}

/* The hosts below which there are acks of it; they come sorted. */
static struct strv ack_hosts(const struct work *work, const struct unit *unit)
{
	const struct plan_ack **acks = NULL;
	size_t n = lookup_acks(work->lookup, unit->it, &acks);
	struct strv hosts = { 0 };

	for (size_t i = 0; i < n && hosts.n < OPS_ACKS; i++)
		if (!hosts.n || strcmp(hosts.v[hosts.n - 1], acks[i]->host))
			strv_add(&hosts, acks[i]->host);
	return hosts;
}

bool act_desire(struct work *work, struct unit *unit, enum plan_desired desired)
{
	/* Also of one that had stopped: what was said of its last drain must not end its next one. */
	_cleanup_strv_ struct strv hosts = desired == PLAN_RUN ? ack_hosts(work, unit) : (struct strv){ 0 };
	struct plan_action *action;

	if (!room_for(work, unit, 1 + hosts.n))
		return false;
	if (desired == PLAN_RUN && unit->desired != PLAN_DRAIN)
		unit->proven = false; /* it starts again, and is to be held against its checks again */
	unit->desired = desired;
	action = add_desire(work, unit);
	action->since_ms = work->now_ms > unit->it->since_ms ? work->now_ms : unit->it->since_ms + 1;
	action->drop_acks = hosts;
	hosts = (struct strv){ 0 };
	return true;
}

bool act_prove(struct work *work, struct unit *unit)
{
	if (!room_for(work, unit, 1))
		return false;
	unit->proven = true;
	add_desire(work, unit);
	return true;
}

bool act_around(struct work *work, const struct plan_component *want, struct unit *unit)
{
	struct plan_action *action;

	if (!room_for(work, unit, 1))
		return false;
	action = add_desire(work, unit);
	action->revision = work->spec->revision;
	free(action->fingerprint);
	action->fingerprint = xstrdup(want->fingerprint);
	return true;
}

bool act_unassign(struct work *work, struct unit *unit)
{
	_cleanup_strv_ struct strv hosts = ack_hosts(work, unit);

	if (!room_for(work, unit, 1 + hosts.n))
		return false;
	unit->gone = true;
	add_unit(work, PLAN_UNASSIGN, unit)->drop_acks = hosts;
	hosts = (struct strv){ 0 };
	return true;
}

void act_event(struct work *work, const char *kind, const struct unit *unit, const char *format, ...)
{
	struct plan_action *action;
	va_list ap;

	if (work->ops + OPS_STATUS >= PLAN_TXN_MAX)
		return;
	work->ops++;
	action = unit ? add_unit(work, PLAN_EVENT, unit) : add(work, PLAN_EVENT);
	action->event = xstrdup(kind);
	action->revision = work->status.revision;
	va_start(ap, format);
	action->text = xvasprintf(format, ap);
	va_end(ap);
}

void act_phase(struct work *work, enum plan_phase phase, char *reason, char *detail)
{
	free(work->status.reason);
	free(work->status.detail);
	work->status.reason = reason;
	work->status.detail = detail;
	work->status.phase = phase;
	work->status.since_ms = work->now_ms;
	work->status_changed = true;
}

/* While going back or having failed, the reason is why, and stays. */
static bool reason_is_free(const struct work *work)
{
	return work->status.phase == PLAN_PREPARING || work->status.phase == PLAN_ROLLING ||
	       work->status.phase == PLAN_DONE;
}

void act_reason(struct work *work, char *reason)
{
	bool same = work->status.reason && !strcmp(work->status.reason, reason);

	if (work->waiting || same || !reason_is_free(work)) {
		work->waiting |= same;
		free(reason);
		return;
	}
	free(work->status.reason);
	work->status.reason = reason;
	work->status_changed = work->waiting = true;
}

static void clear_reason(struct work *work)
{
	if (work->waiting || !work->status.reason || !reason_is_free(work))
		return;
	free(work->status.reason);
	work->status.reason = NULL;
	work->status_changed = true;
}

void status_copy(struct plan_status *to, const struct plan_status *from)
{
	*to = *from;
	to->reason = xstrdup(from->reason);
	to->detail = xstrdup(from->detail);
	to->homes = xcalloc(from->n_homes, sizeof(*to->homes));
	for (size_t i = 0; i < from->n_homes; i++)
		to->homes[i] = (struct plan_home){ xstrdup(from->homes[i].component), from->homes[i].n,
						   xstrdup(from->homes[i].host) };
}

/* Puts STATUS in front and hands the transaction over, if there is anything to do. */
void act_finish(struct work *work, struct plan_actions *ret)
{
	struct plan_action *status;

	if (work->wake_ms < ret->wake_ms)
		ret->wake_ms = work->wake_ms;
	clear_reason(work);
	if (!work->txn.n && !work->status_changed)
		return;
	if (work->full)
		ret->wake_ms = work->now_ms;
	add(work, PLAN_STATUS);
	memmove(&work->txn.actions[1], &work->txn.actions[0], (work->txn.n - 1) * sizeof(*work->txn.actions));
	status = &work->txn.actions[0];
	*status = (struct plan_action){ .kind = PLAN_STATUS, .index = work->service->status_index };
	status_copy(&status->status, &work->status);
	status->status.step++;
	work->txn.service = xstrdup(work->service->name);
	ret->txns = grow_array(ret->txns, ret->n, &ret->cap, sizeof(*ret->txns));
	ret->txns[ret->n++] = work->txn;
	work->txn = (struct plan_txn){ 0 };
}
