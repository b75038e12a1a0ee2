/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operators, who want something else every while. */
#include "sim.h"

#include <string.h>

static uint8_t new_version(struct world *w, struct service *s, int component, bool sound)
{
	uint8_t version = s->n_versions[component];

	if (version + 1 >= VERSIONS)
		return (uint8_t)(version - 1);
	s->n_versions[component]++;
	s->nature[component][version] = sound || chance(w, 2) ? FINE : (enum nature)random_to(w, NATURES);
	return version;
}

/* As many with fixed ports as there are always hosts for. */
static unsigned some_nodes(struct world *w, const struct service *s, int component)
{
	if (s->fixed_ports[component])
		return 1;
	return (unsigned)between(w, 1, s->exclusive[component] ? 2 : NODES_MAX);
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
static void add_component(const struct service *s, struct sim_spec *spec, int id, uint8_t version, uint8_t checks,
			  unsigned nodes, enum runtime runtime)
{
	static const char *const runtimes[] = { NULL, "docker", "xen" };
	size_t at = spec->spec.n_components++;
	struct plan_component *component = &spec->components[at];

	spec->id[at] = (uint8_t)id;
	spec->version[at] = version;
	spec->checks[at] = checks;
	spec->runtime[at] = runtime;
	*component = (struct plan_component){
		.name = (char *)component_names[id],
		.fingerprint = (char *)fingerprint_name(id, version),
		.around = (char *)checks_name(checks),
		.nodes = nodes,
		.place.runtime = (char *)runtimes[runtime],
		.update = s->update[id],
		.exclusive = s->exclusive[id],
		.fixed_ports = s->fixed_ports[id],
	};
	link_component(component, spec->links[at], id);
}

bool runtime_fits(const struct world *w, int host, enum runtime runtime)
{
	return runtime == ANY || w->hosts[host].xen == (runtime == XEN);
}

static enum runtime some_runtime(struct world *w)
{
	return w->n_open > 1 ? (enum runtime)random_to(w, 3) : ANY;
}

/* Where there is data, another runtime is mostly refused: no sound revision wants it. */
static enum runtime next_runtime(struct world *w, const struct service *s, int component, enum runtime last, bool sound)
{
	if (sound && s->exclusive[component])
		return s->runtime[component];
	return chance(w, s->exclusive[component] ? 12 : 4) ? some_runtime(w) : last;
}

/* As in src/agent/api-submit.c. */
static uint64_t next_revision(struct world *w, int service)
{
	const struct sim_spec *wanted = spec_wanted(w, service);
	uint64_t revision = w->kv.services[service].revision;

	return (wanted && wanted->spec.revision > revision ? wanted->spec.revision : revision) + 1;
}

static struct sim_spec *new_spec(struct world *w, int service, int most)
{
	struct service *s = &w->services[service];
	struct sim_spec *spec = &s->specs[s->n_specs];

	if (s->n_specs >= most)
		return NULL;
	*spec = (struct sim_spec){ .spec = { .service = (char *)service_names[service],
					     .revision = next_revision(w, service) } };
	spec->spec.components = spec->components;
	s->n_specs++;
	return spec;
}

static void submit(struct world *w, int service, const struct sim_spec *spec, const char *what)
{
	const struct service *s = &w->services[service];

	w->kv.services[service].spec = (int)(spec - s->specs);
	w->kv.services[service].revisions[spec->spec.revision] = (uint8_t)(spec - s->specs + 1);
	trace(w, "operator: %s %s: revision %llu", what, service_names[service],
	      (unsigned long long)spec->spec.revision);
	for (size_t i = 0; i < spec->spec.n_components; i++)
		trace(w, "    %s: version %d, %u nodes, nature %d, %s, parallel %u%s%s", component_names[spec->id[i]],
		      spec->version[i], spec->components[i].nodes, (int)s->nature[spec->id[i]][spec->version[i]],
		      spec->components[i].update.stop_first ? "stop-first" : "start-first",
		      spec->components[i].update.parallel, spec->components[i].exclusive ? ", exclusive" : "",
		      spec->components[i].fixed_ports ? ", fixed ports" : "");
	touch(w);
}

static void first_spec(struct world *w, int service)
{
	struct service *s = &w->services[service];
	struct sim_spec *spec;

	for (int i = 0; i < COMPONENTS; i++) {
		s->update[i] = (struct plan_update){ .stop_first = chance(w, 3),
						     .parallel = (unsigned)between(w, 1, 2),
						     .healthy_for_ms = between(w, 0, 3000),
						     .deadline_ms = 60000,
						     .rollback = !chance(w, 8) };
		s->exclusive[i] = !strcmp(component_names[i], "db") || chance(w, 6);
		s->fixed_ports[i] = !strcmp(component_names[i], "front") && chance(w, 2);
	}
	spec = new_spec(w, service, REVISIONS);
	for (int i = 0; i < COMPONENTS; i++) {
		unsigned nodes;

		if (!strcmp(component_names[i], "cache") && !chance(w, 2))
			continue;
		/* One after the other, not as arguments: what order these have is the compiler's. */
		s->runtime[i] = some_runtime(w);
		nodes = some_nodes(w, s, i);
		add_component(s, spec, i, new_version(w, s, i, !chance(w, 4)), 0, nodes, s->runtime[i]);
	}
	submit(w, service, spec, "up");
}

void first_specs(struct world *w)
{
	for (int i = 0; i < w->n_services; i++)
		first_spec(w, i);
	w->next_operator = w->now + between(w, 5000, 60000);
}

/* The last revision with a few things changed. */
static void change(struct world *w, int service, bool sound)
{
	struct service *s = &w->services[service];
	const struct sim_spec *base = &s->specs[s->n_specs - 1];
	struct sim_spec *spec;

	while (base->spec.down && base > s->specs)
		base--;
	spec = new_spec(w, service, REVISIONS);
	if (!spec)
		return;
	for (int i = 0; i < COMPONENTS; i++) {
		int at = spec_find(base, i);
		bool build = at < 0 || chance(w, 3) || (sound && s->nature[i][base->version[at]] > SLOW);
		unsigned nodes;
		uint8_t checks;
		enum runtime runtime;

		if (at < 0 ? !chance(w, 4) : !sound && chance(w, 10) && base->spec.n_components > 1)
			continue;
		runtime = next_runtime(w, s, i, at < 0 ? s->runtime[i] : base->runtime[at], sound);
		nodes = at < 0 || chance(w, 4) ? some_nodes(w, s, i) : base->components[at].nodes;
		checks = at < 0 || chance(w, 5) ? (uint8_t)random_to(w, 4) : base->checks[at];
		add_component(s, spec, i, build ? new_version(w, s, i, sound) : base->version[at], checks, nodes,
			      runtime);
	}
	submit(w, service, spec, "up");
}

static void again(struct world *w, int service)
{
	struct service *s = &w->services[service];
	const struct sim_spec *base = &s->specs[random_to(w, (uint64_t)s->n_specs)];
	struct sim_spec *spec = base->spec.down ? NULL : new_spec(w, service, REVISIONS);

	if (!spec)
		return;
	for (size_t i = 0; i < base->spec.n_components; i++)
		add_component(s, spec, base->id[i], base->version[i], base->checks[i], base->components[i].nodes,
			      base->runtime[i]);
	submit(w, service, spec, "rollback");
}

static void down(struct world *w, int service)
{
	struct sim_spec *spec = new_spec(w, service, REVISIONS);

	if (!spec)
		return;
	spec->spec.down = true;
	memset(w->services[service].nodes, 0, sizeof(w->services[service].nodes));
	submit(w, service, spec, "down");
}

static void disconnect(struct world *w, int service)
{
	struct out *out = &w->kv.services[service].outs[random_to(w, COMPONENTS)];

	if (out->used)
		return;
	*out = (struct out){ .used = true,
			     .stop = chance(w, 2),
			     .component = (int)random_to(w, COMPONENTS),
			     .n = (unsigned)random_to(w, NODES_MAX),
			     .deadline_ms = chance(w, 2) ? 0 : between(w, 1000, 20000) };
	w->services[service].n_outs++;
	w->flaps_of = service;
	trace(w, "operator: disconnect %s/%s/%u%s", service_names[service], component_names[out->component], out->n,
	      out->stop ? " and stop" : "");
	touch(w);
}

static void connect(struct world *w, int service)
{
	for (int i = 0; i < COMPONENTS; i++) {
		struct out *out = &w->kv.services[service].outs[i];

		if (!out->used || chance(w, 2))
			continue;
		out->used = false;
		for (int n = 1; n <= NODES_MAX; n++) {
			struct node_record *node = &w->services[service].nodes[out->component][n];

			node->until = w->now + 20000;
			node->deadline_ms = out->deadline_ms;
		}
		trace(w, "operator: connect %s/%s/%u", service_names[service], component_names[out->component], out->n);
		touch(w);
	}
}

static void tell_host(struct world *w)
{
	int host = (int)random_to(w, (uint64_t)w->n_hosts);
	bool *what = chance(w, 2) ? &w->kv.host_drained[host] : &w->kv.host_cordoned[host];

	if (host < w->n_open || !w->kv.host_known[host])
		return;
	*what = !*what;
	trace(w, "operator: host %s %s", host_names[host],
	      w->kv.host_drained[host]    ? "is to be emptied"
	      : w->kv.host_cordoned[host] ? "gets no new nodes"
					  : "is open");
	touch(w);
}

static void begin_to_flap(struct world *w)
{
	w->flaps = chance(w, 3) && w->next_operator != NEVER ? (unsigned)between(w, 1, 4) : 0;
	if (w->flaps)
		w->next_operator = w->now + between(w, 50, 3000);
}

/* Somebody who does not know what he wants: out, in, out … */
static void flap(struct world *w)
{
	bool used = false;

	if (w->kv.services[w->flaps_of].spec < 0) {
		w->flaps = 0;
		return;
	}
	for (int i = 0; i < COMPONENTS; i++)
		used |= w->kv.services[w->flaps_of].outs[i].used;
	if (used)
		connect(w, w->flaps_of);
	else
		disconnect(w, w->flaps_of);
	if (--w->flaps && w->next_operator != NEVER)
		w->next_operator = w->now + between(w, 50, 3000);
}

static void forget_unassigned(struct world *w, int host)
{
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host && !w->kv.records[i].assigned)
			forget_slot(w, i);
}

