/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The leader's loop: a view that may be late, a plan, and transactions that Consul takes whole or refuses. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define LATE_MS 5000 /* so far is the leader's view behind at most */

/* Everything a view points to, so that making one allocates nothing. */
struct viewer {
	struct plan_view view;
	struct plan_service service;
	struct plan_host hosts[HOSTS_MAX];
	struct plan_instance instances[INSTANCES_MAX];
	struct plan_ack acks[ACKS_MAX];
	struct plan_disconnect outs[COMPONENTS];
};

static char *borrowed(const char *text)
{
	return (char *)text;
}

static void view_links(const struct record *r, struct strv *links)
{
	static const char *const of_front[] = { "web", NULL }, *const of_web[] = { "cache", "db", NULL };
	const char *name = component_names[r->component];

	if (!strcmp(name, "front"))
		*links = (struct strv){ .v = (char **)of_front, .n = 1, .cap = 1 };
	else if (!strcmp(name, "web"))
		*links = (struct strv){ .v = (char **)of_web, .n = 2, .cap = 2 };
}

static void view_instance(struct world *w, const struct kv *now, const struct kv *states, const struct kv *catalog,
			  int i, struct plan_instance *ret)
{
	const struct record *r = &now->records[i], *s = &states->records[i], *c = &catalog->records[i];
	bool same_state =
	    s->assigned && s->gen == r->gen && s->component == r->component && s->n == r->n && s->host == r->host;
	bool same_entry =
	    c->assigned && c->gen == r->gen && c->component == r->component && c->n == r->n && c->host == r->host;
	int64_t known = c->health_at > w->leader.started_at ? c->health_at : w->leader.started_at;

	*ret = (struct plan_instance){
		.host = borrowed(host_names[r->host]),
		.service = borrowed("portal"),
		.component = borrowed(component_names[r->component]),
		.n = r->n,
		.gen = r->gen,
		.index = r->index,
		.revision = r->revision,
		.fingerprint = borrowed(fingerprint_name(r->component, r->version)),
		.checks = borrowed(checks_name(r->checks)),
		.desired = r->desired,
		.since_ms = r->since_ms,
		.proven = r->proven,
		.state = same_state && s->has_state ? s->state : PLAN_NONE,
		.answers_ms = same_state && s->has_state ? s->answers_ms : 0,
		.why = borrowed("because"),
		.health = same_entry ? c->health : PLAN_UNKNOWN,
		.health_ms = same_entry ? w->now - known : 0,
	};
	view_links(r, &ret->links);
}

static void view_acks(const struct kv *kv, struct viewer *v)
{
	for (int i = 0; i < ACKS_MAX; i++) {
		const struct ack *ack = &kv->acks[i];
		const struct record *r = &kv->records[ack->slot];

		if (!ack->used || !r->assigned || r->gen != ack->gen)
			continue;
		v->acks[v->view.n_acks++] = (struct plan_ack){
			.host = borrowed(host_names[r->host]),
			.service = borrowed("portal"),
			.component = borrowed(component_names[r->component]),
			.n = r->n,
			.gen = r->gen,
			.consumer = borrowed(ack->consumer),
			.since_ms = ack->since_ms,
			.sessions = ack->sessions,
		};
	}
}

static void view_service(struct world *w, const struct kv *kv, struct viewer *v)
{
	struct sim_spec *good = kv->good ? spec_of_revision(w, kv->good) : NULL;

	v->service = (struct plan_service){
		.name = borrowed("portal"),
		.spec = kv->spec < 0 ? NULL : &w->specs[kv->spec].spec,
		.good = good ? &good->spec : NULL,
		.status = { .phase = kv->phase,
			    .revision = kv->revision,
			    .good = kv->good,
			    .step = kv->step,
			    .since_ms = kv->phase_since_ms,
			    .reason = kv->reason[0] ? borrowed(kv->reason) : NULL,
			    .homes = (struct plan_home *)kv->homes,
			    .n_homes = kv->n_homes },
		.status_index = kv->status_index,
		.disconnects = v->outs,
	};
	for (int i = 0; i < kv->n_records; i++)
		v->service.n_leaving += kv->records[i].has_state && !kv->records[i].assigned;
	for (int i = 0; i < COMPONENTS; i++)
		if (kv->outs[i].used)
			v->outs[v->service.n_disconnects++] =
			    (struct plan_disconnect){ borrowed(component_names[kv->outs[i].component]), kv->outs[i].n,
						      kv->outs[i].stop, kv->outs[i].deadline_ms };
}

