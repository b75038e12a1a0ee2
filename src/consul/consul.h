/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Client of Consul's HTTP API, blocking: for worker threads and one-shot programs. A `struct consul` may be used by
 * several threads at once. What must not block goes through consul-watch.h, consul-lock.h, or http-loop.h with
 * consul-encode.h and consul-decode.h.
 *
 * All calls return 0 or -errno with a sentence:
 *   -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT …  Consul is not there
 *   -EAGAIN   it is there but its cluster has no leader now: try later
 *   -EACCES   the token does not allow it
 *   -ENOENT   no such key, session, service, check
 *   -ESTALE   a compare-and-set lost, a condition of a transaction does not hold
 *   -EFBIG    over a limit of Consul's or of consul-types.h
 *   -EINVAL   Consul refuses the request as malformed;  -EBADMSG its answer cannot be understood;  -EIO any other 5xx
 */
#ifndef TEPUY_CONSUL_CONSUL_H
#define TEPUY_CONSUL_CONSUL_H

#include "base/err.h"
#include "consul/consul-types.h"
#include "http/http.h"

struct consul;

/* `base`: "http://127.0.0.1:8500", NULL for that; `token` NULL: anonymous. TLS as in http.h, may be NULL. */
struct consul *consul_new(const char *base, const char *token, const struct http_tls *tls);
void consul_free(struct consul *consul);
void consul_freep(struct consul **consul);
const char *consul_base(const struct consul *consul);
/* The present one, or NULL. Stays valid as long as `consul`, also when another one is set: from any thread. */
const char *consul_token(const struct consul *consul);
/* For requests from now on. From any thread. */
void consul_set_token(struct consul *consul, const char *token);

/* Called, from whatever thread it was, each time Consul refuses something for want of permission. NULL: nobody. */
typedef void (*consul_refusal_fn)(void *data);
void consul_on_refusal(struct consul *consul, consul_refusal_fn fn, void *data);
/* A reply that came on the loop: tells the above if it is a refusal. Watches and locks do so by themselves. */
void consul_note(const struct consul *consul, const struct http_reply *reply);

/* 0 for a 2xx reply, else the error that the list above gives its status and text. For replies to calls on the loop. */
int consul_reply_error(const struct http_reply *reply, struct err *err);

/* Keys. Values are bytes. */
int consul_kv_get(struct consul *consul, const char *key, struct consul_kv *ret, struct err *err);
/* All keys that start with the prefix; none is an empty list, not an error. */
int consul_kv_list(struct consul *consul, const char *prefix, struct consul_kvs *ret, struct err *err);
/*
 * For reports only, never for decisions: CONSUL_STALE is answered by any server, also when the servers have no leader,
 * and may be behind by as long as that server has heard of none. See "Consistency Modes" of Consul's HTTP API. `mode`
 * is tried, and becomes CONSUL_STALE, for this read and those that follow, when there is no leader.
 */
enum consul_consistency { CONSUL_DEFAULT, CONSUL_STALE };
int consul_kv_list_as(struct consul *consul, enum consul_consistency *mode, const char *prefix, struct consul_kvs *ret,
		      struct err *err);
/* The same as soon as something below the prefix is newer than `index` (that of the last answer; 0: at once), or as it
 * is after `wait_ms`. Blocks for so long. For what waits in a thread; on the loop consul-watch.h does it. */
int consul_kv_wait(struct consul *consul, const char *prefix, uint64_t index, int64_t wait_ms, struct consul_kvs *ret,
		   struct err *err);
int consul_kv_put(struct consul *consul, const char *key, const void *value, size_t len, struct err *err);
/* Index 0: only if the key does not exist. */
int consul_kv_cas(struct consul *consul, const char *key, const void *value, size_t len, uint64_t index,
		  struct err *err);
