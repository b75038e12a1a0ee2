/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How plan_next grows: `plan-scale [HOSTS] [SERVICES] [NODES]` (1,000 hosts, 1,000 services of ten nodes). Prints the
 * time of a first plan of everything, of a look at everything settled, and of a change of one service, and the memory
 * used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/mem.h"
#include "plan/plan.h"

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_hosts(struct plan_view *view, unsigned hosts)
{
	for (unsigned i = 0; i < hosts; i++) {
		struct plan_host *host = plan_view_add_host(view);

		host->name = xasprintf("srv%u", i);
		host->runtime = xstrdup("docker");
		host->alive = true;
		host->alive_ms = 1000000;
		strv_addf(&host->labels, "disk=%s", i % 2 ? "ssd" : "hdd");
	}
}

static struct plan_spec *make_spec(const char *name, uint64_t revision, unsigned nodes)
{
	struct plan_spec *spec = xcalloc(1, sizeof(*spec));
	struct plan_component *component = xcalloc(1, sizeof(*component));

	spec->service = xstrdup(name);
	spec->revision = revision;
	spec->components = component;
	spec->n_components = 1;
	component->name = xstrdup("web");
	component->fingerprint = xasprintf("fingerprint-%llu", (unsigned long long)revision);
	component->checks = xstrdup("checks");
	component->nodes = nodes;
	component->update =
	    (struct plan_update){ .parallel = 1, .healthy_for_ms = 3000, .deadline_ms = 60000, .rollback = true };
	return spec;
}

static void add_services(struct plan_view *view, unsigned services, unsigned nodes)
{
	for (unsigned i = 0; i < services; i++) {
		struct plan_service *service = plan_view_add_service(view);

		service->name = xasprintf("service-%u", i);
		service->spec = make_spec(service->name, 1, nodes);
	}
}

static struct plan_service *find(struct plan_view *view, const char *name)
{
	for (size_t i = 0; i < view->n_services; i++)
		if (!strcmp(view->services[i].name, name))
			return &view->services[i];
	abort();
}

/* What the agents and Consul would make of the assignments: everything runs, is healthy and done. */
static void settle(struct plan_view *view, const struct plan_actions *actions)
{
	for (size_t i = 0; i < actions->n; i++) {
		struct plan_service *service = find(view, actions->txns[i].service);

		service->status =
		    (struct plan_status){ .phase = PLAN_DONE, .revision = 1, .good = 1, .step = 9, .since_ms = 1 };
		service->good = make_spec(service->name, 1, service->spec->components[0].nodes);
		for (size_t j = 0; j < actions->txns[i].n; j++) {
			const struct plan_action *action = &actions->txns[i].actions[j];
			struct plan_instance *it = action->kind == PLAN_ASSIGN ? plan_view_add_instance(view) : NULL;

			if (!it)
				continue;
			*it = (struct plan_instance){ .host = xstrdup(action->host),
						      .service = xstrdup(service->name),
						      .component = xstrdup(action->component),
						      .n = action->n,
						      .gen = action->gen,
						      .revision = 1,
						      .fingerprint = xstrdup(action->fingerprint),
						      .checks = xstrdup("checks"),
						      .desired = PLAN_RUN,
						      .since_ms = 1,
						      .proven = true,
						      .state = PLAN_RUNNING,
						      .answers_ms = 1,
						      .health = PLAN_PASSING,
						      .health_ms = 100000 };
		}
	}
}

static size_t count(const struct plan_actions *actions)
{
	size_t n = 0;

	for (size_t i = 0; i < actions->n; i++)
		n += actions->txns[i].n;
	return n;
}

static double timed(const struct plan_view *view, struct plan_actions *ret)
{
	double start = now_s();

	if (plan_next(view, ret, NULL) < 0)
		abort();
	return (now_s() - start) * 1e3;
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

int main(int argc, char **argv)
{
	unsigned hosts = argc > 1 ? (unsigned)atoi(argv[1]) : 1000,
		 services = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	unsigned nodes = argc > 3 ? (unsigned)atoi(argv[3]) : 10;
	_cleanup_plan_view_ struct plan_view view = { .now_ms = 1000000 };
	_cleanup_plan_actions_ struct plan_actions first = { 0 }, settled = { 0 }, change = { 0 };
	double ms;
	long before;

	add_hosts(&view, hosts);
	add_services(&view, services, nodes);
	before = peak_kib();
	ms = timed(&view, &first);
	printf("%u hosts, %u services of %u nodes\n", hosts, services, nodes);
	printf("first plan of all:     %8.2f ms, %zu actions, %ld KiB more at the peak\n", ms, count(&first),
	       peak_kib() - before);
	settle(&view, &first);
	before = peak_kib();
	ms = timed(&view, &settled);
	printf("all settled:           %8.2f ms, %zu actions, %ld KiB more at the peak\n", ms, count(&settled),
	       peak_kib() - before);
	plan_spec_free(view.services[services / 2].spec);
	view.services[services / 2].spec = make_spec(view.services[services / 2].name, 2, nodes);
	ms = timed(&view, &change);
	printf("one service changed:   %8.2f ms, %zu actions\n", ms, count(&change));
	return 0;
}
