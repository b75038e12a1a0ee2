/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must hold when all is quiet: what is wanted runs, and nothing else is left anywhere. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

/* The longest of 100,000 schedules takes less. */
#define CONVERGE_MS 1500000

static unsigned nodes_in(const struct sim_spec *spec, int component)
{
	int at = spec_find(spec, component);

	return at < 0 ? 0 : spec->components[at].nodes;
}

/* Its data is where the place does not allow it. */
static bool is_refused(const struct world *w, int service, const struct sim_spec *spec, size_t at)
{
	const struct kv_service *kv = &w->kv.services[service];

	for (size_t i = 0; w->services[service].exclusive[spec->id[at]] && i < kv->n_homes; i++) {
		const struct plan_home *home = &kv->homes[i];

		if (component_id(home->component) == spec->id[at] && home->n <= spec->components[at].nodes &&
		    w->kv.host_known[host_id(home->host)] && !runtime_fits(w, host_id(home->host), spec->runtime[at]))
			return true;
	}
	return false;
}

static bool is_broken(const struct world *w, int service, const struct sim_spec *spec)
{
	for (size_t i = 0; i < spec->spec.n_components; i++)
		if (w->services[service].nature[spec->id[i]][spec->version[i]] > SLOW ||
		    is_refused(w, service, spec, i))
			return true;
	return false;
}

static void check_outcome(struct world *w, int service)
{
	const struct service *s = &w->services[service];
	const struct kv_service *kv = &w->kv.services[service];
	const struct sim_spec *spec = spec_wanted(w, service);
	bool sheltered = !w->n_faults || s->mended;

	if (!spec)
		fail(w, "nobody submitted %s again", service_names[service]);
	else if (kv->revision != spec->spec.revision)
		fail(w, "it settled without taking up revision %llu of %s", (unsigned long long)spec->spec.revision,
		     service_names[service]);
	else if (!plan_phase_is_final(kv->phase))
		fail(w, "%s settled in phase %s: %s", service_names[service], plan_phase_name(kv->phase), kv->reason);
	else if (spec->spec.down && kv->phase != PLAN_REMOVED)
		fail(w, "%s was taken down and is %s", service_names[service], plan_phase_name(kv->phase));
	else if (!spec->spec.down && sheltered && !is_broken(w, service, spec) && kv->phase != PLAN_DONE)
		fail(w, "a sound revision of %s ended as %s: %s", service_names[service], plan_phase_name(kv->phase),
		     kv->reason);
	else if (!spec->spec.down && kv->phase == PLAN_DONE && is_broken(w, service, spec) && !s->n_outs)
		fail(w, "a broken revision of %s was done", service_names[service]);
}

/* Exactly what the spec says runs, and nothing else is left. */
static void check_node(struct world *w, int service, const struct sim_spec *spec, int at, unsigned n)
{
	const struct service *s = &w->services[service];
	int c = spec->id[at], running = 0, assigned = 0;
	bool out = out_of(w, service, c, n);

	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (!w->actual[i].used || r->service != service || r->component != c || r->n != n)
			continue;
		assigned += r->assigned;
		if (r->version != spec->version[at] || r->checks != spec->checks[at])
			fail(w, "%s is of another version and is still there", instance_name(r));
		if (r->assigned && w->kv.services[service].phase == PLAN_DONE && !w->services[service].exclusive[c] &&
		    !runtime_fits(w, r->host, spec->runtime[at]))
			fail(w, "%s is done on a host of another runtime", instance_name(r));
		running += truly_serves(w, i);
		if (w->actual[i].container != CONTAINER_NONE && w->actual[i].version != r->version)
			fail(w, "%s was made of something else", instance_name(r));
	}
	/* One that never becomes healthy and was disconnected while it was rolled out, on a host that was given up: its
	 * second one never takes over. */
	if (assigned != 1 && !(assigned == 2 && s->n_outs && s->nature[c][spec->version[at]] > SLOW))
		fail(w, "%s/%s/%u has %d instances", service_names[service], component_names[c], n, assigned);
	if (out && running)
		fail(w, "%s/%u is disconnected and serves", component_names[c], n);
	/* What was disconnected while it was rolled out was never held against its checks. */
	if (!out && !running && !(s->n_outs && s->nature[c][spec->version[at]] > SLOW))
		fail(w, "%s/%s/%u does not serve though all is quiet", service_names[service], component_names[c], n);
}

