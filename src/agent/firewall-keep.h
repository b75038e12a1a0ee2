/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keeps the kernel's table `inet tepuy` as firewall.h renders it: after each change of what runs here or of the
 * cluster's hosts, and at once when someone else changed or flushed it, which the kernel tells by netlink. On the loop;
 * nft runs in jobs. What it cannot do it says in the log, and nothing else fails by it.
 *
 * There is no table where none is needed: on the only host of a cluster when nodes' ports are bound to the bridge of
 * its own nodes, or to loopback. The agent's end leaves the table in place, as it leaves the nodes.
 */
#ifndef TEPUY_AGENT_FIREWALL_KEEP_H
#define TEPUY_AGENT_FIREWALL_KEEP_H

#include "base/err.h"

struct agent;
struct firewall;

int firewall_new(struct agent *agent, struct firewall **ret, struct err *err);
/* Something about this host's instances changed. NULL is fine. */
void firewall_look(struct firewall *firewall);
/* After the pool's end. NULL is fine. */
void firewall_free(struct firewall *firewall);

#endif
