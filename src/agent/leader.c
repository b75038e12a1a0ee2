/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/leader.h"

#include <errno.h>
#include <string.h>

#include "agent/leader-apply.h"
#include "agent/leader-ghosts.h"
#include "agent/leader-view.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "consul/consul-decode.h"
#include "consul/consul-lock.h"
#include "consul/consul-watch.h"
#include "model/canonical.h"

/* How long a transaction of ours may take to show in the watches before the plan goes on without it. */
#define SEE_OWN_MS 5000
/* Before another try after a refusal, when no watch says anything. */
#define REFUSED_MS 500
/* What could not be taken out of the catalog is tried again after so long. */
#define GHOSTS_AGAIN_MS 30000

struct leader {
	struct agent *agent;
	struct consul_lock *lock;
	struct consul_watch *services_watch, *hosts_watch, *checks_watch;
	struct consul_kvs services, hosts;
	struct consul_checks checks;
	bool have_services, have_hosts, have_checks;
	struct health_memory *memory;
	struct spec_cache *specs;
	struct fetch *fetches;
	bool applying, again;
	bool away;    /* a watch failed since the last plan: what was seen before says nothing of the time between */
	bool hunting; /* a job takes ghosts out of the catalog */
	int64_t hunted_ms;
	uint64_t see_services, see_hosts; /* what the watches must show before the next plan */
	int64_t see_until_ms;
	sd_event_source *timer, *soon;
};

static void plan(struct leader *leader);
static void plan_soon(struct leader *leader);

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct leader *leader = data;

	(void)source, (void)usec;
	leader->timer = sd_event_source_disable_unref(leader->timer);
	plan(leader);
	return 0;
}

static void wake_after(struct leader *leader, int64_t ms)
{
	if (ms < 1)
		ms = 1;
	if (ms > 3600000)
		ms = 3600000;
	leader->timer = sd_event_source_disable_unref(leader->timer);
	/* not sd-event's own accuracy, a quarter of a second: people wait for the end of healthy_for */
	sd_event_add_time_relative(leader->agent->event, &leader->timer, CLOCK_MONOTONIC, (uint64_t)ms * 1000, 1000,
				   on_timer, leader);
}

/* An earlier revision's spec on its way. */
struct fetch {
	struct fetch *next;
	struct leader *leader;
	char *service;
	uint64_t revision;
	struct http_call *call;
};

static void fetch_free(struct fetch *fetch)
{
	struct fetch **at = &fetch->leader->fetches;

	while (*at != fetch)
		at = &(*at)->next;
	*at = fetch->next;
	http_call_cancel(fetch->call);
	free(fetch->service);
	free(fetch);
}

static void on_spec(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct fetch *fetch = data;
	struct leader *leader = fetch->leader;
	json_t *json = NULL;

	fetch->call = NULL;
	if (r < 0 || (reply->status != 200 && reply->status != 404)) {
		log_warning("Revision %llu of %s cannot be read: %s", (unsigned long long)fetch->revision,
			    fetch->service, r < 0 ? err_text(err) : buf_text(&reply->body));
		wake_after(leader, REFUSED_MS);
	} else {
		json = reply->status == 200 ? json_loadb(buf_text(&reply->body), reply->body.len, 0, NULL) : NULL;
		spec_cache_put(leader->specs, fetch->service, fetch->revision, json ? json : json_null());
		plan_soon(leader);
	}
	fetch_free(fetch);
}

static bool is_fetching(const struct leader *leader, const char *service, uint64_t revision)
{
	for (const struct fetch *fetch = leader->fetches; fetch; fetch = fetch->next)
		if (fetch->revision == revision && !strcmp(fetch->service, service))
			return true;
	return false;
}

