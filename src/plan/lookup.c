/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sorted arrays over a view: everything is found by bisection, so that a plan grows with n log n. */
#include "plan/work.h"

#include <string.h>

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_services(const void *a, const void *b)
{
	return strcmp((*(const struct plan_service *const *)a)->name, (*(const struct plan_service *const *)b)->name);
}

static int compare_instances(const void *a, const void *b)
{
	const struct plan_instance *x = *(const struct plan_instance *const *)a,
				   *y = *(const struct plan_instance *const *)b;
	int d = strcmp(x->service, y->service);

	if (!d)
		d = strcmp(x->component, y->component);
	if (!d)
		d = COMPARE(x->n, y->n);
	if (!d)
		d = COMPARE(x->gen, y->gen);
	return d ? d : strcmp(x->host, y->host);
}

/* Acks lie below their consumer's host: node and generation alone say whom they are about. */
static int compare_drained(const struct plan_ack *x, const char *service, const char *component, unsigned n,
			   uint64_t gen)
{
	int d = strcmp(x->service, service);

	if (!d)
		d = strcmp(x->component, component);
	if (!d)
		d = COMPARE(x->n, n);
	if (!d)
		d = COMPARE(x->gen, gen);
	return d;
}

static int compare_acks(const void *a, const void *b)
{
	const struct plan_ack *x = *(const struct plan_ack *const *)a, *y = *(const struct plan_ack *const *)b;
	int d = compare_drained(x, y->service, y->component, y->n, y->gen);

	if (!d)
		d = strcmp(x->host, y->host);
	return d ? d : strcmp(x->consumer, y->consumer);
}

static int compare_hosts(const void *a, const void *b)
{
	return strcmp(((const struct place_host *)a)->host->name, ((const struct place_host *)b)->host->name);
}

static int compare_loads(const void *a, const void *b)
{
	const struct place_host *x = *(const struct place_host *const *)a, *y = *(const struct place_host *const *)b;

	return x->load != y->load ? COMPARE(x->load, y->load) : strcmp(x->host->name, y->host->name);
}

/* Sorted pointers to the elements of an array. */
static void *sorted(const void *array, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	const void **pointers = xcalloc(n, sizeof(*pointers));

	for (size_t i = 0; i < n; i++)
		pointers[i] = (const char *)array + i * size;
	if (n)
		qsort(pointers, n, sizeof(*pointers), compare);
	return pointers;
}

static void sort_loads(struct lookup *lookup)
{
	lookup->by_load = sorted(lookup->hosts, lookup->n_hosts, sizeof(*lookup->hosts), compare_loads);
	for (size_t i = 0; i < lookup->n_hosts; i++)
		lookup->by_load[i]->at = i;
}

/* Changes places with the last host of the same load, so that the order holds when its own is one higher. */
void lookup_add_load(struct lookup *lookup, struct place_host *host, uint64_t memory)
{
	size_t low = host->at, high = lookup->n_hosts;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (lookup->by_load[middle]->load > host->load)
			high = middle;
		else
			low = middle;
	}
	lookup->by_load[host->at] = lookup->by_load[low];
	lookup->by_load[host->at]->at = host->at;
	lookup->by_load[low] = host;
	host->at = low;
	host->load++;
	host->memory += memory;
}

static const struct plan_service *find_service(const struct lookup *lookup, const char *name)
{
	size_t low = 0, high = lookup->view->n_services;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int d = strcmp(lookup->services[middle]->name, name);

		if (!d)
			return lookup->services[middle];
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Instances of one node of a component of which never two run at once. */
static bool take_turns(const struct lookup *lookup, const struct plan_instance *it)
{
	const struct plan_service *service = find_service(lookup, it->service);
	const struct plan_component *want =
	    service ? spec_component(service_aim(service, service->status.phase), it->component) : NULL;

	return want && component_stop_first(want);
}

static bool same_node(const struct plan_instance *a, const struct plan_instance *b)
{
	return a->n == b->n && !strcmp(a->component, b->component) && !strcmp(a->service, b->service);
}

/* What the instance asks for beside all before it: those that take turns share the most that one of them does. */
static uint64_t memory_beside(const struct lookup *lookup, const struct plan_host *host, size_t at)
{
	const struct plan_instance *it = lookup->instances[at];
	uint64_t memory = memory_on(host, it->memory), shared = 0;

	if (it->desired == PLAN_STOP)
		return 0;
	if (!take_turns(lookup, it))
		return memory;
	while (at-- > 0 && same_node(lookup->instances[at], it)) {
		const struct plan_instance *other = lookup->instances[at];

		if (other->desired != PLAN_STOP && !strcmp(other->host, it->host) &&
		    memory_on(host, other->memory) > shared)
			shared = memory_on(host, other->memory);
	}
	return memory > shared ? memory - shared : 0;
}

static void sort_hosts(struct lookup *lookup, const struct plan_view *view)
{
	lookup->n_hosts = view->n_hosts;
	lookup->hosts = xcalloc(view->n_hosts, sizeof(*lookup->hosts));
	for (size_t i = 0; i < view->n_hosts; i++) {
		lookup->hosts[i].host = &view->hosts[i];
		lookup->any_alive |= view->hosts[i].alive;
	}
	if (view->n_hosts)
		qsort(lookup->hosts, view->n_hosts, sizeof(*lookup->hosts), compare_hosts);
	for (size_t i = 0; i < view->n_instances; i++) {
		struct place_host *host = lookup_host(lookup, lookup->instances[i]->host);

		if (!host)
			continue;
		host->load++;
		host->memory += memory_beside(lookup, host->host, i);
	}
}

void lookup_init(struct lookup *lookup, const struct plan_view *view)
{
	*lookup = (struct lookup){ .view = view };
	lookup->services = sorted(view->services, view->n_services, sizeof(*view->services), compare_services);
	lookup->instances = sorted(view->instances, view->n_instances, sizeof(*view->instances), compare_instances);
	lookup->acks = sorted(view->acks, view->n_acks, sizeof(*view->acks), compare_acks);
	sort_hosts(lookup, view);
	sort_loads(lookup);
}

void lookup_release(struct lookup *lookup)
{
	free(lookup->services);
	free(lookup->instances);
	free(lookup->acks);
	free(lookup->hosts);
	free(lookup->by_load);
	*lookup = (struct lookup){ 0 };
}

struct place_host *lookup_host(const struct lookup *lookup, const char *name)
{
	size_t low = 0, high = lookup->n_hosts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int d = strcmp(lookup->hosts[middle].host->name, name);

		if (!d)
			return &lookup->hosts[middle];
		if (d < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

size_t lookup_acks(const struct lookup *lookup, const struct plan_instance *instance, const struct plan_ack ***ret)
{
	size_t low = 0, high = lookup->view->n_acks, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_drained(lookup->acks[middle], instance->service, instance->component, instance->n,
				    instance->gen) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < lookup->view->n_acks && !compare_drained(lookup->acks[low + n], instance->service,
								  instance->component, instance->n, instance->gen))
		n++;
	*ret = &lookup->acks[low];
	return n;
}
