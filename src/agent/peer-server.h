/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What this host gives the others of its store, over HTTPS: layers, bundles, lists of layers (docs/api.md, "Between
 * hosts"). Whoever asks must show a certificate of the cluster's authority. It has threads of its own, a bounded
 * number, and reads nothing but the store and what nodes use.
 */
#ifndef TEPUY_AGENT_PEER_SERVER_H
#define TEPUY_AGENT_PEER_SERVER_H

#include "image/share.h"

#define PEER_PORT 8470 /* Consul has 8300 to 8302, 8500 to 8502 and 8600 */

struct peer_server;

/*
 * Listens on `address` (numeric, IPv4 or IPv6; it may come to the host later) and `port` (0: any that is free), with
 * the files of `tls_dir` (peer-tls.h). Errors: those of peer_tls_new; -EADDRINUSE; -EINVAL the address is none.
 */
int peer_server_start(struct image_store *store, const char *address, unsigned port, const char *tls_dir,
		      struct peer_server **ret, struct err *err);
/* What `GET /v1/usage` is answered with: the JSON that `fn` gives, owned by the caller; NULL: it cannot be said. `fn`
 * is called from any thread. */
void peer_server_set_usage(struct peer_server *server, char *(*fn)(void *data), void *data);
/* Transfers that run are cut off: whoever asked goes on elsewhere. NULL is fine. */
void peer_server_stop(struct peer_server *server);
unsigned peer_server_port(const struct peer_server *server);
/* "https://192.0.2.11:8470"; the caller owns it. */
char *peer_server_url(const char *address, unsigned port);

#endif
