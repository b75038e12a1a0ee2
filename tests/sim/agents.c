/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts, their agents and containers: each step takes time, and may be cut short. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

static bool connected(const struct world *w, int host)
{
	return w->hosts[host].up && w->hosts[host].agent_up && !w->hosts[host].cut && !w->consul_down;
}

bool truly_healthy(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];

	return a->used && a->container == CONTAINER_RUNNING && w->hosts[w->kv.records[slot].host].up &&
	       w->now >= a->healthy_at && w->now >= a->sick_until && w->now >= a->crashed_until;
}

/* Clients can reach it and get answers. */
bool truly_serves(const struct world *w, int slot)
{
	return truly_healthy(w, slot) && w->actual[slot].registered && !w->actual[slot].maintenance &&
	       w->kv.records[slot].desired == PLAN_RUN && w->kv.records[slot].assigned;
}

void notice(struct world *w, int slot, int64_t most_ms)
{
	int64_t at = w->now + between(w, 1, most_ms);

	if (w->actual[slot].notice_at > at)
		w->actual[slot].notice_at = at;
}

void notice_host(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host)
			notice(w, i, 50);
}

static void write_state(struct world *w, int slot, enum plan_state state, int64_t answers_ms)
{
	struct record *r = &w->kv.records[slot];

	trace(w, "  agent %s: %s/%u.%llu is %s", host_names[r->host], component_names[r->component], r->n,
	      (unsigned long long)r->gen, plan_state_name(state));
	r->has_state = true;
	r->state = state;
	r->answers_ms = answers_ms;
	touch(w);
	for (int i = 0; state == PLAN_RUNNING && i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].desired == PLAN_DRAIN &&
		    uses(r->component, w->kv.records[i].component))
			w->actual[i].ack_at = w->now + between(w, 10, 500);
}

static void publish_soon(struct world *w, int slot)
{
	int64_t at = w->now + between(w, 1, 300);

	if (w->actual[slot].publish_at > at)
		w->actual[slot].publish_at = at;
}

static void begin_step(struct world *w, int slot)
{
	struct record *r = &w->kv.records[slot];
	struct actual *a = &w->actual[slot];
	bool must_build = !a->image && r->assigned && r->desired != PLAN_STOP;
	bool slow = chance(w, 30);

	a->busy = true;
	a->removing = !r->assigned;
	a->doing = r->desired;
	a->doing_since_ms = r->since_ms;
	a->done_at =
	    w->now + between(w, 5, 600) + (must_build ? between(w, 100, 20000) : 0) + (slow ? between(w, 0, 15000) : 0);
	if (a->removing || r->desired == PLAN_STOP) {
		a->registered = false;
		publish_soon(w, slot);
	}
	if (r->assigned && must_build)
		write_state(w, slot, PLAN_BUILDING, r->since_ms);
	else if (r->assigned && r->desired == PLAN_RUN && a->container != CONTAINER_RUNNING && chance(w, 2))
		write_state(w, slot, PLAN_STARTING, r->since_ms);
}

static enum nature nature_of(const struct world *w, int slot)
{
	return w->nature[w->kv.records[slot].component][w->kv.records[slot].version];
}

static void start_container(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];

	if (a->container == CONTAINER_RUNNING)
		return;
	a->container = CONTAINER_RUNNING;
	a->healthy_at = nature_of(w, slot) == NEVER_HEALTHY ? NEVER
			: nature_of(w, slot) == SLOW        ? w->now + between(w, 5000, 15000)
							    : w->now + between(w, 50, 3000);
}

/* What the step does to the host. Returns the state to write. */
static enum plan_state effect(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];

	if (a->removing) {
		a->container = NO_CONTAINER;
		return PLAN_NONE;
	}
	if (a->doing == PLAN_STOP) {
		if (a->container == CONTAINER_RUNNING)
			a->container = CONTAINER_STOPPED;
		return PLAN_STOPPED;
	}
	if (!a->image && !w->calm && w->n_faults && chance(w, 40)) /* a full disk */
		return PLAN_FAILED;
	if (nature_of(w, slot) == BUILD_FAILS)
		return PLAN_FAILED;
	a->image = true;
	if (a->doing == PLAN_PREPARE)
		return PLAN_PREPARED;
	if (nature_of(w, slot) == START_FAILS)
		return PLAN_FAILED;
	start_container(w, slot);
	a->registered = true;
	a->maintenance = a->doing == PLAN_DRAIN;
	publish_soon(w, slot);
	return PLAN_RUNNING;
}

