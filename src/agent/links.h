/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One blocking query of Consul's health endpoint for each component that a node of this host is connected to. What was
 * last told stays while Consul is away; what Consul calls critical without having looked is believed only after a while
 * (links-hold.h).
 */
#ifndef TEPUY_AGENT_LINKS_H
#define TEPUY_AGENT_LINKS_H

#include <stdbool.h>

#include "agent/members.h"
#include "consul/consul-watch.h"

struct links;

/* Called on the loop whenever the members of that component changed. */
typedef void (*links_fn)(void *data, const char *service, const char *component);

/* `host` is this one's name, borrowed. */
struct links *links_new(struct http_loop *loop, const struct consul *consul, const char *host, links_fn changed,
			void *data);
void links_free(struct links *links);

/* Starts to watch a component, or counts one more user of its watch; each is given back with links_drop. */
void links_use(struct links *links, const char *service, const char *component);
void links_drop(struct links *links, const char *service, const char *component);

/* -EAGAIN until Consul has told once. Release with members_release. */
int links_members(const struct links *links, const char *service, const char *component, const char *port,
		  struct members *ret);
/* Is what links_members gives older than Consul's absence? */
bool links_stale(const struct links *links, const char *service, const char *component);

#endif
