/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold after every event, at every action, and when all is quiet. Judged by what is true, not by the view. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

static bool is_running(const struct world *w, int slot)
{
	return w->actual[slot].used && w->actual[slot].container == CONTAINER_RUNNING &&
	       w->hosts[w->kv.records[slot].host].up;
}

/* Two containers that must not run at once: same volume, or same port of the same host. */
static bool collide(const struct world *w, int a, int b)
{
	const struct record *x = &w->kv.records[a], *y = &w->kv.records[b];

	if (x->component != y->component)
		return false;
	return (w->exclusive[x->component] && x->n == y->n) || (w->fixed_ports[x->component] && x->host == y->host);
}

static void check_writers(struct world *w)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		int component = w->kv.records[i].component;

		if (!is_running(w, i) || !(w->exclusive[component] || w->fixed_ports[component]))
			continue;
		for (int j = i + 1; j < w->kv.n_records; j++)
			if (is_running(w, j) && collide(w, i, j))
				fail(w, "%s/%u runs twice: .%llu and .%llu", component_names[component],
				     w->kv.records[i].n, (unsigned long long)w->kv.records[i].gen,
				     (unsigned long long)w->kv.records[j].gen);
	}
}

const struct out *out_of(const struct world *w, int component, unsigned n)
{
	const struct out *whole = NULL;

	for (int i = 0; i < COMPONENTS; i++) {
		const struct out *out = &w->kv.outs[i];

		if (!out->used || out->component != component)
			continue;
		if (out->n == n)
			return out;
		if (!out->n)
			whole = out;
	}
	return whole;
}

static bool host_is_well(const struct world *w, int host)
{
	return w->hosts[host].up && !w->hosts[host].cut && w->kv.host_alive[host];
}

/* `firm`: and nothing that its agent has begun is about to change that. */
static void note_serving(struct world *w, bool serving[COMPONENTS][NODES_MAX + 1], bool firm[COMPONENTS][NODES_MAX + 1])
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (!w->actual[i].used)
			continue;
		if (truly_serves(w, i)) {
			serving[r->component][r->n] = true;
			firm[r->component][r->n] |= !w->actual[i].busy;
		} else if (!host_is_well(w, r->host)) {
			w->nodes[r->component][r->n].excused = true;
		}
	}
}

static unsigned nodes_in(const struct sim_spec *spec, int component)
{
	int at = spec_find(spec, component);

	return at < 0 ? 0 : spec->components[at].nodes;
}

/* How many nodes of the component every spec that matters now wants: these are to be kept. */
static unsigned kept_nodes(struct world *w, int component)
{
	unsigned kept = nodes_in(&w->specs[w->kv.spec], component);
	unsigned in_work = nodes_in(spec_in_work(w), component);
	unsigned good = w->kv.good ? nodes_in(spec_of_revision(w, w->kv.good), component) : kept;

	kept = in_work < kept ? in_work : kept;
	return good < kept ? good : kept;
}

static void check_kept(struct world *w)
{
	bool serving[COMPONENTS][NODES_MAX + 1] = { 0 }, firm[COMPONENTS][NODES_MAX + 1] = { 0 };

	note_serving(w, serving, firm);
	for (int c = 0; c < COMPONENTS; c++) {
		bool stop_first = w->update[c].stop_first || w->exclusive[c] || w->fixed_ports[c];
		unsigned allowed = stop_first ? w->update[c].parallel : 0, missing = 0;
		unsigned kept = kept_nodes(w, c);

		for (unsigned n = 1; n <= NODES_MAX; n++) {
			struct node_record *node = &w->nodes[c][n];

			if (serving[c][n])
				node->excused = false;
			node->served = (node->served || firm[c][n]) && !out_of(w, c, n) && w->now >= node->until;
			missing += n <= kept && node->served && !node->excused && !serving[c][n];
		}
		if (missing > allowed)
			fail(w, "%u nodes of %s are down, %u may be", missing, component_names[c], allowed);
	}
}

void check_always(struct world *w)
{
	check_writers(w);
	check_kept(w);
}

static bool has_acked(const struct world *w, int slot, int consumer)
{
	const struct record *r = &w->kv.records[slot], *c = &w->kv.records[consumer];
	char name[24];

	snprintf(name, sizeof(name), "%s.%u.%llu", component_names[c->component], c->n, (unsigned long long)c->gen);
	for (int i = 0; i < ACKS_MAX; i++) {
		const struct ack *ack = &w->kv.acks[i];

		if (ack->used && ack->slot == slot && ack->since_ms == r->since_ms && !ack->sessions &&
		    !strcmp(ack->consumer, name))
			return true;
	}
	return false;
}

