/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tests/sim: plan_next against simulated hosts, Consul and time.
 *
 *   sim [--schedules N] [--seed N] [--verbose]
 *
 * Runs N schedules with the seeds from --seed on. A failing one is run again with its trace; `sim --seed N --schedules
 * 1
 * --verbose` shows it again.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 20000
#define MENDS 2

struct totals {
	unsigned long long events, plans, faults, phases[PLAN_REMOVED + 1];
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_event(struct world *w)
{
	/* While a transaction is on its way, the leader waits for it. */
	int64_t leader = w->leader.apply_at != NEVER ? w->leader.apply_at : w->leader.next;
	int64_t next = least(agents_next(w), leader);

	return least(next, least(least(w->next_operator, w->next_fault), least(w->consul_at, w->calm_at)));
}

static void snapshot(struct world *w)
{
	if (!w->changed && w->n_snapshots)
		return;
	w->snapshots[w->n_snapshots % SNAPSHOTS] = w->kv;
	w->snapshot_at[w->n_snapshots % SNAPSHOTS] = w->now;
	w->n_snapshots++;
	w->changed = false;
}

static void step(struct world *w)
{
	if (w->now >= w->calm_at)
		calm_down(w);
	if (w->now >= w->consul_at) {
		trace(w, "Consul is back");
		w->consul_down = false;
		w->consul_at = NEVER;
		for (int i = 0; i < w->n_hosts; i++)
			notice_host(w, i);
	}
	if (w->now >= w->next_operator)
		operator_step(w);
	if (w->now >= w->next_fault)
		fault_step(w);
	agents_step(w);
	snapshot(w);
	leader_step(w);
	snapshot(w);
	check_always(w);
}

/* Runs until nothing is left to happen. */
static void run(struct world *w)
{
	unsigned events = 0;

	for (int64_t next; !w->failure[0] && (next = next_event(w)) != NEVER;) {
		if (next > w->now)
			w->now = next;
		step(w);
		w->n_events++;
		if (++events > EVENTS_MAX)
			fail(w, "it does not settle: phase %s", plan_phase_name(w->kv.phase));
	}
}

static void schedule(struct world *w, uint64_t seed, bool verbose)
{
	world_init(w, seed, verbose);
	snapshot(w);
	run(w);
	if (!w->failure[0])
		check_settled(w);
	while (!w->failure[0] && w->mended < MENDS &&
	       (w->kv.phase == PLAN_GAVE_UP || w->kv.phase == PLAN_ROLLED_BACK)) {
		mend(w);
		run(w);
		if (!w->failure[0])
			check_settled(w);
	}
}

static void add_up(struct totals *totals, const struct world *w)
{
	totals->events += w->n_events;
	totals->plans += w->n_plans;
	totals->faults += w->n_faults;
	totals->phases[w->kv.phase]++;
}

static void report(const struct totals *totals, unsigned long long schedules)
{
	printf("%llu schedules: %llu events, %llu plans, %llu faults; ended", schedules, totals->events, totals->plans,
	       totals->faults);
	for (int i = 0; i <= PLAN_REMOVED; i++)
		if (totals->phases[i])
			printf(" %s %llu", plan_phase_name((enum plan_phase)i), totals->phases[i]);
	putchar('\n');
}

static int run_all(uint64_t seed, unsigned long long schedules, bool verbose)
{
	struct world *w = malloc(sizeof(*w));
	struct totals totals = { 0 };
	int status = 0;

	for (unsigned long long i = 0; i < schedules && w && !status; i++) {
		schedule(w, seed + i, verbose);
		add_up(&totals, w);
		if (w->failure[0]) {
			if (!verbose) {
				world_release(w);
				schedule(w, seed + i, true);
			}
			printf("FAILED: seed %llu: %s\nAgain: sim --seed %llu --schedules 1 --verbose\n",
			       (unsigned long long)(seed + i), w->failure, (unsigned long long)(seed + i));
			status = 1;
		}
		world_release(w);
	}
	report(&totals, schedules);
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
