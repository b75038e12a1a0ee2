/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agents: converge_next decides, this is what its steps do, what the agent hears and what it says. As in
 * src/agent/instance.c, without templates and diagnosis.
 */
#include "sim.h"

#include <string.h>

#include "model/node.h"

#define STEADY_MS 10000
#define ENDS_THAT_FAIL 3

void look_soon(struct world *w, int slot, int64_t most_ms)
{
	sooner(&w->actual[slot].look_at, w->now + between(w, 1, most_ms));
}

/* --- what Consul does not know --- */

static bool is_unexplained(const struct actual *a)
{
	return !a->heard.assigned && !a->heard.explained && a->mind.container != CONTAINER_NONE;
}

/* It takes its time: first the secrets that it was made with are given back. */
static void tell_found(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	bool is = is_unexplained(a);

	if ((is == a->mind.found_told && (is || !a->mind.found_known)) ||
	    (is && a->mind.container == CONTAINER_UNKNOWN))
		return;
	a->telling = true;
	a->tells_found = is;
	a->tells_runs = a->mind.container == CONTAINER_RUNNING;
	a->tell_at = w->now + (chance(w, 10) ? between(w, 100, 4000) : between(w, 1, 100));
	a->mind.found_told = is;
	a->mind.found_known &= is;
}

static void write_found(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	struct record *r = &w->kv.records[slot];

	a->tell_at = NEVER;
	if (!is_heard(w, r->host))
		return;
	a->telling = false;
	r->found = a->tells_found;
	r->found_runs = a->tells_runs;
	if (r->found && !r->assigned) {
		r->version = a->version;
		r->checks = a->version_checks;
		r->told_at = w->now;
	}
	if (r->found)
		trace(w, "  agent: found %s, which %s", instance_name(r), r->found_runs ? "runs" : "does not run");
	touch_host(w, r->host);
}

/* First what it has that Consul does not know of, then that it is there. */
static void tell_host(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	if (h->info_told || !h->agent_up || !h->known || !h->listed)
		return;
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host && is_unexplained(&w->actual[i]) &&
		    !w->actual[i].mind.found_known)
			return;
	h->info_told = true;
	h->info_at = w->now + between(w, 1, 50);
}

static void write_info(struct world *w, int host)
{
	struct host *h = &w->hosts[host];

	h->info_at = is_heard(w, host) ? NEVER : w->now + 1000;
	if (h->info_at != NEVER || w->kv.host_known[host])
		return;
	trace(w, "  agent %s tells of its host", host_names[host]);
	w->kv.host_known[host] = true;
	w->kv.host_seen_at[host] = w->now;
	touch_host(w, host);
}

/* --- hearing --- */

static void forgive(struct actual *a)
{
	a->mind.failures = 0;
	a->mind.retry_ms = 0;
	a->mind.failed = false;
}

static bool nothing_left(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];
	const struct record *r = &w->kv.records[slot];

	return !r->assigned && !r->has_state && !r->listed && !r->found && !a->saying && !a->deleting && !a->telling &&
	       !a->registered && !a->busy && a->container == CONTAINER_NONE && !a->mind.has_state;
}

/* What it said of one that Consul has forgotten is taken back, and explains nothing: src/agent/agent-run.c. */
static void note_orphan(struct world *w, struct actual *a, bool host_is_known, bool ours)
{
	bool forgotten = a->mind.orphaned || !host_is_known || !a->heard.explained || ours;

	a->mind.orphaned = !a->heard.assigned && forgotten;
	if (!a->mind.orphaned)
		return;
	if (a->mind.has_state) {
		a->saying = a->mind.has_state = false;
		a->deleting = true;
		a->say_at = w->now + between(w, 1, 50);
	}
	a->heard.explained = false;
}

