/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A YAML document as a tree of nodes that know their places. libyaml's parser gives the events; the tree is built here,
 * and not by libyaml's document API, because the caps must hold while reading: that API walks all anchors for each new
 * one, forgets where an alias stood, and has no bound on nodes.
 *
 * What is refused, with a diagnostic at the place: over 1 MiB, 64 levels, 100,000 nodes (aliases count with all that
 * they repeat, so a "billion laughs" ends there), over 1,000 anchors, bytes that are not UTF-8, NUL and control
 * characters, a second document, equal keys, keys that are no scalars, tags, merge keys, aliases to an open node.
 */
#ifndef TEPUY_MODEL_YAML_H
#define TEPUY_MODEL_YAML_H

#include <stdbool.h>

#include "model/diag.h"

#define YAML_MOST_BYTES (1u << 20)
#define YAML_MOST_DEPTH 64
#define YAML_MOST_NODES 100000
#define YAML_MOST_ANCHORS 1000

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_entry {
	struct yaml_node *key; /* always a scalar */
	struct yaml_node *value;
};

struct yaml_node {
	enum yaml_kind kind;
	struct place place;
	char *text;    /* scalar: its text without quotes, NUL-terminated, no NUL inside; else NULL */
	bool quoted;   /* scalar: written with quotes or as a block (| >): never a number, a boolean or nothing */
	size_t n, cap; /* elements or entries */
	union {
		struct yaml_node **items;   /* sequence */
		struct yaml_entry *entries; /* mapping, in the order of the document */
	};
	size_t weight; /* nodes in it, aliases expanded */
	int height;    /* levels under it */
	bool open;     /* still being read */
};

struct yaml_document {
	char *file; /* places point to it */
	char *text;
	size_t len;
	struct yaml_node *root;   /* never NULL in a document that was read */
	struct yaml_node **nodes; /* owns all of them */
	size_t n_nodes, cap_nodes;
};

/* Reads a file. -errno of reading, or -EINVAL; either way `diag` has the error. */
int yaml_load(const char *file, struct diag *diag, struct yaml_document **ret);
/* As yaml_load, from memory; `file` is only a name. */
int yaml_parse(const char *file, const char *text, size_t len, struct diag *diag, struct yaml_document **ret);
/* Not yaml_free: libyaml exports an internal function of that name, and ours would be called in its place. */
void yaml_tree_free(struct yaml_document *document);
void yaml_tree_freep(struct yaml_document **document);

/* The value under a key of a mapping; NULL when it is absent, or `node` is NULL or no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
/* The place of a key's value, for errors: the key's own when there is no value, the mapping's when there is no key. */
const struct place *yaml_place(const struct yaml_node *node, const char *key);
/* A scalar that says nothing: empty, ~ or null without quotes. */
bool yaml_is_null(const struct yaml_node *node);

#endif
