/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Consul's HTTP API says, as structs. All strings and arrays are owned by their struct and freed by its _release.
 * A string that Consul leaves out or that is empty is NULL, a number 0. Sources: Consul's API documentation,
 * version 1.8.
 */
#ifndef TEPUY_CONSUL_CONSUL_TYPES_H
#define TEPUY_CONSUL_CONSUL_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/strv.h"

/* A reply with more elements, or a string longer than these, is refused (-E2BIG, -EFBIG). */
#define CONSUL_MOST_ELEMENTS 100000
#define CONSUL_MOST_VALUE (1u << 20) /* a key's value, decoded; Consul's own limit is 512 KiB */
#define CONSUL_MOST_STRING 65536
#define CONSUL_MOST_REPLY (64u << 20)

/* One key. `value` is bytes with a NUL behind them that `len` does not count; never NULL. */
struct consul_kv {
	char *key;
	char *value;
	size_t len;
	uint64_t create_index, modify_index, lock_index;
	char *session; /* that holds its lock, or NULL */
};

struct consul_kvs {
	struct consul_kv *v; /* in Consul's order: by key */
	size_t n;
	uint64_t index; /* X-Consul-Index of the reply, 0 when decoded from JSON alone */
};

enum consul_status { CONSUL_UNKNOWN, CONSUL_PASSING, CONSUL_WARNING, CONSUL_CRITICAL };

struct consul_check {
	char *id, *name;
	char *node;                      /* the Consul node's name */
	char *service_id, *service_name; /* NULL: a check of the node */
	char *output, *notes;
	char *type; /* "http", "tcp", "ttl" …; NULL or empty of the node's own */
	enum consul_status status;
	uint64_t modify_index; /* 0 from the agent's own list */
};

struct consul_checks {
	struct consul_check *v;
	size_t n;
};

/* An instance of a service, from the local agent or with its node and checks from the health endpoint. */
struct consul_service {
	char *id, *name;
	char *address; /* the service's own, or NULL: then the node's counts */
	int port;
	struct strv tags;
	struct strv meta;            /* "key=value" */
	char *node, *node_address;   /* NULL from the local agent */
	struct consul_checks checks; /* those of the node and of the service; empty from the local agent */
	uint64_t modify_index;
};

struct consul_services {
	struct consul_service *v;
	size_t n;
};

struct consul_node {
	char *id, *name, *address, *datacenter;
};

struct consul_nodes {
	struct consul_node *v;
	size_t n;
};

enum consul_member_status { CONSUL_MEMBER_NONE, CONSUL_ALIVE, CONSUL_LEAVING, CONSUL_LEFT, CONSUL_FAILED };

struct consul_member {
	char *name, *address;
	int port; /* of gossip */
	bool server;
	enum consul_member_status status;
};

struct consul_members {
	struct consul_member *v;
	size_t n;
};

/* The agent that was asked. */
struct consul_self {
	char *node, *datacenter, *version, *address; /* address: the one that it advertises */
	bool server;
};

enum consul_check_kind { CONSUL_CHECK_TTL, CONSUL_CHECK_HTTP, CONSUL_CHECK_TCP };

/* A check to register. All strings are the caller's. */
struct consul_check_spec {
	enum consul_check_kind kind;
	const char *id, *name;     /* name NULL: the id */
	const char *target;        /* HTTP: a URL; TCP: "address:port"; TTL: NULL */
	int64_t interval_ms;       /* HTTP, TCP */
	int64_t timeout_ms;        /* HTTP, TCP; 0: Consul's 10 s */
	int64_t ttl_ms;            /* TTL */
	enum consul_status status; /* to begin with; UNKNOWN: critical */
	const char *notes;         /* or NULL */
	const char *service_id;    /* only for consul_check_register; NULL: a check of the node */
};

/* A service to register. All strings are the caller's. */
struct consul_registration {
	const char *id, *name;
	const char *address; /* NULL: the node's */
	int port;
	const struct strv *tags; /* or NULL */
	const struct strv *meta; /* "key=value", or NULL */
	const struct consul_check_spec *checks;
	size_t n_checks;
};

/* An operation of a transaction. Which fields count is said behind each. */
enum consul_verb {
	CONSUL_SET,              /* key value */
	CONSUL_CAS,              /* key value index; index 0: only if the key does not exist */
	CONSUL_LOCK,             /* key value session */
	CONSUL_UNLOCK,           /* key value session */
	CONSUL_GET,              /* key; fails when absent */
	CONSUL_GET_TREE,         /* key is a prefix */
	CONSUL_DELETE,           /* key */
	CONSUL_DELETE_TREE,      /* key is a prefix */
	CONSUL_DELETE_CAS,       /* key index */
	CONSUL_CHECK_INDEX,      /* key index */
	CONSUL_CHECK_SESSION,    /* key session: fails unless that session holds the key's lock */
	CONSUL_CHECK_NOT_EXISTS, /* key */
};

struct consul_op {
	enum consul_verb verb;
	const char *key;
	const void *value;
	size_t len;
	uint64_t index;
	const char *session;
};

#define CONSUL_TXN_MOST 64                /* operations in one request: Consul's own limit */
#define CONSUL_TXN_MOST_BYTES (480 << 10) /* and of its body, below Consul's 512 KiB */

/* Value of a "key=value" in meta, or NULL; borrowed. */
const char *consul_meta(const struct strv *meta, const char *key);
const char *consul_status_name(enum consul_status status); /* "passing" …, "unknown" */
enum consul_status consul_status_of(const char *name);
/* The worst of the checks; PASSING when there is none. */
enum consul_status consul_checks_worst(const struct consul_checks *checks);
/* Is the service or its node in Consul's maintenance mode? `ret_reason` (may be NULL) is borrowed from the check. */
bool consul_in_maintenance(const struct consul_checks *checks, const char **ret_reason);
/* The address that consumers connect to. Borrowed; NULL when neither is known. */
const char *consul_service_address(const struct consul_service *service);

void consul_kv_release(struct consul_kv *kv);
void consul_kvs_release(struct consul_kvs *kvs);
void consul_checks_release(struct consul_checks *checks);
void consul_services_release(struct consul_services *services);
void consul_nodes_release(struct consul_nodes *nodes);
void consul_members_release(struct consul_members *members);
void consul_self_release(struct consul_self *self);

#define _cleanup_consul_kv_ _cleanup_(consul_kv_release)
#define _cleanup_consul_kvs_ _cleanup_(consul_kvs_release)
#define _cleanup_consul_checks_ _cleanup_(consul_checks_release)
#define _cleanup_consul_services_ _cleanup_(consul_services_release)
#define _cleanup_consul_nodes_ _cleanup_(consul_nodes_release)
#define _cleanup_consul_members_ _cleanup_(consul_members_release)
#define _cleanup_consul_self_ _cleanup_(consul_self_release)

#endif
