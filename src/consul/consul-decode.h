/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From Consul's JSON to structs: functions of data, used by the blocking client and by whoever gets JSON from a watch.
 * They return 0, or -EBADMSG (the shape is not Consul's), -E2BIG or -EFBIG (over the caps of consul-types.h). A NULL
 * `json` (a watch's 404) decodes to nothing: an empty list. What Consul may add in later versions is ignored.
 */
#ifndef TEPUY_CONSUL_CONSUL_DECODE_H
#define TEPUY_CONSUL_CONSUL_DECODE_H

#include <jansson.h>

#include "base/err.h"
#include "consul/consul-types.h"

/* Text to JSON as every reply is read; NUL characters inside strings are let through. The caller owns *ret. */
int consul_json(const char *text, size_t len, json_t **ret, struct err *err);

int consul_decode_kvs(const json_t *json, struct consul_kvs *ret, struct err *err);
/* /v1/agent/services: an object by id. */
int consul_decode_services(const json_t *json, struct consul_services *ret, struct err *err);
/* /v1/health/service/<name>: services with node and checks. */
int consul_decode_health(const json_t *json, struct consul_services *ret, struct err *err);
/* /v1/agent/checks (an object by id) and /v1/health/state, /v1/health/node, /v1/health/checks (arrays). */
int consul_decode_checks(const json_t *json, struct consul_checks *ret, struct err *err);
int consul_decode_nodes(const json_t *json, struct consul_nodes *ret, struct err *err);
int consul_decode_members(const json_t *json, struct consul_members *ret, struct err *err);
int consul_decode_self(const json_t *json, struct consul_self *ret, struct err *err);
/* {"ID":"…"} of a session's creation. */
int consul_decode_session(const json_t *json, char **ret_id, struct err *err);
/*
 * The answer of a transaction, both of 200 and of 409. Results of GET operations go to `ret` (may be NULL). -ESTALE
 * when an operation failed, with its number in the request in `*ret_failed` (may be NULL) and Consul's words in `err`.
 */
int consul_decode_txn(const json_t *json, struct consul_kvs *ret, size_t *ret_failed, struct err *err);

#endif
