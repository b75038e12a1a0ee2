/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Consumers: whom they send to, by what their agent heard of the catalog, and their word that they took one out. As in
 * src/agent/links.c: without Consul all stays as it is, and for a while after its return so do members that it calls
 * critical.
 */
#include "sim.h"

#include <string.h>

#include "agent/links-hold.h"

bool routes_to(const struct world *w, int consumer, int slot)
{
	return w->actual[consumer].route[slot / 64] >> (slot % 64) & 1;
}

static void set_route(struct actual *consumer, int slot, bool on)
{
	uint64_t bit = UINT64_C(1) << (slot % 64);

	if (on)
		consumer->route[slot / 64] |= bit;
	else
		consumer->route[slot / 64] &= ~bit;
}

void forget_routes(struct world *w, int slot)
{
	for (int i = 0; i < w->kv.n_records; i++)
		set_route(&w->actual[i], slot, false);
}

static bool is_member(const struct world *w, int consumer, int slot)
{
	const struct record *r = &w->kv.records[slot], *c = &w->kv.records[consumer];

	return w->actual[slot].used && r->service == c->service && uses(c->component, r->component);
}

/* What others are configured with is in their files. */
static bool is_proxy(const struct record *consumer)
{
	return !strcmp(component_names[consumer->component], "front");
}

/* Whoever's health Consul tells, for a consumer on that host; its own host it knows to be alive. */
static bool is_well(const struct kv *kv, const struct record *r, int host)
{
	return r && r->listed && r->health == PLAN_PASSING && (kv->host_alive[r->host] || r->host == host);
}

static bool others_serve(const struct world *w, const struct kv *kv, int consumer, int component)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		int at = is_member(w, consumer, i) ? find_uid(kv, w->kv.records[i].uid, i) : -1;

		if (at >= 0 && kv->records[at].component == component &&
		    is_well(kv, &kv->records[at], w->kv.records[consumer].host))
			return true;
	}
	return false;
}

/* `r` as heard. Until when a member that Consul calls ill keeps its work is src/agent/links-hold.c's to say. */
static int64_t kept_until(const struct world *w, const struct kv *kv, int consumer, int slot, const struct record *r)
{
	int host = w->kv.records[consumer].host;
	int64_t returned_at = w->hosts[host].hears_since, until = 0;

	if (!routes_to(w, consumer, slot) || w->actual[slot].container != CONTAINER_RUNNING)
		return 0;
	if (!kv->host_alive[r->host] && r->host != host)
		return others_serve(w, kv, consumer, r->component) ? 0 : NEVER;
	if (r->health == PLAN_UNKNOWN)
		until = r->health_at + HOLD_UNRUN_MS;
	return returned_at && until < returned_at + HOLD_RETURNED_MS ? returned_at + HOLD_RETURNED_MS : until;
}

static bool is_sent_to(struct world *w, const struct kv *kv, int consumer, int slot, const struct record *r)
{
	int host = w->kv.records[consumer].host;
	int64_t until;

	if (!r || !r->listed || r->health == PLAN_MAINTENANCE)
		return false;
	if (is_well(kv, r, host))
		return true;
	until = kept_until(w, kv, consumer, slot, r);
	if (until > w->now)
		sooner(&w->hosts[host].links_at, until);
	return until > w->now;
}

/* HAProxy tells when the last session ended, which may take its time; what is in a file has none. */
static void answer(struct world *w, int consumer, int slot, int64_t since_ms)
{
	uint32_t drained = w->kv.records[slot].uid, me = w->kv.records[consumer].uid;
	const struct ack *ack = find_ack(&w->kv, drained, me);
	unsigned sessions = is_proxy(&w->kv.records[consumer]) && (!ack || (ack->sessions && chance(w, 4)))
				? (unsigned)random_to(w, 3)
				: 0;

	write_ack(w, slot, consumer, sessions, since_ms);
	if (sessions)
		sooner(&w->hosts[w->kv.records[consumer].host].links_at,
		       w->now + (chance(w, 8) ? between(w, 5000, 40000) : between(w, 10, 2000)));
}

