/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recipe: the directory that says how a node is made (tepuy-recipe(5)). */
#ifndef TEPUY_MODEL_RECIPE_H
#define TEPUY_MODEL_RECIPE_H

#include <jansson.h>
#include <sys/types.h>

#include "model/check.h"
#include "model/schema.h"

#define RECIPE_MOST_NAMED 64 /* links, ports, volumes */

struct recipe_base { /* exactly one is set */
	struct model_item item;
	char *suite;   /* Debian release, built from the host's own apt sources: "bookworm" */
	char *image;   /* Docker image name:tag, as it is */
	char *archive; /* path inside the recipe, or absolute on the host: root file system or `docker save` */
};

struct recipe_file {
	struct model_item item;
	char *from;  /* inside the recipe; a file or a directory */
	char *to;    /* absolute, in the node */
	char *owner; /* user[:group] in the node; NULL: root */
	mode_t mode; /* 0: as in the recipe */
};

enum on_change { ON_CHANGE_RELOAD, ON_CHANGE_RESTART, ON_CHANGE_NONE };

struct recipe_template {
	struct model_item item;
	char *from, *to, *owner;  /* as in recipe_file; from is a file */
	mode_t mode;              /* 0: 0644 */
	struct strv validate;     /* argv, "{}" is the rendered file; empty: none */
	enum on_change on_change; /* not written: reload when the recipe has `reload`, else restart */
};

enum config_type {
	CONFIG_STRING,
	CONFIG_INTEGER,
	CONFIG_BOOLEAN,
	CONFIG_LIST,
	CONFIG_SIZE,
	CONFIG_DURATION,
	CONFIG_SECRET
};

struct recipe_config {
	struct model_item item;
	enum config_type type;
	bool required;
	json_t *fallback;    /* value of the type, or NULL: none; see config.h for the types' JSON */
	struct strv choices; /* strings, and elements of lists; empty: any */
	bool has_min, has_max;
	int64_t min, max;    /* integer: value; size: bytes; duration: ms; string: characters; list: elements */
	char *pattern;       /* POSIX ERE for strings and elements of lists, or NULL */
	char *owner;         /* secret: user in the node who may read its file; NULL: root */
	json_t *description; /* see localized() */
	const struct yaml_node *default_node, *min_node, *max_node; /* as written */
};

struct recipe_link { /* requires */
	struct model_item item;
	char *interface;
	bool optional;
	json_t *description;
};

enum port_protocol { PORT_TCP, PORT_UDP };

struct recipe_port { /* provides */
	struct model_item item;
	uint16_t port;   /* inside the node */
	char *interface; /* NULL in the document: the port's own name is put here */
	enum port_protocol protocol;
	json_t *description;
};

struct recipe_volume {
	struct model_item item;
	char *path;  /* in the node */
	char *owner; /* user[:group] in the node; NULL: root */
	json_t *description;
};

struct recipe_stop {
	struct model_item item;
	char *signal;    /* "TERM" */
	int64_t timeout; /* ms until it is killed */
};

struct recipe_haproxy {
	struct model_item item;
	char *socket; /* in the node; NULL: the node is no HAProxy for the agent */
};

struct pair {
	struct model_item item; /* item.name: NAME */
	char *value;
};

struct recipe {
	struct model_item item;
	char *directory; /* as given to recipe_load */
	struct yaml_document *document;

	char *name, *version;
	json_t *summary;
	struct recipe_base base;
	struct strv packages;
	struct recipe_file *files;
	size_t n_files;
	struct strv *build; /* argvs, in order, once, in the image */
	size_t n_build;
	struct pair *env;
	size_t n_env;
	struct recipe_config *config;
	size_t n_config;
	struct recipe_link *links;
	size_t n_links;
	struct recipe_port *ports; /* the first one is the catalog's */
	size_t n_ports;
	struct recipe_volume *volumes;
	size_t n_volumes;
	struct recipe_template *templates;
	size_t n_templates;
	struct strv init, start, reload, backup, restore; /* argvs; only start is never empty */
	struct recipe_stop stop;
	struct recipe_haproxy haproxy;
	struct check *checks;
	size_t n_checks;
};

/*
 * Reads DIR/recipe.yaml, checks it and the files that it names. 0 with `ret` when there was no error (warnings may be
 * in `diag`); else -EINVAL, or the -errno of reading, with the errors in `diag`.
 */
int recipe_load(const char *dir, struct diag *diag, struct recipe **ret);
/* The same from memory, without looking at any file: for fuzzing and for editors. */
int recipe_parse(const char *file, const char *text, size_t len, struct diag *diag, struct recipe **ret);
void recipe_free(struct recipe *recipe);
void recipe_freep(struct recipe **recipe);

/* By name; borrowed from the recipe, NULL: it has none of that name. */
const struct recipe_config *recipe_find_config(const struct recipe *recipe, const char *name);
const struct recipe_link *recipe_find_link(const struct recipe *recipe, const char *name);
const struct recipe_port *recipe_find_port(const struct recipe *recipe, const char *name);
/* The first port with that interface. */
const struct recipe_port *recipe_find_interface(const struct recipe *recipe, const char *interface);
const struct recipe_volume *recipe_find_volume(const struct recipe *recipe, const char *name);
const char *config_type_name(enum config_type type);

/* Text in a language ("es", "es_VE.UTF-8"), else in English, else in any; "" for NULL. Borrowed. */
const char *localized(const json_t *text, const char *language);

/* All of it with defaults filled in, for `tepuy recipe show --json`: the keys of the document; ms, bytes, octal modes.
 * A new reference. */
json_t *recipe_to_json(const struct recipe *recipe);

/*
 * Makes DIR with a small recipe that lints clean and deploys: a page served by busybox. -EEXIST when DIR is there and
 * is not empty, -EINVAL when `name` is no name.
 */
int recipe_skeleton(const char *name, const char *dir, struct err *err);

#endif
