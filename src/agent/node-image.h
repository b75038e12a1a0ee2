/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From an assignment to its recipe and image. Jobs of the agent's threads. */
#ifndef TEPUY_AGENT_NODE_IMAGE_H
#define TEPUY_AGENT_NODE_IMAGE_H

#include "agent/node-env.h"
#include "model/node.h"
#include "model/recipe.h"

struct node_image {
	struct recipe *recipe;
	struct image image;
};

/* The recipe out of the store's bundle; -ENOENT when the bundle is not on this host. */
int node_recipe(const struct node_env *env, const struct node_spec *spec, struct recipe **ret, struct err *err);
/* Recipe and finished image; -ENOENT when it was never built here. */
int node_image_find(const struct node_env *env, const struct node_spec *spec, struct node_image *ret, struct err *err);
/* Builds it when it is not there. The output is kept in node_build_log(). */
int node_image_build(const struct node_env *env, const struct node_spec *spec, struct err *err);
/* Builds what another host asks for; the output is kept beside that of this host's own builds. */
int node_image_build_for(const struct node_env *env, const char *bundle, bool machine, struct err *err);
void node_image_release(struct node_image *image);

/* Path of the log of a bundle's last build; the caller owns it. */
char *node_build_log(const struct node_env *env, const char *bundle);
/* Its last `most` bytes, "" when there is none; the caller owns it. */
char *node_build_tail(const struct node_env *env, const char *bundle, size_t most);

#endif
