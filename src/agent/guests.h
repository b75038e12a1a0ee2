/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Addresses of nodes that have one of their own, as machines do: taken from the ranges of this host's runtime, and
 * written down in Consul before the node is made (docs/state.md, tepuy/guest/), so that no two nodes anywhere get one.
 * Calls that take a `struct err` block, and may be made by several threads at once.
 */
#ifndef TEPUY_AGENT_GUESTS_H
#define TEPUY_AGENT_GUESTS_H

#include "agent/node-env.h"

#define GUESTS_PREFIX "tepuy/guest/"
/* A node's own addresses, separated by commas, so that they can be taken again should Consul forget them. */
#define GUESTS_LABEL "tepuy.addresses"

struct guests;

/* A node that exists, by the runtime's word, and its GUESTS_LABEL (NULL: none is known). */
struct guest {
	char *instance; /* "portal/web/1.5" */
	char *addresses;
};

/* NULL when nodes of the runtime have no addresses of their own. `env` is borrowed, and must outlive it. */
struct guests *guests_new(const struct node_env *env);
void guests_free(struct guests *guests);

/*
 * An address of each range for a node that is about to be made; the same ones when it holds some already. They are its
 * own until guests_drop and guests_level. -EADDRNOTAVAIL: a range has none left; else errors of Consul's or of the
 * runtime's. Free with runtime_networks_free.
 */
int guests_take(struct guests *guests, const char *instance, struct runtime_network **ret, size_t *ret_n,
		struct err *err);
/* Before a node that exists is started again: its addresses are still its own, or are so now. -EADDRINUSE: Consul says
 * that they are another one's. Without Consul they are. */
int guests_confirm(struct guests *guests, const char *instance, const char *addresses, struct err *err);
/* Does not block. Nothing is left of the instance: the next guests_level gives its addresses back. */
void guests_drop(struct guests *guests, const char *instance);
/*
 * Brings Consul level with what is there: takes again the addresses of nodes that exist, and gives back those of this
 * host that belong neither to one of them, nor to one of `keep` (instances that are wanted, or may exist), nor to one
 * that took them meanwhile.
 */
int guests_level(struct guests *guests, const struct guest *there, size_t n, const struct strv *keep, struct err *err);
/* A host was taken out of the cluster: what its machines had is free. */
int guests_forget_host(struct consul *consul, const char *host, struct err *err);

#endif