/* What it said of those of whom Consul does not tell any more. */
static void take_back(struct world *w, const struct kv *kv, uint32_t me)
{
	for (int i = 0; i < w->kv.n_acks;) {
		const struct ack *ack = &w->kv.acks[i];
		bool told = false;

		for (int j = 0; j < kv->n_records; j++)
			told |= kv->records[j].uid == ack->drained;
		if (ack->consumer == me && !told)
			delete_ack(w, ack->drained, me);
		else
			i++;
	}
}

static void speak(struct world *w, const struct kv *kv, int consumer)
{
	take_back(w, kv, w->kv.records[consumer].uid);
	for (int i = 0; i < w->kv.n_records; i++) {
		int at = is_member(w, consumer, i) ? find_uid(kv, w->kv.records[i].uid, i) : -1;

		if (at >= 0 && kv->records[at].health == PLAN_MAINTENANCE)
			answer(w, consumer, i, kv->records[at].maintenance_ms);
		else if (is_member(w, consumer, i))
			delete_ack(w, w->kv.records[i].uid, w->kv.records[consumer].uid);
	}
}

/*
 * Its agent has not heard of its own keys since Consul was away, which may have lost its data: files stay as they are
 * (src/agent/instance.c), and so do servers that are not in the list (src/proxy/haproxy-plan.c).
 */
static bool is_doubtful(const struct world *w, int consumer, const struct record *member)
{
	const struct record *c = &w->kv.records[consumer];

	return w->hosts[c->host].away && (!is_proxy(c) || !member || !member->listed);
}

static void update(struct world *w, const struct kv *kv, int consumer)
{
	struct actual *c = &w->actual[consumer];
	int dropped[COMPONENTS] = { -1, -1, -1, -1 };
	bool has[COMPONENTS] = { 0 };

	for (int i = 0; i < w->kv.n_records; i++) {
		int at = is_member(w, consumer, i) ? find_uid(kv, w->kv.records[i].uid, i) : -1;
		const struct record *member = at < 0 ? NULL : &kv->records[at];
		bool on = is_doubtful(w, consumer, member) ? routes_to(w, consumer, i)
							   : is_sent_to(w, kv, consumer, i, member);

		if (routes_to(w, consumer, i) && !on && truly_serves(w, i))
			dropped[w->kv.records[i].component] = i;
		has[w->kv.records[i].component] |= on;
		set_route(c, i, on);
	}
	for (int i = 0; i < COMPONENTS; i++)
		if (dropped[i] >= 0 && !has[i])
			check_empty_route(w, consumer, dropped[i]);
	c->routed = true;
}

static bool is_consumer(const struct world *w, int slot, int host)
{
	const struct actual *a = &w->actual[slot];

	return a->used && w->kv.records[slot].host == host && a->container == CONTAINER_RUNNING &&
	       a->mind.container == CONTAINER_RUNNING && a->heard.assigned;
}

void hear_links(struct world *w, int host)
{
	struct host *h = &w->hosts[host];
	unsigned newest = w->n_snapshots - 1, at = newest;
	bool silent;
	const struct kv *kv;

	h->links_at = NEVER;
	if (!h->agent_up || !hears(w, host) || !w->n_snapshots)
		return;
	if (!w->calm)
		at = old_snapshot(w, newest, 6);
	if (at < h->links_of)
		at = newest;
	h->links_of = at;
	if (at != newest || w->changed) /* what changed in this very moment is in the next answer */
		h->links_at = w->now + between(w, 5, at != newest ? 2000 : 60);
	kv = &w->snapshots[at % SNAPSHOTS];
	silent = !is_heard(w, host);
	if (!silent && !w->calm && chance(w, 5)) { /* its words take longer */
		silent = true;
		sooner(&h->links_at, w->now + between(w, 5, 3000));
	}
	for (int i = 0; i < w->kv.n_records; i++)
		if (is_consumer(w, i, host)) {
			update(w, kv, i);
			/* What its files still have is not taken out. */
			if (!silent && (!h->away || is_proxy(&w->kv.records[i])))
				speak(w, kv, i);
		}
}