static void forget(struct world *w, int slot)
{
	struct record *r = &w->kv.records[slot];

	trace(w, "  agent %s: %s/%u.%llu is gone", host_names[r->host], component_names[r->component], r->n,
	      (unsigned long long)r->gen);
	for (int i = 0; i < ACKS_MAX; i++)
		if (w->kv.acks[i].used && w->kv.acks[i].slot == slot)
			w->kv.acks[i].used = false;
	*r = (struct record){ 0 };
	w->actual[slot] = (struct actual){ 0 };
	while (w->kv.n_records && !w->actual[w->kv.n_records - 1].used)
		w->kv.n_records--;
	touch(w);
}

static void finish_step(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	bool removing = a->removing;
	enum plan_state state = effect(w, slot);

	a->busy = false;
	if (removing && !w->kv.records[slot].assigned) {
		forget(w, slot);
		return;
	}
	if (!connected(w, w->kv.records[slot].host)) {
		notice(w, slot, 2000); /* the word is sent when Consul is back */
		return;
	}
	write_state(w, slot, state, a->doing_since_ms);
	notice(w, slot, 50);
}

static bool has_work(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];
	const struct actual *a = &w->actual[slot];
	bool runs = r->desired == PLAN_RUN || r->desired == PLAN_DRAIN;

	if (!r->assigned || !r->has_state || r->answers_ms != r->since_ms)
		return true;
	if (r->state == PLAN_BUILDING || r->state == PLAN_STARTING)
		return true;
	if (r->state == PLAN_FAILED)
		return false;
	return runs && (a->container != CONTAINER_RUNNING || !a->registered);
}

static void look(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	int host = w->kv.records[slot].host;

	a->notice_at = NEVER;
	if (!w->hosts[host].up || !w->hosts[host].agent_up || a->busy)
		return;
	if (!connected(w, host)) {
		notice(w, slot, 3000);
		return;
	}
	if (has_work(w, slot))
		begin_step(w, slot);
}

static enum plan_health health_now(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];

	if (!a->registered)
		return PLAN_UNKNOWN;
	if (!w->kv.host_alive[w->kv.records[slot].host] || !truly_healthy(w, slot))
		return PLAN_CRITICAL;
	return a->maintenance ? PLAN_MAINTENANCE : PLAN_PASSING;
}

static bool is_healthy(enum plan_health health)
{
	return health == PLAN_PASSING || health == PLAN_WARNING;
}

/* The next moment at which its health may change by itself. */
static int64_t next_change(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];
	int64_t next = NEVER;
	int64_t times[] = { a->healthy_at, a->sick_until, a->crashed_until };

	for (int i = 0; i < 3; i++)
		if (times[i] > w->now && times[i] < next)
			next = times[i];
	return next;
}

static void publish(struct world *w, int slot)
{
	struct record *r = &w->kv.records[slot];
	enum plan_health health = health_now(w, slot);

	w->actual[slot].publish_at = next_change(w, slot);
	if (r->health == health)
		return;
	if (is_healthy(r->health) != is_healthy(health))
		r->health_at = w->now;
	r->health = health;
	if (health == PLAN_MAINTENANCE)
		w->actual[slot].ack_at = w->now + between(w, 10, 500);
	trace(w, "  catalog: %s/%u.%llu is %s", component_names[r->component], r->n, (unsigned long long)r->gen,
	      plan_health_name(health));
	touch(w);
}

static struct ack *find_ack(struct world *w, int slot, const char *consumer)
{
	struct ack *unused = NULL;

	for (int i = 0; i < ACKS_MAX; i++) {
		struct ack *ack = &w->kv.acks[i];

		if (ack->used && ack->slot == slot && !strcmp(ack->consumer, consumer))
			return ack;
		if (!ack->used && !unused)
			unused = ack;
	}
	return unused;
}

