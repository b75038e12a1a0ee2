/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The orchestrator's loop: while this host holds tepuy/leader, it feeds plan_next with what Consul says and applies
 * what comes back. It remembers nothing that is not in Consul but since when checks have been as they are.
 */
#ifndef TEPUY_AGENT_LEADER_H
#define TEPUY_AGENT_LEADER_H

#include "agent/agent-state.h"

struct leader;

/* Does not compete yet. `agent` is borrowed; for leader_free. */
struct leader *leader_new(struct agent *agent);
/* Competes for the lead from now on; or no more, and gives it back (which may block for a second). */
int leader_compete(struct leader *leader, bool on, struct err *err);
void leader_free(struct leader *leader);

#endif