static void hear_instance(struct world *w, const struct kv *kv, int slot, bool was_away)
{
	struct actual *a = &w->actual[slot];
	int at = find_uid(kv, w->kv.records[slot].uid, slot), host = w->kv.records[slot].host;
	const struct record *r = at < 0 ? NULL : &kv->records[at];
	bool assigned = r && r->assigned;
	uint32_t created = r && r->has_state ? r->state_uid : 0;
	bool ours = a->heard.assigned && created != a->mind.state_uid;

	a->mind.state_uid = created;
	a->mind.found_known = r && r->found;
	a->mind.found_told &= a->mind.found_known && !was_away;
	if (assigned ? !a->heard.assigned || a->heard.since_ms != r->since_ms || a->heard.checks != r->checks
		     : a->heard.assigned)
		forgive(a);
	if (assigned && !a->heard.assigned)
		sooner(&w->hosts[host].links_at, w->now + 1);
	a->heard.assigned = assigned;
	a->heard.explained = r && r->has_state;
	a->mind.has_state |= a->heard.explained;
	if (assigned) {
		a->heard.desired = r->desired;
		a->heard.since_ms = r->since_ms;
		a->heard.version = r->version;
		a->heard.checks = r->checks;
	}
	if (r && r->has_state && !a->reported) {
		a->reported = true;
		a->state = r->state;
		a->answers_ms = r->answers_ms;
	} else if (a->reported && assigned &&
		   (was_away || !r->has_state || r->state != a->state || r->answers_ms != a->answers_ms)) {
		/* Consul may have forgotten it or have an older one, or an earlier deletion came after it. */
		a->saying = a->mind.has_state = true;
		sooner(&a->say_at, w->now + between(w, 1, 200));
	}
	note_orphan(w, a, kv->host_known[host], ours);
	look_soon(w, slot, 20);
}

/* Answers come late, twice, from before the last one, or with nothing in them, as of a Consul that lost its data. */
void hear(struct world *w, int host)
{
	struct host *h = &w->hosts[host];
	static const struct kv nothing;
	unsigned newest = w->n_snapshots - 1, at = newest;
	bool was_away = h->away, empty = false;
	const struct kv *kv;

	h->hear_at = NEVER;
	if (!h->agent_up || !hears(w, host) || !w->n_snapshots)
		return;
	if (!w->calm)
		at = old_snapshot(w, newest, 6);
	if (at < h->heard_of && !chance(w, 20))
		at = newest;
	if (at < h->heard_of) {
		trace(w, "  agent %s hears what it heard before", host_names[host]);
		empty = chance(w, 3);
		w->n_stale++;
		h->misled_at = w->now;
		excuse_host(w, host);
	}
	if (at != newest || (!w->calm && chance(w, 15)))
		h->hear_at = w->now + between(w, 5, 2000);
	else if (w->changed) /* what changed in this very moment is in the next answer */
		h->hear_at = w->now + between(w, 5, 60);
	if (h->epoch != w->epoch) {
		h->epoch = w->epoch;
		h->misled_at = w->now;
		excuse_host(w, host);
	}
	kv = empty ? &nothing : &w->snapshots[at % SNAPSHOTS];
	h->heard_of = at;
	h->away = false;
	h->known = true;
	if (was_away)
		sooner(&h->links_at, w->now + 1);
	if (!kv->host_known[host])
		h->info_told = false;
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host)
			hear_instance(w, kv, i, was_away);
	tell_host(w, host);
}

/* --- saying --- */

static void say(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	struct record *r = &w->kv.records[slot];

	a->say_at = NEVER;
	if (!is_heard(w, r->host))
		return; /* and is sent when it is connected again */
	if (a->deleting) {
		a->deleting = false;
		r->has_state = false;
	} else if (a->saying) {
		trace(w, "  agent: %s is %s", instance_name(r), plan_state_name(a->state));
		/* An answer that is not heard is sent again. */
		a->saying = w->hosts[r->host].deaf;
		if (!r->has_state)
			r->state_uid = ++w->uids;
		r->has_state = true;
		r->state = a->state;
		r->answers_ms = a->answers_ms;
	}
	touch_host(w, r->host);
}

static void report(struct world *w, int slot, const struct converge_view *view)
{
	struct actual *a = &w->actual[slot];
	const char *name = converge_state(view, a->mind.failed);
	enum plan_state state = PLAN_NONE;

	if (!name || !a->heard.assigned || (a->mind.container == CONTAINER_UNKNOWN && a->heard.desired == PLAN_STOP))
		return;
	plan_state_parse(name, &state);
	if (a->reported && a->state == state && a->answers_ms == a->heard.since_ms)
		return;
	if (state == PLAN_STOPPED)
		check_stopped(w, slot);
	a->reported = a->saying = a->mind.has_state = true;
	a->deleting = false;
	a->state = state;
	a->answers_ms = a->heard.since_ms;
	sooner(&a->say_at, w->now + (chance(w, 20) ? between(w, 100, 4000) : between(w, 1, 50)));
}

/* --- steps --- */

static enum nature nature_of(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	return w->services[r->service].nature[r->component][w->actual[slot].heard.version];
}