/* An instance is told to stop: its consumers have let go of it, or they had their time. */
static void check_stop(struct world *w, const struct plan_action *a, int slot)
{
	const struct record *r = &w->kv.records[slot];
	int64_t least = PLAN_DRAIN_MS;

	for (int i = 0; i < COMPONENTS; i++)
		if (w->kv.outs[i].used && w->kv.outs[i].component == r->component && w->kv.outs[i].deadline_ms &&
		    w->kv.outs[i].deadline_ms < least)
			least = w->kv.outs[i].deadline_ms;
	if (r->desired != PLAN_DRAIN)
		fail(w, "%s/%u is stopped without having been drained", a->component, a->n);
	/* The deadline of a disconnect that was withdrawn a moment ago counts as well. */
	if (a->since_ms - r->since_ms >= least || !host_is_well(w, r->host) ||
	    w->now < w->nodes[r->component][r->n].until)
		return;
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *c = &w->kv.records[i];
		bool consumes = w->actual[i].used && c->assigned && c->state == PLAN_RUNNING &&
				c->answers_ms == c->since_ms && uses(c->component, r->component) &&
				(c->desired == PLAN_RUN || c->desired == PLAN_DRAIN);

		/* One that began while the drain went on never saw it serving. */
		if (consumes && host_is_well(w, c->host) && c->since_ms < r->since_ms && !has_acked(w, slot, i))
			fail(w, "%s/%u is stopped while %s/%u uses it", a->component, a->n,
			     component_names[c->component], c->n);
	}
}

/* While a revision is being prepared, nothing that runs is touched but by disconnect and connect. */
static void check_preparing(struct world *w, const struct plan_action *a, int slot)
{
	const struct record *r = slot < 0 ? NULL : &w->kv.records[slot];

	if (a->kind == PLAN_ASSIGN && a->desired != PLAN_PREPARE)
		fail(w, "%s/%u is started while preparing", a->component, a->n);
	if (a->kind == PLAN_UNASSIGN && r->desired != PLAN_PREPARE)
		fail(w, "%s/%u is removed while preparing", a->component, a->n);
	if (a->kind == PLAN_DESIRE && a->desired > r->desired && !out_of(w, r->component, r->n) &&
	    w->now >= w->nodes[r->component][r->n].until)
		fail(w, "%s/%u is taken out while preparing", a->component, a->n);
}

static void check_unassign(struct world *w, const struct plan_action *a, int slot)
{
	const struct record *r = &w->kv.records[slot];

	if (r->desired == PLAN_PREPARE || !w->hosts[r->host].up)
		return;
	if (w->actual[slot].container == CONTAINER_RUNNING)
		fail(w, "%s/%u is removed while it runs", a->component, a->n);
}

static bool is_ready(const struct world *w, int component, int version, unsigned n)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (r->assigned && r->component == component && r->version == version && r->n == n &&
		    (r->desired != PLAN_PREPARE || r->state == PLAN_PREPARED))
			return true;
	}
	return false;
}

/* Nothing is rolled before everything is prepared. */
static void check_prepared(struct world *w, uint64_t revision)
{
	const struct sim_spec *spec = spec_of_revision(w, revision);

	for (size_t i = 0; i < spec->spec.n_components; i++)
		for (unsigned n = 1; n <= spec->components[i].nodes; n++)
			if (!is_ready(w, spec->id[i], spec->version[i], n))
				fail(w, "it rolls before %s/%u is prepared", component_names[spec->id[i]], n);
}

/* What is done has nothing left that nobody wants, but on hosts that cannot be reached. */
static void check_done(struct world *w, uint64_t revision)
{
	const struct sim_spec *spec = spec_of_revision(w, revision);

	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (r->assigned && w->kv.host_alive[r->host] && r->n > nodes_in(spec, r->component) && is_running(w, i))
			fail(w, "it is done and %s/%u still runs", component_names[r->component], r->n);
	}
}

static void check_status(struct world *w, const struct plan_status *status)
{
	if (status->phase == w->kv.phase)
		return;
	if (status->phase == PLAN_ROLLING)
		check_prepared(w, status->revision);
	if (status->phase == PLAN_DONE)
		check_done(w, status->revision);
	if (status->phase == PLAN_ROLLED_BACK)
		check_done(w, status->good);
}

