/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How plan_next grows: `plan-scale [HOSTS] [SERVICES] [NODES]` (1,000 hosts, 1,000 services of ten nodes). Prints, for
 * a first plan of everything, a look at everything settled, a change of one service, and the death of a host, the
 * median time of some calls and the memory that a call needs beside its view.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "plan/plan.h"

#define CALLS 9

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
	component->around = xstrdup("checks");
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
						      .around = xstrdup("checks"),
						      .desired = PLAN_RUN,
						      .since_ms = 1,
						      .proven = true,
						      .state = PLAN_RUNNING,
						      .answers_ms = 1,
						      .health = PLAN_PASSING,
						      .health_ms = 100000,
						      .told_ms = 100000 };
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

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A number of /proc/self/status, in KiB. */
static long memory_kib(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			kib = atol(line + strlen(name) + 1);
	if (file)
		fclose(file);
	return kib;
}

/* Sets the peak back to what is used now; freed memory is given back first, so that it counts again when it is used. */
static void forget_peak(void)
{
	FILE *file;

	malloc_trim(0);
	file = fopen("/proc/self/clear_refs", "w");
	if (file) {
		fputs("5", file);
		fclose(file);
	}
}

/* `ret` is the last call's. */
static void measure(const char *what, const struct plan_view *view, struct plan_actions *ret)
{
	double times[CALLS];
	long before, peak = 0;

	for (int i = 0; i < CALLS; i++) {
		double start;

		plan_actions_release(ret);
		forget_peak();
		before = memory_kib("VmRSS");
		start = now_s();
		if (plan_next(view, ret, NULL) < 0)
			abort();
		times[i] = (now_s() - start) * 1e3;
		if (memory_kib("VmHWM") - before > peak)
			peak = memory_kib("VmHWM") - before;
	}
	qsort(times, CALLS, sizeof(times[0]), compare_times);
	printf("%-22s %8.2f ms (%.2f to %.2f), %6zu actions in %zu transactions, %6ld KiB\n", what, times[CALLS / 2],
	       times[0], times[CALLS - 1], count(ret), ret->n, peak);
}

int main(int argc, char **argv)
{
	unsigned hosts = argc > 1 ? (unsigned)atoi(argv[1]) : 1000,
		 services = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	unsigned nodes = argc > 3 ? (unsigned)atoi(argv[3]) : 10;
	_cleanup_plan_view_ struct plan_view view = { .now_ms = 1000000, .looking_ms = 1000000 };
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	struct plan_service *one;

	add_hosts(&view, hosts);
	add_services(&view, services, nodes);
	printf("%u hosts, %u services of %u nodes; median of %d calls\n", hosts, services, nodes, CALLS);
	measure("first plan of all", &view, &actions);
	settle(&view, &actions);
	plan_actions_release(&actions);
	printf("the view of all nodes  %*s %6ld KiB with the program\n", 62, "", memory_kib("VmRSS"));
	measure("all settled", &view, &actions);
	one = &view.services[services / 2];
	plan_spec_free(one->spec);
	one->spec = make_spec(one->name, 2, nodes);
	measure("one service changed", &view, &actions);
	plan_spec_free(one->spec);
	one->spec = make_spec(one->name, 1, nodes);
	view.hosts[hosts / 2].alive = false;
	view.hosts[hosts / 2].alive_ms = 0;
	view.hosts[hosts / 2].dead_ms = PLAN_RESCHEDULE_MS;
	measure("one host died", &view, &actions);
	return 0;
}
