/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes wrong, and its end. */
#include "sim.h"

#include <string.h>

/* A fault hits an instance: until the leader can know, its node may be taken for what it was. */
static void excuse(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];
	struct node_record *node = &w->services[r->service].nodes[r->component][r->n];

	node->excused = true;
	if (node->until < w->now + 12000)
		node->until = w->now + 12000;
}

void excuse_host(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host)
			excuse(w, i);
}

static int64_t how_long(struct world *w)
{
	return chance(w, 2) ? between(w, 1000, 20000) : between(w, 30000, 200000);
}

static void lose_disk(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];
	struct actual *a = &w->actual[slot];

	if (!has_home(&w->kv.services[r->service], r->component, r->n)) /* it was the last that told of it */
		w->services[r->service].data_host[r->component][r->n] = 0;
	a->container = CONTAINER_NONE;
	a->stored = a->registered = a->maintenance = false;
}

/* Its containers are stopped, or all that was on it is lost; with some it is over for good. */
static void kill_host(struct world *w, int host)
{
	struct host *h = &w->hosts[host];
	bool blank = chance(w, 4), gone = host >= w->n_open && chance(w, 6);

	if (!h->up)
		return;
	trace(w, "fault: host %s dies%s%s", host_names[host], blank ? ", its disk is lost" : "",
	      gone ? " for good" : "");
	excuse_host(w, host);
	h->up = false;
	h->gone = gone;
	h->up_at = gone ? NEVER : w->now + how_long(w);
	h->agent_at = NEVER;
	h->joined_at = NEVER;
	h->seen_at = w->now + between(w, 3000, 8000);
	stop_agent(w, host);
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (!a->used || w->kv.records[i].host != host)
			continue;
		if (a->container == CONTAINER_RUNNING)
			a->container = CONTAINER_EXITED;
		a->again_at = NEVER;
		if (blank || gone)
			lose_disk(w, i);
	}
}

/* Both ways, or one: it hears nothing but its writes arrive, or the reverse. */
static void cut_host(struct world *w, int host)
{
	struct host *h = &w->hosts[host];
	uint64_t how = random_to(w, 5);

	if (!h->up || h->joined_at != NEVER) /* one cut at a time: its end is what an agent notices */
		return;
	h->deaf = how == 0 || how == 2;
	h->mute = how == 1 || how == 2;
	h->lonely = how == 2 || how == 3;
	h->silent = how == 4;
	trace(w, "fault: host %s%s%s%s%s", host_names[host], h->silent ? " looks dead" : "",
	      h->deaf ? " does not hear Consul" : "", h->mute ? " is not heard by Consul" : "",
	      h->lonely ? " does not reach the others" : "");
	excuse_host(w, host);
	if (h->deaf)
		h->hear_at = h->links_at = NEVER;
	h->joined_at = w->now + how_long(w);
	h->seen_at = w->now + between(w, 3000, 8000);
}

static void hurt_instance(struct world *w)
{
	int slot = w->kv.n_records ? (int)random_to(w, (uint64_t)w->kv.n_records) : -1;
	struct actual *a = slot < 0 ? NULL : &w->actual[slot];

	if (!a || !a->used || a->container != CONTAINER_RUNNING)
		return;
	excuse(w, slot);
	if (chance(w, 2)) {
		a->container = CONTAINER_EXITED;
		if (chance(w, 2))
			a->again_at = w->now + between(w, 100, 20000);
		publish_soon(w, slot, 5);
		look_soon(w, slot, 500);
	} else {
		a->sick_until = w->now + (chance(w, 3) ? between(w, 60000, 150000) : between(w, 1000, 30000));
		publish_soon(w, slot, 2000);
	}
	trace(w, "fault: %s %s", instance_name(&w->kv.records[slot]),
	      a->container == CONTAINER_EXITED ? "ends" : "is sick");
}

