/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lays the wanted nodes and the instances that there are side by side: groups of nodes of units. */
#include "plan/work.h"

#include <string.h>

const struct plan_component *spec_component(const struct plan_spec *spec, const char *name)
{
	size_t low = 0, high = spec ? spec->n_components : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int d = strcmp(spec->components[middle].name, name);

		if (!d)
			return &spec->components[middle];
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static struct group *find_group(struct work *work, const char *name)
{
	size_t low = 0, high = work->n_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int d = strcmp(work->groups[middle].name, name);

		if (!d)
			return &work->groups[middle];
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* The disconnect of one node goes before that of its component. */
static const struct plan_disconnect *find_disconnect(const struct plan_service *service, const char *component,
						     unsigned n)
{
	const struct plan_disconnect *whole = NULL;

	for (size_t i = 0; i < service->n_disconnects; i++) {
		const struct plan_disconnect *d = &service->disconnects[i];

		if (strcmp(d->component, component))
			continue;
		if (d->n == n)
			return d;
		if (!d->n)
			whole = d;
	}
	return whole;
}

static size_t count_nodes(const struct group *group)
{
	unsigned wanted = group->want ? group->want->nodes : 0;
	size_t n = wanted;

	for (size_t i = 0; i < group->n_units; i++)
		if (group->units[i].it->n > wanted && (!i || group->units[i].it->n != group->units[i - 1].it->n))
			n++;
	return n;
}

static void add_node(struct work *work, struct group *group, unsigned n, bool wanted, size_t *at)
{
	struct node *node = &group->nodes[group->n_nodes++];

	*node = (struct node){ .n = n, .wanted = wanted, .units = &group->units[*at] };
	while (*at < group->n_units && group->units[*at].it->n == n) {
		node->n_units++;
		(*at)++;
	}
	node->out = find_disconnect(work->service, group->name, n);
}

static void find_misplaced(struct group *group)
{
	for (size_t i = 0; i < group->n_units; i++) {
		struct unit *unit = &group->units[i];

		/* Data does not move, and of a host whose word cannot be read nothing is known. */
		unit->misplaced = group->want && !group->want->exclusive && unit->host && unit->host->runtime &&
				  !host_fits(unit->host, group->want);
		unit->displaced = unit->evicted || unit->misplaced;
	}
}

static void fill_nodes(struct work *work, struct group *group)
{
	unsigned wanted = group->want ? group->want->nodes : 0;
	size_t at = 0;

	find_misplaced(group);
	group->nodes = xcalloc(count_nodes(group), sizeof(*group->nodes));
	for (unsigned n = 1; n <= wanted; n++)
		add_node(work, group, n, true, &at);
	while (at < group->n_units)
		add_node(work, group, group->units[at].it->n, false, &at);
	for (size_t i = 0; i < group->n_nodes; i++)
		if (group->nodes[i].wanted)
			group->nodes[i].current = node_match(work, group, &group->nodes[i]);
}

/* Merges the spec's components with those of the instances; both are sorted by name. */
static void fill_groups(struct work *work, const struct plan_spec *spec)
{
	size_t wanted = spec ? spec->n_components : 0, c = 0, at = 0;

	work->groups = xcalloc(wanted + work->n_units, sizeof(*work->groups));
	while (c < wanted || at < work->n_units) {
		const char *here = at < work->n_units ? work->units[at].it->component : NULL;
		struct group *group = &work->groups[work->n_groups++];

		if (!here || (c < wanted && strcmp(spec->components[c].name, here) <= 0))
			group->want = &spec->components[c++];
		group->name = group->want ? group->want->name : here;
		group->units = &work->units[at];
		while (at < work->n_units && !strcmp(work->units[at].it->component, group->name)) {
			group->n_units++;
			at++;
		}
	}
}

static void add_edge(struct work *work, const struct group *consumer, const char *provider, bool required)
{
	const struct group *to = find_group(work, provider);
	size_t from = (size_t)(consumer - work->groups);

	if (!to || to == consumer)
		return;
	work->edges = grow_array(work->edges, work->n_edges, &work->cap_edges, sizeof(*work->edges));
	work->edges[work->n_edges++] = (struct edge){ from, (size_t)(to - work->groups), required, false };
}

/* Links that the spec wants, and those that instances still have: these only matter for who leaves first. */
static void fill_edges(struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++) {
		const struct group *group = &work->groups[i];
		const struct unit *last = NULL;

		for (size_t j = 0; group->want && j < group->want->n_links; j++)
			add_edge(work, group, group->want->links[j].component, !group->want->links[j].optional);
		for (size_t j = 0; j < group->n_units; j++) {
			const struct unit *unit = &group->units[j];

			if (last && strv_equal(&last->it->links, &unit->it->links))
				continue;
			last = unit;
			for (size_t k = 0; k < unit->it->links.n; k++)
				add_edge(work, group, unit->it->links.v[k], false);
		}
	}
}

void groups_build(struct work *work, const struct plan_spec *spec)
{
	groups_release(work);
	work->spec = spec;
	fill_groups(work, spec);
	for (size_t i = 0; i < work->n_groups; i++)
		fill_nodes(work, &work->groups[i]);
	fill_edges(work);
	order_groups(work);
}

void groups_release(struct work *work)
{
	for (size_t i = 0; i < work->n_groups; i++) {
		free(work->groups[i].nodes);
		free(work->groups[i].consumers);
	}
	free(work->groups);
	free(work->order);
	free(work->edges);
	work->groups = NULL;
	work->order = NULL;
	work->edges = NULL;
	work->lookup->counted = NULL;
	work->n_groups = work->n_edges = work->cap_edges = 0;
}
