/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One session, served by a thread of its own, that carries many streams: sockets of this machine joined with channels.
 */
#ifndef TEPUY_SSH_MUX_H
#define TEPUY_SSH_MUX_H

#include "ssh/session.h"

struct mux;

/* Takes over `remote`, also on failure. */
int mux_new(struct remote *remote, struct mux **ret, struct err *err);
/* As mux_new; each connection to `listener` (taken over) becomes a channel that runs `argv`. */
int mux_listen(struct remote *remote, int listener, const struct strv *argv, bool sudo, struct mux **ret,
	       struct err *err);
/* Ends the thread, its streams and the session. */
void mux_free(struct mux *mux);
/* A socket that is joined with a channel to that port as seen from the host. */
int mux_forward(struct mux *mux, const char *host, uint16_t port, struct err *err);
/* Takes over `fd`, also on failure, and joins it with a Unix socket on the host; returns when the host has opened it,
 * or -ECONNREFUSED (whatever the reason), or -ETIMEDOUT after that many milliseconds. */
int mux_add_socket(struct mux *mux, int fd, const char *path, int64_t timeout_ms, struct err *err);
bool mux_is_alive(struct mux *mux);
/* Why a stream or the session failed last, or NULL. The caller owns it. */
char *mux_trouble(struct mux *mux);

#endif
