/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Consul calls critical though it has not looked: members that served are kept at work for a while when all that
 * speaks against them may be Consul's own doing. Pure functions of data and time.
 */
#ifndef TEPUY_AGENT_LINKS_HOLD_H
#define TEPUY_AGENT_LINKS_HOLD_H

#include <stdint.h>

#include "consul/consul-types.h"

/* How long a check that did not run since its Consul agent was started counts for nothing. */
#define HOLD_UNRUN_MS 15000
/* How long, after Consul's return from an absence, no check is believed. */
#define HOLD_RETURNED_MS 15000

struct hold {
	char *node, *id; /* Consul's node and service */
	int64_t since_ms;
};

/* The members that are kept at work now. Zero at first. */
struct holds {
	struct hold *list;
	size_t n, cap;
};

void holds_release(struct holds *holds);

/*
 * `before` is what was made of Consul's last answer, `now` is its answer; in that, members that served and are critical
 * now are put back to serving:
 * - whose critical checks have not run yet, which is what Consul's agent says of its checks when it is started;
 * - whose host is dead, as long as nobody else serves: it may be Consul's agent there that died, or everybody is said
 * to be dead after a lack of quorum; and a host that is dead indeed loses nothing by being asked;
 * - any, soon after `returned_ms`, when Consul came back from an absence (INT64_MIN: it was not away);
 * but never one whose own agent says that it ended, nor one whose host is dead while others serve. Members that served
 * and are not in `now` at all are moved there from `before`, as long as nobody else serves: whoever leaves on purpose
 * is in maintenance first, but of a server that died Consul forgets the host and all that it has.
 *
 * Times are monotonic. Returns when to call it again with the same answer, decoded anew; INT64_MAX: it needs not be.
 */
int64_t links_hold(struct holds *holds, struct consul_services *before, struct consul_services *now,
		   int64_t returned_ms, int64_t now_ms);

/* Is it critical only because it has not run since its Consul agent was started? */
bool links_check_unrun(const struct consul_check *check);

/* The check of a host's own life, or NULL. */
struct consul_check *links_serf_health(const struct consul_service *service);

#endif