/* A snapshot up to `most` changes older than `than`, and no more than some seconds behind. */
static unsigned old_snapshot(struct world *w, unsigned than, unsigned most)
{
	unsigned back = chance(w, 4) ? (unsigned)random_to(w, most + 1) : 0;

	while (back-- && than && w->n_snapshots - than < SNAPSHOTS &&
	       w->now - w->snapshot_at[than % SNAPSHOTS] < LATE_MS)
		than--;
	return than;
}

/* Returns whether something newer is on its way. */
static bool make_view(struct world *w, struct viewer *v)
{
	unsigned newest = w->n_snapshots - 1, now = w->calm ? newest : old_snapshot(w, newest, 6);
	const struct kv *kv = &w->snapshots[now % SNAPSHOTS];
	unsigned states_at = w->calm ? newest : old_snapshot(w, now, 4),
		 catalog_at = w->calm ? newest : old_snapshot(w, now, 4);
	const struct kv *states = &w->snapshots[states_at % SNAPSHOTS],
			*catalog = &w->snapshots[catalog_at % SNAPSHOTS];

	v->view = (struct plan_view){ .services = &v->service,
				      .n_services = 1,
				      .hosts = v->hosts,
				      .instances = v->instances,
				      .acks = v->acks,
				      .now_ms = w->now + w->leader.clock_ms };
	view_service(w, kv, v);
	for (int i = 0; i < w->n_hosts; i++) {
		int64_t known = kv->host_seen_at[i] > w->leader.started_at ? kv->host_seen_at[i] : w->leader.started_at;

		v->hosts[v->view.n_hosts++] = (struct plan_host){ .name = borrowed(host_names[i]),
								  .runtime = borrowed("docker"),
								  .alive = kv->host_alive[i],
								  .drained = kv->host_drained[i],
								  .dead_ms = kv->host_alive[i] ? 0 : w->now - known,
								  .alive_ms = kv->host_alive[i] ? w->now - known : 0 };
	}
	for (int i = 0; i < kv->n_records; i++)
		if (kv->records[i].assigned)
			view_instance(w, kv, states, catalog, i, &v->instances[v->view.n_instances++]);
	view_acks(kv, v);
	return now != newest || states_at != newest || catalog_at != newest;
}

static bool same_action(const struct plan_action *a, const struct plan_action *b)
{
	return a->kind == b->kind && a->n == b->n && a->gen == b->gen && a->index == b->index &&
	       a->revision == b->revision && a->desired == b->desired && a->since_ms == b->since_ms &&
	       a->proven == b->proven && a->status.phase == b->status.phase && a->status.step == b->status.step &&
	       !a->component == !b->component && (!a->component || !strcmp(a->component, b->component)) &&
	       !a->host == !b->host && (!a->host || !strcmp(a->host, b->host));
}

static bool same_actions(const struct plan_actions *a, const struct plan_actions *b)
{
	if (a->n != b->n || a->wake_ms != b->wake_ms)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (a->txns[i].n != b->txns[i].n)
			return false;
		for (size_t j = 0; j < a->txns[i].n; j++)
			if (!same_action(&a->txns[i].actions[j], &b->txns[i].actions[j]))
				return false;
	}
	return true;
}

