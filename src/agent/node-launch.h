/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making a node run, giving it new files, taking it away. Jobs of the agent's threads: they block. */
#ifndef TEPUY_AGENT_NODE_LAUNCH_H
#define TEPUY_AGENT_NODE_LAUNCH_H

#include <jansson.h>

#include "agent/instance-id.h"
#include "agent/node-env.h"
#include "agent/node-files.h"
#include "model/node.h"

struct node_job {
	const struct node_env *env;
	const struct instance_id *id;
	const struct node_spec *spec;
	json_t *context;       /* for templates; the job's own copy */
	const char *container; /* the runtime's id, or NULL: there is none */
};

/*
 * Writes its secrets, makes its volumes' directories, imports the image, creates the container unless there is one,
 * puts the rendered files in, starts it. `ret` tells what runs now. -EADDRINUSE: a published port is taken.
 */
int node_launch(const struct node_job *job, struct runtime_node *ret, struct err *err);

/* The label that its container carries, RUNTIME_LABEL_ASSIGNMENT. The caller owns it. */
char *node_keepsake(const struct node_spec *spec);

/*
 * Renders its templates for the present context; each that differs is validated inside the node, replaces the old one
 * atomically, and the node is reloaded once; an HAProxy only for what its runtime socket cannot do. What does not
 * validate is not put in place: -EBADMSG, and the old one stays.
 */
int node_configure(const struct node_job *job, struct err *err);

/* Gives it those of its limits that may change while it runs. */
int node_resize(const struct node_job *job, struct err *err);
/* These limits as one text; NULL: it has none such. The caller owns it. */
char *node_limits_text(const struct node_spec *spec);

/* Stops it in the recipe's way. Stopped or absent: 0. */
int node_stop(const struct node_job *job, struct err *err);
/* Stops and removes it with its secrets and what is remembered of it; never a volume. */
int node_remove(const struct node_job *job, struct err *err);

/* Writes rendered files into a container, where they belong. */
int node_put_files(const struct node_env *env, const char *container, const struct node_files *files, struct err *err);
/* The argv that validates it when it is at `path`; empty when its recipe has none. */
void node_validation(const struct node_file *file, const char *path, struct strv *ret);

/* The last lines that it wrote, at most `most` bytes; "" when there are none. The caller owns it. */
char *node_log_tail(const struct node_job *job, int lines, size_t most);

#endif
