/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an agent does next for one instance: a function of what is wanted and what is. Each step, once done, changes the
 * view, and the function is asked again; NOTHING means that the instance is as it should be, or that only time or an
 * event can help.
 */
#ifndef TEPUY_AGENT_CONVERGE_H
#define TEPUY_AGENT_CONVERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "model/node.h"

enum container {
	CONTAINER_UNKNOWN, /* the runtime has not answered yet */
	CONTAINER_NONE,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_EXITED,
};

enum converge_step {
	CONVERGE_NOTHING,
	CONVERGE_PREPARE,   /* build or fetch the image */
	CONVERGE_LAUNCH,    /* create it if needed, give it its files, start it */
	CONVERGE_PROBE,     /* run its checks until they pass, then register it as healthy */
	CONVERGE_REGISTER,  /* bring its registration level: address, ports, checks, maintenance */
	CONVERGE_CONFIGURE, /* render its templates anew, validate, replace, reload */
	CONVERGE_RESIZE,    /* give it the limits that it should have now */
	CONVERGE_DIAGNOSE,  /* run its checks once, to say which does not pass and how */
	CONVERGE_DEREGISTER,
	CONVERGE_STOP,
	CONVERGE_REMOVE,
	CONVERGE_FORGET, /* delete its state key: nothing of it is left here */
};

struct converge_view {
	bool assigned;  /* there is an assignment for it */
	bool explained; /* Consul still knows something of it: without that, what has no assignment is never removed */
	enum node_desired desired;
	enum container container;
	bool foreign; /* the container was made of something else than what is wanted */
	bool image_ready;
	bool volumes_held; /* another instance of this host runs with a volume of its */
	bool links_known;  /* Consul has told of every component that it is connected to */
	bool registered;   /* the local Consul agent has it */
	bool level;        /* its registration is as wanted */
	bool proven;       /* its checks passed once since it started, or Consul has taken over checking */
	bool configured;   /* its files are those of the present links */
	bool sized;        /* its limits are those that are wanted, as far as they may change while it runs */
	bool stopped;      /* the runtime was told to stop it since it last ran: it does not start it again by itself */
	bool unwell;       /* its checks did not pass when it was last looked at, and it is time to look again */
	bool has_state;    /* its state key exists */
	int64_t retry_ms;  /* not before this time, after a failure; 0: at once */
	int64_t now_ms;
};

enum converge_step converge_next(const struct converge_view *view);
/*
 * What its state key says (docs/state.md), of one that is assigned. `failed`: enough went wrong to say so. NULL: what
 * it said last holds until the next step is done.
 */
const char *converge_state(const struct converge_view *view, bool failed);
const char *converge_step_name(enum converge_step step); /* "prepare" */

#endif
