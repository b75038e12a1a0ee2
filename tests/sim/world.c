/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim.h"

#include <stdio.h>
#include <string.h>

const char *const component_names[COMPONENTS] = { "cache", "db", "front", "web" };
const char *const host_names[HOSTS_MAX] = { "srv1", "srv2", "srv3", "srv4" };

const char *fingerprint_name(int component, int version)
{
	static char names[COMPONENTS][VERSIONS][16];
	char *name = names[component][version];

	if (!name[0])
		snprintf(name, sizeof(names[0][0]), "%s-v%d", component_names[component], version);
	return name;
}

const char *checks_name(int checks)
{
	static const char *const names[] = { "checks-0", "checks-1", "checks-2", "checks-3" };

	return names[checks % 4];
}

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

int component_id(const char *name)
{
	return find(component_names, COMPONENTS, name);
}

int host_id(const char *name)
{
	return find(host_names, HOSTS_MAX, name);
}

/* front uses web; web uses db, and cache if it is there. */
bool uses(int consumer, int provider)
{
	if (!strcmp(component_names[consumer], "front"))
		return !strcmp(component_names[provider], "web");
	return !strcmp(component_names[consumer], "web") &&
	       (!strcmp(component_names[provider], "db") || !strcmp(component_names[provider], "cache"));
}

/* splitmix64: every seed is as good as every other, also 0, 1, 2 … */
static uint64_t next_random(struct world *w)
{
	uint64_t z = (w->rng += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t random_to(struct world *w, uint64_t n)
{
	return next_random(w) % n;
}

bool chance(struct world *w, unsigned in)
{
	return !random_to(w, in);
}

int64_t between(struct world *w, int64_t low, int64_t high)
{
	return low + (int64_t)random_to(w, (uint64_t)(high - low) + 1);
}

void trace(struct world *w, const char *format, ...)
{
	va_list ap;

	if (!w->verbose)
		return;
	printf("%9lld  ", (long long)w->now);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

void fail(struct world *w, const char *format, ...)
{
	va_list ap;

	if (w->failure[0])
		return;
	va_start(ap, format);
	vsnprintf(w->failure, sizeof(w->failure), format, ap);
	va_end(ap);
	trace(w, "!! %s", w->failure);
}

void touch(struct world *w)
{
	int64_t late = chance(w, 20) ? between(w, 100, 3000) : between(w, 1, 30);

	w->changed = true;
	if (w->leader.up && w->leader.next > w->now + late)
		w->leader.next = w->now + late;
}

struct sim_spec *spec_of_revision(struct world *w, uint64_t revision)
{
	for (int i = 0; i < w->n_specs; i++)
		if (w->specs[i].spec.revision == revision)
			return &w->specs[i];
	return NULL;
}

struct sim_spec *spec_in_work(struct world *w)
{
	switch (w->kv.phase) {
	case PLAN_ROLLING_BACK:
	case PLAN_ROLLED_BACK:
		return spec_of_revision(w, w->kv.good);
	case PLAN_REMOVING:
	case PLAN_REMOVED:
		return NULL;
	default:
		return spec_of_revision(w, w->kv.revision);
	}
}

int spec_find(const struct sim_spec *spec, int component)
{
	for (size_t i = 0; spec && i < spec->spec.n_components; i++)
		if (spec->id[i] == component)
			return (int)i;
	return -1;
}

void world_init(struct world *w, uint64_t seed, bool verbose)
{
	memset(w, 0, sizeof(*w));
	w->seed = w->rng = seed;
	w->verbose = verbose;
	w->now = 1000000;
	w->n_hosts = chance(w, 3) ? (int)between(w, 2, HOSTS_MAX) : 1;
	for (int i = 0; i < w->n_hosts; i++) {
		w->hosts[i] = (struct host){ .up = true,
					     .agent_up = true,
					     .up_at = NEVER,
					     .agent_at = NEVER,
					     .joined_at = NEVER,
					     .seen_at = NEVER };
		w->kv.host_alive[i] = true;
	}
	w->kv.spec = -1;
	w->consul_at = NEVER;
	w->leader = (struct leader){ .up = true, .started_at = w->now, .next = w->now, .apply_at = NEVER };
	w->calm_at = w->now + between(w, 20000, 240000);
	w->next_operator = w->now;
	w->next_fault = chance(w, 4) ? NEVER : w->now + between(w, 0, 40000);
	first_spec(w);
}

void world_release(struct world *w)
{
	plan_actions_release(&w->leader.actions);
}
