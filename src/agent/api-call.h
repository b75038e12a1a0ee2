/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One request to the agent's API, as its handlers see it: no socket, no header. Private to src/agent/api*.c. */
#ifndef TEPUY_AGENT_API_CALL_H
#define TEPUY_AGENT_API_CALL_H

#include <jansson.h>

#include "agent/api.h"
#include "base/buf.h"

/* A body that comes as it is made. The reader blocks for at most a few seconds at a time. */
struct api_stream {
	/* Fills `to`: the number of bytes, 0: nothing yet, ask again; -ENODATA: the end; other -errno: broken off. */
	ssize_t (*read)(void *data, char *to, size_t size);
	void (*free)(void *data);
	void *data;
};

/* A connection that becomes something else (101). Owns `fd` until it returns. */
struct api_upgrade {
	const char *protocol; /* "tepuy-exec" */
	void (*run)(void *data, int fd, const void *early, size_t early_len);
	void (*free)(void *data);
	void *data;
};

struct api_call {
	/* asked */
	const struct node_env *env;
	const _Atomic bool *leading, *stopping;
	const char *method;
	const char *path; /* decoded, without the query */
	const char *rest; /* what the route's '*' matched: "portal/web/1" */
	struct buf body;  /* capped */
	json_t *json;     /* the body as JSON, for routes that want it */
	const char *(*query)(const struct api_call *call, const char *name); /* borrowed, NULL: absent */
	void *connection;
	/* With -EREMOTE: the hosts that have what was asked for, an array of names; the request's, freed with it. */
	json_t *elsewhere;
	/* answered: one of these */
	int status; /* 200 unless set */
	json_t *answer;
	char *text;
	struct api_stream stream;
	struct api_upgrade upgrade;
};

typedef int (*api_handler)(struct api_call *call, struct err *err);

struct api_route {
	const char *method;
	const char
	    *pattern; /* such as /v1/service/X/plan with a star for X: one '*', which matches any non-empty text */
	api_handler handler;
	bool writes;      /* keys in Consul: refused while their layout is not one that we know */
	bool always;      /* answered also by an agent that waits for what it cannot begin without */
	bool json;        /* the body must be a JSON object; none is {} */
	size_t most_body; /* 0: 1 MiB */
};

/* Each file's routes, ended by a row without method. */
extern const struct api_route api_service_routes[];
extern const struct api_route api_node_routes[];
extern const struct api_route api_check_routes[];
extern const struct api_route api_stream_routes[];
extern const struct api_route api_host_routes[];

/*
 * The route of a request, NULL when there is none; the longest pattern that matches counts. `ret_rest` is what its '*'
 * matched, owned by the caller (NULL without one); `ret_known`: the path is one of ours, whatever the method.
 */
const struct api_route *api_route_find(const char *method, const char *path, char **ret_rest, bool *ret_known);

/* "portal", "portal/web" or "portal/web/1". */
struct api_target {
	char *service, *component; /* component NULL: the whole service */
	unsigned n;                /* 0: all nodes of the component */
};

int api_target_parse(const char *text, struct api_target *ret, struct err *err); /* -EINVAL */
void api_target_release(struct api_target *target);
bool api_target_matches(const struct api_target *target, const char *component, unsigned n);

/*
 * For what only the agent of a node's own host can do. -EREMOTE, with call->elsewhere set, when other hosts have nodes
 * of the target; 0 when none is known; else why Consul could not say.
 */
int api_elsewhere(struct api_call *call, const struct api_target *target, struct err *err);

/* What keeps the agent as a whole from its work; NULL: nothing. Borrowed. */
const char *api_trouble(const struct node_env *env);

/* A JSON value of Consul's KV: -ENOENT, -EBADMSG. `ret_index` (may be NULL) is its ModifyIndex. */
int api_kv_json(struct consul *consul, const char *key, json_t **ret, uint64_t *ret_index, struct err *err);

/* The whole of a service for `GET /v1/service/<s>` (docs/api.md). */
int api_service_json(const struct node_env *env, const char *service, json_t **ret, struct err *err);
/* For several: `mode` as in consul.h, so that only the first of them waits for servers without a leader. */
int api_service_json_as(const struct node_env *env, enum consul_consistency *mode, const char *service, json_t **ret,
			struct err *err);

#endif
