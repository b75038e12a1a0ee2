/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold after every event and at every action. Judged by what is true, not by the view. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#include "agent/links-hold.h"

/*
 * So long after Consul has it, a leader that is connected has acted by it: its answer may be late, word of it may take
 * its time, and so may the transaction. What has served for less than the first and the last of these may be taken for
 * one that does not, by a transaction that is on its way since; it cannot be asked of the plan that it knows better.
 */
#define KNOWN_MS (LATE_MS + DELAY_MS + WAY_MS)
#define FIRM_MS (LATE_MS + WAY_MS)

static bool is_running(const struct world *w, int slot)
{
	return w->actual[slot].used && w->actual[slot].container == CONTAINER_RUNNING &&
	       w->hosts[w->kv.records[slot].host].up;
}

bool host_is_well(const struct world *w, int host)
{
	const struct host *h = &w->hosts[host];

	return h->up && !h->deaf && !h->mute && !h->away && w->kv.host_alive[host];
}

/* Two containers that must not run at once: same volume, or same port of the same host. */
static bool collide(const struct world *w, int a, int b)
{
	const struct record *x = &w->kv.records[a], *y = &w->kv.records[b];
	const struct service *s = &w->services[x->service];

	if (x->service != y->service || x->component != y->component)
		return false;
	return (s->exclusive[x->component] && x->n == y->n) || (s->fixed_ports[x->component] && x->host == y->host);
}

static void check_writers(struct world *w)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];
		const struct service *s = &w->services[r->service];

		if (!(s->exclusive[r->component] || s->fixed_ports[r->component]) || !is_running(w, i))
			continue;
		for (int j = i + 1; j < w->kv.n_records; j++)
			if (collide(w, i, j) && is_running(w, j))
				fail(w, "%s and %s run at once", instance_name(r), instance_name(&w->kv.records[j]));
	}
}

/* `firm`: for so long that late answers tell of it too, and nothing that its agent has begun or was told before is
 * about to change that. */
static void note_serving(struct world *w, bool serving[SERVICES][COMPONENTS][NODES_MAX + 1],
			 bool firm[SERVICES][COMPONENTS][NODES_MAX + 1])
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];
		struct actual *a = &w->actual[i];

		if (!a->used)
			continue;
		if (truly_serves(w, i)) {
			sooner(&a->serves_since, w->now);
			serving[r->service][r->component][r->n] = true;
			firm[r->service][r->component][r->n] |=
			    !a->busy && a->heard.since_ms == r->since_ms && w->now - a->serves_since >= FIRM_MS;
			continue;
		}
		a->serves_since = NEVER;
		if (!host_is_well(w, r->host))
			w->services[r->service].nodes[r->component][r->n].excused = true;
	}
}

static unsigned nodes_in(const struct sim_spec *spec, int component)
{
	int at = spec_find(spec, component);

	return at < 0 ? 0 : spec->components[at].nodes;
}

/* How many nodes of the component every spec that matters now wants: these are to be kept. */
static unsigned kept_nodes(struct world *w, int service, int component)
{
	unsigned kept = nodes_in(spec_wanted(w, service), component);
	unsigned in_work = nodes_in(spec_in_work(w, service), component);
	struct sim_spec *good_spec = spec_of_revision(w, service, w->kv.services[service].good);
	unsigned good = good_spec ? nodes_in(good_spec, component) : kept;

	kept = in_work < kept ? in_work : kept;
	return good < kept ? good : kept;
}

static void check_kept_of(struct world *w, int service, int c, const bool serving[NODES_MAX + 1],
			  const bool firm[NODES_MAX + 1])
{
	struct service *s = &w->services[service];
	bool stop_first = s->update[c].stop_first || s->exclusive[c] || s->fixed_ports[c];
	unsigned allowed = stop_first ? s->update[c].parallel : 0, missing = 0, down[NODES_MAX + 1] = { 0 }, kept;

	for (unsigned n = 1; n <= NODES_MAX; n++) {
		struct node_record *node = &s->nodes[c][n];

		/* After a fault too, and after it was down on purpose, it is known only then that it serves again. */
		if (firm[n])
			node->excused = false;
		else if (node->down && serving[n])
			node->excused = true;
		node->served = (node->served || firm[n]) && w->now >= node->until && !out_of(w, service, c, n);
		down[n] = node->served && !node->excused && !serving[n];
		node->down = down[n];
		missing += down[n];
	}
	if (missing <= allowed)
		return;
	kept = kept_nodes(w, service, c);
	missing = 0;
	for (unsigned n = 1; n <= kept; n++)
		missing += down[n];
	if (missing > allowed)
		fail(w, "%u nodes of %s/%s are down, %u may be", missing, service_names[service], component_names[c],
		     allowed);
}

