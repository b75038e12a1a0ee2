/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes that `down` cannot take away yet, as their hosts do not answer. */
#ifndef TEPUY_CLI_LEFT_BEHIND_H
#define TEPUY_CLI_LEFT_BEHIND_H

#include <jansson.h>
#include <stdbool.h>

#include "cli/cli.h"

struct left_behind;
struct progress;

struct left_behind *left_behind_new(struct cli *cli);
void left_behind_free(struct left_behind *left);
/*
 * Asks, over a connection of its own, which hosts of the service's nodes are dead, and says on cli->err of each, once,
 * what is on it, since when it is silent, and what to do. True when all nodes that are still there are on such hosts.
 * `progress` may be NULL.
 */
bool left_behind_look(struct left_behind *left, const char *service, const json_t *state, struct progress *progress);
/* Says that the rest is done without us. */
void left_behind_conclude(const struct left_behind *left, const char *service);

#endif