/* What can move has left the hosts that are to be emptied, if there is another host. */
static void check_emptied(struct world *w, int service)
{
	bool somewhere = false;

	for (int i = 0; i < w->n_hosts; i++)
		somewhere |= w->kv.host_known[i] && !w->kv.host_drained[i] && !w->kv.host_cordoned[i];
	for (int i = 0; somewhere && i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];
		const struct service *s = &w->services[service];

		if (r->assigned && r->service == service && w->kv.host_drained[r->host] &&
		    !s->exclusive[r->component] && !s->fixed_ports[r->component] &&
		    !out_of(w, service, r->component, r->n))
			fail(w, "%s is still on a host that is to be emptied", instance_name(r));
	}
}

/* Nothing is known, registered or there that is not assigned; every consumer sends to those who serve, and no others.
 */
static void check_ghosts(struct world *w)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];
		const struct actual *a = &w->actual[i];

		if (a->used && !r->assigned)
			fail(w, "%s is a ghost:%s%s%s", instance_name(r), r->has_state ? " its state is there" : "",
			     r->listed ? " the catalog has it" : "",
			     a->container != CONTAINER_NONE ? " its container is there" : "");
	}
}

/*
 * Words about drains that are over are taken back, by who said them or, when he is gone, by the leader. When whom they
 * are about is gone too, it is a name that never comes again. Those of an older copy of Consul's data may be of nobody
 * any more; they are of another drain and end none.
 */
static void check_acks(struct world *w)
{
	for (int i = 0; i < w->kv.n_acks; i++) {
		const struct ack *ack = &w->kv.acks[i];
		bool drains = false, known = false;

		for (int j = 0; j < w->kv.n_records; j++) {
			const struct record *r = &w->kv.records[j];

			known |= w->actual[j].used && r->uid == ack->drained;
			drains |= w->actual[j].used && r->uid == ack->drained && r->desired >= PLAN_DRAIN;
		}
		if (known && !drains && !w->restored_at)
			fail(w, "an ack of %s.%u.%llu is left", component_names[ack->component], ack->n,
			     (unsigned long long)ack->gen);
	}
}

static void check_routes(struct world *w)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *c = &w->kv.records[i];

		if (!w->actual[i].used || !w->actual[i].routed || w->actual[i].container != CONTAINER_RUNNING)
			continue;
		for (int j = 0; j < w->kv.n_records; j++) {
			const struct record *r = &w->kv.records[j];

			if (w->actual[j].used && r->service == c->service && uses(c->component, r->component) &&
			    truly_serves(w, j) != routes_to(w, i, j))
				fail(w, "%s %s to %s", instance_name(c),
				     routes_to(w, i, j) ? "still sends" : "does not send", instance_name(r));
		}
	}
}

static void check_service(struct world *w, int service)
{
	const struct sim_spec *spec = spec_in_work(w, service);

	check_outcome(w, service);
	if (w->failure[0] || w->kv.services[service].phase == PLAN_GAVE_UP)
		return;
	check_emptied(w, service);
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct record *r = &w->kv.records[i];

		if (w->actual[i].used && r->service == service && r->n > nodes_in(spec, r->component))
			fail(w, "%s is wanted by nobody and is still there", instance_name(r));
	}
	for (size_t i = 0; spec && i < spec->spec.n_components; i++)
		for (unsigned n = 1; n <= spec->components[i].nodes; n++)
			check_node(w, service, spec, (int)i, n);
}

void check_settled(struct world *w)
{
	if (w->changed_at - w->calm_since > w->settle_ms)
		w->settle_ms = w->changed_at - w->calm_since;
	if (w->settle_ms > CONVERGE_MS)
		fail(w, "it took %lld s to settle", (long long)w->settle_ms / 1000);
	check_ghosts(w);
	check_routes(w);
	check_acks(w);
	for (int i = 0; i < w->n_services && !w->failure[0]; i++)
		check_service(w, i);
}