void check_always(struct world *w)
{
	bool serving[SERVICES][COMPONENTS][NODES_MAX + 1] = { 0 }, firm[SERVICES][COMPONENTS][NODES_MAX + 1] = { 0 };

	if (w->started)
		check_writers(w);
	w->started = false;
	note_serving(w, serving, firm);
	for (int s = 0; s < w->n_services; s++)
		for (int c = 0; c < COMPONENTS; c++)
			check_kept_of(w, s, c, serving[s][c], firm[s][c]);
}

/*
 * The consumer sent to it, it serves for long, and now the consumer sends to nobody: whatever Consul said, late, of
 * before it was away, of checks that have not run or of a host that it does not reach, is no reason. But nobody can
 * know of one whose host cannot tell.
 */
void check_empty_route(struct world *w, int consumer, int dropped)
{
	const struct record *r = &w->kv.records[dropped];
	int64_t said_ms = w->now - w->kv.host_seen_at[r->host];

	if (w->restored_at && (w->now - w->restored_at < KNOWN_MS || w->now - w->consul_since < KNOWN_MS))
		return; /* its catalog is of before until Consul's agents could tell */
	/* Consul's agent was started anew once more before its checks had run: that is waited for only so long. */
	if (r->health == PLAN_UNKNOWN && w->now - r->health_at >= HOLD_UNRUN_MS)
		return;
	if (w->now - w->actual[dropped].serves_since > KNOWN_MS && !w->hosts[r->host].mute &&
	    (!w->kv.host_alive[r->host] || said_ms > KNOWN_MS))
		fail(w, "%s sends to nobody, and %s serves", instance_name(&w->kv.records[consumer]), instance_name(r));
}

/*
 * An agent begins a step. It takes a container away only when the leader wanted it so, whatever the agent was told; and
 * nobody starts, stops or removes what its runtime has not told of.
 */
void check_step(struct world *w, int slot, enum converge_step step)
{
	if ((step == CONVERGE_LAUNCH || step == CONVERGE_STOP || step == CONVERGE_REMOVE) &&
	    w->actual[slot].mind.container == CONTAINER_UNKNOWN)
		fail(w, "%s of %s, of which nothing is known", converge_step_name(step),
		     instance_name(&w->kv.records[slot]));
	if (step == CONVERGE_REMOVE && w->kv.records[slot].assigned && w->actual[slot].container == CONTAINER_RUNNING)
		fail(w, "%s is removed and nobody wanted it", instance_name(&w->kv.records[slot]));
	if ((step == CONVERGE_STOP || step == CONVERGE_REMOVE || step == CONVERGE_DEREGISTER) &&
	    w->actual[slot].container != CONTAINER_NONE && !w->actual[slot].stop_told)
		fail(w, "%s of %s, of which no leader said so", converge_step_name(step),
		     instance_name(&w->kv.records[slot]));
}

/* Who is stopped is not in the catalog any more: nobody is sent there. */
void check_stopped(struct world *w, int slot)
{
	if (w->actual[slot].registered)
		fail(w, "%s says that it stopped, and Consul has it", instance_name(&w->kv.records[slot]));
}

/* Where its data is an exclusive node is started and nowhere else, until that host is taken away. */
void check_launch(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];
	struct service *s = &w->services[r->service];
	uint8_t *home = &s->data_host[r->component][r->n];

	if (!s->exclusive[r->component])
		return;
	if (*home && *home != r->host + 1 && !w->hosts[*home - 1].gone)
		fail(w, "%s is started, and its data is on %s", instance_name(r), host_names[*home - 1]);
	*home = (uint8_t)(r->host + 1);
}

static bool is_known_bad(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	return (r->health != PLAN_PASSING && w->now - r->health_at > KNOWN_MS) ||
	       (!w->kv.host_alive[r->host] && w->now - w->kv.host_seen_at[r->host] > KNOWN_MS);
}

static bool is_misled(const struct world *w, int host)
{
	return w->hosts[host].misled_at && w->now - w->hosts[host].misled_at < KNOWN_MS;
}

