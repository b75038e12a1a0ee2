/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What nodes use, added to what the agent says of them. */
#ifndef TEPUY_CLI_USAGE_H
#define TEPUY_CLI_USAGE_H

#include "cli/api.h"

/*
 * Asks the agent, and gives each node of `answer` (of GET /v1/services) that it knows of `memory`, `memory_max`,
 * `cpu_ms` and `cpus`. Nodes of hosts that do not say are left as they are; that is no error.
 */
void usage_add(struct api *api, json_t *answer);
/* "34M/512M" and "1m 3s", "" when it is not known. The caller owns it. */
char *usage_memory(const json_t *node);
char *usage_cpu(const json_t *node);

#endif
