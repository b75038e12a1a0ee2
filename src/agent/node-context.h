/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What templates see (docs/state.md, "Template context"). Pure functions of data. */
#ifndef TEPUY_AGENT_NODE_CONTEXT_H
#define TEPUY_AGENT_NODE_CONTEXT_H

#include <jansson.h>

#include "agent/instance-id.h"
#include "agent/members.h"
#include "model/node.h"

/* `members[i]` are those of spec->links[i]. A new reference. */
json_t *node_context(const struct instance_id *id, const struct node_spec *spec, const struct members *members,
		     const char *host, const char *address);

/* "web-1.portal": the name that the node has for itself. The caller owns it. */
char *node_host_name(const struct instance_id *id);

/* Names of the secrets that its configuration uses, each once. */
void node_secret_names(const struct node_spec *spec, struct strv *ret);
/* "db-password=postgres …" for the node's script: which user may read which secret; "" when all are root's. */
char *node_secret_owners(const struct node_spec *spec);

#endif
