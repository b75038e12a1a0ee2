/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A node's rendered templates: made, compared with what the node has, kept. What was last put into a node is remembered
 * in <state_dir>/nodes/<name>/, so that a restarted agent touches nothing that is as it should be.
 */
#ifndef TEPUY_AGENT_NODE_FILES_H
#define TEPUY_AGENT_NODE_FILES_H

#include <jansson.h>

#include "agent/instance-id.h"
#include "agent/node-env.h"
#include "model/recipe.h"

struct node_file {
	const struct recipe_template *from; /* of the recipe, borrowed */
	struct buf text;
	struct buf before; /* what the node has; empty when nothing was put yet */
	bool changed;
};

struct node_files {
	struct node_file *list;
	size_t n;
};

/* Renders all templates of the recipe and compares them with what is remembered. Errors carry file, line, column. */
int node_files_render(const struct node_env *env, const struct instance_id *id, const struct recipe *recipe,
		      json_t *context, struct node_files *ret, struct err *err);
void node_files_release(struct node_files *files);

/* Remembers one file as put. */
int node_files_remember(const struct node_env *env, const struct instance_id *id, const struct node_file *file,
			struct err *err);
/* The fingerprint of the context whose files the node has. NULL: none is known; the caller owns it. */
char *node_files_context(const struct node_env *env, const struct instance_id *id);
int node_files_set_context(const struct node_env *env, const struct instance_id *id, const char *fingerprint,
			   struct err *err);
/* Forgets all of it: the node is gone, or is to get every file anew. */
void node_files_forget(const struct node_env *env, const struct instance_id *id);

#endif
