/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A service: components, how they are connected, how they are updated (tepuy-service(5)). */
#ifndef TEPUY_MODEL_SERVICE_H
#define TEPUY_MODEL_SERVICE_H

#include <jansson.h>

#include "model/check.h"
#include "model/recipe.h"
#include "model/schema.h"

#define SERVICE_MOST_COMPONENTS 100

enum update_order { UPDATE_START_FIRST, UPDATE_STOP_FIRST };
enum update_failure { UPDATE_ROLLBACK, UPDATE_STOP };

struct service_update {
	struct model_item item;
	enum update_order order;
	int parallel;                  /* nodes at once */
	int64_t healthy_for, deadline; /* ms */
	enum update_failure on_failure;
};

struct service_place {
	struct model_item item;
	char *host;          /* NULL: any */
	struct pair *labels; /* all must match */
	size_t n_labels;
	char *runtime; /* NULL: any */
};

struct service_volume {
	struct model_item item;
	char *path;   /* on the host; NULL: the agent's own place for it */
	int64_t size; /* bytes of a disk that is made for it, 0: not said */
};

struct service_connect {
	struct model_item item; /* item.name: the recipe's link */
	char *component;
};

struct service_publish {
	struct model_item item; /* item.name: the recipe's port */
	uint16_t port;          /* on the host */
};

struct service_component {
	struct model_item item;
	char *recipe_name;
	int nodes;
	const struct yaml_node *config; /* NULL: none */
	struct service_volume *volumes;
	size_t n_volumes;
	struct service_connect *connect;
	size_t n_connect;
	struct service_publish *publish;
	size_t n_publish;
	struct check *checks;
	size_t n_checks;
	struct service_update update;
	struct service_place place;
	int64_t memory;     /* bytes, 0: no limit */
	double cpus;        /* 0: no limit */
	int64_t memory_max; /* up to which `memory` changes while a node runs; 0: a change replaces it */
	double cpus_max;    /* likewise */

	/* Set by service_resolve: */
	struct recipe *recipe; /* owned; NULL: it could not be read */
	json_t *values;        /* config, resolved, with defaults */
};

struct service_secret {
	struct model_item item;
	int64_t generate; /* characters to make up; 0: the operator gives it */
	bool required;    /* the operator gives it */
	bool used;        /* set by service_resolve */
};

struct service {
	struct model_item item;
	char *file;
	struct yaml_document *document;

	char *name;
	json_t *summary;
	struct service_component *components;
	size_t n_components;
	struct service_secret *secrets;
	size_t n_secrets;
};

/*
 * Reads a service document. So that references can be checked in the same run, it gives the service also when `diag`
 * has errors in it, as long as the file is YAML: callers look at diag->n_errors, or call service_resolve, which
 * refuses. -EINVAL or -errno of reading when there is nothing to give.
 */
int service_load(const char *file, struct diag *diag, struct service **ret);
int service_parse(const char *file, const char *text, size_t len, struct diag *diag, struct service **ret);
void service_free(struct service *service);
void service_freep(struct service **service);

/* By name; borrowed from the service, NULL: it has none of that name. */
struct service_component *service_find_component(const struct service *service, const char *name);
struct service_secret *service_find_secret(const struct service *service, const char *name);

/*
 * Directories that hold recipes, in the order in which they are searched: `recipes` beside the service file, then
 * `given` (may be NULL), then TEPUY_RECIPEDIR.
 */
void service_search_path(const char *service_file, const struct strv *given, struct strv *ret);

/* Gives the sha256 of a recipe's bundle; model/ knows nothing of packing. */
typedef int (*service_bundle_fn)(void *data, const char *recipe_dir, char **ret_sha256, struct err *err);

/*
 * Finds and reads the recipes, checks every reference between the documents (errors at the place in the service file),
 * and makes the spec of docs/state.md, with revision 0, time 0 and an empty author for others to fill in. `search` is
 * from service_search_path. `bundle` NULL: only check; `ret_spec` may then be NULL and bundles are empty. -EINVAL when
 * there are errors in `diag`, also earlier ones. After it, components have their recipe.
 */
int service_resolve(struct service *service, const struct strv *search, service_bundle_fn bundle, void *data,
		    struct diag *diag, json_t **ret_spec);

#endif
