/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The agent's own state. It belongs to the event loop's thread: jobs get copies. Private to src/agent.
 */
#ifndef TEPUY_AGENT_AGENT_STATE_H
#define TEPUY_AGENT_AGENT_STATE_H

#include <systemd/sd-event.h>

#include "agent/added-checks.h"
#include "agent/kv-level.h"
#include "agent/links.h"
#include "agent/node-env.h"
#include "agent/pool.h"

struct instance;
struct firewall;
struct peer_server;
struct wishes;

struct agent {
	sd_event *event;
	struct http_loop *loop;
	struct pool *pool;
	struct node_env env;
	struct kv_level *kv;
	struct links *links;
	struct instance *instances;
	struct firewall *firewall; /* NULL: not yet */
	struct added_checks added; /* checks of all services that were added at run time */
	bool consul_away;
	_Atomic bool leading;     /* also read by the API's threads */
	char *info;               /* what tepuy/host/<host>/info is to say */
	bool info_told;           /* and says, as far as Consul's last answer goes */
	int64_t reschedule_ms;    /* when this host leads: a dead host's nodes move after this */
	bool removed;             /* an operator took this host out: what has no assignment is taken away */
	bool runtime_listed;      /* the runtime has told once what it has */
	bool looking, look_again; /* a list job runs; another one is wanted after it */
	uint64_t looks;           /* begun so far */
	bool assignments_known, catalog_known, added_known;
	int64_t collected_ms;            /* when unused images were last taken away; 0: never */
	struct peer_server *peer_server; /* NULL: not listening */
	const char *tls_dir;
	unsigned peer_port;
	bool giving_secrets; /* a job of secrets-back.c runs */
	bool peer_trouble_told;
	struct wishes *wishes; /* of other hosts for images; NULL: this one takes none on */
	sd_event_source *peer_timer;
	struct strv strays;                                /* as the last look at the runtime found them */
	int64_t started_ms;                                /* monotonic */
	bool guests_changed, guests_looking, guests_known; /* guests-keep.h */
	sd_event_source *guests_timer;
	sd_event_source *retry_timer, *look_timer, *catalog_timer, *rest_timer, *secrets_timer;
};

/* Asks the runtime anew what it has; one question at a time. */
void agent_look_at_runtime(struct agent *agent);
/* Something was done for an instance: gives memory back when nothing has been for a while. */
void agent_rest_soon(struct agent *agent);
/* Sets the timer for the next retry of an instance. */
void agent_plan_retry(struct agent *agent);

#endif
