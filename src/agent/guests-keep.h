/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keeps what Consul says of this host's machines' addresses level with what there is (guests.h). On the loop. */
#ifndef TEPUY_AGENT_GUESTS_KEEP_H
#define TEPUY_AGENT_GUESTS_KEEP_H

#include "agent/agent-state.h"

/* Something came or went: looks as soon as it is known what is here and what is wanted. */
void guests_changed(struct agent *agent);
/* Begins a look if one is due. Cheap when none is. */
void guests_look(struct agent *agent);
/* Addresses of what runs here are written down: others may be given out. True where there are none to write. */
bool guests_are_known(const struct agent *agent);

#endif
