/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A blocking query on the event loop: tells each change of one of Consul's endpoints as it happens, survives Consul's
 * absence and restart, never polls. Needs no attention after consul_watch_new.
 */
#ifndef TEPUY_CONSUL_CONSUL_WATCH_H
#define TEPUY_CONSUL_CONSUL_WATCH_H

#include <jansson.h>

#include "consul/consul.h"
#include "http/http-loop.h"

struct consul_watch;

/*
 * Without `err`: the present value (borrowed; NULL when Consul says 404) and its index. It is called with the first
 * value, then whenever the index or the content changed, and with the value as it is then, changed or not, after an
 * absence. With `err`: Consul, its leader or the permission went away; called once, not again until it was back.
 * What was last told stays the best that is known. consul_watch_free is allowed in here.
 */
typedef void (*consul_watch_fn)(void *data, const json_t *value, uint64_t index, const struct err *err);

/*
 * `path` is an endpoint with its query but without index and wait: "/v1/kv/tepuy/host/h1/node/?recurse". `consul` gives
 * the address and token; it and the loop must outlive the watch. The first call of `fn` comes from the event loop.
 */
int consul_watch_new(struct http_loop *loop, const struct consul *consul, const char *path, consul_watch_fn fn,
		     void *data, struct consul_watch **ret, struct err *err);
void consul_watch_free(struct consul_watch *watch); /* NULL is fine; `fn` is not called any more */
void consul_watch_freep(struct consul_watch **watch);
/* Has a value been told and is Consul not away? */
bool consul_watch_fresh(const struct consul_watch *watch);

#endif
