/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts: what is true on them, how far they are connected, and what the catalog says of them and when. */
#include "sim.h"

#include <string.h>

bool hears(const struct world *w, int host)
{
	return w->hosts[host].up && !w->hosts[host].deaf && !w->consul_down;
}

bool is_heard(const struct world *w, int host)
{
	return w->hosts[host].up && !w->hosts[host].mute && !w->consul_down;
}

bool truly_healthy(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];

	return a->used && a->container == CONTAINER_RUNNING && w->hosts[w->kv.records[slot].host].up &&
	       w->now >= a->healthy_at && w->now >= a->sick_until;
}

/* Clients can reach it and get answers. */
bool truly_serves(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];
	const struct actual *a = &w->actual[slot];

	return truly_healthy(w, slot) && a->registered && !a->maintenance &&
	       (r->assigned ? r->desired == PLAN_RUN : a->bereft);
}

void publish_soon(struct world *w, int slot, int64_t most_ms)
{
	sooner(&w->actual[slot].publish_at, w->now + between(w, 1, most_ms));
}

/* Service checks only: that a host is dead is another check's matter, and changes nothing of these. */
static enum plan_health health_now(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];

	if (!a->registered)
		return PLAN_UNKNOWN;
	if (a->maintenance)
		return PLAN_MAINTENANCE;
	if (a->forgotten_until > w->now) /* but of its main process Consul's agent keeps what was said */
		return a->container == CONTAINER_RUNNING ? PLAN_UNKNOWN : PLAN_CRITICAL;
	return truly_healthy(w, slot) ? PLAN_PASSING : PLAN_CRITICAL;
}

/* The next moment at which its health may change by itself. */
static int64_t next_change(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];
	int64_t times[] = { a->healthy_at, a->sick_until, a->forgotten_until }, next = NEVER;

	for (int i = 0; i < 3; i++)
		if (times[i] > w->now)
			sooner(&next, times[i]);
	return next;
}

static void publish(struct world *w, int slot)
{
	struct record *r = &w->kv.records[slot];
	struct actual *a = &w->actual[slot];
	enum plan_health health = health_now(w, slot);

	a->publish_at = NEVER;
	if (!is_heard(w, r->host))
		return; /* its Consul agent comes level when it is connected again */
	a->publish_at = next_change(w, slot);
	if (r->health == health && r->listed == a->registered && r->maintenance_ms == a->maintenance_ms)
		return;
	if ((r->health == PLAN_PASSING) != (health == PLAN_PASSING))
		r->health_at = w->now;
	r->listed = a->registered;
	r->maintenance_ms = a->maintenance_ms;
	r->health = health;
	trace(w, "  catalog: %s is %s", instance_name(r), plan_health_name(health));
	touch_catalog(w, slot);
	look_soon(w, slot, 50);
}

/* What was under way is lost, or was done without a word. */
void stop_agent(struct world *w, int host)
{
	w->hosts[host].agent_up = w->hosts[host].known = w->hosts[host].listed = false;
	w->hosts[host].listed_at = w->hosts[host].info_at = NEVER;
	w->hosts[host].info_told = false;
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (!a->used || w->kv.records[i].host != host)
			continue;
		if (a->busy && w->hosts[host].up && chance(w, 2))
			a->done_at = w->now; /* agents.c: nobody takes up that it was done */
		else
			a->busy = false;
		a->saying = a->deleting = a->telling = false;
		a->say_at = a->tell_at = NEVER;
	}
}

void start_agent(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	trace(w, "  agent %s starts", host_names[host]);
	h->agent_up = true;
	h->known = h->listed = false;
	h->agent_at = NEVER;
	h->listed_at = w->now + between(w, 5, 1500);
	h->hear_at = w->now + between(w, 5, 500);
	h->links_at = h->hear_at + 1;
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (!a->used || w->kv.records[i].host != host)
			continue;
		a->busy = a->reported = a->saying = a->deleting = false;
		a->say_at = NEVER;
		memset(&a->heard, 0, sizeof(a->heard));
		memset(&a->mind, 0, sizeof(a->mind)); /* CONTAINER_UNKNOWN */
		publish_soon(w, i, 300);
	}
}