/* What broke for good is taken out of the cluster, with what it said. */
void remove_hosts(struct world *w)
{
	for (int i = 0; i < w->n_hosts; i++) {
		if (!w->hosts[i].gone)
			continue;
		if (!w->kv.host_known[i]) { /* it broke before it could tell a Consul that had forgotten it */
			forget_unassigned(w, i);
			continue;
		}
		trace(w, "operator: host %s is taken away", host_names[i]);
		w->kv.host_known[i] = false;
		forget_unassigned(w, i);
		drop_acks_of_host(w, i);
		touch(w);
	}
}

void operator_step(struct world *w)
{
	int service = (int)random_to(w, (uint64_t)w->n_services);

	w->next_operator = w->now + (chance(w, 3) ? between(w, 100, 5000) : between(w, 5000, 90000));
	if (w->next_operator >= w->calm_at)
		w->next_operator = NEVER;
	if (w->consul_down)
		return;
	remove_hosts(w);
	if (w->flaps) {
		flap(w);
		return;
	}
	if (w->kv.services[service].spec < 0) /* lost, and first to be submitted again */
		return;
	switch (random_to(w, 12)) {
	case 0:
		down(w, service);
		break;
	case 1:
	case 2:
		disconnect(w, service);
		begin_to_flap(w);
		break;
	case 3:
	case 4:
		connect(w, service);
		break;
	case 5:
		again(w, service);
		break;
	case 10:
	case 11:
		tell_host(w);
		break;
	default:
		change(w, service, false);
	}
}

/* The document that was submitted last, which the operator still has; of one that was to be down, the last before. */
void up_again(struct world *w, int service)
{
	struct service *s = &w->services[service];
	const struct sim_spec *base = &s->specs[s->n_specs - 1];
	struct sim_spec *spec;

	while (base->spec.down && base > s->specs)
		base--;
	spec = new_spec(w, service, SPECS_MAX);
	for (size_t i = 0; i < base->spec.n_components; i++)
		add_component(s, spec, base->id[i], base->version[i], base->checks[i], base->components[i].nodes,
			      base->runtime[i]);
	submit(w, service, spec, "up, once more,");
}

void mend(struct world *w, int service)
{
	w->services[service].mended++;
	change(w, service, true);
}
