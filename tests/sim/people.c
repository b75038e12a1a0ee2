/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operators, who want something else every while, and faults. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

static int new_version(struct world *w, int component, bool sound)
{
	int version = w->n_versions[component];

	if (version + 1 >= VERSIONS)
		return version - 1;
	w->n_versions[component]++;
	w->nature[component][version] = sound || chance(w, 2) ? FINE : (enum nature)random_to(w, NATURES);
	return version;
}

static unsigned some_nodes(struct world *w, int component)
{
	if (w->fixed_ports[component])
		return 1;
	return (unsigned)between(w, 1, w->exclusive[component] ? 2 : NODES_MAX);
}

static void link_component(struct plan_component *component, struct plan_link *links, int id)
{
	component->links = links;
	component->n_links = 0;
	for (int i = 0; i < COMPONENTS; i++)
		if (uses(id, i))
			links[component->n_links++] =
			    (struct plan_link){ (char *)component_names[i], (char *)component_names[i],
						!strcmp(component_names[i], "cache") };
}

/* `id`s must be added in rising order: a spec's components are sorted by name. */
static void add_component(struct world *w, struct sim_spec *spec, int id, int version, int checks, unsigned nodes)
{
	size_t at = spec->spec.n_components++;
	struct plan_component *component = &spec->components[at];

	spec->id[at] = id;
	spec->version[at] = version;
	spec->checks[at] = checks;
	*component = (struct plan_component){
		.name = (char *)component_names[id],
		.fingerprint = (char *)fingerprint_name(id, version),
		.checks = (char *)checks_name(checks),
		.nodes = nodes,
		.update = w->update[id],
		.exclusive = w->exclusive[id],
		.fixed_ports = w->fixed_ports[id],
	};
	link_component(component, spec->links[at], id);
}

static struct sim_spec *new_spec(struct world *w)
{
	struct sim_spec *spec = &w->specs[w->n_specs];

	if (w->n_specs == REVISIONS)
		return NULL;
	*spec = (struct sim_spec){ .spec = { .service = (char *)"portal", .revision = (uint64_t)++w->n_specs } };
	spec->spec.components = spec->components;
	return spec;
}

static void submit(struct world *w, const struct sim_spec *spec, const char *what)
{
	w->kv.spec = (int)(spec - w->specs);
	trace(w, "operator: %s: revision %llu", what, (unsigned long long)spec->spec.revision);
	for (size_t i = 0; i < spec->spec.n_components; i++)
		trace(w, "    %s: version %d, %u nodes, nature %d, %s, parallel %u%s", component_names[spec->id[i]],
		      spec->version[i], spec->components[i].nodes, (int)w->nature[spec->id[i]][spec->version[i]],
		      spec->components[i].update.stop_first || spec->components[i].exclusive ? "stop-first"
											     : "start-first",
		      spec->components[i].update.parallel, spec->components[i].exclusive ? ", exclusive" : "");
	touch(w);
}

void first_spec(struct world *w)
{
	struct sim_spec *spec;

	for (int i = 0; i < COMPONENTS; i++) {
		w->update[i] = (struct plan_update){ .stop_first = chance(w, 3),
						     .parallel = (unsigned)between(w, 1, 2),
						     .healthy_for_ms = between(w, 0, 3000),
						     .deadline_ms = 60000,
						     .rollback = !chance(w, 8) };
		w->exclusive[i] = !strcmp(component_names[i], "db") || chance(w, 6);
		w->fixed_ports[i] = !strcmp(component_names[i], "front") && chance(w, 2);
	}
	spec = new_spec(w);
	for (int i = 0; i < COMPONENTS; i++)
		if (strcmp(component_names[i], "cache") || chance(w, 2))
			add_component(w, spec, i, new_version(w, i, !chance(w, 4)), 0, some_nodes(w, i));
	w->next_operator = w->now + between(w, 5000, 60000);
	submit(w, spec, "up");
}

