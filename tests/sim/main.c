/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tests/sim: plan_next and converge_next against simulated hosts, Consul, network and time.
 *
 *   sim [--schedules N] [--seed N] [--verbose]
 *
 * Runs N schedules (10,000) with the seeds from --seed (1) on. `sim --schedules 100000` is for the night. A failing one
 * is run again with its trace; `sim --seed N --schedules 1 --verbose` shows it once more.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 60000
#define MENDS 2
/* Longer than any of the plan's and the agents' pauses (RETRY_MS of src/plan/node.c): nothing comes after it. */
#define QUIET_MS 330000

struct totals {
	unsigned long long events, plans, faults, losses, stale, services, phases[PLAN_REMOVED + 1];
	int64_t settle_ms;
};

static int64_t next_event(const struct world *w)
{
	int64_t next = least(least(hosts_next(w), agents_next(w)), leader_next(w));

	next = least(next, w->recover_at);
	return least(next, least(least(w->next_operator, w->next_fault), least(w->consul_at, w->calm_at)));
}

static void step(struct world *w)
{
	if (w->now >= w->calm_at)
		calm_down(w);
	if (w->now >= w->consul_at)
		consul_returns(w);
	if (w->now >= w->recover_at)
		recover(w);
	if (w->now >= w->next_operator)
		operator_step(w);
	if (w->now >= w->next_fault)
		fault_step(w);
	hosts_step(w);
	agents_step(w);
	take_snapshot(w);
	leader_step(w);
	take_snapshot(w);
	check_always(w);
}

/* Runs until nothing is left to happen, but what is tried again and again without any change. */
static void run(struct world *w)
{
	unsigned events = 0;

	for (int64_t next; !w->failure[0] && (next = next_event(w)) != NEVER;) {
		if (w->calm && next > w->changed_at + QUIET_MS)
			return;
		if (next > w->now)
			w->now = next;
		step(w);
		w->n_events++;
		if (++events > EVENTS_MAX)
			fail(w, "it does not settle");
	}
}

static bool mend_services(struct world *w)
{
	bool some = false;

	for (int i = 0; i < w->n_services; i++) {
		enum plan_phase phase = w->kv.services[i].phase;

		if (w->services[i].mended < MENDS && (phase == PLAN_GAVE_UP || phase == PLAN_ROLLED_BACK)) {
			mend(w, i);
			some = true;
		}
	}
	w->calm_since = w->now;
	return some;
}

static void schedule(struct world *w, uint64_t seed, bool verbose)
{
	world_init(w, seed, verbose);
	take_snapshot(w);
	do {
		run(w);
		if (!w->failure[0])
			check_settled(w);
	} while (!w->failure[0] && mend_services(w));
}

static void add_up(struct totals *totals, const struct world *w)
{
	totals->events += w->n_events;
	totals->plans += w->n_plans;
	totals->faults += w->n_faults;
	totals->losses += w->epoch;
	totals->stale += w->n_stale;
	totals->services += (unsigned)w->n_services;
	for (int i = 0; i < w->n_services; i++)
		totals->phases[w->kv.services[i].phase]++;
	if (totals->settle_ms < w->settle_ms)
		totals->settle_ms = w->settle_ms;
}

static void report(const struct totals *totals, unsigned long long schedules)
{
	printf("%llu schedules of %llu services: %llu events, %llu plans, %llu faults, Consul's data lost %llu times, "
	       "%llu answers "
	       "from before; ended",
	       schedules, totals->services, totals->events, totals->plans, totals->faults, totals->losses,
	       totals->stale);
	for (int i = 0; i <= PLAN_REMOVED; i++)
		if (totals->phases[i])
			printf(" %s %llu", plan_phase_name((enum plan_phase)i), totals->phases[i]);
	printf("; settled %lld s after the last fault at the latest\n", (long long)totals->settle_ms / 1000);
}

static int run_all(uint64_t seed, unsigned long long schedules, bool verbose)
{
	struct world *w = malloc(sizeof(*w));
	struct totals totals = { 0 };
	unsigned long long done = 0;
	int status = 0;

	for (; done < schedules && w && !status; done++) {
		uint64_t this = seed + done;

		schedule(w, this, verbose);
		add_up(&totals, w);
		if (w->failure[0]) {
			if (!verbose) {
				world_release(w);
				schedule(w, this, true);
			}
			printf("FAILED: seed %llu: %s\nAgain: sim --seed %llu --schedules 1 --verbose\n",
			       (unsigned long long)this, w->failure, (unsigned long long)this);
			status = 1;
		}
		world_release(w);
	}
	report(&totals, done);
	free(w);
	return status;
}

int main(int argc, char **argv)
{
	unsigned long long seed = 1, schedules = 10000;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--schedules") && i + 1 < argc)
			schedules = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--verbose"))
			verbose = true;
		else {
			fprintf(stderr, "usage: sim [--schedules N] [--seed N] [--verbose]\n");
			return 2;
		}
	}
	return run_all(seed, schedules, verbose);
}