/* Start-first: one that serves is taken out only when another of its node serves, for all that can be known. */
static void check_drain(struct world *w, int service, const struct plan_action *a, int slot)
{
	const struct record *r = &w->kv.records[slot];
	const struct service *s = &w->services[service];
	bool stop_first =
	    s->update[r->component].stop_first || s->exclusive[r->component] || s->fixed_ports[r->component];

	if (stop_first || w->late_words || !w->leader.up || w->now - w->leader.started_at < KNOWN_MS ||
	    out_of(w, service, r->component, r->n) || w->now < s->nodes[r->component][r->n].until ||
	    r->n > nodes_in(spec_in_work(w, service), r->component) || !truly_serves(w, slot) || is_known_bad(w, slot))
		return;
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *o = &w->kv.records[i];

		if (i != slot && w->actual[i].used && o->assigned && o->service == r->service &&
		    o->component == r->component && o->n == r->n && o->desired == PLAN_RUN && !is_known_bad(w, i))
			return;
	}
	fail(w, "%s/%u.%llu is taken out and nothing else of its node serves", a->component, a->n,
	     (unsigned long long)a->gen);
}

/* Leader, Consul and its watches have been well for so long. */
static bool is_steady(const struct world *w, int64_t for_ms)
{
	return w->leader.up && w->leader.deaf_at == NEVER && !w->late_words && !w->consul_down &&
	       w->now - w->leader.looks_since > for_ms;
}

static int64_t reschedule_ms(const struct world *w)
{
	return w->reschedule_ms ? w->reschedule_ms : PLAN_RESCHEDULE_MS;
}

/* Nothing is started where all was given up: when that host returns, nobody can say what else runs there. */
static void check_start(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];
	int64_t given_up = reschedule_ms(w) + KNOWN_MS;

	if (!w->services[r->service].exclusive[r->component] && is_steady(w, given_up) && !w->kv.host_alive[r->host] &&
	    w->now - w->kv.host_seen_at[r->host] > given_up)
		fail(w, "%s is started on a host that was given up", instance_name(r));
}

/* Another host could have taken it for so long. */
static bool has_room_elsewhere(struct world *w, const struct record *r, int64_t for_ms)
{
	const struct sim_spec *spec = spec_in_work(w, r->service);
	int at = spec_find(spec, r->component);

	for (int i = 0; at >= 0 && r->n <= spec->components[at].nodes && i < w->n_hosts; i++)
		if (i != r->host && w->kv.host_known[i] && host_is_well(w, i) && !w->kv.host_cordoned[i] &&
		    !w->kv.host_drained[i] && w->now - w->kv.host_seen_at[i] > for_ms &&
		    runtime_fits(w, i, spec->runtime[at]))
			return true;
	return false;
}

/* A host returns: what could move has been given another place, if it was away for longer than it is waited for. */
void check_moved(struct world *w, int host)
{
	int64_t most = reschedule_ms(w) + 3 * KNOWN_MS;

	if (!is_steady(w, most) || w->kv.host_alive[host] || w->now - w->kv.host_seen_at[host] < most)
		return;
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];
		const struct service *s = &w->services[r->service];
		const struct kv_service *kv = &w->kv.services[r->service];
		bool moved = false;

		if (!w->actual[i].used || !r->assigned || r->host != host || r->desired != PLAN_RUN ||
		    s->exclusive[r->component] || s->fixed_ports[r->component] || s->n_outs || kv->phase != PLAN_DONE ||
		    w->now - kv->phase_at < most || kv->revision != spec_wanted(w, r->service)->spec.revision ||
		    !has_room_elsewhere(w, r, most))
			continue;
		for (int j = 0; j < w->kv.n_records; j++) {
			const struct record *o = &w->kv.records[j];

			moved |= w->actual[j].used && o->assigned && o->service == r->service && o->host != host &&
				 o->component == r->component && o->n == r->n;
		}
		if (!moved)
			fail(w, "%s was given no other place", instance_name(r));
	}
}

/*
 * A drain that only its deadline ended, though everybody had let go long before. What nobody wants any more waits for
 * all else to be right, as it may be wanted again.
 */
static void check_waited(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	if (!is_steady(w, KNOWN_MS) || !host_is_well(w, r->host) || w->now - w->kv.host_seen_at[r->host] < KNOWN_MS ||
	    r->n > nodes_in(spec_in_work(w, r->service), r->component) || w->services[r->service].n_outs ||
	    r->told_at < w->kv.services[r->service].phase_at || w->now - r->told_at < 2 * KNOWN_MS)
		return;
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *c = &w->kv.records[i];
		const struct ack *ack = find_ack(&w->kv, r->uid, c->uid);

		if (w->actual[i].used && c->assigned && c->service == r->service && uses(c->component, r->component) &&
		    (c->desired == PLAN_RUN || c->desired == PLAN_DRAIN || w->now - c->told_at < KNOWN_MS) &&
		    (!ack || ack->sessions || ack->since_ms != r->since_ms || w->now - ack->at < KNOWN_MS))
			return;
	}
	fail(w, "%s is stopped long after all let go of it", instance_name(r));
}

