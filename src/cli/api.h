/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agent's HTTP API (docs/api.md) over its Unix socket. Every error is a sentence for a person that says what to do:
 * -ECONNREFUSED no agent there, -EACCES not allowed to talk to it, -ENOENT (404), -ESTALE (409: someone else was
 * first), -EINVAL (400), -EFBIG (413),
 * -EREMOTE (421: on another host), -EPROTONOSUPPORT (426: tepuy here or there is too old), -EAGAIN (503: Consul or the
 * runtime is away), -EPROTO (an answer that is none).
 */
#ifndef TEPUY_CLI_API_H
#define TEPUY_CLI_API_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"
#include "http/http.h"

struct api;

struct api *api_new(const char *socket);
void api_free(struct api *api);
void api_freep(struct api **api);
const char *api_socket(const struct api *api);
/* What messages call the socket instead of its path. */
void api_call_it(struct api *api, const char *name);

/* One request; `body` (borrowed) may be NULL. `ret` may be NULL; otherwise the answer must be a JSON object. */
int api_call(struct api *api, const char *method, const char *path, const json_t *body, json_t **ret, struct err *err);
int api_get(struct api *api, const char *path, json_t **ret, struct err *err);
/* GET /v1/service/<service>. */
int api_service(struct api *api, const char *service, json_t **ret, struct err *err);
/* Is it there? 1, 0 or -errno. */
int api_head(struct api *api, const char *path, struct err *err);
int api_put_bytes(struct api *api, const char *path, const void *bytes, size_t len, struct err *err);

/* Takes one object of a stream; 0 goes on, 1 ends the stream well, negative errno ends it with that error. */
typedef int (*api_line_fn)(void *data, json_t *line, struct err *err);
/*
 * GET whose answer is NDJSON: calls `fn` for each line until the agent or `fn` ends it. `timeout_ms` 0: no bound;
 * -ETIMEDOUT after it. 1 when `fn` ended it, 0 when the agent did.
 */
int api_stream(struct api *api, const char *path, int64_t timeout_ms, api_line_fn fn, void *data, struct err *err);

/* The error for a reply that is not 2xx, from its body. */
int api_reply_error(int status, const char *body, size_t len, struct err *err);
/* Of a reply with status 421: the hosts that have what was asked for, added to `ret`. */
void api_reply_hosts(const char *body, size_t len, struct strv *ret);
/* The error for no connection: says which socket and what to do. `code` is the positive errno. */
int api_away(const char *socket, int code, struct err *err);

#endif
