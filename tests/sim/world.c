/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim.h"

#include <stdio.h>
#include <string.h>

const char *const service_names[SERVICES] = { "mail", "portal", "wiki" };
const char *const component_names[COMPONENTS] = { "cache", "db", "front", "web" };
const char *const host_names[HOSTS_MAX] = { "srv1", "srv2", "srv3", "srv4", "srv5", "srv6", "srv7" };

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

const char *instance_name(const struct record *record)
{
	static char names[8][64];
	static unsigned next;
	char *name = names[next++ % 8];

	snprintf(name, sizeof(names[0]), "%s/%s/%u.%llu@%s", service_names[record->service],
		 component_names[record->component], record->n, (unsigned long long)record->gen,
		 host_names[record->host]);
	return name;
}

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

int service_id(const char *name)
{
	return find(service_names, SERVICES, name);
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
	enum { CACHE, DB, FRONT, WEB };

	return consumer == FRONT ? provider == WEB : consumer == WEB && (provider == DB || provider == CACHE);
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

int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void sooner(int64_t *at, int64_t then)
{
	if (*at > then)
		*at = then;
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

struct sim_spec *spec_in(struct world *w, const struct kv *kv, int service, uint64_t revision)
{
	uint8_t at = revision && revision <= SPECS_MAX ? kv->services[service].revisions[revision] : 0;

	return at ? &w->services[service].specs[at - 1] : NULL;
}

struct sim_spec *spec_of_revision(struct world *w, int service, uint64_t revision)
{
	return spec_in(w, &w->kv, service, revision);
}

struct sim_spec *spec_wanted(struct world *w, int service)
{
	int at = w->kv.services[service].spec;

	return at < 0 ? NULL : &w->services[service].specs[at];
}

struct sim_spec *spec_in_work(struct world *w, int service)
{
	const struct kv_service *kv = &w->kv.services[service];

	switch (kv->phase) {
	case PLAN_ROLLING_BACK:
	case PLAN_ROLLED_BACK:
		return spec_of_revision(w, service, kv->good);
	case PLAN_REMOVING:
	case PLAN_REMOVED:
		return NULL;
	default:
		return spec_of_revision(w, service, kv->revision);
	}
}

int spec_find(const struct sim_spec *spec, int component)
{
	for (size_t i = 0; spec && i < spec->spec.n_components; i++)
		if (spec->id[i] == component)
			return (int)i;
	return -1;
}

const struct out *out_of(const struct world *w, int service, int component, unsigned n)
{
	const struct out *whole = NULL;

	for (int i = 0; i < COMPONENTS; i++) {
		const struct out *out = &w->kv.services[service].outs[i];

		if (!out->used || out->component != component)
			continue;
		if (out->n == n)
			return out;
		if (!out->n)
			whole = out;
	}
	return whole;
}

static void init_hosts(struct world *w)
{
	bool mixed;

	w->n_hosts = chance(w, 3) ? 1 : (int)between(w, 2, chance(w, 2) ? 3 : HOSTS_MAX);
	mixed = w->n_hosts > 2 && chance(w, 2);
	w->n_open = mixed ? 2 : 1;
	for (int i = 0; i < w->n_hosts; i++) {
		w->hosts[i] = (struct host){ .up = true,
					     .agent_up = true,
					     .listed = true,
					     .xen = mixed && (i == 1 || (i > 1 && chance(w, 3))),
					     .runtime_at = NEVER,
					     .up_at = NEVER,
					     .agent_at = NEVER,
					     .joined_at = NEVER,
					     .listed_at = NEVER,
					     .seen_at = NEVER,
					     .info_told = true,
					     .info_at = NEVER,
					     .hear_at = w->now + 1,
					     .links_at = w->now + 1,
					     .clock_ms = chance(w, 4) ? between(w, -4000, 4000) : 0 };
		w->kv.host_alive[i] = w->kv.host_known[i] = true;
		w->kv.host_seen_at[i] = 0;
	}
}

static struct leader no_leader(void)
{
	return (struct leader){ .next = NEVER, .apply_at = NEVER, .deaf_at = NEVER };
}

void world_init(struct world *w, uint64_t seed, bool verbose)
{
	memset(w, 0, sizeof(*w));
	w->seed = w->rng = seed;
	w->verbose = verbose;
	w->now = 1000000;
	w->n_services = chance(w, 2) ? 1 : (int)between(w, 1, SERVICES);
	w->flaky = chance(w, 5);
	w->reschedule_ms = chance(w, 3) ? 20000 : 0;
	init_hosts(w);
	for (int i = 0; i < SERVICES; i++)
		w->kv.services[i].spec = -1;
	w->consul_at = w->recover_at = NEVER;
	w->leader = w->former = no_leader();
	w->leader.next = w->now;
	w->losses_left = chance(w, 3) ? (unsigned)between(w, 1, 3) : 0;
	w->server = w->n_hosts == 1 || chance(w, 2) ? 0 : -1;
	/* What was planned for another history has the indices of this one by chance. */
	w->no_session_check = chance(w, 4) && !w->losses_left;
	w->calm_at = w->now + between(w, 20000, 240000);
	w->next_fault = chance(w, 4) ? NEVER : w->now + between(w, 0, 40000);
	first_specs(w);
}

void world_release(struct world *w)
{
	plan_actions_release(&w->leader.actions);
	plan_actions_release(&w->former.actions);
}