/* An instance is told to stop: its consumers have let go of it, or they had their time. */
static void check_stop(struct world *w, int service, int slot)
{
	const struct record *r = &w->kv.records[slot];
	const struct out *outs = w->kv.services[service].outs;
	const struct node_record *node = &w->services[service].nodes[r->component][r->n];
	int64_t most = PLAN_DRAIN_MS;

	for (int i = 0; i < COMPONENTS; i++)
		if (outs[i].used && outs[i].component == r->component && outs[i].deadline_ms)
			most = least(most, outs[i].deadline_ms);
	if (r->desired != PLAN_DRAIN)
		fail(w, "%s is stopped without having been drained", instance_name(r));
	check_waited(w, slot);
	/* The deadline of a disconnect that was withdrawn a moment ago counts as well. */
	if (w->now < node->until && node->deadline_ms)
		most = least(most, node->deadline_ms);
	/* Its agent was told of before: it serves again for a moment, and is believed to by who has let go of it. */
	if (w->now - r->told_at >= most || !host_is_well(w, r->host) || is_misled(w, r->host))
		return;
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *c = &w->kv.records[i];

		/* One that began while the drain went on never saw it serving. */
		if (w->actual[i].used && c->assigned && c->service == r->service && uses(c->component, r->component) &&
		    c->state == PLAN_RUNNING && c->answers_ms == c->since_ms &&
		    (c->desired == PLAN_RUN || c->desired == PLAN_DRAIN) && host_is_well(w, c->host) &&
		    c->since_ms < r->since_ms && routes_to(w, i, slot))
			fail(w, "%s is stopped while %s sends to it", instance_name(r), instance_name(c));
	}
}

/* While a revision is being prepared, nothing that runs is touched but by disconnect and connect. */
static void check_preparing(struct world *w, int service, const struct plan_action *a, int slot)
{
	const struct record *r = slot < 0 ? NULL : &w->kv.records[slot];

	if (a->kind == PLAN_ASSIGN && a->desired != PLAN_PREPARE && !a->found)
		fail(w, "%s/%u is started while preparing", a->component, a->n);
	if (a->kind == PLAN_UNASSIGN && r && r->desired != PLAN_PREPARE)
		fail(w, "%s is removed while preparing", instance_name(r));
	if (a->kind == PLAN_DESIRE && r && r->desired == PLAN_PREPARE && r->state == PLAN_RUNNING)
		return; /* it runs already, and an older copy of Consul's data does not say so */
	if (a->kind == PLAN_DESIRE && r && a->desired > r->desired && !out_of(w, service, r->component, r->n) &&
	    w->now >= w->services[service].nodes[r->component][r->n].until)
		fail(w, "%s is taken out while preparing", instance_name(r));
}

/* An agent that was told to run it again after it had said that it stopped does so: that much trust it must have. */
static void check_unassign(struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	if (is_misled(w, r->host))
		return;
	if (r->desired != PLAN_PREPARE && w->hosts[r->host].up && w->actual[slot].container == CONTAINER_RUNNING)
		fail(w, "%s is removed while it runs", instance_name(r));
}

/* Names carry node and generation only: two of them would be one server in HAProxy and one file in a store. */
static void check_assign(struct world *w, int service, const struct plan_action *a)
{
	const struct sim_spec *spec = spec_of_revision(w, service, a->revision);
	int at = spec_find(spec, component_id(a->component));

	if (at >= 0 && !runtime_fits(w, host_id(a->host), spec->runtime[at]))
		fail(w, "%s/%u is assigned to %s, which has another runtime", a->component, a->n, a->host);
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		/* A leader that goes on at once after a restore gives a number once more before the host could tell. */
		if (a->found && w->restored_at && r->told_at >= w->restored_at)
			continue;
		if (w->actual[i].used && (r->assigned || (r->found && !a->found)) && r->service == service &&
		    r->n == a->n && r->gen == a->gen && !strcmp(component_names[r->component], a->component))
			fail(w, "%s is there and another of its name is assigned to %s", instance_name(r), a->host);
	}
}

/*
 * An agent that was told a moment ago that nothing of it is known has taken its word back: the leader may have heard it
 * before.
 */
