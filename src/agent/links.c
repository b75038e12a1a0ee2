/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/links.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "consul/consul-decode.h"

struct link {
	struct link *next;
	struct links *links;
	char *service, *component;
	unsigned users;
	struct consul_watch *watch;
	bool known;
	struct consul_services services;
};

struct links {
	struct http_loop *loop;
	const struct consul *consul;
	links_fn changed;
	void *data;
	struct link *first;
};

struct links *links_new(struct http_loop *loop, const struct consul *consul, links_fn changed, void *data)
{
	struct links *links = xcalloc(1, sizeof(*links));

	*links = (struct links){ .loop = loop, .consul = consul, .changed = changed, .data = data };
	return links;
}

static void link_free(struct link *link)
{
	consul_watch_free(link->watch);
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

static void on_change(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	struct link *link = data;

	(void)index;
	if (err)
		return; /* the host's own watch logs that Consul is away */
	if (consul_decode_health(value, &services, &why) < 0) {
		log_error("Consul's list of %s/%s cannot be read: %s", link->service, link->component, err_text(&why));
		return;
	}
	consul_services_release(&link->services);
	link->services = services;
	services = (struct consul_services){ 0 };
	link->known = true;
	link->links->changed(link->links->data, link->service, link->component);
}

static void start_watch(struct links *links, struct link *link)
{
	_cleanup_(freep) char *path = xasprintf("/v1/health/service/%s-%s", link->service, link->component);
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
