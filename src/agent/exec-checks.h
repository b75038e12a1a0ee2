/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Checks of the kind exec are run by the agent inside the node and told to Consul when their result changes, so that
 * Consul needs no script checks and an absent agent makes nobody critical. On the loop; commands run in threads.
 */
#ifndef TEPUY_AGENT_EXEC_CHECKS_H
#define TEPUY_AGENT_EXEC_CHECKS_H

#include "agent/instance.h"

/* Runs those that its registration has now; what is already running goes on. */
void exec_checks_start(struct instance *instance);
void exec_checks_stop(struct exec_checks *checks);
void exec_checks_free(struct exec_checks *checks);

#endif
