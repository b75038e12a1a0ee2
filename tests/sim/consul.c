/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consul: keys and catalog, transactions that it takes whole or refuses, and who hears of a change when. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

void kv_copy(struct kv *to, const struct kv *from)
{
	memcpy(to, from, offsetof(struct kv, acks));
	memcpy(to->acks, from->acks, (size_t)from->n_acks * sizeof(*to->acks));
	memcpy(to->records, from->records, (size_t)from->n_records * sizeof(*to->records));
}

static int64_t delay(struct world *w)
{
	return chance(w, 20) ? between(w, 100, DELAY_MS) : between(w, 1, 30);
}

void touch(struct world *w)
{
	w->changed = true;
	w->changed_at = w->now;
	if (w->leader.up)
		sooner(&w->leader.next, w->now + delay(w));
}

void touch_host(struct world *w, int host)
{
	touch(w);
	sooner(&w->hosts[host].hear_at, w->now + (chance(w, 20) ? between(w, 100, 4000) : between(w, 1, 60)));
}

void touch_catalog(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	touch(w);
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *c = &w->kv.records[i];

		if (w->actual[i].used && c->service == r->service && uses(c->component, r->component))
			sooner(&w->hosts[c->host].links_at,
			       w->now + (chance(w, 20) ? between(w, 100, 3000) : between(w, 1, 60)));
	}
}

void take_snapshot(struct world *w)
{
	if (!w->changed && w->n_snapshots)
		return;
	kv_copy(&w->snapshots[w->n_snapshots % SNAPSHOTS], &w->kv);
	w->snapshot_at[w->n_snapshots % SNAPSHOTS] = w->now;
	w->n_snapshots++;
	w->changed = false;
}

unsigned old_snapshot(struct world *w, unsigned than, unsigned most)
{
	unsigned back = chance(w, 4) ? (unsigned)random_to(w, most + 1) : 0;

	while (back-- && than > w->first_snapshot && w->n_snapshots - than < SNAPSHOTS &&
	       w->now - w->snapshot_at[than % SNAPSHOTS] < LATE_MS)
		than--;
	return than;
}

int find_uid(const struct kv *kv, uint32_t uid, int slot)
{
	if (slot < kv->n_records && kv->records[slot].uid == uid)
		return slot;
	return -1;
}

/* --- acks --- */

static struct ack *seek_ack(struct kv *kv, uint32_t drained, uint32_t consumer)
{
	for (int i = 0; i < kv->n_acks; i++)
		if (kv->acks[i].drained == drained && kv->acks[i].consumer == consumer)
			return &kv->acks[i];
	return NULL;
}

const struct ack *find_ack(const struct kv *kv, uint32_t drained, uint32_t consumer)
{
	return seek_ack((struct kv *)kv, drained, consumer);
}

void write_ack(struct world *w, int drained, int consumer, unsigned sessions, int64_t since_ms)
{
	const struct record *c = &w->kv.records[consumer];
	uint32_t of = w->kv.records[drained].uid;
	struct ack *ack = seek_ack(&w->kv, of, c->uid);

	if (ack && ack->sessions == sessions && ack->since_ms == since_ms)
		return;
	if (!ack && w->kv.n_acks == ACKS_MAX)
		return;
	if (!ack)
		ack = &w->kv.acks[w->kv.n_acks++];
	*ack = (struct ack){ of, c->uid, c->host, c->component, c->n, c->gen, sessions, since_ms, w->now };
	touch(w);
}

void delete_ack(struct world *w, uint32_t drained, uint32_t consumer)
{
	struct ack *ack = seek_ack(&w->kv, drained, consumer);

	if (!ack)
		return;
	*ack = w->kv.acks[--w->kv.n_acks];
	touch(w);
}

void drop_acks(struct world *w, uint32_t drained, int consumer_host)
{
	for (int i = 0; i < w->kv.n_acks;)
		if (w->kv.acks[i].drained == drained && (consumer_host < 0 || w->kv.acks[i].host == consumer_host))
			w->kv.acks[i] = w->kv.acks[--w->kv.n_acks];
		else
			i++;
}

