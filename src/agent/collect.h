/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes images that no revision and no node needs out of the store and the runtime. Done when a node was removed, at
 * most once in an hour; what is younger than a day stays.
 */
#ifndef TEPUY_AGENT_COLLECT_H
#define TEPUY_AGENT_COLLECT_H

#include "agent/agent-state.h"

void collect_images(struct agent *agent);

#endif
