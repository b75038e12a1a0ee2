/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The planner's actions as Consul transactions: each whole or not at all, and only while the lock's session holds. */
#ifndef TEPUY_AGENT_LEADER_APPLY_H
#define TEPUY_AGENT_LEADER_APPLY_H

#include "agent/agent-state.h"
#include "agent/leader-view.h"

struct leader_applied {
	/* ModifyIndex that a watch of tepuy/service/ and of tepuy/host/ must have reached to show all of it; 0: nothing
	 */
	uint64_t services_index, hosts_index;
	bool refused; /* at least one was not taken: what the watches show was not the newest */
};

typedef void (*leader_applied_fn)(void *data, const struct leader_applied *applied);

/*
 * Sends them from a thread, then calls `done` on the loop. A transaction that Consul refuses is dropped: plan again.
 * New assignments take body and checks from `specs`; a changed one of a revision that is not there keeps those that it
 * has among `hosts`, the keys that the plan was made from.
 */
void leader_apply(struct agent *agent, const struct plan_actions *actions, const struct spec_cache *specs,
		  const struct consul_kvs *hosts, const char *session, leader_applied_fn done, void *data);

#endif
