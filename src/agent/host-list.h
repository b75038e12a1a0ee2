/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hosts of the cluster as Consul knows them, for the API: what each host's agent said of itself, what an operator
 * wants of it, whether the cluster reaches it, and what it has to run. Blocking; for the API's threads.
 */
#ifndef TEPUY_AGENT_HOST_LIST_H
#define TEPUY_AGENT_HOST_LIST_H

#include <jansson.h>

#include "agent/node-env.h"

struct host_list {
	struct consul_kvs keys; /* tepuy/host/, sorted by key */
	struct consul_checks alive;
	char *leader; /* the host that leads now, or NULL */
};

#define _cleanup_host_list_ _cleanup_(host_list_release)

int host_list_read(const struct node_env *env, struct host_list *ret, struct err *err);
void host_list_release(struct host_list *list);

/* Does the cluster reach the host's Consul agent? A host that the catalog does not know is not there. */
bool host_list_alive(const struct host_list *list, const char *host);
/* How many instances are assigned to it. */
size_t host_list_nodes(const struct host_list *list, const char *host);
/* A row of GET /v1/hosts (docs/api.md); NULL when no agent has announced the host. The caller owns it. */
json_t *host_list_row(const struct host_list *list, const struct node_env *env, const char *host);
/* All rows, by name. */
json_t *host_list_rows(const struct host_list *list, const struct node_env *env);
/* Its assignments, as in GET /v1/host/<h>. */
json_t *host_list_assignments(const struct host_list *list, const char *host);

#endif
