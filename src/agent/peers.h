/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The other hosts' stores: what one of them has is fetched from there, and what none has is made by one of them alone.
 * Consul says who has what and who is making what (docs/state.md, tepuy/image/); without Consul each host makes what
 * it needs by itself. All calls block, and may be made by several threads at once.
 */
#ifndef TEPUY_AGENT_PEERS_H
#define TEPUY_AGENT_PEERS_H

#include "consul/consul.h"
#include "image/share.h"

struct peers;

/* All is borrowed and must outlive it; the strings are copied. `tls_dir` as in peer-tls.h. `machines`: what this host
 * runs are machines, so that it makes images only if no other host does (wish.h). */
struct peers *peers_new(struct consul *consul, struct image_store *store, const char *host, bool machines,
			const char *tls_dir);
/* Makes calls that are under way return soon (-ECANCELED), and those that come. */
void peers_stop(struct peers *peers);
void peers_free(struct peers *peers); /* after the last call has returned; NULL is fine */

/* With which other hosts are spoken to. Borrowed. */
const struct http_tls *peers_tls(const struct peers *peers);

/* Fetches a bundle that the store lacks. -ENOENT: no host says that it has it; else as image/fetch.h. */
int peers_bundle(struct peers *peers, const char *sha256, struct err *err);
/*
 * Fetches the image of a recipe, whose bundle is in the store, or makes it, so that image_find gives it. The base that
 * the cluster has counts more than one that this host made by itself. `log_fd` gets what is done. Errors: those of
 * image_build, whose text says why it could not be fetched when it was tried.
 */
int peers_image(struct peers *peers, const struct image_recipe *recipe, int log_fd, struct err *err);

/* Tells the others that this host has the bundle. A failure is no trouble: peers_level says it again. */
void peers_tell_bundle(struct peers *peers, const char *sha256);
/* Brings what Consul says that this host has level with its store. */
int peers_level(struct peers *peers, struct err *err);

#endif
