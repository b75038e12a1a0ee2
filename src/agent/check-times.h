/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Since when each check of the cluster has had its status: Consul does not say. The agent's loop tells it what Consul's
 * watch shows; the API's threads ask. What was as it is when the agent first looked has been so for an unknown time.
 */
#ifndef TEPUY_AGENT_CHECK_TIMES_H
#define TEPUY_AGENT_CHECK_TIMES_H

#include <stdint.h>

#include "consul/consul-types.h"

struct check_times;

struct check_times *check_times_new(void);
void check_times_free(struct check_times *times);

/* All checks as they are at `now_ms` (realtime); those that are not among them are forgotten, but for hosts' own
 * (serfHealth): a host without one is dead, critical, since it was that. */
void check_times_update(struct check_times *times, const struct consul_checks *checks, int64_t now_ms);
/* When the check was first seen with that status; 0: not known. `node` is Consul's name of the host. */
int64_t check_times_since(struct check_times *times, const char *node, const char *id, enum consul_status status);

#endif
