/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An assignment as the agent reads it from Consul (docs/state.md): what one instance is and what should be of it. */
#ifndef TEPUY_MODEL_NODE_H
#define TEPUY_MODEL_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/check.h"

enum node_desired { NODE_PREPARE, NODE_RUN, NODE_DRAIN, NODE_STOP };

struct node_link {
	char *name;      /* the recipe's link: "database" */
	char *component; /* of the same service: "db" */
	char *interface;
	char *port; /* name of the provider's port */
};

struct node_volume {
	char *name;
	char *path;   /* on the host; "": the agent's own place */
	char *mount;  /* in the node */
	char *owner;  /* user[:group] in the node, or NULL: root */
	int64_t size; /* bytes of a disk that is made for it, 0: the runtime's default; directories have none */
};

struct node_port {
	char *name;
	uint16_t port; /* in the node */
	char *interface;
	uint16_t publish; /* 0: a dynamic port on the host's own address */
	bool udp;
	int order; /* in the recipe */
};

struct node_spec {
	enum node_desired desired;
	int64_t revision;
	int64_t since; /* ms since the epoch */
	char *fingerprint;
	char *service, *component;
	struct check *checks;
	size_t n_checks;
	json_t *body; /* owned reference: the whole body as it came */

	/* From the body: */
	char *recipe, *bundle;
	json_t *config; /* owned reference, an object */
	struct node_link *links;
	size_t n_links;
	struct node_volume *volumes;
	size_t n_volumes;
	struct node_port *ports; /* in the order of the recipe: the first one is the catalog's */
	size_t n_ports;
	int64_t memory;     /* bytes, 0: no limit */
	double cpus;        /* 0: no limit */
	int64_t memory_max; /* bytes, at least `memory`, which changes while it runs then; 0: it does not */
	double cpus_max;    /* likewise */
};

/*
 * Strict: every member that docs/state.md names must be there with its type, names must be names, paths absolute,
 * hashes hashes; unknown members of the assignment and of its body are refused, so that an agent never runs half of
 * what a newer one meant. At most 64 of each list. -EINVAL with a sentence that names the member.
 */
int node_spec_from_json(const json_t *json, struct node_spec **ret, struct err *err);
/* The same document again, built from the fields (body is the one that came). A new reference. */
json_t *node_spec_to_json(const struct node_spec *node);
void node_spec_free(struct node_spec *node);
void node_spec_freep(struct node_spec **node);

const char *node_desired_name(enum node_desired desired); /* "prepare" */

#endif