static void stop_consul(struct world *w)
{
	if (w->consul_down)
		return;
	if (w->losses_left && !chance(w, 3)) {
		w->losses_left--;
		w->loss = w->has_backup && chance(w, 2) ? SINCE_BACKUP_LOST : ALL_LOST;
	}
	trace(w, "fault: Consul has no quorum%s", w->loss ? ", and its servers are rebuilt" : "");
	w->consul_down = true;
	w->consul_at = w->now + between(w, 1000, 60000);
}

static void crash_agent(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	if (!h->up || !h->agent_up)
		return;
	trace(w, "fault: the agent of %s dies", host_names[host]);
	stop_agent(w, host);
	h->agent_at = w->now + between(w, 50, 8000);
}

static void jump_clock(struct world *w, int host)
{
	w->hosts[host].clock_ms += chance(w, 2) ? between(w, -3600000, 3600000) : between(w, -5000, 5000);
	trace(w, "fault: the clock of %s is off by %lld", host_names[host], (long long)w->hosts[host].clock_ms);
	if (host == w->leader.host && w->leader.up)
		sooner(&w->leader.next, w->now + between(w, 1, 1000));
}

static void restart_consul_agent(struct world *w, int host)
{
	if (!w->hosts[host].up)
		return;
	trace(w, "fault: Consul's agent of %s is started anew", host_names[host]);
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->kv.records[i].host == host)
			excuse(w, i);
	forget_checks(w, host);
}

/* What runs goes on. */
static void stop_runtime(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	if (!h->up || h->runtime_at != NEVER)
		return;
	trace(w, "fault: the runtime of %s does not answer", host_names[host]);
	excuse_host(w, host);
	h->runtime_at = w->now + how_long(w);
}

void fault_step(struct world *w)
{
	int host = (int)random_to(w, (uint64_t)w->n_hosts);

	w->n_faults++;
	if (w->losses_left && chance(w, 4))
		make_backup(w);
	else if (w->losses_left && w->epoch && chance(w, 4)) /* what was lost comes back */
		restore_while_up(w);
	else if (w->losses_left && chance(w, 30))
		restore_while_up(w);
	w->next_fault = w->now + (chance(w, 3) ? between(w, 10, 3000) : between(w, 1000, 60000));
	if (w->next_fault >= w->calm_at)
		w->next_fault = NEVER;
	switch (random_to(w, 16)) {
	case 0:
		kill_host(w, host);
		break;
	case 1:
	case 2:
	case 3:
		cut_host(w, host);
		break;
	case 4:
		stop_consul(w);
		break;
	case 5:
		jump_clock(w, host);
		break;
	case 6:
	case 7:
		leader_lost(w, false);
		break;
	case 8:
		leader_lost(w, true);
		break;
	case 9:
	case 10:
		crash_agent(w, host);
		break;
	case 12:
		stop_runtime(w, host);
		break;
	case 11:
		restart_consul_agent(w, host);
		break;
	default:
		hurt_instance(w);
	}
}

void calm_down(struct world *w)
{
	trace(w, "calm");
	w->calm = true;
	w->calm_since = w->now;
	w->next_operator = w->next_fault = w->calm_at = NEVER;
	if (w->consul_down)
		consul_returns(w);
	remove_hosts(w);
	for (int i = 0; i < w->n_hosts; i++) {
		struct host *h = &w->hosts[i];

		if (!h->up && !h->gone)
			h->up_at = w->now + 100;
		if (h->runtime_at != NEVER)
			h->runtime_at = w->now + 100;
		if (h->up && (h->deaf || h->mute || h->lonely || h->silent))
			h->joined_at = w->now + 100;
		if (h->up && !h->agent_up)
			h->agent_at = w->now + 100;
		sooner(&h->hear_at, w->now + 10);
		sooner(&h->links_at, w->now + 10);
	}
	for (int i = 0; i < w->kv.n_records; i++) {
		w->actual[i].sick_until = w->actual[i].forgotten_until = 0;
		if (w->actual[i].used)
			w->actual[i].publish_at = w->now + 10;
	}
	sooner(&w->leader.next, w->now + 1000);
	touch(w);
}
