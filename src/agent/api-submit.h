/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing a new revision of a service into Consul: compare-and-set, so that of two operators the second is told. The
 * leader takes it from there.
 */
#ifndef TEPUY_AGENT_API_SUBMIT_H
#define TEPUY_AGENT_API_SUBMIT_H

#include <jansson.h>

#include "agent/node-env.h"

#define REVISIONS_KEPT 10

struct api_submission {
	const char *service;
	json_t *spec;          /* docs/state.md; revision and time are set here */
	const json_t *secrets; /* {"name":"value"} given by the operator, or NULL */
	uint64_t index;        /* of the spec that it was made from, 0: there was none */
};

struct api_submitted {
	uint64_t revision, to; /* to: the revision that a rollback takes up */
	bool changed;
};

/* -ESTALE: somebody else was first. -EINVAL: the spec is malformed, a bundle or a secret is missing. */
int api_submit(const struct node_env *env, const struct api_submission *submission, struct api_submitted *ret,
	       struct err *err);
int api_submit_down(const struct node_env *env, const char *service, const char *author, struct api_submitted *ret,
		    struct err *err);
/* `revision` 0: the last good one before the present. */
int api_submit_rollback(const struct node_env *env, const char *service, uint64_t revision, const char *author,
			struct api_submitted *ret, struct err *err);

/*
 * What runs, for a comparison: the spec in force, or the good one when the last was rolled back; NULL in `ret` when
 * nothing does. `ret_changed`: whether submitting `to` would do anything.
 */
int api_present_spec(const struct node_env *env, const char *service, const json_t *to, json_t **ret, bool *ret_changed,
		     struct err *err);

#endif
