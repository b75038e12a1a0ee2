/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agent's HTTP API (docs/api.md) on a Unix socket. It keeps no state of its own: what it says comes from Consul and
 * the runtime, what it is asked goes to Consul. Each request has a thread of its own, at most API_MOST at once.
 */
#ifndef TEPUY_AGENT_API_H
#define TEPUY_AGENT_API_H

#include <stdatomic.h>
#include <stdbool.h>

#include "agent/node-env.h"

#define API_MOST 256

struct api;

/* Listens on `path` (mode 0660, root and group tepuy where there is one). `env` and `leading` must outlive it. */
int api_start(const struct node_env *env, const char *path, const _Atomic bool *leading, struct api **ret,
	      struct err *err);
/* Ends all requests, streams too. */
void api_stop(struct api *api);

#endif
