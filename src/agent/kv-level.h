/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys that this agent owns in Consul, kept level with what it wants them to be: written at once, one write in flight
 * for each key, the last value wins, tried again for as long as Consul is away. On the loop.
 */
#ifndef TEPUY_AGENT_KV_LEVEL_H
#define TEPUY_AGENT_KV_LEVEL_H

#include "consul/consul.h"
#include "http/http-loop.h"

struct kv_level;

struct kv_level *kv_level_new(struct http_loop *loop, const struct consul *consul);
void kv_level_free(struct kv_level *level); /* what is not written yet is lost */

void kv_level_put(struct kv_level *level, const char *key, const char *value);
void kv_level_delete(struct kv_level *level, const char *key);
/* While held, nothing new is sent; it is kept for later. */
void kv_level_hold(struct kv_level *level, bool held);
/* Consul is back: does not wait for the next try. */
void kv_level_retry(struct kv_level *level);

#endif