/* Returns whether there is more to say later. */
static bool write_ack(struct world *w, int slot, int consumer)
{
	const struct record *c = &w->kv.records[consumer], *r = &w->kv.records[slot];
	struct ack *ack;
	char name[24];

	snprintf(name, sizeof(name), "%s.%u.%llu", component_names[c->component], c->n, (unsigned long long)c->gen);
	ack = find_ack(w, slot, name);
	if (!ack || (ack->used && ack->since_ms == r->since_ms && !ack->sessions))
		return false;
	if (chance(w, 2))
		return true;
	if (!ack->used || ack->since_ms != r->since_ms)
		*ack = (struct ack){ .used = true,
				     .slot = slot,
				     .gen = r->gen,
				     .since_ms = r->since_ms,
				     .sessions = (unsigned)random_to(w, 3) };
	else if (!chance(w, 8)) /* else a long download */
		ack->sessions = 0;
	memcpy(ack->consumer, name, sizeof(name));
	touch(w);
	return ack->sessions;
}

/* The agents of its consumers see it in maintenance, take it out, and say so. */
static void consumers_look(struct world *w, int slot)
{
	struct record *r = &w->kv.records[slot];
	bool more = false;

	w->actual[slot].ack_at = NEVER;
	if (!r->assigned || r->desired != PLAN_DRAIN || r->health != PLAN_MAINTENANCE)
		return;
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *c = &w->kv.records[i];

		if (w->actual[i].used && c->state == PLAN_RUNNING && uses(c->component, r->component))
			more |= !connected(w, c->host) || write_ack(w, slot, i);
	}
	if (more)
		w->actual[slot].ack_at = w->now + between(w, 10, 2000);
}

static void host_sees(struct world *w, int i)
{
	struct host *h = &w->hosts[i];

	if (w->now >= h->up_at) {
		trace(w, "host %s is up again", host_names[i]);
		h->up = h->agent_up = true;
		h->up_at = NEVER;
		h->seen_at = w->now + between(w, 500, 5000);
		notice_host(w, i);
	}
	if (w->now >= h->agent_at) {
		h->agent_up = true;
		h->agent_at = NEVER;
		notice_host(w, i);
	}
	if (w->now >= h->joined_at) {
		trace(w, "host %s is reachable again", host_names[i]);
		h->cut = false;
		h->joined_at = NEVER;
		h->seen_at = w->now + between(w, 500, 5000);
		notice_host(w, i);
	}
	if (w->now < h->seen_at)
		return;
	h->seen_at = NEVER;
	if (w->kv.host_alive[i] != (h->up && !h->cut))
		w->kv.host_seen_at[i] = w->now;
	w->kv.host_alive[i] = h->up && !h->cut;
	trace(w, "  catalog: host %s is %s", host_names[i], w->kv.host_alive[i] ? "alive" : "dead");
	for (int j = 0; j < w->kv.n_records; j++)
		if (w->actual[j].used && w->kv.records[j].host == i)
			publish_soon(w, j);
	touch(w);
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t agents_next(struct world *w)
{
	int64_t next = NEVER;

	for (int i = 0; i < w->n_hosts; i++)
		next = least(next, least(least(w->hosts[i].up_at, w->hosts[i].agent_at),
					 least(w->hosts[i].joined_at, w->hosts[i].seen_at)));
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct actual *a = &w->actual[i];

		if (!a->used)
			continue;
		next = least(next, least(a->notice_at, least(a->publish_at, a->ack_at)));
		if (a->busy)
			next = least(next, a->done_at);
	}
	return next;
}

void agents_step(struct world *w)
{
	for (int i = 0; i < w->n_hosts; i++)
		host_sees(w, i);
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (a->used && a->busy && w->now >= a->done_at)
			finish_step(w, i);
		if (a->used && w->now >= a->notice_at)
			look(w, i);
		if (a->used && w->now >= a->publish_at)
			publish(w, i);
		if (a->used && w->now >= a->ack_at)
			consumers_look(w, i);
	}
}