int consul_kv_delete(struct consul *consul, const char *key, struct err *err); /* absent: 0 */
int consul_kv_delete_cas(struct consul *consul, const char *key, uint64_t index, struct err *err);
int consul_kv_delete_tree(struct consul *consul, const char *prefix, struct err *err);
/* -ESTALE: another session holds it, or its lock-delay has not passed. */
int consul_kv_lock(struct consul *consul, const char *key, const void *value, size_t len, const char *session,
		   struct err *err);
int consul_kv_unlock(struct consul *consul, const char *key, const char *session, struct err *err);

/*
 * All or nothing. -ESTALE when a condition does not hold: `*ret_failed` (may be NULL) is then the first operation that
 * failed. Results of GET operations go to `ret` (may be NULL). More than CONSUL_TXN_MOST operations or
 * CONSUL_TXN_MOST_BYTES: -E2BIG, unless `may_split`: then the list is sent in order as several transactions, each all
 * or nothing, up to the first that fails.
 */
int consul_txn(struct consul *consul, const struct consul_op *ops, size_t n, bool may_split, struct consul_kvs *ret,
	       size_t *ret_failed, struct err *err);

/* Sessions. TTL between 10 s and 24 h; Consul ends it between one and two TTLs after the last renewal. */
int consul_session_create(struct consul *consul, const char *name, int64_t ttl_ms, int64_t lock_delay_ms,
			  bool delete_keys, char **ret_id, struct err *err);
int consul_session_renew(struct consul *consul, const char *id, struct err *err);
int consul_session_destroy(struct consul *consul, const char *id, struct err *err); /* absent: 0 */

/* The local agent. */
int consul_agent_self(struct consul *consul, struct consul_self *ret, struct err *err);
int consul_agent_members(struct consul *consul, struct consul_members *ret, struct err *err);
/* Replaces the service of that id and all its checks. */
int consul_service_register(struct consul *consul, const struct consul_registration *registration, struct err *err);
int consul_service_deregister(struct consul *consul, const char *id, struct err *err); /* absent: 0 */
int consul_service_maintenance(struct consul *consul, const char *id, bool on, const char *reason, struct err *err);
int consul_check_register(struct consul *consul, const struct consul_check_spec *check, struct err *err);
int consul_check_deregister(struct consul *consul, const char *id, struct err *err); /* absent: 0 */
/* Reports a TTL check; the output is cut to what Consul keeps (4 KiB). */
int consul_check_update(struct consul *consul, const char *id, enum consul_status status, const char *output,
			struct err *err);
/* `filter` in Consul's language, "Meta.tepuy == \"1\"", or NULL. */
int consul_agent_services(struct consul *consul, const char *filter, struct consul_services *ret, struct err *err);
int consul_agent_checks(struct consul *consul, const char *filter, struct consul_checks *ret, struct err *err);

/* The cluster. */
int consul_health_service(struct consul *consul, const char *name, struct consul_services *ret, struct err *err);
int consul_health_service_as(struct consul *consul, enum consul_consistency *mode, const char *name,
			     struct consul_services *ret, struct err *err);
int consul_health_all(struct consul *consul, struct consul_checks *ret, struct err *err);
int consul_health_node(struct consul *consul, const char *node, struct consul_checks *ret, struct err *err);
int consul_catalog_nodes(struct consul *consul, struct consul_nodes *ret, struct err *err);
/* One check for each node: serfHealth, which says whether the cluster reaches it. */
int consul_health_hosts(struct consul *consul, struct consul_checks *ret, struct err *err);
/* What the catalog has of a node, also of one that is away; without its checks. Unknown node: an empty list. */
int consul_catalog_services(struct consul *consul, const char *node, struct consul_services *ret, struct err *err);
/*
 * Takes a service of a node that is away out of the catalog. The Consul agent of a node that is there would put its own
 * back: those are removed with consul_service_deregister.
 */
int consul_catalog_deregister(struct consul *consul, const char *node, const char *id, struct err *err);
/* "address:port" of the cluster's leader; -EAGAIN when there is none. The caller owns it. */
int consul_leader(struct consul *consul, char **ret, struct err *err);

#endif
