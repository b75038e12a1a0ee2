/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The leader's loop: a view that may be late, a plan, and transactions; and leaders that are none any more. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define FRESH_MS 10000 /* so long after it heard last a leader takes Consul to be well */

/* Everything a view points to, so that making one allocates nothing. */
struct viewer {
	struct plan_view view;
	struct plan_service services[SERVICES];
	struct plan_host hosts[HOSTS_MAX];
	struct plan_instance instances[INSTANCES_MAX];
	struct plan_ack acks[ACKS_MAX];
	char consumers[ACKS_MAX][24];
	struct plan_disconnect outs[SERVICES][COMPONENTS];
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

/* For how long the leader has seen what is so since `at`. */
static int64_t seen_for(const struct world *w, int64_t at)
{
	return w->now - (at > w->leader.looks_since ? at : w->leader.looks_since);
}

static void view_instance(struct world *w, const struct kv *now, const struct kv *states, const struct kv *catalog,
			  int i, struct plan_instance *ret)
{
	const struct record *r = &now->records[i];
	int s = find_uid(states, r->uid, i), c = find_uid(catalog, r->uid, i);
	const struct record *state = s < 0 || !states->records[s].has_state ? NULL : &states->records[s];
	const struct record *entry = c < 0 ? r : &catalog->records[c];

	*ret = (struct plan_instance){
		.host = borrowed(host_names[r->host]),
		.service = borrowed(service_names[r->service]),
		.component = borrowed(component_names[r->component]),
		.n = r->n,
		.gen = r->gen,
		.index = r->index,
		.revision = r->revision,
		.fingerprint = borrowed(fingerprint_name(r->component, r->version)),
		.around = borrowed(checks_name(r->checks)),
		.desired = r->desired,
		.since_ms = r->since_ms,
		.proven = r->proven,
		.state = state ? state->state : PLAN_NONE,
		.answers_ms = state ? state->answers_ms : 0,
		.why = borrowed("because"),
		.health = c < 0 ? PLAN_UNKNOWN : entry->health,
		.told_ms = seen_for(w, r->told_at),
		.health_ms = seen_for(w, entry->health_at),
	};
	if (!r->assigned) {
		ret->found = true;
		ret->index = ret->revision = 0;
		ret->desired = r->found_runs ? PLAN_RUN : PLAN_STOP;
		ret->proven = false;
	}
	view_links(r, &ret->links);
}

static const struct record *record_of(const struct kv *kv, uint32_t uid)
{
	for (int i = 0; i < kv->n_records; i++)
		if (kv->records[i].uid == uid)
			return &kv->records[i];
	return NULL;
}

static void view_acks(const struct kv *kv, struct viewer *v)
{
	for (int i = 0; i < kv->n_acks; i++) {
		const struct record *r = record_of(kv, kv->acks[i].drained);
		const struct ack *ack = &kv->acks[i];
		char *name = v->consumers[v->view.n_acks];

		if (!r)
			continue;
		snprintf(name, sizeof(v->consumers[0]), "%s.%u.%llu", component_names[ack->component], ack->n,
			 (unsigned long long)ack->gen);
		v->acks[v->view.n_acks++] = (struct plan_ack){
			.host = borrowed(host_names[ack->host]),
			.service = borrowed(service_names[r->service]),
			.component = borrowed(component_names[r->component]),
			.n = r->n,
			.gen = r->gen,
			.consumer = name,
			.since_ms = ack->since_ms,
			.sessions = ack->sessions,
		};
	}
}

static void view_service(struct world *w, const struct kv *all, int i, struct viewer *v)
{
	const struct kv_service *kv = &all->services[i];
	struct sim_spec *good = spec_in(w, all, i, kv->good);
	struct plan_service *service = &v->services[v->view.n_services++];

	*service = (struct plan_service){
		.name = borrowed(service_names[i]),
		.spec = kv->spec < 0 ? NULL : &w->services[i].specs[kv->spec].spec,
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
		.phase_ms = seen_for(w, kv->phase_at),
		.disconnects = v->outs[i],
	};
	for (int j = 0; j < all->n_records; j++)
		service->n_leaving += all->records[j].service == i && all->records[j].has_state &&
				      !all->records[j].assigned && all->host_known[all->records[j].host] &&
				      all->host_alive[all->records[j].host];
	for (int j = 0; j < COMPONENTS; j++)
		if (kv->outs[j].used)
			v->outs[i][service->n_disconnects++] =
			    (struct plan_disconnect){ borrowed(component_names[kv->outs[j].component]), kv->outs[j].n,
						      kv->outs[j].stop, kv->outs[j].deadline_ms };
}

static void view_host(struct world *w, const struct kv *kv, int i, struct viewer *v)
{
	int64_t known_ms = seen_for(w, kv->host_seen_at[i]);

	if (kv->host_known[i])
		v->hosts[v->view.n_hosts++] =
		    (struct plan_host){ .name = borrowed(host_names[i]),
					.runtime = borrowed(w->hosts[i].xen ? "xen" : "docker"),
					.alive = kv->host_alive[i],
					.cordoned = kv->host_cordoned[i],
					.drained = kv->host_drained[i],
					.dead_ms = kv->host_alive[i] ? 0 : known_ms,
					.alive_ms = kv->host_alive[i] ? known_ms : 0 };
}

static void fill_view(struct world *w, const struct kv *kv, const struct kv *states, const struct kv *catalog,
		      struct viewer *v)
{
	v->view = (struct plan_view){ .services = v->services,
				      .hosts = v->hosts,
				      .instances = v->instances,
				      .acks = v->acks,
				      .reschedule_ms = w->reschedule_ms,
				      .looking_ms = seen_for(w, 0),
				      .now_ms = w->now + w->hosts[w->leader.host].clock_ms };
	for (int i = 0; i < w->n_services; i++)
		view_service(w, kv, i, v);
	for (int i = 0; i < w->n_hosts; i++)
		view_host(w, kv, i, v);
	for (int i = 0; i < kv->n_records; i++)
		if (kv->records[i].assigned || kv->records[i].found)
			view_instance(w, kv, states, catalog, i, &v->instances[v->view.n_instances++]);
	view_acks(kv, v);
}

/* Returns whether something newer is on its way. */
static bool make_view(struct world *w, struct viewer *v)
{
	unsigned newest = w->n_snapshots - 1, now = newest, states = newest, catalog = newest;

	if (w->leader.deaf_at != NEVER) {
		fill_view(w, &w->frozen, &w->frozen, &w->frozen, v);
		v->view.consul_unwell = w->now - w->leader.deaf_at > FRESH_MS;
		return false;
	}
	if (!w->calm) {
		now = old_snapshot(w, newest, 6);
		states = old_snapshot(w, now, 4);
		catalog = old_snapshot(w, now, 4);
	}
	fill_view(w, &w->snapshots[now % SNAPSHOTS], &w->snapshots[states % SNAPSHOTS],
		  &w->snapshots[catalog % SNAPSHOTS], v);
	return now != newest || states != newest || catalog != newest;
}

static bool same_text(const char *a, const char *b)
{
	return !a == !b && (!a || !strcmp(a, b));
}

static bool same_action(const struct plan_action *a, const struct plan_action *b)
{
	return a->kind == b->kind && a->n == b->n && a->gen == b->gen && a->index == b->index &&
	       a->revision == b->revision && a->desired == b->desired && a->since_ms == b->since_ms &&
	       a->proven == b->proven && a->status.phase == b->status.phase && a->status.step == b->status.step &&
	       same_text(a->component, b->component) && same_text(a->host, b->host);
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
	static struct viewer v;
	struct leader *leader = &w->leader;
	bool late = make_view(w, &v);

	plan_actions_release(&leader->actions);
	leader->applied = 0;
	w->n_plans++;
	if (plan_next(&v.view, &leader->actions, NULL) < 0) {
		fail(w, "plan_next refused a view");
		return;
	}
	if (chance(w, 8)) {
		struct plan_actions again = { 0 };

		plan_next(&v.view, &again, NULL);
		if (!same_actions(&leader->actions, &again))
			fail(w, "the same view gave other actions");
		plan_actions_release(&again);
	}
	/* It waits by its monotonic clock. */
	leader->next = leader->actions.wake_ms == INT64_MAX ? NEVER : w->now + leader->actions.wake_ms - v.view.now_ms;
	if (leader->next <= w->now)
		leader->next = w->now + 1;
	if (late)
		sooner(&leader->next, w->now + between(w, 5, 2000));
	leader->apply_at =
	    leader->actions.n ? w->now + (chance(w, 15) ? between(w, 50, WAY_MS) : between(w, 1, 15)) : NEVER;
}

/* One transaction after the other; the leader may be lost between any two. */
static void apply_next(struct world *w, struct leader *leader)
{
	w->late_words = leader == &w->former || leader->deaf_at != NEVER;
	if (!w->hosts[leader->host].mute)
		apply_txn(w, &leader->actions.txns[leader->applied], leader->session);
	w->late_words = false;
	if (++leader->applied < leader->actions.n) {
		leader->apply_at = w->now + between(w, 0, 5);
		return;
	}
	leader->apply_at = NEVER;
	plan_actions_release(&leader->actions);
	if (leader == &w->leader)
		sooner(&leader->next, w->now + between(w, 1, 20));
}

/* Where it can be heard and can hear; any host when there is none, which waits. */
static bool elect(struct world *w)
{
	int first = (int)random_to(w, (uint64_t)w->n_hosts);

	for (int i = 0; i < w->n_hosts; i++) {
		int host = (first + i) % w->n_hosts;

		if (!w->hosts[host].agent_up || !hears(w, host) || !is_heard(w, host))
			continue;
		w->leader = (struct leader){ .up = true,
					     .host = host,
					     .session = ++w->sessions,
					     .started_at = w->now,
					     .looks_since = w->now,
					     .next = w->now,
					     .apply_at = NEVER,
					     .deaf_at = NEVER };
		w->kv.session = w->sessions;
		trace(w, "host %s leads", host_names[host]);
		return true;
	}
	w->leader.next = w->now + between(w, 500, 3000);
	return false;
}

/* Is it still able to lead? One whose answers do not reach it goes on for a while with what it heard. */
static void look_at_host(struct world *w)
{
	struct leader *leader = &w->leader;
	const struct host *h = &w->hosts[leader->host];

	if (!leader->up)
		return;
	if (!h->up || !h->agent_up || h->mute) {
		leader_lost(w, h->up && h->agent_up);
	} else if (h->deaf && leader->deaf_at == NEVER) {
		leader->deaf_at = w->now;
		kv_copy(&w->frozen, &w->snapshots[(w->n_snapshots - 1) % SNAPSHOTS]);
	} else if (h->deaf && w->now - leader->deaf_at > 2 * FRESH_MS)
		leader_lost(w, true);
	else if (!h->deaf && leader->deaf_at != NEVER) {
		if (w->now - leader->deaf_at > FRESH_MS)
			leader->looks_since = w->now;
		leader->deaf_at = NEVER;
		sooner(&leader->next, w->now + 1);
	}
	if (leader->up && leader->deaf_at != NEVER)
		sooner(&leader->next, w->now + 1000);
}

void leader_step(struct world *w)
{
	if (w->now >= w->former.apply_at) {
		trace(w, "a former leader's transaction arrives");
		apply_next(w, &w->former);
	}
	look_at_host(w);
	if (w->now >= w->leader.apply_at) {
		apply_next(w, &w->leader);
		if (!w->calm && w->n_faults && chance(w, 150))
			leader_lost(w, chance(w, 2));
		return;
	}
	if (w->leader.apply_at != NEVER || w->now < w->leader.next)
		return;
	w->leader.next = NEVER;
	if (w->consul_down)
		w->leader.next = w->now + between(w, 100, 2000);
	else if (w->leader.up || elect(w))
		plan_once(w);
}

int64_t leader_next(const struct world *w)
{
	/* While a transaction is on its way, the leader waits for it. */
	return least(w->former.apply_at, w->leader.apply_at != NEVER ? w->leader.apply_at : w->leader.next);
}

/*
 * It dies, or is stopped for longer than its lease and goes on as if nothing had been. Its last transaction may still
 * arrive, before or after its successor begins.
 */
void leader_lost(struct world *w, bool paused)
{
	if (!w->leader.up)
		return;
	trace(w, "the leader on %s %s", host_names[w->leader.host], paused ? "is paused" : "dies");
	if (w->leader.apply_at != NEVER && !chance(w, 4)) {
		plan_actions_release(&w->former.actions);
		w->former = w->leader;
		w->former.apply_at =
		    paused ? w->now + between(w, 10, 40000) : least(w->leader.apply_at + 100, w->now + 4000);
	} else
		plan_actions_release(&w->leader.actions);
	w->leader = (struct leader){ .host = w->leader.host,
				     .session = w->leader.session,
				     .next = w->now + between(w, 1, 15000),
				     .apply_at = NEVER,
				     .deaf_at = NEVER };
}
