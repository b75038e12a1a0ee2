/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A health check of a node: in a recipe, in a service, in Consul (docs/state.md), in the agent's API. */
#ifndef TEPUY_MODEL_CHECK_H
#define TEPUY_MODEL_CHECK_H

#include "model/schema.h"

enum check_kind { CHECK_HTTP, CHECK_TCP, CHECK_EXEC, CHECK_TTL };

#define CHECKS_MOST 32 /* in one document; a node has at most those of its recipe and of its service */
#define CHECK_MOST_PATH 1024
#define CHECK_MIN_MS 100
#define CHECK_FLOOR_MS 1000 /* Consul's documented floor for http and tcp */

struct check {
	struct model_item item;
	char *id; /* "http-1" when it was not given: kind and ordinal of that kind in its list */
	enum check_kind kind;
	char *path;                /* http: begins with / */
	char *port;                /* http and tcp: name of a port of the recipe; NULL: the first one */
	struct strv argv;          /* exec: runs in the node; exit 0 passing, 1 warning, else critical */
	int64_t ttl;               /* ttl: critical when nothing is reported for so long, ms */
	int64_t interval, timeout; /* ms; both 0 for ttl */
	char *tcp;                 /* as written in `tcp: NAME`; moved to port */
};

const char *check_kind_name(enum check_kind kind);
/* Finishes checks that were read from a document: kind, ids, default timeouts; adds errors and warnings. */
void checks_finish(struct check *checks, size_t n, struct diag *diag);

/* {"id","kind","path"|"port"|"argv"|"ttl","interval","timeout"} (docs/state.md); no id: none is written. A new
 * reference. */
json_t *check_to_json(const struct check *check);
/*
 * Strict and capped: unknown members, wrong types and values out of bounds give -EINVAL with a sentence. `id` may be
 * absent (the API); interval and timeout have the same defaults as in a document. Release with check_release.
 */
int check_from_json(const json_t *json, struct check *ret, struct err *err);
void check_release(struct check *check);

#endif