static void plan_once(struct world *w)
{
	struct viewer v = { 0 };
	struct plan_actions *actions = &w->leader.actions;
	bool late = make_view(w, &v);

	plan_actions_release(actions);
	w->n_plans++;
	if (plan_next(&v.view, actions, NULL) < 0) {
		fail(w, "plan_next refused a view");
		return;
	}
	if (chance(w, 8)) {
		struct plan_actions again = { 0 };

		plan_next(&v.view, &again, NULL);
		if (!same_actions(actions, &again))
			fail(w, "the same view gave other actions");
		plan_actions_release(&again);
	}
	w->leader.next = actions->wake_ms == INT64_MAX ? NEVER : actions->wake_ms - w->leader.clock_ms;
	if (w->leader.next <= w->now)
		w->leader.next = w->now + 1;
	if (late && w->leader.next > w->now + 2000)
		w->leader.next = w->now + between(w, 5, 2000);
	w->leader.apply_at = actions->n ? w->now + (chance(w, 15) ? between(w, 50, 4000) : between(w, 1, 15)) : NEVER;
}

static int find_slot(struct world *w, const struct plan_action *action)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (w->actual[i].used && r->gen == action->gen && r->n == action->n &&
		    r->component == component_id(action->component) && r->host == host_id(action->host))
			return i;
	}
	return -1;
}

/* Would Consul take it? */
static bool holds(struct world *w, const struct plan_txn *txn)
{
	for (size_t i = 0; i < txn->n; i++) {
		const struct plan_action *a = &txn->actions[i];
		int slot = a->kind == PLAN_STATUS || a->kind == PLAN_EVENT ? -1 : find_slot(w, a);

		if (a->kind == PLAN_STATUS && a->index != w->kv.status_index)
			return false;
		if (a->kind == PLAN_ASSIGN && slot >= 0 && w->kv.records[slot].assigned)
			return false;
		if ((a->kind == PLAN_DESIRE || a->kind == PLAN_UNASSIGN) &&
		    (slot < 0 || !w->kv.records[slot].assigned || w->kv.records[slot].index != a->index))
			return false;
	}
	return true;
}

static int new_slot(struct world *w)
{
	for (int i = 0; i < INSTANCES_MAX; i++)
		if (!w->actual[i].used) {
			if (i >= w->kv.n_records)
				w->kv.n_records = i + 1;
			w->kv.records[i] = (struct record){ 0 };
			w->actual[i] =
			    (struct actual){ .used = true, .notice_at = NEVER, .publish_at = NEVER, .ack_at = NEVER };
			return i;
		}
	fail(w, "more than %d instances", INSTANCES_MAX);
	return -1;
}

static void apply_spec(struct world *w, struct record *r, uint64_t revision)
{
	const struct sim_spec *spec = spec_of_revision(w, revision);
	int at = spec_find(spec, r->component);

	if (at < 0) {
		fail(w, "revision %llu has no %s", (unsigned long long)revision, component_names[r->component]);
		return;
	}
	r->revision = revision;
	r->version = spec->version[at];
	r->checks = spec->checks[at];
}

static void apply_assign(struct world *w, const struct plan_action *a)
{
	int slot = find_slot(w, a);
	struct record *r;

	if (slot < 0)
		slot = new_slot(w);
	if (slot < 0)
		return;
	r = &w->kv.records[slot];
	r->assigned = true;
	r->component = component_id(a->component);
	r->host = host_id(a->host);
	r->n = a->n;
	r->gen = a->gen;
	r->index = w->index;
	r->desired = a->desired;
	r->since_ms = a->since_ms;
	r->proven = a->proven;
	apply_spec(w, r, a->revision);
	notice(w, slot, 100);
}

static void apply_desire(struct world *w, const struct plan_action *a, int slot)
{
	struct record *r = &w->kv.records[slot];

	if (a->desired == PLAN_DRAIN)
		w->actual[slot].ack_at = w->now + between(w, 10, 500);
	r->desired = a->desired;
	r->since_ms = a->since_ms;
	r->proven = a->proven;
	r->index = w->index;
	if (a->revision != r->revision)
		apply_spec(w, r, a->revision);
	for (int i = 0; a->drop_acks && i < ACKS_MAX; i++)
		if (w->kv.acks[i].used && w->kv.acks[i].slot == slot)
			w->kv.acks[i].used = false;
	notice(w, slot, 100);
}

