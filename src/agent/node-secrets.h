/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A node's secrets are files on a tmpfs of the host, mode 0400, mounted into the node at /run/secrets. They are in no
 * argument, environment, log, event or plan.
 */
#ifndef TEPUY_AGENT_NODE_SECRETS_H
#define TEPUY_AGENT_NODE_SECRETS_H

#include "agent/instance-id.h"
#include "agent/node-env.h"
#include "base/strv.h"

#define NODE_SECRETS_MOUNT "/run/secrets"
#define NODE_SECRETS_MOST_BYTES ((size_t)64 << 10) /* of one */

/* Makes sure that <run_dir>/secrets is a tmpfs, which only root gets into: mounts one if need be. */
int node_secrets_prepare(const char *run_dir, struct err *err);

/* The instance's directory under <run_dir>; the caller owns it. */
char *node_secrets_directory(const struct node_env *env, const struct instance_id *id);

/*
 * Fetches the named secrets of its service from Consul and writes those that differ. -ENOENT when one is not there.
 * A copy of each stays beside, where the node does not reach it, for node_secrets_give_back().
 */
int node_secrets_write(const struct node_env *env, const struct instance_id *id, const struct strv *names,
		       struct err *err);
/*
 * Writes into Consul what it lacks of the secrets that these instances (texts as in instance-id.h) were given; of
 * several values the one that came last. What is there stays. Names are logged, values never. One that is larger than
 * a secret may be is told of in the log and left out: what else there is shall not wait for it.
 */
int node_secrets_give_back(const struct node_env *env, const struct strv *instances, struct err *err);
void node_secrets_remove(const struct node_env *env, const struct instance_id *id);

#endif
