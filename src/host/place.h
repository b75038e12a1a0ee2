/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: where things are on a host, and putting them there. */
#ifndef TEPUY_HOST_PLACE_H
#define TEPUY_HOST_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

#define PLACE_TEPUY "/etc/tepuy"
#define PLACE_TLS PLACE_TEPUY "/tls"
#define PLACE_HOST_KEY PLACE_TLS "/host-key.pem"
#define PLACE_HOST_CERT PLACE_TLS "/host.pem"
#define PLACE_HOST_CA PLACE_TLS "/ca.pem"
#define PLACE_AUTHORITY PLACE_TEPUY "/ca"
#define PLACE_CA_KEY PLACE_AUTHORITY "/ca-key.pem"
#define PLACE_CA PLACE_AUTHORITY "/ca.pem"
#define PLACE_GOSSIP_KEY PLACE_AUTHORITY "/gossip-key"
#define PLACE_GOSSIP_NEXT PLACE_AUTHORITY "/gossip-key.next"
#define PLACE_MANAGEMENT PLACE_TEPUY "/management-token"
#define PLACE_TOKEN PLACE_TEPUY "/consul-token"
#define PLACE_XEN PLACE_TEPUY "/xen.json"
#define PLACE_AGENT_DEFAULTS "/etc/default/tepuy-agent"
#define PLACE_CONSUL "/etc/consul.d"
#define PLACE_CONSUL_CONFIG PLACE_CONSUL "/tepuy.json"
#define PLACE_CONSUL_TLS PLACE_CONSUL "/tls"
#define PLACE_CONSUL_DATA "/var/lib/consul"

#define PLACE_MOST ((size_t)1 << 20) /* bytes of any file of these */

/* Appends what is in the file; 1 when it is not there. */
int place_read(const char *path, struct buf *ret, struct err *err);
/* The same as a string that the caller owns; 1 and NULL when it is not there. */
int place_read_text(const char *path, char **ret, struct err *err);
/* The same without the white space at its end. */
int place_read_line(const char *path, char **ret, struct err *err);
/*
 * Makes the file have this content, owner root, group and mode: beside it, flushed, renamed. `*changed` (may be NULL)
 * becomes true when it was different; it is left alone otherwise.
 */
int place_write(const char *path, const void *data, size_t len, gid_t group, mode_t mode, bool *changed,
		struct err *err);
int place_write_text(const char *path, const char *text, gid_t group, mode_t mode, bool *changed, struct err *err);
int place_directory(const char *path, gid_t group, mode_t mode, bool *changed, struct err *err);
/* Is it so already? */
bool place_is(const char *path, const char *text, gid_t group, mode_t mode);
bool place_holds(const char *path, const void *data, size_t len); /* the content only */
bool place_exists(const char *path);
int place_remove(const char *path, struct err *err); /* absent: 0; a directory with all that is in it */

#endif