/* `name` is "service/revision"; the plan goes on when it is there. */
static void fetch_spec(struct leader *leader, const char *name)
{
	const char *slash = strchr(name, '/');
	_cleanup_(freep) char *path = xasprintf("/v1/kv/tepuy/revision/%s?raw", name);
	_cleanup_(freep) char *service = xstrndup(name, (size_t)(slash - name));
	uint64_t revision = strtoull(slash + 1, NULL, 10);
	struct http_request request = { .method = "GET", .path = path };
	struct fetch *fetch;

	if (is_fetching(leader, service, revision))
		return;
	fetch = xcalloc(1, sizeof(*fetch));
	*fetch = (struct fetch){
		.next = leader->fetches, .leader = leader, .service = TAKE_PTR(service), .revision = revision
	};
	leader->fetches = fetch;
	fetch->call = http_loop_start(leader->agent->loop, consul_base(leader->agent->env.consul),
				      consul_token(leader->agent->env.consul), &request, on_spec, fetch);
}

static bool ready(struct leader *leader)
{
	bool seen = leader->services.index >= leader->see_services && leader->hosts.index >= leader->see_hosts;
	int64_t now = clock_monotonic_ms();

	if (!leader->lock || !consul_lock_held(leader->lock) || !leader->have_services || !leader->have_hosts ||
	    !leader->have_checks)
		return false;
	if (seen || now >= leader->see_until_ms)
		return true;
	wake_after(leader, leader->see_until_ms - now);
	return false;
}

static void on_applied(void *data, const struct leader_applied *applied)
{
	struct leader *leader = data;

	leader->applying = false;
	if (applied->services_index > leader->see_services)
		leader->see_services = applied->services_index;
	if (applied->hosts_index > leader->see_hosts)
		leader->see_hosts = applied->hosts_index;
	leader->see_until_ms = clock_monotonic_ms() + SEE_OWN_MS;
	if (applied->refused)
		wake_after(leader, REFUSED_MS); /* what is newer than our view comes by the watches */
	else
		plan(leader);
}

/* --- ghosts --- */

struct hunt {
	struct leader *leader;
	struct strv hosts;
};

static void hunt_work(void *data)
{
	struct hunt *hunt = data;

	for (size_t i = 0; i < hunt->hosts.n; i++) {
		_cleanup_err_ struct err err = ERR_INIT;

		if (ghosts_remove(&hunt->leader->agent->env, hunt->hosts.v[i], &err) < 0)
			log_warning("%s", err_text(&err));
	}
}

static void hunt_done(void *data, bool dropped)
{
	struct hunt *hunt = data;

	if (!dropped) {
		hunt->leader->hunting = false;
		hunt->leader->hunted_ms = clock_monotonic_ms();
	}
	strv_release(&hunt->hosts);
	free(hunt);
}

/* How long until it is to be called again. */
static int64_t hunt_ghosts(struct leader *leader, const struct leader_sources *from, const struct plan_view *view)
{
	int64_t again_ms = leader->hunted_ms + GHOSTS_AGAIN_MS - from->monotonic_ms, wait_ms;
	_cleanup_strv_ struct strv hosts = { 0 };
	struct hunt *hunt;

	ghosts_find(from, view, &hosts, &wait_ms);
	if (!hosts.n || leader->hunting)
		return wait_ms;
	if (leader->hunted_ms && again_ms > 0)
		return again_ms < wait_ms ? again_ms : wait_ms;
	hunt = xcalloc(1, sizeof(*hunt));
	*hunt = (struct hunt){ .leader = leader, .hosts = hosts };
	hosts = (struct strv){ 0 };
	leader->hunting = true;
	pool_submit(leader->agent->pool, hunt_work, hunt_done, hunt);
	return wait_ms;
}

/* --- planning --- */

static bool watches_fresh(const struct leader *leader)
{
	return consul_watch_fresh(leader->services_watch) && consul_watch_fresh(leader->hosts_watch) &&
	       consul_watch_fresh(leader->checks_watch);
}

/* All that is measured begins now: nobody saw the time before, or Consul was away in it. */
static void begin_to_look(struct leader *leader)
{
	health_memory_free(leader->memory);
	leader->memory = health_memory_new();
	/* A Consul that lost its data gives the numbers of revisions once more. */
	spec_cache_free(leader->specs);
	leader->specs = spec_cache_new();
	leader->away = false;
}

