/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/proxy.h"

#include <errno.h>
#include <string.h>

#include "agent/acks.h"
#include "agent/node-files.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/haproxy-socket.h"

/* HAProxy tells of no session's end: asked so often, and only while a server drains. */
#define DRAIN_LOOK_USEC (100 * 1000ULL)
#define RETRY_USEC (500 * 1000ULL)
/* How soon a reload may follow another when the socket alone does not suffice. */
#define RELOAD_PAUSE_MS 5000

struct proxy {
	struct instance *instance; /* NULL: it is gone, the job that still runs frees this */
	bool busy, again;
	sd_event_source *timer;
	struct haproxy *haproxy;
	int64_t reload_after_ms;
	/* the job's own */
	struct node_env *env;
	char *container, *socket;
	struct haproxy_backend *backends;
	size_t n_backends;
	struct drained *drained; /* those in maintenance, as they were when the backends were made */
	size_t n_drained, cap_drained;
	bool unwell;
	struct haproxy_result result;
	struct err err;
	int r;
};

struct drained {
	char *server;
	int64_t since_ms;
};

static int dial(void *data, int *ret_fd, struct err *err)
{
	struct proxy *proxy = data;
	struct runtime *rt = proxy->env->runtime;

	if (!rt->ops->dial)
		return -EOPNOTSUPP;
	return rt->ops->dial(rt, proxy->container, proxy->socket, ret_fd, err);
}

static void work(void *data)
{
	struct proxy *proxy = data;

	proxy->r = haproxy_sync(proxy->haproxy, proxy->backends, proxy->n_backends, proxy->unwell, &proxy->result,
				&proxy->err);
}

static void clear_job(struct proxy *proxy)
{
	haproxy_backends_free(proxy->backends, proxy->n_backends);
	proxy->backends = NULL;
	proxy->n_backends = 0;
	for (size_t i = 0; i < proxy->n_drained; i++)
		free(proxy->drained[i].server);
	proxy->n_drained = 0;
	haproxy_result_release(&proxy->result);
	err_release(&proxy->err);
	free(TAKE_PTR(proxy->container));
	free(TAKE_PTR(proxy->socket));
}

static void destroy(struct proxy *proxy)
{
	clear_job(proxy);
	haproxy_free(proxy->haproxy);
	free(proxy->drained);
	free(proxy);
}

void proxy_free(struct proxy *proxy)
{
	if (!proxy)
		return;
	proxy->timer = sd_event_source_disable_unref(proxy->timer);
	proxy->instance = NULL;
	if (!proxy->busy)
		destroy(proxy);
}

static enum haproxy_state state_of(const struct member *member)
{
	if (member->health == MEMBER_MAINTENANCE)
		return HAPROXY_STATE_DRAIN;
	return member_serves(member) ? HAPROXY_STATE_READY : HAPROXY_STATE_MAINT;
}

static void add_servers(struct haproxy_backend *backend, const struct members *members)
{
	backend->servers = xcalloc(members->n, sizeof(*backend->servers));
	backend->cap_servers = members->n;
	for (size_t i = 0; i < members->n; i++) {
		const struct member *member = &members->list[i];

		if (!member->port)
			continue;
		backend->servers[backend->n_servers++] = (struct haproxy_server){
			.name = xstrdup(member->server),
			.address = xstrdup(member->address),
			.port = member->port,
			.state = state_of(member),
			.weight = 1,
		};
	}
}

static void note_drained(struct proxy *proxy, const struct members *members)
{
	for (size_t i = 0; i < members->n; i++) {
		if (!members->list[i].drained_ms)
			continue;
		proxy->drained =
		    grow_array(proxy->drained, proxy->n_drained, &proxy->cap_drained, sizeof(*proxy->drained));
		proxy->drained[proxy->n_drained++] =
		    (struct drained){ xstrdup(members->list[i].server), members->list[i].drained_ms };
	}
}

static int64_t drained_since(const struct proxy *proxy, const char *server)
{
	for (size_t i = 0; i < proxy->n_drained; i++)
		if (!strcmp(proxy->drained[i].server, server))
			return proxy->drained[i].since_ms;
	return 0;
}

/* False while a link is not known yet. */
static bool collect(struct proxy *proxy, const struct instance *instance)
{
	const struct node_spec *spec = instance->spec;

	proxy->backends = xcalloc(spec->n_links, sizeof(*proxy->backends));
	proxy->unwell = instance->agent->consul_away;
	for (size_t i = 0; i < spec->n_links; i++) {
		const struct node_link *link = &spec->links[i];
		struct members members = { 0 };

		if (links_members(instance->agent->links, instance->id.service, link->component, link->port, &members) <
		    0)
			return false;
		proxy->unwell |= links_stale(instance->agent->links, instance->id.service, link->component);
		proxy->backends[proxy->n_backends].name = xstrdup(link->name);
		add_servers(&proxy->backends[proxy->n_backends++], &members);
		note_drained(proxy, &members);
		members_release(&members);
	}
	return true;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *data)
{
	struct proxy *proxy = data;

	(void)source, (void)usec;
	proxy->timer = sd_event_source_disable_unref(proxy->timer);
	proxy_update(proxy->instance);
	return 0;
}

