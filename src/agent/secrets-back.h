/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gives Consul, when it lost its data, the secrets back that nodes of this host were made with: before it is told of
 * those nodes, and so before new ones are generated (api-secrets.h). What Consul has is left as it is.
 */
#ifndef TEPUY_AGENT_SECRETS_BACK_H
#define TEPUY_AGENT_SECRETS_BACK_H

#include "agent/agent-state.h"

/* Does so for all instances that Consul does not explain and that have not `secrets_given`; then steps all. */
void secrets_back_begin(struct agent *agent);
void secrets_back_stop(struct agent *agent);

#endif
