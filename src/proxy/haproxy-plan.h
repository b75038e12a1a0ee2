/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From wanted and observed membership of backends to the commands that make them equal. Pure: no socket, no clock.
 *
 * A backend that is not in the wanted list is never touched. In one that is, a server is managed when the list names it
 * or when its name is a node's (haproxy_is_node_name); others are left alone.
 */
#ifndef TEPUY_PROXY_HAPROXY_PLAN_H
#define TEPUY_PROXY_HAPROXY_PLAN_H

#include "proxy/haproxy-proto.h"

enum haproxy_state {
	HAPROXY_STATE_READY,
	HAPROXY_STATE_DRAIN, /* no new sessions but those bound to it; running ones go on */
	HAPROXY_STATE_MAINT, /* no new sessions at all; running ones go on */
};

struct haproxy_server {
	char *name;
	char *address; /* numeric, IPv4 or IPv6 without brackets: dynamic servers are never resolved */
	uint16_t port;
	enum haproxy_state state; /* drain and maint of a server that is not there need nothing and add nothing */
	unsigned int weight;      /* 0 to 256; HAProxy's own default is 1 */
	bool check;               /* with `check`, and its checks running */
	struct strv options;      /* more keywords of its `server` line, for `add server`: "inter", "2s" */
};

struct haproxy_backend {
	char *name;
	struct haproxy_server *servers;
	size_t n_servers, cap_servers;
};

void haproxy_server_release(struct haproxy_server *server);
void haproxy_backend_release(struct haproxy_backend *backend);
void haproxy_backends_free(struct haproxy_backend *backends, size_t n);

/* One command. */
struct haproxy_step {
	enum haproxy_verb verb;
	char *backend, *server;
	char *line; /* what to send, with its newline */
};

struct haproxy_plan {
	/* What brings sessions first (add, ready), then what takes them away, then removal. */
	struct haproxy_step *steps;
	size_t n_steps, cap_steps;
	struct strv pending; /* "backend/server": in maintenance, to be removed when its sessions are gone */
	struct strv held;    /* backends with servers left alone because a list without them cannot be believed now */
	struct strv missing; /* backends that HAProxy does not have: its configuration must be loaded */
};

#define _cleanup_haproxy_plan_ _cleanup_(haproxy_plan_release)

/*
 * `consul_unwell`: managed servers that are not in the list stay as they are, as those of a Consul that lost its data
 * and does not know them yet, or again only in part. -EINVAL when a name, an address or a weight in `wanted` is not
 * valid or a name is there twice; nothing is planned then.
 */
int haproxy_plan(const struct haproxy_backend *wanted, size_t n, const struct haproxy_table *seen, bool consul_unwell,
		 struct haproxy_plan *ret, struct err *err);
void haproxy_plan_release(struct haproxy_plan *plan);

#endif