static int64_t duration(struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];
	int64_t slow = chance(w, 30) ? between(w, 0, 15000) : 0;

	switch (a->doing) {
	case CONVERGE_PREPARE:
		return a->stored ? between(w, 1, 100) : between(w, 100, 20000) + slow;
	case CONVERGE_LAUNCH:
	case CONVERGE_STOP:
		return between(w, 5, 600) + slow;
	case CONVERGE_PROBE:
		return between(w, 5, truly_healthy(w, slot) ? 50 : 2000);
	case CONVERGE_REMOVE:
		return between(w, 5, 300) + slow;
	default:
		return between(w, 1, 30);
	}
}

static void launch(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	enum nature nature = nature_of(w, slot);

	check_launch(w, slot);
	w->started = true;
	a->version = a->heard.version;
	a->version_checks = a->heard.checks;
	memset(a->route, 0, sizeof(a->route));
	a->routed = false;
	a->again_at = NEVER;
	a->container = nature == START_FAILS ? CONTAINER_EXITED : CONTAINER_RUNNING;
	a->healthy_at = nature == NEVER_HEALTHY ? NEVER
			: nature == SLOW        ? w->now + between(w, 5000, 15000)
						: w->now + between(w, 50, 3000);
	publish_soon(w, slot, 300);
}

/* The kernel gives a port to one only. That is counted on only after an agent was told of long ago. */
static bool port_is_taken(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	for (int i = 0; w->hosts[r->host].misled_at && i < w->kv.n_records; i++) {
		const struct record *o = &w->kv.records[i];

		if (i != slot && w->actual[i].used && w->services[r->service].fixed_ports[r->component] &&
		    o->service == r->service && o->component == r->component && o->host == r->host &&
		    w->actual[i].container == CONTAINER_RUNNING)
			return true;
	}
	return false;
}

/* What a step does to the host; false when it failed, with or without having done it. */
static bool effect(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	bool hiccup = !w->calm && w->n_faults && chance(w, w->flaky ? 8 : 40);

	if (w->hosts[w->kv.records[slot].host].runtime_at != NEVER &&
	    (a->doing == CONVERGE_LAUNCH || a->doing == CONVERGE_STOP || a->doing == CONVERGE_REMOVE))
		return false;

	switch (a->doing) {
	case CONVERGE_PREPARE:
		if (nature_of(w, slot) == BUILD_FAILS)
			return false;
		if (!a->stored && (hiccup || w->hosts[w->kv.records[slot].host].lonely)) /* no peer, a full disk */
			return false;
		a->stored = true;
		return true;
	case CONVERGE_LAUNCH:
		if ((hiccup && chance(w, 2)) || port_is_taken(w, slot))
			return false;
		if (a->container != CONTAINER_RUNNING)
			launch(w, slot);
		return !hiccup;
	case CONVERGE_PROBE:
	case CONVERGE_REGISTER:
		a->registered = true;
		/* Consul does not take another reason for a maintenance that there is */
		a->maintenance_ms = a->doing_for != PLAN_DRAIN ? 0
				    : a->maintenance           ? a->maintenance_ms
							       : a->doing_since_ms;
		a->maintenance = a->doing_for == PLAN_DRAIN;
		a->checks = a->heard.checks;
		break;
	case CONVERGE_DEREGISTER:
		a->registered = a->maintenance = false;
		a->maintenance_ms = 0;
		break;
	case CONVERGE_STOP:
		if (hiccup && chance(w, 2))
			return false;
		if (a->container == CONTAINER_RUNNING)
			a->container = CONTAINER_EXITED;
		a->again_at = NEVER;
		break;
	case CONVERGE_REMOVE:
		if (hiccup && chance(w, 2))
			return false;
		a->container = CONTAINER_NONE;
		a->again_at = NEVER;
		break;
	default:
		return true;
	}
	publish_soon(w, slot, 300);
	return !hiccup || a->doing == CONVERGE_PROBE || a->doing == CONVERGE_REGISTER ||
	       a->doing == CONVERGE_DEREGISTER;
}

static void back_off(struct world *w, struct actual *a, int64_t first_ms)
{
	int64_t wait = first_ms;

	for (unsigned i = 1; i < a->mind.failures && wait < 30000; i++)
		wait *= 2;
	a->mind.retry_ms = w->now + (wait > 30000 ? 30000 : wait);
}

