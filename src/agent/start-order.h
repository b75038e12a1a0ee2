/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order in which a host's machines start again after it. */
#ifndef TEPUY_AGENT_START_ORDER_H
#define TEPUY_AGENT_START_ORDER_H

#include "agent/instance.h"

/* Whether the start of this one waits, in the agent's first minutes, for another of its service on this host that it is
 * connected to and that is about to start. `now_ms` is monotonic. */
bool start_order_waits(const struct instance *instance, int64_t now_ms);

#endif
