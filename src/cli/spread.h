/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What only the agent of a node's own host can do, for a target whose nodes may be on several hosts. */
#ifndef TEPUY_CLI_SPREAD_H
#define TEPUY_CLI_SPREAD_H

#include "cli/cli.h"
#include "cli/target.h"

struct api;

/* Asks one agent; -ENOENT and -EREMOTE: it has no node of the target. Called by several threads at once. */
typedef int (*spread_fn)(void *data, struct api *api, struct err *err);
/*
 * Calls `fn` for the agent of each host that has nodes of the target, all at once, and says on cli->err what went wrong
 * where. When Consul cannot say where the nodes are, only the agent that cli->api leads to is asked.
 */
enum status spread_each(struct cli *cli, const struct target *target, spread_fn fn, void *data);

#endif