static void plan(struct leader *leader)
{
	_cleanup_plan_view_ struct plan_view view = { 0 };
	_cleanup_strv_ struct strv missing = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct plan_actions actions = { 0 };
	int64_t ghosts_ms = INT64_MAX, wake_ms;
	const char *session;
	struct leader_sources from = {
		.hosts = &leader->hosts,
		.services = &leader->services,
		.checks = &leader->checks,
		.now_ms = clock_realtime_ms(),
		.monotonic_ms = clock_monotonic_ms(),
	};

	if (leader->applying || !ready(leader))
		return;
	if (leader->away && watches_fresh(leader))
		begin_to_look(leader);
	from.memory = leader->memory;
	from.specs = leader->specs;
	leader_view(&from, &view, &missing);
	for (size_t i = 0; i < missing.n; i++)
		fetch_spec(leader, missing.v[i]);
	view.reschedule_ms = leader->agent->reschedule_ms;
	view.consul_unwell = !watches_fresh(leader);
	if (!missing.n) /* what is fetched now is of no service of the view yet */
		spec_cache_trim(leader->specs, &view);
	if (plan_next(&view, &actions, &err) < 0) {
		log_error("Nothing can be planned: %s", err_text(&err));
		return;
	}
	if (!view.consul_unwell)
		ghosts_ms = hunt_ghosts(leader, &from, &view);
	wake_ms = actions.wake_ms == INT64_MAX ? INT64_MAX : actions.wake_ms - from.now_ms;
	if (ghosts_ms < wake_ms)
		wake_ms = ghosts_ms;
	if (wake_ms != INT64_MAX)
		wake_after(leader, wake_ms);
	/* Gone since it was looked: one that was paused meanwhile. Without a session Consul would only be asked whether
	 * nobody leads. */
	session = consul_lock_session(leader->lock);
	if (actions.n && session) {
		leader->applying = true;
		leader_apply(leader->agent, &actions, leader->specs, &leader->hosts, session, on_applied, leader);
	}
	plan_actions_release(&actions);
}

static int on_soon(sd_event_source *source, void *data)
{
	struct leader *leader = data;

	(void)source;
	leader->soon = sd_event_source_disable_unref(leader->soon);
	plan(leader);
	return 0;
}

/* After all that the loop has at hand now: several watches often tell of one change. */
static void plan_soon(struct leader *leader)
{
	if (leader->soon)
		return;
	sd_event_add_defer(leader->agent->event, &leader->soon, on_soon, leader);
	sd_event_source_set_priority(leader->soon, SD_EVENT_PRIORITY_IDLE);
}

static bool take_kvs(struct consul_kvs *to, const json_t *value, uint64_t index)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct consul_kvs kvs = { 0 };

	if (consul_decode_kvs(value, &kvs, &err) < 0) {
		log_error("Consul's keys cannot be read: %s", err_text(&err));
		return false;
	}
	consul_kvs_release(to);
	*to = kvs;
	to->index = index;
	return true;
}

static void on_checks(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct leader *leader = data;
	struct consul_checks checks = { 0 };

	(void)index;
	leader->away |= err != NULL;
	if (err || consul_decode_checks(value, &checks, NULL) < 0)
		return;
	consul_checks_release(&leader->checks);
	leader->checks = checks;
	leader->have_checks = true;
	plan_soon(leader);
}

static void on_hosts(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct leader *leader = data;

	leader->away |= err != NULL;
	if (err || !take_kvs(&leader->hosts, value, index))
		return;
	leader->have_hosts = true;
	plan_soon(leader);
}

static void watch(struct leader *leader, const char *path, consul_watch_fn fn, struct consul_watch **ret)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (consul_watch_new(leader->agent->loop, leader->agent->env.consul, path, fn, leader, ret, &err) < 0)
		log_error("Cannot watch %s: %s", path, err_text(&err));
}

