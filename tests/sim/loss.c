/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Consul comes back without its data, as a single server that was rebuilt, or with an older copy of it. What runs goes
 * on; agents tell what they find, and operators submit again what is not there. As in src/agent/agent-run.c and
 * docs/state.md (`found`).
 */
#include "sim.h"

#include <string.h>

void make_backup(struct world *w)
{
	trace(w, "a copy of Consul's data is put aside");
	kv_copy(&w->backup, &w->kv);
	w->has_backup = true;
}

static bool same_instance(const struct record *a, const struct record *b)
{
	return a->uid && b->uid && a->service == b->service && a->component == b->component && a->n == b->n &&
	       a->gen == b->gen && a->host == b->host;
}

static int slot_of(const struct world *w, const struct record *like)
{
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && same_instance(&w->kv.records[i], like))
			return i;
	return -1;
}

/* Of what nobody is to stop for any word of before, an agent stops nothing from now on. */
static void note_last_word(struct actual *a, const struct record *r)
{
	a->stop_told = !r->assigned || r->desired == PLAN_STOP || (a->heard.assigned && a->heard.desired == PLAN_STOP);
	a->bereft |= r->assigned && r->desired == PLAN_RUN;
}

static void forget_records(struct world *w)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		struct record *r = &w->kv.records[i];

		if (!w->actual[i].used)
			continue;
		note_last_word(&w->actual[i], r);
		*r = (struct record){ .uid = r->uid,
				      .service = r->service,
				      .component = r->component,
				      .host = r->host,
				      .version = r->version,
				      .checks = r->checks,
				      .n = r->n,
				      .gen = r->gen,
				      .health_at = w->now };
		look_soon(w, i, 20); /* of some nothing is left at all */
	}
}

static void forget_services(struct world *w)
{
	for (int i = 0; i < w->n_services; i++) {
		struct service *s = &w->services[i];

		memset(s->nodes, 0, sizeof(s->nodes));
		for (int c = 0; c < COMPONENTS; c++)
			for (int n = 0; n <= NODES_MAX; n++)
				s->nodes[c][n] = (struct node_record){ .excused = true, .until = w->now + 20000 };
	}
}

bool has_home(const struct kv_service *kv, int component, unsigned n)
{
	for (size_t i = 0; i < kv->n_homes; i++)
		if (kv->homes[i].n == n && component_id(kv->homes[i].component) == component)
			return true;
	return false;
}

/* Where no container tells, and Consul does not, nobody knows any more where the data is: that of a service that was
 * down is the operator's to remember. */
static void forget_homes(struct world *w)
{
	bool told[SERVICES][COMPONENTS][NODES_MAX + 1] = { 0 };

	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (w->actual[i].used && w->actual[i].container != CONTAINER_NONE)
			told[r->service][r->component][r->n] = true;
	}
	for (int s = 0; s < w->n_services; s++)
		for (int c = 0; c < COMPONENTS; c++)
			for (unsigned n = 1; n <= NODES_MAX; n++)
				if (!told[s][c][n] && !has_home(&w->kv.services[s], c, n))
					w->services[s].data_host[c][n] = 0;
}

/* The agent of Consul that is its server has its own registrations in the same place. */
static void forget_registrations(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (!a->used || w->kv.records[i].host != host)
			continue;
		a->registered = a->maintenance = false;
		a->maintenance_ms = 0;
	}
}

static void restore_record(struct world *w, const struct record *from)
{
	int slot = slot_of(w, from);
	struct record *r;

	if (slot < 0)
		slot = new_slot(w, from->host);
	if (slot < 0)
		return;
	r = &w->kv.records[slot];
	*r = *from;
	r->told_at = r->health_at = w->now;
	/* What was on its way out when the copy was made goes on leaving, as its agent may know no better. */
	w->actual[slot].stop_told |= !r->assigned && r->has_state;
	if (r->assigned) {
		w->actual[slot].bereft = false;
		w->actual[slot].stop_told |= r->desired == PLAN_STOP;
	}
}

