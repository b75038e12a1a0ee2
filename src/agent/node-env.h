/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every job of the agent may use from its thread: all of it is constant or locks itself. */
#ifndef TEPUY_AGENT_NODE_ENV_H
#define TEPUY_AGENT_NODE_ENV_H

#include <stdatomic.h>

#include "agent/check-times.h"
#include "consul/consul.h"
#include "image/image.h"
#include "runtime/runtime.h"

struct guests;
struct peers;

/* What an agent that was just started cannot begin without. */
enum node_wait { NODE_WAITS_FOR_NOTHING, NODE_WAITS_FOR_RUNTIME, NODE_WAITS_FOR_CONSUL };

struct node_env {
	struct consul *consul;
	struct runtime *runtime;
	struct image_store *store;
	struct check_times *times;
	struct guests *guests;      /* addresses of nodes; NULL: they have none of their own */
	struct peers *peers;        /* the other hosts' stores; NULL: there are none */
	const char *state_dir;      /* /var/lib/tepuy */
	const char *run_dir;        /* /run/tepuy: where secrets lie, on a tmpfs */
	const char *host;           /* this host's name in Consul */
	const char *address;        /* its address for the other hosts */
	_Atomic int waits;          /* enum node_wait; but for 0, runtime, peers, host and address are not there yet */
	_Atomic bool token_refused; /* Consul does not accept this host's token */
	_Atomic bool old_schema;    /* that layout is one of before this program's */
	_Atomic bool other_schema;  /* Consul's keys have a layout that this program does not know: none is written */
};

#endif
