/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/links.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "consul/consul-decode.h"

struct link {
	struct link *next;
	struct links *links;
	char *service, *component;
	unsigned users;
	struct consul_watch *watch;
	bool known, away;
	struct consul_services services;
	json_t *held;           /* what Consul said last, while some of it is not believed yet */
	sd_event_source *timer; /* ends the time of grace */
};

/*
 * A Consul that was restarted calls checks critical that it has not run again yet. For so long after its return a
 * member that served before counts as serving, unless its own agent says that it ended.
 */
#define GRACE_USEC (15 * 1000 * 1000ULL)

struct links {
	struct http_loop *loop;
	const struct consul *consul;
	const char *host;
	links_fn changed;
	void *data;
	struct link *first;
};

struct links *links_new(struct http_loop *loop, const struct consul *consul, const char *host, links_fn changed,
			void *data)
{
	struct links *links = xcalloc(1, sizeof(*links));

	*links = (struct links){ .loop = loop, .consul = consul, .host = host, .changed = changed, .data = data };
	return links;
}

static void link_free(struct link *link)
{
	consul_watch_free(link->watch);
	sd_event_source_disable_unref(link->timer);
	json_decref(link->held);
	consul_services_release(&link->services);
	free(link->service);
	free(link->component);
	free(link);
}

void links_free(struct links *links)
{
	struct link *link;

	if (!links)
		return;
	while ((link = links->first)) {
		links->first = link->next;
		link_free(link);
	}
	free(links);
}

static struct link **find(const struct links *links, const char *service, const char *component)
{
	struct link **at = (struct link **)&links->first;

	while (*at && (strcmp((*at)->service, service) || strcmp((*at)->component, component)))
		at = &(*at)->next;
	return at;
}

static const struct consul_service *same_service(const struct consul_services *services,
						 const struct consul_service *like)
{
	for (size_t i = 0; i < services->n; i++)
		if (!strcmp(services->v[i].id, like->id) && services->v[i].node && like->node &&
		    !strcmp(services->v[i].node, like->node))
			return &services->v[i];
	return NULL;
}

/* Its agent says that its main process ended: that is no forgotten check. */
static bool has_ended(const struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (text_ends(service->checks.v[i].id, ":running") && service->checks.v[i].status == CONSUL_CRITICAL &&
		    service->checks.v[i].output && *service->checks.v[i].output)
			return true;
	return false;
}

static struct consul_check *serf_health(const struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (!strcmp(service->checks.v[i].id, "serfHealth"))
			return &service->checks.v[i];
	return NULL;
}

/*
 * The other hosts' word on this one: after a cut they take half a minute to find out that it is back. It is here that
 * its nodes are reached from.
 */
static void trust_own_host(struct consul_services *services, const char *host)
{
	for (size_t i = 0; i < services->n; i++) {
		struct consul_service *service = &services->v[i];
		struct consul_check *serf = service->node && !strcmp(service->node, host) ? serf_health(service) : NULL;

		if (serf)
			serf->status = CONSUL_PASSING;
	}
}

static bool any_serves(const struct consul_services *services)
{
	for (size_t i = 0; i < services->n; i++)
		if (members_health(&services->v[i].checks, NULL) >= MEMBER_WARNING)
			return true;
	return false;
}

/* That a host is dead is no check that Consul forgot: it is believed at once, if others can do the work. */
static bool host_is_dead(const struct consul_service *service, bool others_serve)
{
	const struct consul_check *serf = serf_health(service);

	return others_serve && serf && serf->status == CONSUL_CRITICAL;
}

/* Members that served before and are critical now are put back to serving. True: there were some. */
static bool hold(const struct consul_services *before, struct consul_services *now)
{
	bool held = false, others_serve = any_serves(now);

	for (size_t i = 0; i < now->n; i++) {
		struct consul_service *service = &now->v[i];
		const struct consul_service *was = same_service(before, service);
		enum member_health health = was ? members_health(&was->checks, NULL) : MEMBER_CRITICAL;

		if (health < MEMBER_WARNING || members_health(&service->checks, NULL) != MEMBER_CRITICAL ||
		    has_ended(service) || host_is_dead(service, others_serve))
			continue;
		for (size_t j = 0; j < service->checks.n; j++)
			if (service->checks.v[j].status == CONSUL_CRITICAL &&
			    !text_starts(service->checks.v[j].id, "_"))
				service->checks.v[j].status = CONSUL_PASSING;
		held = true;
	}
	return held;
}

static void take(struct link *link, const json_t *value, bool believe)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (consul_decode_health(value, &services, &err) < 0) {
		log_error("Consul's list of %s/%s cannot be read: %s", link->service, link->component, err_text(&err));
		return;
	}
	trust_own_host(&services, link->links->host);
	if (!believe && hold(&link->services, &services))
		log_info("Members of %s/%s that Consul calls critical after its return keep their work for now.",
			 link->service, link->component);
	consul_services_release(&link->services);
	link->services = services;
	services = (struct consul_services){ 0 };
	link->known = true;
	link->links->changed(link->links->data, link->service, link->component);
}

static int on_grace_over(sd_event_source *source, uint64_t usec, void *data)
{
	struct link *link = data;
	json_t *held = TAKE_PTR(link->held);

	(void)source, (void)usec;
	link->timer = sd_event_source_disable_unref(link->timer);
	if (held && !link->away) /* away again: what is held is no better than what it was held for */
		take(link, held, true);
	json_decref(held);
	return 0;
}

static void begin_grace(struct link *link)
{
	link->away = false;
	link->timer = sd_event_source_disable_unref(link->timer);
	if (link->known)
		sd_event_add_time_relative(http_loop_event(link->links->loop), &link->timer, CLOCK_MONOTONIC,
					   GRACE_USEC, 0, on_grace_over, link);
}

static void on_change(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct link *link = data;

	(void)index;
	if (err) {
		link->away = true; /* the host's own watch logs it */
		return;
	}
	if (link->away)
		begin_grace(link);
	if (link->timer) {
		json_decref(link->held);
		link->held = json_incref((json_t *)value);
	}
	take(link, value, !link->timer);
}

static void start_watch(struct links *links, struct link *link)
{
	_cleanup_(freep) char *path = xasprintf("/v1/health/service/%s-%s?consistent", link->service, link->component);
	_cleanup_err_ struct err err = ERR_INIT;

	if (consul_watch_new(links->loop, links->consul, path, on_change, link, &link->watch, &err) < 0)
		log_error("Cannot watch %s/%s: %s", link->service, link->component, err_text(&err));
}

void links_use(struct links *links, const char *service, const char *component)
{
	struct link **at = find(links, service, component);

	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->links = links;
		(*at)->service = xstrdup(service);
		(*at)->component = xstrdup(component);
		start_watch(links, *at);
	}
	(*at)->users++;
}

void links_drop(struct links *links, const char *service, const char *component)
{
	struct link **at = find(links, service, component), *link = *at;

	if (!link || --link->users)
		return;
	*at = link->next;
	link_free(link);
}

int links_members(const struct links *links, const char *service, const char *component, const char *port,
		  struct members *ret)
{
	const struct link *link = *find(links, service, component);

	if (!link || !link->known)
		return -EAGAIN;
	members_of(&link->services, service, component, port, ret);
	return 0;
}

bool links_stale(const struct links *links, const char *service, const char *component)
{
	const struct link *link = *find(links, service, component);

	return !link || !link->watch || !consul_watch_fresh(link->watch);
}