static void died(struct world *w, struct actual *a)
{
	a->mind.container = CONTAINER_EXITED;
	a->mind.proven = false;
	if (w->now - a->mind.launched_ms > STEADY_MS)
		a->mind.failures = 0;
	if (a->mind.failures++)
		back_off(w, a, 1000);
	a->mind.failed = a->mind.failures >= ENDS_THAT_FAIL;
}

static void succeeded(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	unsigned failures = a->mind.failures;

	switch (a->doing) {
	case CONVERGE_PREPARE:
		a->mind.image = true;
		break;
	case CONVERGE_LAUNCH:
		a->mind.container = CONTAINER_RUNNING;
		a->mind.launched_ms = w->now;
		sooner(&w->hosts[w->kv.records[slot].host].links_at, w->now + 1);
		a->mind.proven = a->mind.stopped = false;
		return; /* a launch that ends at once is no success */
	case CONVERGE_PROBE:
	case CONVERGE_REGISTER:
		a->mind.proven = a->mind.container == CONTAINER_RUNNING;
		break;
	case CONVERGE_STOP:
		a->mind.container = CONTAINER_EXITED;
		a->mind.proven = false;
		a->mind.stopped = true;
		break;
	case CONVERGE_REMOVE:
		a->mind.container = CONTAINER_NONE;
		break;
	default:
		break;
	}
	forgive(a);
	if (a->mind.container == CONTAINER_RUNNING && w->now - a->mind.launched_ms < STEADY_MS)
		a->mind.failures = failures;
}

static void failed(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];

	if (a->doing == CONVERGE_PREPARE && !a->heard.assigned) {
		forgive(a);
		return;
	}
	a->mind.failures++;
	a->mind.failed = a->doing == CONVERGE_PREPARE || a->mind.failures >= ENDS_THAT_FAIL;
	back_off(w, a, 1000);
	if (a->doing == CONVERGE_LAUNCH || a->doing == CONVERGE_STOP || a->doing == CONVERGE_REMOVE)
		a->mind.container = CONTAINER_UNKNOWN; /* nobody may take it for stopped before the runtime said so */
}

static void finish_step(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	bool done = effect(w, slot);

	a->busy = false;
	if (!w->hosts[w->kv.records[slot].host].agent_up)
		return; /* nobody is there to take it up */
	if (done)
		succeeded(w, slot);
	else
		failed(w, slot);
	a->doing = CONVERGE_NOTHING;
	look_soon(w, slot, 5);
}

/* Another instance of this node runs here with its volume, or nobody can say that it does not. */
static bool volumes_held(const struct world *w, int slot)
{
	const struct record *r = &w->kv.records[slot];

	for (int i = 0; w->services[r->service].exclusive[r->component] && i < w->kv.n_records; i++) {
		const struct record *o = &w->kv.records[i];
		const struct actual *a = &w->actual[i];

		if (i != slot && a->used && o->service == r->service && o->component == r->component && o->n == r->n &&
		    o->host == r->host &&
		    (a->mind.container == CONTAINER_RUNNING || a->mind.container == CONTAINER_UNKNOWN ||
		     (a->busy && a->doing == CONVERGE_LAUNCH)))
			return true;
	}
	return false;
}

static struct converge_view view_of(const struct world *w, int slot)
{
	const struct actual *a = &w->actual[slot];
	static const enum node_desired desired[] = { NODE_PREPARE, NODE_RUN, NODE_DRAIN, NODE_STOP };

	return (struct converge_view){
		.assigned = a->heard.assigned,
		.explained = a->heard.explained,
		.desired = desired[a->heard.desired],
		.container = a->mind.container,
		.foreign = a->heard.assigned && a->mind.container > CONTAINER_NONE && a->version != a->heard.version,
		.image_ready = a->mind.image,
		.volumes_held = volumes_held(w, slot),
		.links_known = true,
		.registered = a->registered,
		.level =
		    a->registered && a->maintenance == (a->heard.desired == PLAN_DRAIN) && a->checks == a->heard.checks,
		.proven = a->mind.proven,
		.configured = true,
		.sized = true,
		.stopped = a->mind.stopped,
		.has_state = a->mind.has_state,
		.retry_ms = a->mind.retry_ms,
		.now_ms = w->now,
	};
}