void drop_acks_of_host(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_acks;)
		if (w->kv.acks[i].host == host)
			w->kv.acks[i] = w->kv.acks[--w->kv.n_acks];
		else
			i++;
}

/* --- transactions --- */

static int find_slot(struct world *w, int service, const struct plan_action *action)
{
	int component = component_id(action->component), host = host_id(action->host);

	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (w->actual[i].used && r->gen == action->gen && r->n == action->n && r->service == service &&
		    r->component == component && r->host == host)
			return i;
	}
	return -1;
}

/* Would Consul take it? */
static bool holds(struct world *w, int service, const struct plan_txn *txn, uint64_t session)
{
	if (w->consul_down || (session != w->kv.session && !w->no_session_check))
		return false;
	for (size_t i = 0; i < txn->n; i++) {
		const struct plan_action *a = &txn->actions[i];
		int slot = a->kind == PLAN_STATUS || a->kind == PLAN_EVENT ? -1 : find_slot(w, service, a);

		if (a->kind == PLAN_STATUS && a->index != w->kv.services[service].status_index)
			return false;
		if (a->kind == PLAN_ASSIGN && slot >= 0 && w->kv.records[slot].assigned)
			return false;
		/* What was found has gone by itself: the product would make it anew. */
		if (a->kind == PLAN_ASSIGN && a->found && slot < 0)
			return false;
		if ((a->kind == PLAN_DESIRE || a->kind == PLAN_UNASSIGN) &&
		    (slot < 0 || !w->kv.records[slot].assigned || w->kv.records[slot].index != a->index))
			return false;
	}
	return true;
}

int new_slot(struct world *w, int host)
{
	for (int i = 0; i < INSTANCES_MAX; i++) {
		if (w->actual[i].used)
			continue;
		if (i >= w->kv.n_records)
			w->kv.n_records = i + 1;
		w->kv.records[i] = (struct record){ .uid = ++w->uids, .index = w->kv.index, .health_at = w->now };
		w->actual[i] =
		    (struct actual){ .used = true,
				     .container = CONTAINER_NONE,
				     .mind.container = w->hosts[host].listed ? CONTAINER_NONE : CONTAINER_UNKNOWN,
				     .serves_since = NEVER,
				     .look_at = NEVER,
				     .again_at = NEVER,
				     .say_at = NEVER,
				     .tell_at = NEVER,
				     .publish_at = NEVER };
		return i;
	}
	fail(w, "more than %d instances", INSTANCES_MAX);
	return -1;
}

void forget_slot(struct world *w, int slot)
{
	trace(w, "  %s is gone", instance_name(&w->kv.records[slot]));
	forget_routes(w, slot);
	w->kv.records[slot] = (struct record){ 0 };
	w->actual[slot] = (struct actual){ 0 };
	while (w->kv.n_records && !w->actual[w->kv.n_records - 1].used)
		w->kv.n_records--;
	touch(w);
}

static void apply_spec(struct world *w, struct record *r, uint64_t revision)
{
	const struct sim_spec *spec = spec_of_revision(w, r->service, revision);
	int at = spec_find(spec, r->component);

	if (at < 0) {
		fail(w, "revision %llu has no %s", (unsigned long long)revision, component_names[r->component]);
		return;
	}
	r->revision = revision;
	r->version = spec->version[at];
	r->checks = spec->checks[at];
}

static void apply_assign(struct world *w, int service, const struct plan_action *a)
{
	int slot = find_slot(w, service, a);
	struct record *r;

	if (slot < 0)
		slot = new_slot(w, host_id(a->host));
	if (slot < 0)
		return;
	r = &w->kv.records[slot];
	r->assigned = true;
	r->service = (uint8_t)service;
	r->component = (uint8_t)component_id(a->component);
	r->host = (uint8_t)host_id(a->host);
	r->n = a->n;
	r->gen = a->gen;
	r->index = w->kv.index;
	r->desired = a->desired;
	r->since_ms = a->since_ms;
	r->told_at = w->now;
	r->proven = a->proven;
	w->actual[slot].bereft = false;
	w->actual[slot].stop_told |= a->desired == PLAN_STOP;
	if (a->found)
		r->revision = 0; /* body and checks are those that its agent told */
	else
		apply_spec(w, r, a->revision);
	touch_host(w, r->host);
}