static void on_services(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct leader *leader = data;

	leader->away |= err != NULL;
	if (err || !take_kvs(&leader->services, value, index))
		return;
	leader->have_services = true;
	/* Statuses are read before assignments, so that no status is newer than what is known of its nodes. */
	if (!leader->hosts_watch)
		watch(leader, "/v1/kv/tepuy/host/?recurse&consistent", on_hosts, &leader->hosts_watch);
	plan_soon(leader);
}

static void stop_watching(struct leader *leader)
{
	leader->timer = sd_event_source_disable_unref(leader->timer);
	leader->soon = sd_event_source_disable_unref(leader->soon);
	consul_watch_freep(&leader->services_watch);
	consul_watch_freep(&leader->hosts_watch);
	consul_watch_freep(&leader->checks_watch);
	leader->services_watch = leader->hosts_watch = leader->checks_watch = NULL;
	leader->have_services = leader->have_hosts = leader->have_checks = false;
}

/*
 * The session of this host's leadership is kept: an agent that is started after a kill -9 gives it back, where it would
 * else wait up to half a minute for Consul to end it. The agent's lock on its state directory says that the holder is
 * dead.
 */
static char *session_path(const struct agent *agent)
{
	return fs_join(agent->env.state_dir, "leader-session");
}

static void keep_session(const struct leader *leader)
{
	_cleanup_(freep) char *path = session_path(leader->agent);
	const char *session = consul_lock_session(leader->lock);
	_cleanup_err_ struct err err = ERR_INIT;

	if (session && fs_write(path, session, strlen(session), 0600, &err) < 0)
		log_warning("%s", err_text(&err));
}

static char *kept_session(const struct agent *agent)
{
	_cleanup_(freep) char *path = session_path(agent);
	struct buf text = { 0 };

	if (fs_read(path, 256, &text, NULL) < 0 || !text.len) {
		buf_release(&text);
		return NULL;
	}
	return buf_take(&text);
}

static void on_lock(void *data, bool held, const struct err *err)
{
	struct leader *leader = data;

	leader->agent->leading = held;
	if (!held) {
		log_info("This host no longer leads: %s.", err ? err_text(err) : "another one does");
		stop_watching(leader);
		return;
	}
	log_info("This host leads now.");
	keep_session(leader);
	/* What was seen as the leader of earlier says nothing of the time between, nor of a Consul that lost its data.
	 */
	leader->see_services = leader->see_hosts = 0;
	begin_to_look(leader);
	watch(leader, "/v1/kv/tepuy/service/?recurse&consistent", on_services, &leader->services_watch);
	watch(leader, "/v1/health/state/any?consistent", on_checks, &leader->checks_watch);
}

struct leader *leader_new(struct agent *agent)
{
	struct leader *leader = xcalloc(1, sizeof(*leader));

	leader->agent = agent;
	leader->memory = health_memory_new();
	leader->specs = spec_cache_new();
	return leader;
}

int leader_compete(struct leader *leader, bool on, struct err *err)
{
	_cleanup_(freep) char *previous = NULL;
	struct consul_lock_options options = { .key = "tepuy/leader", .value = leader->agent->env.host };

	if (!on) {
		stop_watching(leader);
		consul_lock_free(TAKE_PTR(leader->lock));
		leader->agent->leading = false;
		return 0;
	}
	if (leader->lock)
		return 0;
	previous = kept_session(leader->agent);
	options.previous = previous;
	return consul_lock_new(leader->agent->loop, leader->agent->env.consul, &options, on_lock, leader, &leader->lock,
			       err);
}

void leader_free(struct leader *leader)
{
	if (!leader)
		return;
	stop_watching(leader);
	consul_lock_free(leader->lock);
	consul_kvs_release(&leader->services);
	consul_kvs_release(&leader->hosts);
	consul_checks_release(&leader->checks);
	health_memory_free(leader->memory);
	spec_cache_free(leader->specs);
	while (leader->fetches)
		fetch_free(leader->fetches);
	free(leader);
}