/* The last revision with a few things changed. */
static void change(struct world *w, bool sound)
{
	const struct sim_spec *base = &w->specs[w->n_specs - 1];
	struct sim_spec *spec;

	while (base->spec.down && base > w->specs)
		base--;
	spec = new_spec(w);
	if (!spec)
		return;
	for (int i = 0; i < COMPONENTS; i++) {
		int at = spec_find(base, i);
		bool build = at < 0 || chance(w, 3) || (sound && w->nature[i][base->version[at]] > SLOW);

		if (at < 0 ? !chance(w, 4) : !sound && chance(w, 10) && base->spec.n_components > 1)
			continue;
		add_component(w, spec, i, build ? new_version(w, i, sound) : base->version[at],
			      at < 0 || chance(w, 5) ? (int)random_to(w, 4) : base->checks[at],
			      at < 0 || chance(w, 4) ? some_nodes(w, i) : base->components[at].nodes);
	}
	submit(w, spec, "up");
}

static void again(struct world *w)
{
	const struct sim_spec *base = &w->specs[random_to(w, (uint64_t)w->n_specs)];
	struct sim_spec *spec = base->spec.down ? NULL : new_spec(w);

	if (!spec)
		return;
	for (size_t i = 0; i < base->spec.n_components; i++)
		add_component(w, spec, base->id[i], base->version[i], base->checks[i], base->components[i].nodes);
	submit(w, spec, "rollback");
}

static void down(struct world *w)
{
	struct sim_spec *spec = new_spec(w);

	if (!spec)
		return;
	spec->spec.down = true;
	memset(w->nodes, 0, sizeof(w->nodes));
	submit(w, spec, "down");
}

static void disconnect(struct world *w)
{
	struct out *out = &w->kv.outs[random_to(w, COMPONENTS)];

	if (out->used)
		return;
	*out = (struct out){ .used = true,
			     .stop = chance(w, 2),
			     .component = (int)random_to(w, COMPONENTS),
			     .n = (unsigned)random_to(w, NODES_MAX),
			     .deadline_ms = chance(w, 2) ? 0 : between(w, 1000, 20000) };
	w->n_outs++;
	trace(w, "operator: disconnect %s/%u%s", component_names[out->component], out->n, out->stop ? " and stop" : "");
	touch(w);
}

static void connect(struct world *w)
{
	for (int i = 0; i < COMPONENTS; i++)
		if (w->kv.outs[i].used && chance(w, 2)) {
			w->kv.outs[i].used = false;
			for (int n = 1; n <= NODES_MAX; n++)
				w->nodes[w->kv.outs[i].component][n].until = w->now + 20000;
			trace(w, "operator: connect %s/%u", component_names[w->kv.outs[i].component], w->kv.outs[i].n);
			touch(w);
		}
}

static void drain_host(struct world *w)
{
	int host = (int)random_to(w, (uint64_t)w->n_hosts);

	if (host == 0) /* one always stays open */
		return;
	w->kv.host_drained[host] = !w->kv.host_drained[host];
	trace(w, "operator: host %s is %s", host_names[host],
	      w->kv.host_drained[host] ? "to be emptied" : "open again");
	touch(w);
}

void operator_step(struct world *w)
{
	w->next_operator = w->now + (chance(w, 3) ? between(w, 100, 5000) : between(w, 5000, 90000));
	if (w->next_operator >= w->calm_at)
		w->next_operator = NEVER;
	if (w->consul_down)
		return;
	switch (random_to(w, 11)) {
	case 0:
		down(w);
		break;
	case 10:
		drain_host(w);
		break;
	case 1:
	case 2:
		disconnect(w);
		break;
	case 3:
	case 4:
		connect(w);
		break;
	case 5:
		again(w);
		break;
	default:
		change(w, false);
	}
}

/* A fault hits an instance: until the leader can know, its node may be taken for what it was. */
static void excuse(struct world *w, int slot)
{
	struct node_record *node = &w->nodes[w->kv.records[slot].component][w->kv.records[slot].n];

	node->excused = true;
	node->until = w->now + 12000;
}

static void excuse_host(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host)
			excuse(w, i);
}

/* What was under way is lost, or was done without a word. */
static void stop_agent(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (!a->used || w->kv.records[i].host != host || !a->busy)
			continue;
		if (chance(w, 2) || !w->hosts[host].up) {
			a->busy = false;
			continue;
		}
		a->done_at = w->now;
	}
	w->hosts[host].agent_up = false;
}

