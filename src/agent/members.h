/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The instances of one component as Consul's catalog knows them: what a link leads to. Pure functions of data. */
#ifndef TEPUY_AGENT_MEMBERS_H
#define TEPUY_AGENT_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "consul/consul-types.h"

/* Ends the reason of a maintenance, before the drain's `since`. */
#define MEMBER_DRAINED "since="

enum member_health { MEMBER_CRITICAL, MEMBER_MAINTENANCE, MEMBER_WARNING, MEMBER_PASSING };

struct member {
	char *instance; /* "portal/web/1.5" */
	char *server;   /* "web-1.5": its name in HAProxy and in templates */
	char *node;     /* "web/1" */
	char *host, *address;
	unsigned n;
	uint64_t gen;
	uint16_t port; /* host port of the port that the link leads to; 0: it has none of that name */
	enum member_health health;
	char *output;       /* of its worst check */
	int64_t drained_ms; /* `since` of the drain that it is in maintenance for; 0: not told */
};

struct members {
	struct member *list; /* sorted by node, then generation */
	size_t n;
};

/*
 * The members of a component among what Consul's health endpoint says of `<service>-<component>`; `port` is the
 * provider's port name. Entries that are not tepuy's, or of another service whose names join to the same one, are left
 * out.
 */
void members_of(const struct consul_services *services, const char *service, const char *component, const char *port,
		struct members *ret);
void members_release(struct members *members);

/*
 * Node- and service-level checks together. Maintenance outranks them all: who takes a node out must say so also when it
 * is ill. `ret_output` is borrowed.
 */
enum member_health members_health(const struct consul_checks *checks, const char **ret_output);

/* May traffic go there? Warning counts as healthy. */
bool member_serves(const struct member *member);

#endif
