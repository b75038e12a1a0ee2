/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How an instance stands in Consul: its service, meta and checks (docs/state.md, "Instances in the catalog"). Building
 * it is a function of data; bringing the local Consul agent level is a job of a thread.
 */
#ifndef TEPUY_AGENT_REGISTRATION_H
#define TEPUY_AGENT_REGISTRATION_H

#include "agent/instance-id.h"
#include "agent/node-env.h"
#include "model/node.h"

/* Reported by the agent on events, not on a timer: it must not run out while the agent is away. */
#define REGISTRATION_TTL_MS (30LL * 86400 * 1000)

struct registration_check {
	char *id;           /* in Consul: "portal-web-1.5:http-1" */
	char *name;         /* "http-1" */
	struct check check; /* owned copy through JSON */
	char *target;       /* URL or address:port; NULL for ttl and exec */
	char *digest;       /* kept in the check's notes */
};

struct registration {
	char *id, *name, *address;
	uint16_t port;
	struct strv meta; /* "key=value", with digest=… of all above */
	bool maintenance;
	int64_t drained_ms; /* `since` of the assignment that drains it, which consumers answer with; else 0 */
	struct registration_check *checks; /* the first is "running" */
	size_t n_checks;
};

/* `node` is what the runtime says, also of the address that its ports are at, else it is the host's `address`; `added`
 * are checks from tepuy/service/<s>/check/, ids as given. */
void registration_build(const struct instance_id *id, const struct node_spec *spec, const struct runtime_node *node,
			const char *host, const char *address, const struct check *added, size_t n_added,
			struct registration *ret);
void registration_release(struct registration *registration);
/* One hash over all of it, maintenance included. The caller owns it. */
char *registration_digest(const struct registration *registration);

/* Result of running a check once. */
struct probe {
	enum consul_status status;
	char *output; /* owned */
};

/* Runs a check once, as Consul would: http 2xx passes, 429 warns; exec 0 passes, 1 warns. TTL checks are UNKNOWN. */
void probe_check(const struct node_env *env, const char *container, const struct registration_check *check,
		 struct probe *ret);
void probe_release(struct probe *probe);
/* Runs all of them until every one passes or warns, or `limit_ms` has gone by. True: they do. */
bool probe_until_healthy(const struct node_env *env, const char *container, const struct registration *registration,
			 int64_t limit_ms);

/* Runs all of them once: NULL when every one passes or warns, else which do not and what they said. The caller's. */
char *probe_trouble(const struct node_env *env, const char *container, const struct registration *registration);

/*
 * Registers what is missing or differs and removes what is too much. Checks that are the same keep their status; new
 * ones begin with what one run of theirs says (`healthy`: with passing). The maintenance mode follows.
 */
int registration_apply(const struct node_env *env, const char *container, const struct registration *wanted,
		       bool healthy, struct err *err);

#endif
