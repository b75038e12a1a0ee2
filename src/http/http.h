/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HTTP/1.1 requests over TCP or a Unix socket, through libcurl. `http_request` blocks its thread; each thread uses its
 * own `struct http`. The loop form (http-loop.h) is for the agent's event loop.
 */
#ifndef TEPUY_HTTP_HTTP_H
#define TEPUY_HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/range.h"

struct http; /* a kept-alive connection to one server */

/* Files (PEM) for https. NULL: the system's authorities, no certificate of our own. */
struct http_tls {
	const char *ca_file, *cert_file, *key_file;
};

/* `base` is "http://127.0.0.1:8500" or "unix:/run/docker.sock". `token` (may be NULL) is sent as X-Consul-Token. */
struct http *http_new(const char *base, const char *token);
/* For https requests from now on; the paths are copied, NULL puts the system's certificates back. */
void http_set_tls(struct http *http, const struct http_tls *tls);
void http_free(struct http *http);
void http_freep(struct http **http);

/* Receives a part of the body as it comes; a negative errno ends the transfer with that error. */
typedef int (*http_sink)(void *data, const char *bytes, size_t len);
/* Called before the first byte of a 2xx body that goes to a sink, with its status and the part of the whole that comes
 * (HTTP_TOTAL_UNKNOWN where the server does not say); a negative errno ends the transfer. */
typedef int (*http_head)(void *data, int status, const struct http_part *part);
/* Fills up to `size` bytes of the request's body; 0 is the end, negative errno an error. */
typedef ssize_t (*http_source)(void *data, char *to, size_t size);

struct http_request {
	const char *method;       /* "GET" … */
	const char *path;         /* with its query, already encoded: "/v1/kv/a?raw" */
	const char *content_type; /* NULL: application/json when there is a body */
	const char *header;       /* one header more, "Name: value", or NULL */
	const void *body;
	size_t body_len;
	http_source source; /* instead of body; sent chunked */
	void *source_data;
	int64_t timeout_ms; /* whole request; 0: 30 s; negative: none (streams) */
	size_t most;        /* bytes of the reply's body accepted (0: 64 MiB); -EFBIG beyond */
	http_sink sink;     /* takes the body of a 2xx reply instead of reply.body */
	http_head head;     /* or NULL; told before the sink */
	void *sink_data;
	uint64_t from; /* not 0: asks for the body from that byte on; a server may send the whole all the same */
	/* libcurl sends a request again, without a word, when a connection that was kept turns out to be dead. An
	 * answer that is waited for long must not be asked again of another incarnation of the server: -ECONNRESET. */
	bool once;
	int64_t stall_ms; /* not 0: a transfer that all but stands still for so long is given up: -ETIMEDOUT */
};

struct http_reply {
	int status;      /* 200 … */
	struct buf body; /* NUL behind it */
	uint64_t index;  /* X-Consul-Index, 0 when absent */
};

/* 0 whatever the status; -errno when no reply came: -ECONNREFUSED, -ENOENT (no socket), -ETIMEDOUT, -ECONNRESET … */
int http_request(struct http *http, const struct http_request *request, struct http_reply *ret, struct err *err);
void http_reply_release(struct http_reply *reply);

/* Percent-encodes one path segment or query value. The caller owns the string. */
char *http_encode(const char *text);

#endif
