/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What nodes use now (docs/api.md, GET /v1/usage). Each host knows its own; the others are asked. Calls block. */
#ifndef TEPUY_AGENT_USAGE_H
#define TEPUY_AGENT_USAGE_H

#include <jansson.h>

#include "agent/node-env.h"

/* An array with a row for each node that runs here. A new reference. */
int usage_here(const struct node_env *env, json_t **ret, struct err *err);
/* The same of all hosts that serve others, and in `silent` the names of those that do not, or did not answer at once.
 */
int usage_everywhere(const struct node_env *env, json_t **ret, json_t **ret_silent, struct err *err);

#endif