/* An action that Consul is about to take. The phase is still the one before when STATUS comes first, so that it is told
 * by the action itself. */
void check_action(struct world *w, const struct plan_action *a, int slot)
{
	const struct record *r = slot < 0 ? NULL : &w->kv.records[slot];

	if (a->kind == PLAN_STATUS)
		check_status(w, &a->status);
	if (a->kind == PLAN_STATUS || a->kind == PLAN_EVENT)
		return;
	if (w->kv.phase == PLAN_PREPARING)
		check_preparing(w, a, slot);
	if (a->kind == PLAN_DESIRE && a->desired == PLAN_STOP && r->desired != PLAN_STOP)
		check_stop(w, a, slot);
	if (a->kind == PLAN_UNASSIGN)
		check_unassign(w, a, slot);
	if (a->kind == PLAN_DESIRE && a->desired == PLAN_DRAIN && r->n > nodes_in(spec_in_work(w), r->component))
		w->nodes[r->component][r->n].served = false;
}

static bool is_broken(const struct world *w, const struct sim_spec *spec)
{
	for (size_t i = 0; i < spec->spec.n_components; i++)
		if (w->nature[spec->id[i]][spec->version[i]] > SLOW)
			return true;
	return false;
}

static void check_outcome(struct world *w)
{
	const struct sim_spec *spec = &w->specs[w->kv.spec];
	bool sheltered = !w->n_faults || w->mended;

	if (w->kv.revision != spec->spec.revision)
		fail(w, "it settled without taking up revision %llu", (unsigned long long)spec->spec.revision);
	else if (!plan_phase_is_final(w->kv.phase))
		fail(w, "it settled in phase %s: %s", plan_phase_name(w->kv.phase), w->kv.reason);
	else if (spec->spec.down && w->kv.phase != PLAN_REMOVED)
		fail(w, "it was taken down and is %s", plan_phase_name(w->kv.phase));
	else if (!spec->spec.down && sheltered && !is_broken(w, spec) && w->kv.phase != PLAN_DONE)
		fail(w, "a sound revision ended as %s: %s", plan_phase_name(w->kv.phase), w->kv.reason);
	else if (!spec->spec.down && w->kv.phase == PLAN_DONE && is_broken(w, spec) && !w->n_outs)
		fail(w, "a broken revision was done");
}

/* Exactly what the spec says runs, and nothing else is left. */
static void check_node(struct world *w, const struct sim_spec *spec, int at, unsigned n)
{
	int c = spec->id[at], running = 0, assigned = 0;
	bool out = out_of(w, c, n);

	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (!w->actual[i].used || r->component != c || r->n != n)
			continue;
		assigned += r->assigned;
		if (r->version != spec->version[at] || r->checks != spec->checks[at])
			fail(w, "%s/%u.%llu is of another version and is still there", component_names[c], n,
			     (unsigned long long)r->gen);
		running += truly_serves(w, i);
	}
	if (assigned != 1)
		fail(w, "%s/%u has %d instances", component_names[c], n, assigned);
	if (out && running)
		fail(w, "%s/%u is disconnected and serves", component_names[c], n);
	/* What was disconnected while it was rolled out was never held against its checks. */
	if (!out && !running && !(w->n_outs && w->nature[c][spec->version[at]] > SLOW))
		fail(w, "%s/%u does not serve though all is quiet", component_names[c], n);
}

/* What can move has left the hosts that are to be emptied, if there is another host. */
static void check_emptied(struct world *w)
{
	bool somewhere = false;

	for (int i = 0; i < w->n_hosts; i++)
		somewhere |= !w->kv.host_drained[i];
	for (int i = 0; somewhere && i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (r->assigned && w->kv.host_drained[r->host] && !w->exclusive[r->component] &&
		    !out_of(w, r->component, r->n))
			fail(w, "%s/%u is still on %s, which is to be emptied", component_names[r->component], r->n,
			     host_names[r->host]);
	}
}

void check_settled(struct world *w)
{
	const struct sim_spec *spec = spec_in_work(w);

	check_outcome(w);
	if (w->failure[0] || w->kv.phase == PLAN_GAVE_UP)
		return;
	check_emptied(w);
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (w->actual[i].used && r->n > nodes_in(spec, r->component))
			fail(w, "%s/%u is wanted by nobody and is still there", component_names[r->component], r->n);
	}
	for (size_t i = 0; spec && i < spec->spec.n_components; i++)
		for (unsigned n = 1; n <= spec->components[i].nodes; n++)
			check_node(w, spec, (int)i, n);
}
