/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of the blocking client, and with src/host, which sets Consul up through its other endpoints. */
#ifndef TEPUY_CONSUL_REQUEST_H
#define TEPUY_CONSUL_REQUEST_H

#include <jansson.h>

#include "consul/consul.h"

/* Sends it and gives the reply whatever its status; sets the request's size limit, and the time limit if it has none.
 */
int consul_exchange(struct consul *consul, struct http_request *request, struct http_reply *ret, struct err *err);
/* Sends it and gives the reply if its status is 2xx. `body` may be NULL. */
int consul_send(struct consul *consul, const char *method, const char *path, const void *body, size_t len,
		struct http_reply *ret, struct err *err);
/* The same, with the reply's JSON. The caller owns *ret. */
int consul_send_json(struct consul *consul, const char *method, const char *path, const void *body, size_t len,
		     json_t **ret, struct err *err);
/* A PUT whose reply does not matter. `body` is text or NULL. */
int consul_put(struct consul *consul, const char *path, const char *body, struct err *err);
/* Whether a read that gave r is to be tried again with CONSUL_STALE, which `mode` is then: there is no leader. */
bool consul_go_stale(int r, enum consul_consistency *mode, struct err *err);
/* Returns r; when negative, puts "format with name: " before the error's message. */
int consul_wrap(int r, struct err *err, const char *format, const char *name);

/* json_decref for _cleanup_. */
void consul_json_freep(json_t **json);

#define _cleanup_json_ _cleanup_(consul_json_freep)

#endif
