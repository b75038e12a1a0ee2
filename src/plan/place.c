/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * On which host a new instance goes. An exclusive node stays where its data is; others stay on their host while it
 * fits, and else go where the fewest nodes of the component are, then where the fewest of all are.
 */
#include "plan/work.h"

#include <string.h>

#include "base/i18n.h"

const char *home_of(const struct plan_status *status, const char *component, unsigned n)
{
	size_t low = 0, high = status->n_homes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct plan_home *home = &status->homes[middle];
		int d = strcmp(home->component, component);

		if (!d)
			d = (home->n > n) - (home->n < n);
		if (!d)
			return home->host;
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool has_labels(const struct plan_host *host, const struct strv *labels)
{
	for (size_t i = 0; i < labels->n; i++)
		if (!strv_has(&host->labels, labels->v[i]))
			return false;
	return true;
}

static bool is_allowed(const struct plan_host *host, const struct plan_place *place)
{
	return (!place->host || !strcmp(place->host, host->name)) &&
	       (!place->runtime || (host->runtime && !strcmp(place->runtime, host->runtime))) &&
	       has_labels(host, &place->labels);
}

/* A machine is reached at an address of its own, where its ports are those of the recipe. */
bool host_fits(const struct plan_host *host, const struct plan_component *want)
{
	return is_allowed(host, &want->place) && !(want->translated && host->machines);
}

uint64_t memory_on(const struct plan_host *host, uint64_t asked)
{
	return !host->machines ? asked : (asked ? asked : PLAN_MACHINE_MEMORY) + PLAN_MACHINE_SYSTEM;
}

/* How many instances of the counted group are on it. */
unsigned *place_same(const struct lookup *lookup, struct place_host *host)
{
	if (host->epoch != lookup->epoch) {
		host->epoch = lookup->epoch;
		host->same = 0;
	}
	return &host->same;
}

/* An instance that starts when that which it replaces has stopped has the memory of that one. As lookup.c counts. */
uint64_t memory_added(const struct place_host *host, const struct plan_component *want, const struct node *node)
{
	uint64_t memory = memory_on(host->host, want->memory), freed = 0;

	for (size_t i = 0; component_stop_first(want) && i < node->n_units; i++) {
		const struct plan_instance *it = node->units[i].it;

		if (it->desired != PLAN_STOP && !strcmp(it->host, host->host->name) &&
		    memory_on(host->host, it->memory) > freed)
			freed = memory_on(host->host, it->memory);
	}
	return memory > freed ? memory - freed : 0;
}

static bool usable(const struct lookup *lookup, struct place_host *host, const struct plan_component *want,
		   const struct node *node)
{
	uint64_t memory = memory_added(host, want, node);

	if (!host->host->alive || host->host->cordoned || host->host->drained)
		return false;
	/* Machines have addresses of their own, and so never each other's ports. */
	if (want->fixed_ports && !host->host->machines && *place_same(lookup, host))
		return false;
	return !memory || !host->host->memory || host->memory + memory <= host->host->memory;
}

static void add_node(struct work *work, const struct node *node, unsigned add)
{
	for (size_t i = 0; i < node->n_units; i++) {
		struct place_host *host = lookup_host(work->lookup, node->units[i].it->host);

		if (host && !node->units[i].gone)
			*place_same(work->lookup, host) += add;
	}
}

/* How many of the component's instances each host has: counted once, then kept level by act_assign. */
static void count_same(struct work *work, const struct group *group)
{
	if (work->lookup->counted == group)
		return;
	work->lookup->epoch++;
	work->lookup->least_same = 0;
	for (size_t i = 0; i < group->n_nodes; i++)
		add_node(work, &group->nodes[i], 1);
	work->lookup->counted = group;
}

static char *why_translated(const struct group *group, const struct node *node)
{
	return xasprintf(_("%s/%u would be a machine, which is reached at an address of its own: its port %s "
			   "cannot be published under another number than %u; publish that one, or place it "
			   "on a host that runs containers"),
			 group->name, node->n, group->want->translated, group->want->translated_port);
}

static char *why_refused(const struct plan_host *home, const struct group *group, const struct node *node)
{
	const char *wanted = group->want->place.runtime;

	if (wanted && strcmp(wanted, home->runtime))
		return xasprintf(
		    _("The data of %s/%u is on host %s, which runs %s and not %s, and data does not move by "
		      "itself: leave the component on %s, or give it new volumes under another name and "
		      "restore a backup there"),
		    group->name, node->n, home->name, home->runtime, wanted, home->runtime);
	if (is_allowed(home, &group->want->place))
		return why_translated(group, node);
	return xasprintf(_("The data of %s/%u is on host %s, where the service does not allow it: say `place: {host: "
			   "%s}`, or move the data first"),
			 group->name, node->n, home->name, home->name);
}

char *place_refused(struct work *work, const struct group *group, const struct node *node)
{
	const char *name = group->want->exclusive ? home_of(&work->status, group->name, node->n) : NULL;
	const struct place_host *home = name ? lookup_host(work->lookup, name) : NULL;

	return home && home->host->runtime && !host_fits(home->host, group->want) ? why_refused(home->host, group, node)
										  : NULL;
}

static struct place_host *place_exclusive(struct work *work, const struct group *group, const struct node *node,
					  const char *home, char **ret_why, bool *ret_never)
{
	struct place_host *host = lookup_host(work->lookup, home);

	*ret_why = place_refused(work, group, node);
	*ret_never = *ret_why;
	if (*ret_why)
		return NULL;
	if (!host->host->alive) {
		*ret_why = xasprintf(_("Waiting for host %s, which has the data of %s/%u and does not answer"), home,
				     group->name, node->n);
		return NULL;
	}
	return host;
}

static struct place_host *present_host(struct work *work, const struct group *group, const struct node *node)
{
	for (size_t i = 0; i < node->n_units; i++) {
		struct place_host *host =
		    node->units[i].gone ? NULL : lookup_host(work->lookup, node->units[i].it->host);

		if (host && host_fits(host->host, group->want) && usable(work->lookup, host, group->want, node))
			return host;
	}
	return NULL;
}

/*
 * Goes through the hosts from the least loaded on, and ends at the first that has as few of the component as any can
 * have: while nodes are placed that number only grows, so that a search of all hosts is rare.
 */
static struct place_host *emptiest(struct work *work, const struct group *group, const struct node *node,
				   bool *ret_some_match)
{
	struct lookup *lookup = work->lookup;
	struct place_host *best = NULL;

	*ret_some_match = false;
	for (size_t i = 0; i < lookup->n_hosts; i++) {
		struct place_host *host = lookup->by_load[i];

		if (!host_fits(host->host, group->want))
			continue;
		*ret_some_match = true;
		if (!usable(lookup, host, group->want, node))
			continue;
		if (!best || *place_same(lookup, host) < best->same)
			best = host;
		if (best->same <= lookup->least_same)
			return best;
	}
	if (best)
		lookup->least_same = best->same;
	return best;
}

/* A host would fit, if it did not run machines. */
static bool only_machines_left(const struct work *work, const struct plan_component *want)
{
	for (size_t i = 0; want->translated && i < work->lookup->n_hosts; i++)
		if (is_allowed(work->lookup->hosts[i].host, &want->place))
			return true;
	return false;
}

struct place_host *place_node(struct work *work, const struct group *group, const struct node *node, char **ret_why,
			      bool *ret_never)
{
	const char *home = group->want->exclusive ? home_of(&work->status, group->name, node->n) : NULL;
	struct place_host *host;
	bool some_match = true;

	*ret_never = false;
	if (home && lookup_host(work->lookup, home))
		return place_exclusive(work, group, node, home, ret_why, ret_never);
	count_same(work, group);
	add_node(work, node, -1u); /* its own instances do not stand in its way */
	host = present_host(work, group, node);
	if (!host)
		host = emptiest(work, group, node, &some_match);
	add_node(work, node, 1);
	if (host)
		return host;
	*ret_never = !some_match;
	if (!some_match && only_machines_left(work, group->want)) {
		*ret_why = why_translated(group, node);
		return NULL;
	}
	*ret_why =
	    xasprintf(some_match ? _("Waiting for a host for %s/%u: those that fit are down, closed for new nodes, "
				     "full, or have its ports in use")
				 : _("No host fits %s/%u: look at `place` in the service and at the hosts' labels"),
		      group->name, node->n);
	return NULL;
}
