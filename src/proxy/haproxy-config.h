/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads as much of a haproxy.cfg as it takes to know whether a change of it can go through the runtime socket: what is
 * the same but for `server` lines can, all else needs a reload. HAProxy itself (`haproxy -c`) judges validity.
 */
#ifndef TEPUY_PROXY_HAPROXY_CONFIG_H
#define TEPUY_PROXY_HAPROXY_CONFIG_H

#include "proxy/haproxy-plan.h"

struct haproxy_config; /* a parsed text */

/* At most 1 MiB (-EFBIG), 100,000 lines. -EINVAL with the line for an unterminated quote. */
int haproxy_config_parse(const char *text, size_t len, struct haproxy_config **ret, struct err *err);
void haproxy_config_free(struct haproxy_config *config);
void haproxy_config_freep(struct haproxy_config **config);

/*
 * The backends (`backend` and `listen` sections) with the servers that their `server` lines name, ready for
 * haproxy_sync; keywords of `default-server` are in each server's options, as dynamic servers do not inherit them.
 * Borrowed. A backend with a server that the socket could not make (host name or variable for an address, `cookie`,
 * inside `.if` …) is not in the list, and all its lines are structure: their change needs a reload.
 */
const struct haproxy_backend *haproxy_config_backends(const struct haproxy_config *config, size_t *ret_n);

enum haproxy_change {
	HAPROXY_SAME,            /* nothing but comments, blanks and the order of servers differs */
	HAPROXY_SERVERS_CHANGED, /* the runtime socket suffices */
	HAPROXY_MUST_RELOAD,
};

/*
 * `managed`: names of the backends whose servers may be changed through the socket; NULL: all. A server that stays
 * but with other options than address, port, weight and `disabled` is structure.
 */
enum haproxy_change haproxy_config_compare(const struct haproxy_config *from, const struct haproxy_config *to,
					   const struct strv *managed);

#endif