/* What the runtime and the local catalog say, where the agent does not know it yet. */
static void observe(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];

	if (w->hosts[w->kv.records[slot].host].runtime_at != NEVER)
		return; /* nobody tells */
	if (a->mind.container == CONTAINER_RUNNING && a->container != CONTAINER_RUNNING) {
		died(w, a);
		a->mind.container = a->container;
	} else if (a->mind.container == CONTAINER_EXITED && a->container == CONTAINER_RUNNING) {
		a->mind.container = CONTAINER_RUNNING;
		a->mind.proven = a->mind.stopped = false;
	} else if (a->mind.container == CONTAINER_UNKNOWN) {
		a->mind.container = a->container;
		a->mind.proven = a->container == CONTAINER_RUNNING && a->registered;
		sooner(&w->hosts[w->kv.records[slot].host].links_at, w->now + 1);
	} else if (!a->heard.assigned && !a->busy)
		a->mind.container = a->container;
}

static void begin_step(struct world *w, int slot, enum converge_step step)
{
	struct actual *a = &w->actual[slot];

	check_step(w, slot, step);
	a->busy = true;
	a->doing = step;
	a->doing_for = a->heard.desired;
	a->doing_since_ms = a->heard.since_ms;
	a->done_at = w->now + duration(w, slot);
}

static void look(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];
	int host = w->kv.records[slot].host;
	const struct host *h = &w->hosts[host];
	struct converge_view view;
	enum converge_step step;

	a->look_at = NEVER;
	if (nothing_left(w, slot)) {
		forget_slot(w, slot);
		tell_host(w, host);
		return;
	}
	if (!h->up || !h->agent_up || !h->known || !h->listed || a->busy)
		return;
	observe(w, slot);
	tell_found(w, slot);
	tell_host(w, host);
	view = view_of(w, slot);
	step = converge_next(&view);
	if (step == CONVERGE_FORGET) {
		a->mind.has_state = a->reported = a->saying = false;
		a->deleting = true;
		a->say_at = w->now + between(w, 1, 50);
		return;
	}
	if (step == CONVERGE_NOTHING && view.assigned && view.proven && view.level &&
	    view.container == CONTAINER_RUNNING) /* whatever failed before, it is as it should be */
		forgive(a);
	report(w, slot, &view);
	if (step != CONVERGE_NOTHING)
		begin_step(w, slot, step);
	else if (a->mind.retry_ms > w->now)
		sooner(&a->look_at, a->mind.retry_ms);
}

/* The runtime does not ask anybody. */
static void run_again(struct world *w, int slot)
{
	struct actual *a = &w->actual[slot];

	a->again_at = NEVER;
	if (a->container != CONTAINER_EXITED || w->hosts[w->kv.records[slot].host].runtime_at != NEVER)
		return;
	trace(w, "%s is started again by its runtime", instance_name(&w->kv.records[slot]));
	w->started = true;
	a->container = CONTAINER_RUNNING;
	a->healthy_at = nature_of(w, slot) == NEVER_HEALTHY ? NEVER : w->now + between(w, 50, 3000);
	publish_soon(w, slot, 300);
	look_soon(w, slot, 500);
}

static void list(struct world *w, int host)
{
	w->hosts[host].listed_at = w->hosts[host].runtime_at == NEVER ? NEVER : w->now + 1000;
	if (w->hosts[host].listed_at != NEVER)
		return;
	w->hosts[host].listed = true;
	for (int i = 0; i < w->kv.n_records; i++)
		if (w->actual[i].used && w->kv.records[i].host == host)
			look_soon(w, i, 20);
	tell_host(w, host);
}

int64_t agents_next(const struct world *w)
{
	int64_t next = NEVER;

	for (int i = 0; i < w->n_hosts; i++)
		sooner(&next, w->hosts[i].info_at);
	for (int i = 0; i < w->kv.n_records; i++) {
		const struct actual *a = &w->actual[i];

		if (!a->used)
			continue;
		next = least(next, least(least(a->look_at, a->again_at), least(a->say_at, a->tell_at)));
		if (a->busy)
			sooner(&next, a->done_at);
	}
	return next;
}

void agents_step(struct world *w)
{
	for (int i = 0; i < w->n_hosts; i++) {
		if (w->now >= w->hosts[i].listed_at)
			list(w, i);
		if (w->now >= w->hosts[i].info_at)
			write_info(w, i);
	}
	for (int i = 0; i < w->kv.n_records; i++) {
		struct actual *a = &w->actual[i];

		if (a->used && a->busy && w->now >= a->done_at)
			finish_step(w, i);
		if (a->used && w->now >= a->say_at)
			say(w, i);
		if (a->used && w->now >= a->tell_at)
			write_found(w, i);
		if (a->used && w->now >= a->again_at)
			run_again(w, i);
		if (a->used && w->now >= a->look_at)
			look(w, i);
	}
}
