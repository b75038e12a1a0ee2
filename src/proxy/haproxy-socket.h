/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keeps a running HAProxy's servers as they are wanted, through its runtime socket. Blocks its thread, bounded in time.
 * A `struct haproxy` is the one writer of its socket: use it from one thread at a time.
 */
#ifndef TEPUY_PROXY_HAPROXY_SOCKET_H
#define TEPUY_PROXY_HAPROXY_SOCKET_H

#include "proxy/haproxy-plan.h"

struct haproxy;

/* Connects to the socket: the caller of the callback closes *ret_fd. */
typedef int (*haproxy_dial_fn)(void *data, int *ret_fd, struct err *err);

/* `timeout_ms` bounds each call as a whole; 0: 2 s. */
struct haproxy *haproxy_new(haproxy_dial_fn dial, void *data, int64_t timeout_ms);
void haproxy_free(struct haproxy *h);
void haproxy_freep(struct haproxy **h);

/* A step that was done, or that HAProxy refused. */
struct haproxy_event {
	enum haproxy_verb verb;
	char *backend, *server;
	char *problem; /* HAProxy's words when it refused, else NULL */
};

/* A managed server that takes no new sessions: in drain, in maintenance or waiting for removal. */
struct haproxy_leaving {
	char *backend, *server;
	unsigned int sessions; /* that it still has */
	bool removing;         /* it is no longer wanted: call again when sessions are gone */
};

struct haproxy_result {
	struct haproxy_event *events;
	size_t n_events, cap_events;
	struct haproxy_leaving *leaving;
	size_t n_leaving, cap_leaving;
	struct strv held;    /* backends with servers left alone though the list lacks them, while Consul is unwell */
	struct strv missing; /* wanted backends that HAProxy does not have */
	bool reload;         /* the socket does not suffice: something is missing or was refused */
	bool settled;        /* read back, it is as wanted; only removals may be waiting for sessions */
};

#define _cleanup_haproxy_result_ _cleanup_(haproxy_result_release)

/*
 * Reads what is, plans, applies, reads back; when nothing has to change it only reads. 0 also when HAProxy refused a
 * step (see `events`, `reload`); -errno when it could not be spoken with: what dial gives, -ETIMEDOUT, -ECONNRESET,
 * -EBADMSG, -EFBIG (an answer over 8 MiB), or -EINVAL for invalid backends, before anything is changed. After an error
 * some steps may have been made: call again.
 */
int haproxy_sync(struct haproxy *h, const struct haproxy_backend *backends, size_t n, bool consul_unwell,
		 struct haproxy_result *ret, struct err *err);
void haproxy_result_release(struct haproxy_result *result);

/* Reads servers, sessions and status. */
int haproxy_read(struct haproxy *h, struct haproxy_table *ret, struct err *err);
int haproxy_get_info(struct haproxy *h, struct haproxy_info *ret, struct err *err);

#endif