static void reconnect(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	check_moved(w, host);
	trace(w, "host %s is reachable again", host_names[host]);
	h->deaf = h->mute = h->lonely = h->silent = false;
	h->away = true;
	h->joined_at = NEVER;
	h->seen_at = w->now + between(w, 500, 5000);
	h->hears_since = w->now;
	h->hear_at = w->now + between(w, 1, 1000);
	h->links_at = w->now + between(w, 1, 1000);
	for (int i = 0; i < w->kv.n_records; i++) {
		if (!w->actual[i].used || w->kv.records[i].host != host)
			continue;
		publish_soon(w, i, 300);
		if (w->actual[i].saying || w->actual[i].deleting)
			sooner(&w->actual[i].say_at, w->now + between(w, 1, 1000));
		if (w->actual[i].telling)
			sooner(&w->actual[i].tell_at, w->now + between(w, 1, 1000));
	}
}

/* A Consul agent that was started anew knows of no check how it went until it has run. */
void forget_checks(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host && w->actual[i].registered) {
			w->actual[i].forgotten_until = w->now + between(w, 500, 9000);
			publish_soon(w, i, 300);
		}
}

/* Its servers have a leader again; where they were started anew, checks count as failing until they run again. */
void consul_returns(struct world *w)
{
	bool forgot = chance(w, 2);

	trace(w, "Consul is back%s", forgot ? ", its checks are to run again" : "");
	w->consul_down = false;
	if (w->loss)
		lose_data(w);
	w->consul_at = NEVER;
	w->consul_since = w->leader.looks_since = w->now;
	for (int i = 0; i < w->n_hosts; i++) {
		struct host *h = &w->hosts[i], before = *h;

		if (h->up && !h->deaf && h->mute) {
			h->hears_since = w->now;
			h->hear_at = w->now + between(w, 1, 1000);
			h->links_at = w->now + between(w, 1, 1000);
		}
		if (!h->up || h->deaf || h->mute)
			continue;
		reconnect(w, i);
		h->lonely = before.lonely;
		h->silent = before.silent;
		h->joined_at = before.joined_at;
	}
	for (int i = 0; i < w->n_hosts; i++)
		if (forgot)
			forget_checks(w, i);
	touch(w);
}

/* Consul's servers form an opinion: one that cannot answer, or is not asked, is dead for them. */
static void gossip(struct world *w, int host)
{
	struct host *h = &w->hosts[host];
	bool alive = h->up && !h->deaf && !h->mute && !h->silent;

	h->seen_at = NEVER;
	if (w->kv.host_alive[host] == alive)
		return;
	if (w->consul_down) {
		h->seen_at = w->now + 1000;
		return;
	}
	w->kv.host_seen_at[host] = w->now;
	w->kv.host_alive[host] = alive;
	trace(w, "  catalog: host %s is %s", host_names[host], alive ? "alive" : "dead");
	touch(w);
	for (int i = 0; i < w->n_hosts; i++)
		sooner(&w->hosts[i].links_at, w->now + between(w, 1, 100));
}

static void runtime_returns(struct world *w, int host)
{
	trace(w, "the runtime of %s answers again", host_names[host]);
	w->hosts[host].runtime_at = NEVER;
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host)
			look_soon(w, i, 500);
}

static void host_step(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	if (w->now >= h->up_at) {
		trace(w, "host %s is up again", host_names[host]);
		h->up = true;
		h->up_at = NEVER;
		start_agent(w, host);
		reconnect(w, host);
	}
	if (w->now >= h->agent_at)
		start_agent(w, host);
	if (w->now >= h->runtime_at)
		runtime_returns(w, host);
	if (w->now >= h->joined_at)
		reconnect(w, host);
	if (w->now >= h->seen_at)
		gossip(w, host);
	if (w->now >= h->hear_at)
		hear(w, host);
	if (w->now >= h->links_at)
		hear_links(w, host);
}

int64_t hosts_next(const struct world *w)
{
	int64_t next = NEVER;

	for (int i = 0; i < w->n_hosts; i++) {
		const struct host *h = &w->hosts[i];

		next = least(least(next, h->runtime_at),
			     least(least(h->up_at, h->agent_at), least(h->joined_at, h->listed_at)));
		next = least(next, least(h->seen_at, least(h->hear_at, h->links_at)));
	}
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used)
			sooner(&next, w->actual[i].publish_at);
	return next;
}

void hosts_step(struct world *w)
{
	for (int i = 0; i < w->n_hosts; i++)
		host_step(w, i);
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->now >= w->actual[i].publish_at)
			publish(w, i);
}