static void apply_status(struct world *w, const struct plan_status *status)
{
	struct kv *kv = &w->kv;

	/* Consul does not count a write of the same value as a change. */
	if (kv->phase == status->phase && kv->revision == status->revision && kv->good == status->good &&
	    kv->step == status->step && kv->phase_since_ms == status->since_ms && kv->n_homes == status->n_homes)
		return;
	kv->phase = status->phase;
	kv->revision = status->revision;
	kv->good = status->good;
	kv->step = status->step;
	kv->phase_since_ms = status->since_ms;
	kv->status_index = w->index;
	snprintf(kv->reason, sizeof(kv->reason), "%s", status->reason ? status->reason : "");
	kv->n_homes = status->n_homes < HOMES_MAX ? status->n_homes : HOMES_MAX;
	for (size_t i = 0; i < kv->n_homes; i++)
		kv->homes[i] =
		    (struct plan_home){ borrowed(component_names[component_id(status->homes[i].component)]),
					status->homes[i].n, borrowed(host_names[host_id(status->homes[i].host)]) };
}

static void trace_action(struct world *w, const struct plan_action *a)
{
	static const char *const kinds[] = { "assign", "desire", "unassign", "status", "event" };

	if (a->kind == PLAN_STATUS)
		trace(w, "leader: status %s revision %llu good %llu %s", plan_phase_name(a->status.phase),
		      (unsigned long long)a->status.revision, (unsigned long long)a->status.good,
		      a->status.reason ? a->status.reason : "");
	else if (a->kind == PLAN_EVENT)
		trace(w, "leader: event %s: %s", a->event, a->text);
	else
		trace(w, "leader: %s %s/%u.%llu on %s %s%s", kinds[a->kind], a->component, a->n,
		      (unsigned long long)a->gen, a->host,
		      a->kind == PLAN_UNASSIGN ? "" : plan_desired_name(a->desired), a->proven ? " proven" : "");
}

static void apply(struct world *w, const struct plan_txn *txn)
{
	w->index++;
	for (size_t i = 0; i < txn->n; i++) {
		const struct plan_action *a = &txn->actions[i];
		int slot = a->kind == PLAN_DESIRE || a->kind == PLAN_UNASSIGN ? find_slot(w, a) : -1;

		trace_action(w, a);
		check_action(w, a, slot);
		if (a->kind == PLAN_ASSIGN)
			apply_assign(w, a);
		else if (a->kind == PLAN_DESIRE)
			apply_desire(w, a, slot);
		else if (a->kind == PLAN_STATUS)
			apply_status(w, &a->status);
		else if (a->kind == PLAN_UNASSIGN) {
			w->kv.records[slot].assigned = false;
			notice(w, slot, 100);
		}
	}
	touch(w);
}

static void apply_all(struct world *w)
{
	w->leader.apply_at = NEVER;
	for (size_t i = 0; i < w->leader.actions.n; i++) {
		if (!w->consul_down && holds(w, &w->leader.actions.txns[i]))
			apply(w, &w->leader.actions.txns[i]);
		else
			trace(w, "leader: transaction refused");
	}
	plan_actions_release(&w->leader.actions);
	if (w->leader.up && w->leader.next > w->now + 20)
		w->leader.next = w->now + between(w, 1, 20);
}

void leader_step(struct world *w)
{
	if (w->now >= w->leader.apply_at) {
		apply_all(w);
		return;
	}
	if (w->leader.apply_at != NEVER || w->now < w->leader.next)
		return;
	if (!w->leader.up) {
		trace(w, "a new leader");
		w->leader.up = true;
		w->leader.started_at = w->now;
	}
	w->leader.next = NEVER;
	if (w->consul_down)
		w->leader.next = w->now + between(w, 100, 2000);
	else
		plan_once(w);
}

/* Its last transaction may still arrive, before or after its successor begins. */
void leader_crash(struct world *w)
{
	trace(w, "the leader dies");
	w->leader.up = false;
	w->leader.next = w->now + between(w, 1, 15000);
	if (w->leader.apply_at != NEVER && chance(w, 2)) {
		plan_actions_release(&w->leader.actions);
		w->leader.apply_at = NEVER;
	}
}
