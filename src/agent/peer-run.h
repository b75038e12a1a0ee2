/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's side of peers.h and peer-server.h on its event loop. Nothing of it does anything without --tls-dir. */
#ifndef TEPUY_AGENT_PEER_RUN_H
#define TEPUY_AGENT_PEER_RUN_H

#include "agent/agent-state.h"

/* Begins to listen for other hosts. What keeps it from that (no certificate yet, the port is taken) is logged and tried
 * again: nodes do not wait for it. Strings are borrowed. */
void agent_listen_for_peers(struct agent *agent, const char *tls_dir, unsigned port);
/* Consul may not know, or no longer, what this host has. */
void agent_level_peers(struct agent *agent);
/* Before the pool ends: lets its jobs end soon. */
void agent_stop_peers(struct agent *agent);
void agent_free_peers(struct agent *agent);

#endif