/* Sessions end by themselves: whoever led then leads no more, unless it is the same one still. */
static void restore(struct world *w, bool was_away)
{
	const struct kv *from = &w->backup;

	w->restored_at = w->now;
	memcpy(w->kv.services, from->services, sizeof(w->kv.services));
	memcpy(w->kv.host_known, from->host_known, sizeof(w->kv.host_known));
	memcpy(w->kv.host_drained, from->host_drained, sizeof(w->kv.host_drained));
	memcpy(w->kv.host_cordoned, from->host_cordoned, sizeof(w->kv.host_cordoned));
	for (int i = 0; i < w->n_services; i++)
		w->kv.services[i].phase_at = w->now;
	for (int i = 0; i < from->n_records; i++)
		if (from->records[i].uid)
			restore_record(w, &from->records[i]);
	w->kv.n_acks = from->n_acks;
	memcpy(w->kv.acks, from->acks, (size_t)from->n_acks * sizeof(*from->acks));
	for (int i = 0; i < w->kv.n_acks; i++)
		w->kv.acks[i].at = w->now;
	if (was_away && chance(w, 2)) /* its servers were rebuilt */
		w->kv.index = from->index;
	w->kv.session = from->session;
}

static void lose_leader(struct world *w, bool was_away)
{
	if (!w->leader.up || w->kv.session != w->leader.session || w->leader.deaf_at != NEVER)
		leader_lost(w, false);
	else if (was_away)
		w->leader.looks_since = w->now;
}

static void begin_another_history(struct world *w, bool all, bool was_away)
{
	w->epoch++;
	w->first_snapshot = w->n_snapshots;
	w->flaps = 0;
	forget_records(w);
	forget_services(w);
	if (all) {
		memset(w->kv.services, 0, sizeof(w->kv.services));
		for (int i = 0; i < SERVICES; i++)
			w->kv.services[i].spec = -1;
		memset(w->kv.host_known, 0, sizeof(w->kv.host_known));
		memset(w->kv.host_drained, 0, sizeof(w->kv.host_drained));
		memset(w->kv.host_cordoned, 0, sizeof(w->kv.host_cordoned));
		w->kv.n_acks = 0;
		w->kv.index = w->kv.session = 0;
		if (w->server >= 0)
			forget_registrations(w, w->server);
	} else
		restore(w, was_away);
	remove_hosts(w);
	forget_homes(w);
	lose_leader(w, was_away);
	w->recover_at = w->now + between(w, 1000, 60000);
	touch(w);
	take_snapshot(w);
}

void lose_data(struct world *w)
{
	bool all = w->loss == ALL_LOST;

	trace(w, all ? "its data is lost" : "with an older copy of its data");
	w->loss = NOTHING_LOST;
	begin_another_history(w, all, true);
	for (int i = 0; i < w->n_hosts; i++)
		if (w->hosts[i].agent_up)
			w->hosts[i].away = true;
}

void restore_while_up(struct world *w)
{
	if (w->consul_down || !w->has_backup)
		return;
	trace(w, "operator: restores a copy of Consul's data");
	w->losses_left--;
	begin_another_history(w, false, false);
	for (int i = 0; i < w->n_hosts; i++)
		if (hears(w, i)) {
			sooner(&w->hosts[i].hear_at, w->now + between(w, 1, 3000));
			sooner(&w->hosts[i].links_at, w->now + between(w, 1, 3000));
		}
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used)
			publish_soon(w, i, 3000);
}

/* Nobody but the operator knows how many hosts there are: he waits for all that he has. */
void recover(struct world *w)
{
	bool missing = w->consul_down;

	w->recover_at = NEVER;
	for (int i = 0; i < w->n_hosts; i++)
		missing |= !w->hosts[i].gone && !w->kv.host_known[i];
	if (missing) {
		w->recover_at = w->now + 3000;
		return;
	}
	for (int i = 0; i < w->n_services; i++)
		if (w->kv.services[i].spec < 0)
			up_again(w, i);
}
