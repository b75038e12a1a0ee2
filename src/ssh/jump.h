/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jump hosts: one session to each, whose channels carry the connections to the hosts behind it. */
#ifndef TEPUY_SSH_JUMP_H
#define TEPUY_SSH_JUMP_H

#include "ssh/session.h"

/*
 * The jump host of `spec` ("user@host:port", or "first,second": through the first to the second), connected to at need
 * and shared by all that name the same.
 */
int jump_acquire(const char *spec, const struct remote_options *options, int depth, struct jump **ret, struct err *err);
void jump_release(struct jump *jump);
/* A socket that leads to that port as seen from the jump host; the other side closes it when that cannot be reached. */
int jump_connect(struct jump *jump, const char *host, uint16_t port, struct err *err);
/* Why a channel was refused last, or NULL. The caller owns it. */
char *jump_trouble(struct jump *jump);

#endif