static bool is_ready(const struct world *w, int service, int component, int version, unsigned n)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (r->assigned && r->service == service && r->component == component && r->version == version &&
		    r->n == n && (r->desired != PLAN_PREPARE || r->has_state || is_misled(w, r->host)))
			return true;
	}
	return false;
}

/* Nothing is rolled before everything is prepared. */
static void check_prepared(struct world *w, int service, uint64_t revision)
{
	const struct sim_spec *spec = spec_of_revision(w, service, revision);

	for (size_t i = 0; i < spec->spec.n_components; i++)
		for (unsigned n = 1; n <= spec->components[i].nodes; n++)
			if (!is_ready(w, service, spec->id[i], spec->version[i], n))
				fail(w, "it rolls before %s/%u is prepared", component_names[spec->id[i]], n);
}

/* Is that what the spec wants of its node? Of one that is disconnected it may also be a stopped one. */
static bool is_wanted(const struct world *w, int service, const struct sim_spec *spec, int slot)
{
	const struct record *r = &w->kv.records[slot];
	int at = spec_find(spec, r->component);
	bool out =
	    out_of(w, service, r->component, r->n) || w->now < w->services[service].nodes[r->component][r->n].until;

	return r->assigned && at >= 0 && r->n <= spec->components[at].nodes && r->version == spec->version[at] &&
	       (r->desired == PLAN_RUN || out);
}

/*
 * A leader can know that it has a container: assignments and the status are of one view; of what has no assignment any
 * more the state key tells, if its agent came to write one.
 */
static bool can_be_known(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	return w->actual[slot].used && w->actual[slot].container != CONTAINER_NONE && (r->assigned || r->has_state) &&
	       host_is_well(w, r->host) && w->now - w->kv.host_seen_at[r->host] > KNOWN_MS && !is_misled(w, r->host);
}

/* What is done has no containers but those of the wanted nodes, one each, save on hosts that cannot be reached. */
static void check_done(struct world *w, int service, uint64_t revision)
{
	const struct sim_spec *spec = spec_of_revision(w, service, revision);
	unsigned there[COMPONENTS][NODES_MAX + 1] = { 0 };

	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (r->service != service || !can_be_known(w, i))
			continue;
		if (!is_wanted(w, service, spec, i))
			fail(w, "it is done and %s still has a container", instance_name(r));
		else if (++there[r->component][r->n] > 1)
			fail(w, "it is done and %s is one too many", instance_name(r));
	}
}

static void check_status(struct world *w, int service, const struct plan_status *status)
{
	const struct kv_service *now = &w->kv.services[service];

	if (now->phase == PLAN_ROLLING_BACK && status->phase == PLAN_ROLLING_BACK &&
	    now->revision == status->revision &&
	    strncmp(now->reason, status->reason ? status->reason : "", sizeof(now->reason) - 1))
		fail(w, "%s goes back once more: %s", service_names[service], status->reason);
	if (status->phase == w->kv.services[service].phase)
		return;
	if (status->phase == PLAN_ROLLING)
		check_prepared(w, service, status->revision);
	if (status->phase == PLAN_DONE)
		check_done(w, service, status->revision);
	if (status->phase == PLAN_ROLLED_BACK)
		check_done(w, service, status->good);
}

/* An action that Consul is about to take. The first one is STATUS, so that the phase is the new one for the others. */
void check_action(struct world *w, int service, const struct plan_action *a, int slot)
{
	const struct record *r = slot < 0 ? NULL : &w->kv.records[slot];

	if (a->kind == PLAN_STATUS)
		check_status(w, service, &a->status);
	if (a->kind == PLAN_STATUS || a->kind == PLAN_EVENT)
		return;
	if (w->kv.services[service].phase == PLAN_PREPARING)
		check_preparing(w, service, a, slot);
	if (a->kind == PLAN_ASSIGN)
		check_assign(w, service, a);
	if (a->kind == PLAN_DESIRE && a->desired == PLAN_DRAIN && r->desired == PLAN_RUN)
		check_drain(w, service, a, slot);
	if (a->kind == PLAN_DESIRE && a->desired == PLAN_STOP && r->desired != PLAN_STOP)
		check_stop(w, service, slot);
	if (a->kind == PLAN_DESIRE && a->desired == PLAN_RUN && (r->desired == PLAN_PREPARE || r->desired == PLAN_STOP))
		check_start(w, slot);
	if (a->kind == PLAN_UNASSIGN)
		check_unassign(w, slot);
	if (a->kind == PLAN_DESIRE && a->desired == PLAN_DRAIN &&
	    r->n > nodes_in(spec_in_work(w, service), r->component))
		w->services[service].nodes[r->component][r->n].served = false;
}