static void kill_host(struct world *w, int host)
{
	trace(w, "fault: host %s dies", host_names[host]);
	w->hosts[host].up = false;
	w->hosts[host].up_at = w->now + (chance(w, 2) ? between(w, 2000, 20000) : between(w, 30000, 200000));
	w->hosts[host].agent_at = NEVER;
	w->hosts[host].seen_at = w->now + between(w, 3000, 8000);
	stop_agent(w, host);
	excuse_host(w, host);
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host && w->actual[i].container == CONTAINER_RUNNING)
			w->actual[i].container = CONTAINER_STOPPED;
}

static void cut_host(struct world *w, int host)
{
	trace(w, "fault: host %s is cut off", host_names[host]);
	w->hosts[host].cut = true;
	excuse_host(w, host);
	w->hosts[host].joined_at = w->now + (chance(w, 2) ? between(w, 1000, 10000) : between(w, 30000, 200000));
	w->hosts[host].seen_at = w->now + between(w, 3000, 8000);
}

static void hurt_instance(struct world *w)
{
	int slot = w->kv.n_records ? (int)random_to(w, (uint64_t)w->kv.n_records) : -1;
	struct record *r;

	if (slot < 0 || w->actual[slot].container != CONTAINER_RUNNING)
		return;
	r = &w->kv.records[slot];
	excuse(w, slot);
	if (chance(w, 2)) {
		w->actual[slot].crashed_until = w->now + between(w, 500, 5000);
		w->actual[slot].publish_at = w->now + 5;
	} else {
		w->actual[slot].sick_until =
		    w->now + (chance(w, 3) ? between(w, 60000, 150000) : between(w, 1000, 30000));
		w->actual[slot].publish_at = w->now + between(w, 5, 2000);
	}
	trace(w, "fault: %s/%u.%llu is hurt", component_names[r->component], r->n, (unsigned long long)r->gen);
}

static void stop_consul(struct world *w)
{
	trace(w, "fault: Consul is away");
	w->consul_down = true;
	w->consul_at = w->now + between(w, 1000, 60000);
}

static void crash_agent(struct world *w, int host)
{
	if (!w->hosts[host].up)
		return;
	trace(w, "fault: the agent of %s dies", host_names[host]);
	stop_agent(w, host);
	w->hosts[host].agent_at = w->now + between(w, 50, 8000);
}

void fault_step(struct world *w)
{
	int host = (int)random_to(w, (uint64_t)w->n_hosts);

	w->n_faults++;
	w->next_fault = w->now + (chance(w, 3) ? between(w, 10, 3000) : between(w, 1000, 60000));
	if (w->next_fault >= w->calm_at)
		w->next_fault = NEVER;
	switch (random_to(w, 12)) {
	case 0:
		kill_host(w, host);
		break;
	case 1:
		cut_host(w, host);
		break;
	case 2:
		stop_consul(w);
		break;
	case 3:
		w->leader.clock_ms += chance(w, 2) ? between(w, -3600000, 3600000) : between(w, -5000, 5000);
		trace(w, "fault: the leader's clock is off by %lld", (long long)w->leader.clock_ms);
		break;
	case 4:
	case 5:
	case 6:
		leader_crash(w);
		break;
	case 7:
	case 8:
	case 9:
		crash_agent(w, host);
		break;
	default:
		hurt_instance(w);
	}
}

void calm_down(struct world *w)
{
	trace(w, "calm");
	w->calm = true;
	w->next_operator = w->next_fault = w->calm_at = NEVER;
	w->consul_down = false;
	w->consul_at = NEVER;
	for (int i = 0; i < w->n_hosts; i++) {
		struct host *h = &w->hosts[i];

		if (!h->up)
			h->up_at = w->now + 100;
		if (h->cut)
			h->joined_at = w->now + 100;
		if (h->up && !h->agent_up)
			h->agent_at = w->now + 100;
	}
	for (int i = 0; i < w->kv.n_records; i++) {
		w->actual[i].sick_until = w->actual[i].crashed_until = 0;
		if (w->actual[i].used)
			w->actual[i].publish_at = w->now + 10;
	}
	if (!w->leader.up && w->leader.next > w->now + 1000)
		w->leader.next = w->now + 1000;
	touch(w);
}

void mend(struct world *w)
{
	w->mended++;
	change(w, true);
}
