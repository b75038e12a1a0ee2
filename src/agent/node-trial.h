/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Templates are tried before the first node is touched: in a container of the new image that has nothing but files made
 * from them, without network, ports and volumes, and is gone afterwards. Jobs of the agent's threads: they block.
 */
#ifndef TEPUY_AGENT_NODE_TRIAL_H
#define TEPUY_AGENT_NODE_TRIAL_H

#include "agent/node-launch.h"

/* What a trial's container says where an instance's says which one it is: never the name of an instance. */
#define NODE_TRIAL_LABEL "trial:" /* trial:portal/web/1.5 */
/* Whose it is, by the state directory: another agent with the same runtime has trials of its own. */
#define NODE_TRIAL_OWNER "tepuy.agent"

/*
 * Renders the templates for job->context and runs the recipe's validations of them. -EBADMSG with their words when one
 * fails. Nothing is done when there are none to run, or when the runtime takes long to make a node.
 */
int node_trial(const struct node_job *job, struct err *err);

/* Takes away what a killed agent left: a container `container` whose label is `label`. */
void node_trial_sweep(const struct node_env *env, const char *container, const char *label);

#endif