static void look_again_after(struct proxy *proxy, uint64_t usec)
{
	if (!proxy->timer)
		sd_event_add_time_relative(proxy->instance->agent->event, &proxy->timer, CLOCK_MONOTONIC, usec, 0,
					   on_timer, proxy);
}

static unsigned sessions_of(const struct haproxy_result *result, const char *server)
{
	unsigned sessions = 0;

	for (size_t i = 0; i < result->n_leaving; i++)
		if (!strcmp(result->leaving[i].server, server))
			sessions += result->leaving[i].sessions;
	return sessions;
}

/* Every server in drain is answered for, the ones that HAProxy does not know with no sessions. */
static void answer_drains(struct proxy *proxy, const char *service)
{
	struct ack *acks = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < proxy->n_backends; i++)
		for (size_t j = 0; j < proxy->backends[i].n_servers; j++) {
			const struct haproxy_server *server = &proxy->backends[i].servers[j];
			char *dash = strrchr(server->name, '-');

			if (server->state != HAPROXY_STATE_DRAIN || !dash)
				continue;
			acks = grow_array(acks, n, &cap, sizeof(*acks));
			acks[n].instance =
			    xasprintf("%s/%.*s/%s", service, (int)(dash - server->name), server->name, dash + 1);
			acks[n].since_ms = drained_since(proxy, server->name);
			acks[n++].sessions = sessions_of(&proxy->result, server->name);
		}
	acks_set(proxy->instance, acks, n);
	for (size_t i = 0; i < n; i++)
		free(acks[i].instance);
	free(acks);
}

static void log_events(const struct proxy *proxy)
{
	static const char *const verbs[] = {
		[HAPROXY_ADD] = "added",       [HAPROXY_CHECK] = "checked",  [HAPROXY_ADDRESS] = "moved",
		[HAPROXY_WEIGHT] = "weighted", [HAPROXY_READY] = "ready",    [HAPROXY_DRAIN] = "draining",
		[HAPROXY_MAINT] = "out",       [HAPROXY_REMOVE] = "removed",
	};

	for (size_t i = 0; i < proxy->result.n_events; i++) {
		const struct haproxy_event *event = &proxy->result.events[i];

		if (event->problem)
			log_warning("%s: HAProxy refuses to have %s/%s %s: %s", proxy->instance->id.text,
				    event->backend, event->server, verbs[event->verb], event->problem);
		else
			log_info("%s: %s/%s %s", proxy->instance->id.text, event->backend, event->server,
				 verbs[event->verb]);
	}
}

/* The socket does not suffice: the file is put and loaded anew. */
static void force_reload(struct proxy *proxy)
{
	struct instance *instance = proxy->instance;

	/* A job at work on the files would say that they are as they should be when it ends. */
	if (instance->busy || clock_monotonic_ms() < proxy->reload_after_ms) {
		look_again_after(proxy, RETRY_USEC);
		return;
	}
	proxy->reload_after_ms = clock_monotonic_ms() + RELOAD_PAUSE_MS;
	node_files_forget(&instance->agent->env, &instance->id);
	free(TAKE_PTR(instance->files));
	instance_step(instance);
}

static void take_up(struct proxy *proxy)
{
	bool waiting = false;

	log_events(proxy);
	answer_drains(proxy, proxy->instance->id.service);
	for (size_t i = 0; i < proxy->result.n_leaving; i++)
		waiting |= proxy->result.leaving[i].sessions > 0 || proxy->result.leaving[i].removing;
	if (waiting)
		look_again_after(proxy, DRAIN_LOOK_USEC);
}

static void done(void *data, bool dropped)
{
	struct proxy *proxy = data;
	bool reload, again = proxy->again;

	proxy->busy = proxy->again = false;
	if (!proxy->instance) {
		destroy(proxy);
		return;
	}
	if (dropped)
		return;
	reload = proxy->r == 0 && proxy->result.reload;
	if (proxy->r == 0)
		take_up(proxy);
	else {
		log_debug("%s: %s", proxy->instance->id.text, err_text(&proxy->err));
		look_again_after(proxy, RETRY_USEC);
	}
	clear_job(proxy);
	if (again)
		proxy_update(proxy->instance);
	if (reload)
		force_reload(proxy); /* last of all: the instance may end here, and this with it */
}

static struct proxy *proxy_of(struct instance *instance)
{
	struct proxy *proxy = instance->proxy;

	if (!proxy) {
		instance->proxy = proxy = xcalloc(1, sizeof(*proxy));
		proxy->instance = instance;
		proxy->env = &instance->agent->env;
		proxy->haproxy = haproxy_new(dial, proxy, 0);
	}
	return proxy;
}

void proxy_update(struct instance *instance)
{
	struct proxy *proxy;

	if (instance->container != CONTAINER_RUNNING || !instance->spec || !instance->assignment)
		return;
	if (!instance->learned)
		return;
	if (!instance->proxy_socket) {
		/* Only what it was configured without has been taken out. */
		if (instance_is_configured(instance))
			acks_by_templates(instance);
		return;
	}
	proxy = proxy_of(instance);
	if (proxy->busy) {
		proxy->again = true;
		return;
	}
	if (!collect(proxy, instance)) {
		clear_job(proxy);
		return;
	}
	proxy->container = xstrdup(instance->node.id);
	proxy->socket = xstrdup(instance->proxy_socket);
	proxy->busy = true;
	pool_submit(instance->agent->pool, work, done, proxy);
}
