/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/links.h"

#include <errno.h>
#include <string.h>

#include "agent/links-hold.h"
#include "base/clock.h"
#include "base/log.h"
#include "consul/consul-decode.h"

struct link {
	struct link *next;
	struct links *links;
	char *service, *component;
	unsigned users;
	struct consul_watch *watch;
	bool known, away;
	struct consul_services services;
	int64_t returned_ms; /* when Consul came back from its last absence; INT64_MIN: it was never away */
	struct holds holds;
	json_t *held;           /* what Consul said last, while some of it is not believed yet */
	sd_event_source *timer; /* ends a hold */
};

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
	holds_release(&link->holds);
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

/*
 * The other hosts' word on this one: after a cut they take half a minute to find out that it is back. It is here that
 * its nodes are reached from.
 */
static void trust_own_host(struct consul_services *services, const char *host)
{
	for (size_t i = 0; i < services->n; i++) {
		struct consul_service *service = &services->v[i];
		struct consul_check *serf =
		    service->node && !strcmp(service->node, host) ? links_serf_health(service) : NULL;

		if (serf)
			serf->status = CONSUL_PASSING;
	}
}

static void take(struct link *link, json_t *value);

static int on_hold_over(sd_event_source *source, uint64_t usec, void *data)
{
	struct link *link = data;
	json_t *held = TAKE_PTR(link->held);

	(void)source, (void)usec;
	link->timer = sd_event_source_disable_unref(link->timer);
	if (held && !link->away) /* away again: what is held is no better than what it was held for */
		take(link, held);
	json_decref(held);
	return 0;
}

/* `value` is judged once more then, if nothing newer comes before. */
static void judge_again(struct link *link, json_t *value, int64_t at_ms)
{
	json_t *old = link->held;

	link->timer = sd_event_source_disable_unref(link->timer);
	link->held = at_ms == INT64_MAX ? NULL : json_incref(value);
	json_decref(old);
	if (link->held)
		sd_event_add_time(http_loop_event(link->links->loop), &link->timer, CLOCK_MONOTONIC,
				  (uint64_t)at_ms * 1000, 0, on_hold_over, link);
}

static void take(struct link *link, json_t *value)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	size_t held = link->holds.n;
	int64_t again_ms;

	if (consul_decode_health(value, &services, &err) < 0) {
		log_error("Consul's list of %s/%s cannot be read: %s", link->service, link->component, err_text(&err));
		return;
	}
	trust_own_host(&services, link->links->host);
	again_ms = links_hold(&link->holds, &link->services, &services, link->returned_ms, clock_monotonic_ms());
	judge_again(link, value, again_ms);
	if (link->holds.n > held)
		log_info(
		    "%zu members of %s/%s that Consul calls critical, but has not looked at, or has forgotten with "
		    "their host, keep their work for now.",
		    link->holds.n, link->service, link->component);
	consul_services_release(&link->services);
	link->services = services;
	services = (struct consul_services){ 0 };
	link->known = true;
	link->links->changed(link->links->data, link->service, link->component);
}

static void on_change(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct link *link = data;

	(void)index;
	if (err) {
		link->away = true; /* the host's own watch logs it */
		return;
	}
	if (link->away) {
		link->away = false;
		link->returned_ms = clock_monotonic_ms();
		holds_release(&link->holds); /* what they are held for begins anew */
	}
	take(link, (json_t *)value);
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
		(*at)->returned_ms = INT64_MIN;
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
