/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disconnect and connect: one request, then the nodes are watched until it is so. */
#ifndef TEPUY_CLI_DRAIN_H
#define TEPUY_CLI_DRAIN_H

#include <jansson.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/target.h"

enum drain_goal {
	DRAIN_DISCONNECT, /* no one uses the nodes any more */
	DRAIN_STOP,       /* and they are stopped */
	DRAIN_CONNECT,    /* they are in use again and healthy */
};

/* `body` (borrowed) may be NULL. `args` has --detach, --timeout and --json. */
enum status drain_request(struct cli *cli, const struct arguments *args, const struct target *target,
			  enum drain_goal goal, const json_t *body);
/* Has the node reached the goal? */
bool drain_reached(const json_t *node, enum drain_goal goal);

#endif
