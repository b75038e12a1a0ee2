/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths and bodies of requests to Consul, for the blocking client and for calls on the loop. The caller owns them. */
#ifndef TEPUY_CONSUL_CONSUL_ENCODE_H
#define TEPUY_CONSUL_CONSUL_ENCODE_H

#include "consul/consul-types.h"

/* "/v1/kv/<key>" with the key encoded, its slashes kept; `query` ("recurse", "raw&dc=x", already encoded) or NULL. */
char *consul_kv_path(const char *key, const char *query);
/* "/v1/health/service/<name>": all instances with node and checks, healthy or not. */
char *consul_health_path(const char *name);

char *consul_encode_txn(const struct consul_op *ops, size_t n);
char *consul_encode_registration(const struct consul_registration *registration);
char *consul_encode_check(const struct consul_check_spec *check);
/* A TTL check's report; the output is cut to the 4 KiB that Consul keeps. UNKNOWN is reported as critical. */
char *consul_encode_update(enum consul_status status, const char *output);
/* Behaviour "release" or "delete" of the keys it holds when the session ends. */
char *consul_encode_session(const char *name, int64_t ttl_ms, int64_t lock_delay_ms, bool delete_keys);

#endif
