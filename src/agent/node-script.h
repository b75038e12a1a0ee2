/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a node's main process does before it becomes the recipe's `start`: gives secrets and volumes their owners,
 * validates the rendered files (a new node has no earlier ones to fall back on), runs `init` once. It is a shell script
 * in the image so that it also runs when the runtime restarts the node while the agent is away.
 */
#ifndef TEPUY_AGENT_NODE_SCRIPT_H
#define TEPUY_AGENT_NODE_SCRIPT_H

#include "model/recipe.h"

#define NODE_SCRIPT_PATH "/usr/lib/tepuy/run"

/* Exit status of the script when a rendered file does not validate (EX_CONFIG of sysexits). */
#define NODE_SCRIPT_INVALID 78

/* The caller owns the text. */
char *node_script(const struct recipe *recipe);

#endif