static void apply_desire(struct world *w, const struct plan_action *a, int slot)
{
	struct record *r = &w->kv.records[slot];

	if (r->since_ms != a->since_ms)
		r->told_at = w->now;
	w->actual[slot].stop_told |= a->desired == PLAN_STOP;
	r->desired = a->desired;
	r->since_ms = a->since_ms;
	r->proven = a->proven;
	r->index = w->kv.index;
	if (a->revision != r->revision)
		apply_spec(w, r, a->revision);
	touch_host(w, r->host);
}

static void apply_status(struct world *w, int service, const struct plan_status *status)
{
	struct kv_service *kv = &w->kv.services[service];

	/* Consul does not count a write of the same value as a change. */
	if (kv->phase == status->phase && kv->revision == status->revision && kv->good == status->good &&
	    kv->step == status->step && kv->phase_since_ms == status->since_ms && kv->n_homes == status->n_homes)
		return;
	if (kv->phase != status->phase || kv->phase_since_ms != status->since_ms)
		kv->phase_at = w->now;
	kv->phase = status->phase;
	kv->revision = status->revision;
	kv->good = status->good;
	kv->step = status->step;
	kv->phase_since_ms = status->since_ms;
	kv->status_index = w->kv.index;
	snprintf(kv->reason, sizeof(kv->reason), "%s", status->reason ? status->reason : "");
	kv->n_homes = status->n_homes < HOMES_MAX ? status->n_homes : HOMES_MAX;
	for (size_t i = 0; i < kv->n_homes; i++)
		kv->homes[i] =
		    (struct plan_home){ (char *)component_names[component_id(status->homes[i].component)],
					status->homes[i].n, (char *)host_names[host_id(status->homes[i].host)] };
}

static void trace_action(struct world *w, int service, const struct plan_action *a)
{
	static const char *const kinds[] = { "assign", "desire", "unassign", "status", "event" };

	if (a->kind == PLAN_STATUS)
		trace(w, "leader: %s: status %s revision %llu good %llu %s", service_names[service],
		      plan_phase_name(a->status.phase), (unsigned long long)a->status.revision,
		      (unsigned long long)a->status.good, a->status.reason ? a->status.reason : "");
	else if (a->kind == PLAN_EVENT)
		trace(w, "leader: event %s: %s", a->event, a->text);
	else
		trace(w, "leader: %s %s/%s/%u.%llu@%s %s%s", kinds[a->kind], service_names[service], a->component, a->n,
		      (unsigned long long)a->gen, a->host,
		      a->kind == PLAN_UNASSIGN ? "" : plan_desired_name(a->desired), a->proven ? " proven" : "");
}

static void apply_action(struct world *w, int service, const struct plan_action *a)
{
	int slot = a->kind == PLAN_DESIRE || a->kind == PLAN_UNASSIGN ? find_slot(w, service, a) : -1;

	trace_action(w, service, a);
	check_action(w, service, a, slot);
	for (size_t i = 0; slot >= 0 && i < a->drop_acks.n; i++)
		drop_acks(w, w->kv.records[slot].uid, host_id(a->drop_acks.v[i]));
	if (a->kind == PLAN_ASSIGN)
		apply_assign(w, service, a);
	else if (a->kind == PLAN_DESIRE)
		apply_desire(w, a, slot);
	else if (a->kind == PLAN_STATUS)
		apply_status(w, service, &a->status);
	else if (a->kind == PLAN_UNASSIGN) {
		w->kv.records[slot].assigned = false;
		w->actual[slot].stop_told = true;
		touch_host(w, w->kv.records[slot].host);
		if (w->hosts[w->kv.records[slot].host].gone)
			forget_slot(w, slot);
	}
}

bool apply_txn(struct world *w, const struct plan_txn *txn, uint64_t session)
{
	int service = service_id(txn->service);

	if (!holds(w, service, txn, session)) {
		trace(w, "leader: transaction of %s refused", txn->service);
		return false;
	}
	w->kv.index++;
	for (size_t i = 0; i < txn->n; i++)
		apply_action(w, service, &txn->actions[i]);
	touch(w);
	return true;
}
