/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One instance on this host: what Consul wants of it, what the runtime has of it, and the one job at a time that brings
 * the second to the first (converge.h). On the loop.
 */
#ifndef TEPUY_AGENT_INSTANCE_H
#define TEPUY_AGENT_INSTANCE_H

#include "agent/agent-state.h"
#include "agent/converge.h"
#include "agent/instance-id.h"
#include "agent/registration.h"
#include "model/node.h"

struct exec_checks;
struct proxy;
struct acks;

struct instance {
	struct instance *next;
	struct agent *agent;
	struct instance_id id;

	/* Wanted */
	char *assignment;                     /* its JSON as in Consul, NULL: not assigned */
	struct node_spec *spec;               /* of the last assignment, NULL: never seen or unreadable */
	bool mentioned;                       /* scratch of agent-run.c: in the list at hand */
	bool explained, has_state;            /* see converge_view; explained by the last answer of Consul */
	uint64_t state_created, state_before; /* CreateIndex of its state key in Consul's last answer and the one
						 before, 0: none */
	bool orphaned; /* Consul lost what it knew of it: until it is assigned again, a state key is our own word */

	/* Is */
	enum container container;
	struct runtime_node node; /* while there is a container */
	char *made_of;            /* fingerprint of its container, by the label; NULL: none, or not said */
	char *addresses;          /* its own, by the label GUESTS_LABEL; NULL: none, or not said */
	char *keepsake;           /* the assignment that it was made by, by the label; NULL: none, or not said */
	bool secrets_given;       /* Consul has those that it was made with, since it was last away */
	bool found_known;         /* Consul has its `found` key, by its last answer */
	bool found_told;          /* and we asked for that since Consul was last away */
	uint64_t seen_after;      /* only a look at the runtime that began after this one knows what is now */
	bool image_ready, registered, proven;
	bool stopped;         /* see converge_view */
	char *level;          /* digest of the registration that Consul has, NULL: unknown */
	char *files;          /* fingerprint of the context that its files were made from, NULL: unknown */
	char *limits;         /* those that it has, as node_limits_text tells them, NULL: unknown */
	int64_t files_due_ms; /* monotonic; a proxy's files follow then what its socket was told, 0: they do already */
	int64_t files_retry_ms; /* monotonic; after they could not be made or did not validate */
	bool learned;           /* `proxy_socket` and `files` were looked up */
	char *proxy_socket;     /* the recipe's haproxy.socket, or NULL */
	bool using_links;

	/* Work */
	bool busy;
	bool missed; /* the runtime told of it while a job was at it */
	enum converge_step doing;
	unsigned failures;
	int64_t retry_ms, launched_ms; /* monotonic */
	char *why, *log;               /* of the last failure */
	bool obstructed;               /* `why` says what a start waits for */
	bool failed;                   /* enough to say so: not a first hiccup */
	bool unwell;                   /* started, and has not passed its checks since; `why` and `log` tell more */
	unsigned looks;                /* at that */
	int64_t look_ms;               /* when to look again, monotonic */
	char *reported;                /* value of its state key as last wanted, without `since` */
	int64_t reported_ms;           /* its `since` */
	bool report_again;             /* Consul may have lost it */

	struct exec_checks *exec_checks;
	struct proxy *proxy;
	struct acks *acks;
};

/* Finds "portal/web/1.5" among the agent's, or adds it to them; NULL when the text names no instance. The agent's. */
struct instance *instance_get(struct agent *agent, const char *text);
/* NULL: there is none. */
struct instance *instance_find(struct agent *agent, const char *text);

/* A changed assignment (NULL: none). */
void instance_assign(struct instance *instance, const char *assignment);
/*
 * What the runtime has of it (NULL: nothing), as look number `look` saw it. False: the look began before the last job
 * or event of the instance, so that it is not believed and another one is wanted.
 */
bool instance_observe(struct instance *instance, const struct runtime_node *node, uint64_t look);
/* Its main process ended. */
void instance_died(struct instance *instance, int exit_code);
/* A component that it is connected to changed: routes first, files after. */
void instance_link_changed(struct instance *instance);
/* Its state key as Consul has it: an agent that was restarted does not say again what it said before. */
void instance_take_state(struct instance *instance, const struct consul_kv *kv);
void instance_take_back(struct instance *instance); /* deletes its state key */
/* It has a container that Consul knows nothing of. */
bool instance_is_unexplained(const struct instance *instance);
/* Looks at it and begins the next step, if any. Frees it when nothing of it is left. */
void instance_step(struct instance *instance);
void instances_step_all(struct agent *agent);
/* What Consul's local agent has: the registered ids with their meta digests. */
void instances_observe_catalog(struct agent *agent, const struct consul_services *services);
void instance_free(struct instance *instance);

/* Its registration as it should be now. False while it has none. Release with registration_release. */
bool instance_registration(const struct instance *instance, struct registration *ret);
/* The context of its templates; NULL while a link is not known yet. A new reference. */
json_t *instance_context(const struct instance *instance);
/* Its files are those of the present links, and it has taken them up. */
bool instance_is_configured(const struct instance *instance);
/* Time of the earliest retry, INT64_MAX: none. Monotonic ms. */
int64_t instances_next_retry(const struct agent *agent);

#endif
