/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What runs under names of ours though nothing here made it, as a machine whose description was lost: it is told, in
 * the log and as an event of its service, and left alone. On the loop.
 */
#ifndef TEPUY_AGENT_STRAYS_H
#define TEPUY_AGENT_STRAYS_H

#include "agent/agent-state.h"

/* Those that a look at the runtime found: tells of the ones that were not there at the last. Takes the list. */
void strays_found(struct agent *agent, struct strv *names);

#endif
