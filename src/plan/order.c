/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Providers before consumers. Groups are taken when all their providers have been; when only cycles are left, the first
 * group that waits for optional links alone is taken, and if there is none, the first one: an order always comes out.
 */
#include "plan/work.h"

struct waiting {
	size_t required, optional;  /* links to groups that have not been taken */
	size_t first_edge, n_edges; /* in by_provider: the links to this group */
	bool taken;
};

/* Indices of edges, grouped by provider (a counting sort). */
static size_t *by_provider(const struct work *work, struct waiting *waiting)
{
	size_t *edges = xcalloc(work->n_edges, sizeof(*edges)), at = 0;

	for (size_t i = 0; i < work->n_edges; i++)
		waiting[work->edges[i].provider].n_edges++;
	for (size_t i = 0; i < work->n_groups; i++) {
		waiting[i].first_edge = at;
		at += waiting[i].n_edges;
		waiting[i].n_edges = 0;
	}
	for (size_t i = 0; i < work->n_edges; i++) {
		struct waiting *w = &waiting[work->edges[i].provider];

		edges[w->first_edge + w->n_edges++] = i;
	}
	return edges;
}

static void take(struct work *work, struct waiting *waiting, const size_t *edges, size_t group, size_t place)
{
	waiting[group].taken = true;
	work->order[place] = group;
	for (size_t i = 0; i < waiting[group].n_edges; i++) {
		struct edge *edge = &work->edges[edges[waiting[group].first_edge + i]];
		struct group *consumer = &work->groups[edge->consumer];

		if (waiting[edge->consumer].taken)
			continue;
		edge->kept = true;
		if (edge->required)
			waiting[edge->consumer].required--;
		else
			waiting[edge->consumer].optional--;
		if (consumer->rank <= work->groups[group].rank)
			consumer->rank = work->groups[group].rank + 1;
	}
}

static size_t least_bad(const struct work *work, const struct waiting *waiting)
{
	size_t first = work->n_groups;

	for (size_t i = 0; i < work->n_groups; i++) {
		if (waiting[i].taken)
			continue;
		if (!waiting[i].required)
			return i;
		if (first == work->n_groups)
			first = i;
	}
	return first;
}

void order_groups(struct work *work)
{
	struct waiting *waiting = xcalloc(work->n_groups, sizeof(*waiting));
	size_t *edges = by_provider(work, waiting), placed = 0, looked = 0;

	work->order = xcalloc(work->n_groups, sizeof(*work->order));
	for (size_t i = 0; i < work->n_edges; i++) {
		if (work->edges[i].required)
			waiting[work->edges[i].consumer].required++;
		else
			waiting[work->edges[i].consumer].optional++;
	}
	for (size_t i = 0; i < work->n_groups; i++)
		if (!waiting[i].required && !waiting[i].optional)
			take(work, waiting, edges, i, placed++);
	while (placed < work->n_groups) {
		if (looked == placed) {
			take(work, waiting, edges, least_bad(work, waiting), placed);
			placed++;
		}
		for (; looked < placed; looked++) {
			const struct waiting *w = &waiting[work->order[looked]];

			for (size_t i = 0; i < w->n_edges; i++) {
				size_t next = work->edges[edges[w->first_edge + i]].consumer;

				if (!waiting[next].taken && !waiting[next].required && !waiting[next].optional)
					take(work, waiting, edges, next, placed++);
			}
		}
	}
	free(edges);
	free(waiting);
}
