/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Registrations that nobody is there to take back: of instances without an assignment, on hosts that have been away for
 * so long that their nodes are given up. A host's own agent sees to those of a host that is there; Consul's agent on it
 * would put back what another one takes away.
 */
#ifndef TEPUY_AGENT_LEADER_GHOSTS_H
#define TEPUY_AGENT_LEADER_GHOSTS_H

#include "agent/leader-view.h"
#include "agent/node-env.h"

/*
 * Hosts that have some, as far as checks and keys tell: a function of data. `view` is what leader_view made of the same
 * sources. `ret_wait_ms` is how long to wait before asking again, INT64_MAX: until something changes.
 */
void ghosts_find(const struct leader_sources *from, const struct plan_view *view, struct strv *ret_hosts,
		 int64_t *ret_wait_ms);

/*
 * Takes them out of the catalog; blocking. What is not tepuy's stays, and so does everything when the host is alive
 * again or an assignment has come meanwhile. Returns how many went, or -errno.
 */
int ghosts_remove(const struct node_env *env, const char *host, struct err *err);

#endif
