/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Between docs/state.md's keys and values and plan.h's structs. Readers give -EINVAL with a sentence for anything that
 * is not of that shape, -ERANGE for numbers out of bounds; `ret` is untouched then.
 */
#ifndef TEPUY_PLAN_PLAN_JSON_H
#define TEPUY_PLAN_PLAN_JSON_H

#include <jansson.h>

#include "plan/plan.h"

/* Keys and values of docs/state.md, read strictly: -EINVAL with a sentence that names the key, `ret` untouched. */
int plan_spec_from_json(const json_t *spec, struct plan_spec *ret, struct err *err);
/* The fingerprint of any value. The caller owns it. */
char *plan_fingerprint(const json_t *value);
/* The limits of a body that a running node can be given anew, and the members that say up to where: without those they
 * belong to what a node is. */
enum { PLAN_LIMITS = 2 };
struct plan_limit {
	const char *name, *most;
};
extern const struct plan_limit plan_limits[PLAN_LIMITS];

/* Of a body: of all that makes a node what it is. The caller owns it. */
char *plan_body_fingerprint(const json_t *body);
/*
 * A copy of a body without what makes no other node of it: the sizes of its volumes, which count when a disk is made,
 * and limits that may change while it runs, up to their maximum. A new reference.
 */
json_t *plan_body_lasting(const json_t *body);
/* The fingerprint of what changes without a new instance: `checks`, and the limits that may. The caller owns it. */
char *plan_around_fingerprint(const json_t *checks, const json_t *body);

int plan_status_from_json(const json_t *status, struct plan_status *ret, struct err *err);
/* A new reference. */
json_t *plan_status_to_json(const struct plan_status *status);

/* `key` is tepuy/host/<host>/node/<s>/<c>/<n>.<gen> or …/found/…; state, health and index are left zero. */
int plan_instance_from_json(const char *key, const json_t *assignment, struct plan_instance *ret, struct err *err);
/* Fills state and why; `key` is …/state/…; the caller finds the instance with plan_instance_key. */
int plan_state_from_json(const json_t *state, struct plan_instance *instance, struct err *err);
/* `key` is tepuy/host/<host>/ack/<s>/<c>/<n>.<gen>/<consumer> */
int plan_ack_from_json(const char *key, const json_t *ack, struct plan_ack *ret, struct err *err);
/* `key` is tepuy/service/<s>/disconnect/<c>[/<n>] */
int plan_disconnect_from_json(const char *key, const json_t *disconnect, struct plan_disconnect *ret, struct err *err);
/* `key` is tepuy/host/<host>/info */
int plan_host_from_json(const char *key, const json_t *info, struct plan_host *ret, struct err *err);
/* tepuy/host/<host>/admin, what an operator wants of the host. -EINVAL leaves it cordoned: who knows what was meant. */
int plan_admin_from_json(const json_t *admin, struct plan_host *host, struct err *err);

/* The key of an instance below tepuy/host/<host>/: `kind` is "node", "found", "state" or "ack". The caller owns it. */
char *plan_instance_key(const char *kind, const char *host, const char *service, const char *component, unsigned n,
			uint64_t gen);
/* The value of an ASSIGN's or DESIRE's key; `spec` is the document of action->revision. -EINVAL when it lacks the
 * component. The caller owns it. */
int plan_assignment_to_json(const struct plan_action *action, const json_t *spec, json_t **ret, struct err *err);

enum plan_change_kind { PLAN_KEEP, PLAN_CREATE, PLAN_REPLACE, PLAN_REMOVE };

struct plan_change {
	char *node; /* "web/1" */
	enum plan_change_kind kind;
	struct strv why; /* "config.title: 'A' → 'B'"; never a secret's value, as specs hold only their names */
};

/*
 * What going from one spec to the other does to each node, in the order of the names. `from` may be NULL: nothing there
 * yet. Differences outside of the nodes (checks, update, place) are reasons of kept nodes.
 */
int plan_diff(const json_t *from, const json_t *to, struct plan_change **ret, size_t *ret_n, struct err *err);
void plan_changes_free(struct plan_change *changes, size_t n);
const char *plan_change_name(enum plan_change_kind kind); /* "keep", "create", "replace", "remove" */

#endif
