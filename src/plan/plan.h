/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The orchestrator as a function of data (docs/ARCHITECTURE.md, "What happens at `tepuy up`"): what is wanted and what
 * is seen go in, the writes that bring one nearer to the other come out. No clock, no socket, no Docker; everything it
 * remembers is in the view, so a new leader carries on where the old one stopped. The shapes are those of
 * docs/state.md; plan-json.h reads and writes them.
 *
 * What the caller owes:
 *  - A view in which no service's status is newer than its assignments (read the status first, or all of them in one
 *    query, or apply its own successful transactions to its view before it calls again).
 *  - Each transaction is applied whole or not at all: with the check of the leader's session in front, its STATUS with
 *    compare-and-set on `index` (0: must not exist), ASSIGN with compare-and-set 0, DESIRE and UNASSIGN with
 *    compare-and-set on `index`. Every transaction of a service raises status.step, so one that was computed from an
 * old view of the service is refused as a whole. A refused one is dropped: look again, plan again.
 *  - To call again when anything of the view changes, after each transaction it applied, and at `wake_ms`.
 *
 * Words: the *wanted* nodes are (component, 1 … nodes) of the spec in work. An instance *matches* when its fingerprint
 * is the wanted one; a node's other instances are *old*; nodes that no spec wants are *extra*. An instance is *healthy*
 * when its health is passing or warning, *proven* once it was healthy for `healthy_for` without a break since it was
 * told to run.
 */
#ifndef TEPUY_PLAN_PLAN_H
#define TEPUY_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

#define PLAN_RESCHEDULE_MS 60000 /* a dead host's nodes move after this, when the view does not say otherwise */
#define PLAN_DRAIN_MS 30000      /* most time for sessions to end when neither update nor disconnect has a deadline */
#define PLAN_MACHINE_MEMORY (UINT64_C(512) << 20) /* of a machine whose service does not say */
#define PLAN_MACHINE_SYSTEM (UINT64_C(112) << 20) /* beside it: its kernel and services, and Xen's own for it */
#define PLAN_SETTLE_MS 15000 /* so long after a leader began to look Consul's word on health may be an old one */
#define PLAN_NODES_MAX 10000 /* nodes of one component */
#define PLAN_TXN_MAX 60      /* most operations of a transaction; Consul's own bound is 64 */

enum plan_desired { PLAN_PREPARE, PLAN_RUN, PLAN_DRAIN, PLAN_STOP };

enum plan_state {
	PLAN_NONE, /* the agent has not said anything yet */
	PLAN_BUILDING,
	PLAN_PREPARED,
	PLAN_STARTING,
	PLAN_RUNNING,
	PLAN_FAILED,
	PLAN_STOPPED,
};

enum plan_health { PLAN_UNKNOWN, PLAN_PASSING, PLAN_WARNING, PLAN_CRITICAL, PLAN_MAINTENANCE };

enum plan_phase {
	PLAN_NEW, /* no status yet */
	PLAN_PREPARING,
	PLAN_ROLLING,
	PLAN_DONE,
	PLAN_ROLLING_BACK,
	PLAN_ROLLED_BACK,
	PLAN_GAVE_UP, /* "failed" */
	PLAN_REMOVING,
	PLAN_REMOVED,
};

/* One incarnation of a node. Its assignment, the state its agent wrote, and what the catalog says. */
struct plan_instance {
	char *host, *service, *component;
	unsigned n;
	uint64_t gen; /* the revision that made it; larger when that number was taken */
	/*
	 * No assignment: its agent found it, and nobody had told it to run it. `desired` is RUN or STOP, as it does.
	 * Taken over, it has revision 0: the one that made it is not known any more.
	 */
	bool found;
	/* assignment */
	uint64_t index; /* ModifyIndex of the assignment's key */
	uint64_t revision;
	char *fingerprint; /* of `body` */
	char *around;      /* fingerprint of what changes without a new instance: checks, limits with a maximum */
	struct strv links; /* components that it uses, from body.links; sorted */
	enum plan_desired desired;
	int64_t since_ms; /* when `desired` was last changed: the leader's clock of then */
	int64_t told_ms;  /* for how long that has been seen to be so: see plan_view.looking_ms */
	bool proven;
	uint64_t memory; /* bytes, from body */
	/* state key; PLAN_NONE, NULL and 0 when there is none */
	enum plan_state state;
	char *why, *log; /* `log`: its last lines */
	/*
	 * The `since` of the assignment that the agent had done when it wrote the state. A state that answers another
	 * one counts for nothing: the `stopped` of an earlier stop must not let a second writer start.
	 */
	int64_t answers_ms;
	/* catalog; PLAN_UNKNOWN when it is not there. Maintenance wins over the checks, then the worst check */
	enum plan_health health;
	int64_t health_ms; /* how long it has been healthy, or not healthy, without a break: by a monotonic clock */
};

/* A consumer's word that it took a draining instance out. */
struct plan_ack {
	char *host;                /* of the consumer, which need not be that of the draining instance */
	char *service, *component; /* the draining instance */
	unsigned n;
	uint64_t gen;
	char *consumer; /* "front.1.5" */
	int64_t
	    since_ms; /* `since` of the drain it answers, 0: not said. Others than the present drain's are ignored */
	uint64_t sessions;
};

struct plan_link {
	char *name, *component;
	bool optional;
};

struct plan_update {
	bool stop_first;
	unsigned parallel; /* at least 1 */
	int64_t healthy_for_ms, deadline_ms;
	bool rollback; /* on_failure; otherwise stop */
};

struct plan_place {
	char *host, *runtime; /* or NULL: any */
	struct strv labels;   /* "key=value", all must be the host's; sorted */
};

struct plan_component {
	char *name, *fingerprint, *around; /* as an instance's */
	unsigned nodes;
	struct plan_link *links;
	size_t n_links;
	struct plan_update update;
	struct plan_place place;
	bool exclusive;           /* has volumes: never two instances of a node at once, never moved to another host */
	bool fixed_ports;         /* publishes fixed ports: never two instances on a host, so stop-first */
	char *translated;         /* a port that it publishes under another number, which machines cannot; NULL: none */
	unsigned translated_port; /* its own number */
	uint64_t memory;          /* bytes, 0: no limit said */
	double cpus;
};

struct plan_spec {
	char *service;
	uint64_t revision;
	bool down;                         /* the service is to be taken away */
	struct plan_component *components; /* sorted by name */
	size_t n_components;
};

/* Where an exclusive node's data is. Kept when the service is down, so that `up` finds the data again. */
struct plan_home {
	char *component;
	unsigned n;
	char *host;
};

struct plan_status {
	enum plan_phase phase;
	uint64_t revision;       /* the one in work */
	uint64_t good;           /* the last that was done, 0: none */
	uint64_t step;           /* raised by every transaction */
	int64_t since_ms;        /* when the phase began */
	char *reason, *detail;   /* a sentence and what more is known; NULL when all is well */
	struct plan_home *homes; /* sorted by component, n */
	size_t n_homes;
};

struct plan_disconnect {
	char *component;
	unsigned n; /* 0: all nodes of the component */
	bool stop;
	int64_t deadline_ms; /* 0: the default */
};

struct plan_service {
	char *name;
	struct plan_spec *spec; /* NULL: none there; nothing is done unless the status says removed */
	struct plan_spec *good; /* the spec of revision status.good; NULL when 0 or no longer kept */
	struct plan_status status;
	uint64_t status_index; /* ModifyIndex of the status key, 0: absent */
	int64_t phase_ms;      /* for how long it has been seen in its phase: see plan_view.looking_ms */
	struct plan_disconnect *disconnects;
	size_t n_disconnects;
	size_t n_leaving; /* instances without assignment that agents of living hosts have still to take away */
};

struct plan_host {
	char *name, *runtime;
	bool machines;      /* its nodes are machines with addresses of their own */
	struct strv labels; /* "key=value"; sorted */
	bool alive;         /* Consul's serfHealth */
	int64_t dead_ms;    /* how long it has not been alive, by a monotonic clock; 0 while it is */
	int64_t alive_ms;   /* how long it has been alive without a break; 0 while it is not */
	bool cordoned;      /* gets no new nodes */
	bool drained;       /* and its movable nodes go elsewhere */
	uint64_t memory;    /* bytes, 0: unknown */
	double cpus;
};

/* Owns all it points to. The order of the arrays does not matter. */
struct plan_view {
	struct plan_service *services;
	size_t n_services, cap_services;
	struct plan_host *hosts; /* those that have an info key: another host's assignments are of a host taken away */
	size_t n_hosts, cap_hosts;
	struct plan_instance *instances;
	size_t n_instances, cap_instances;
	struct plan_ack *acks;
	size_t n_acks, cap_acks;
	int64_t now_ms; /* realtime: what is written down, never what is measured by */
	/*
	 * How long the caller has looked without a break, by a monotonic clock; all other durations of the view begin
	 * no earlier. So time in which nobody led, or Consul was away, counts for no deadline, nor does a clock that
	 * jumps. For the first PLAN_SETTLE_MS it is not believed that anything is ill, or that what takes another's
	 * place serves: that may be said from before, or of checks that have not run again.
	 */
	int64_t looking_ms;
	int64_t reschedule_ms; /* 0: PLAN_RESCHEDULE_MS */
	bool consul_unwell;    /* no leader, or the catalog could not be read: nothing is planned */
};

enum plan_action_kind { PLAN_ASSIGN, PLAN_DESIRE, PLAN_UNASSIGN, PLAN_STATUS, PLAN_EVENT };

/* Owns its strings. Only the fields named for its kind are set. */
struct plan_action {
	enum plan_action_kind kind;
	/* ASSIGN, DESIRE, UNASSIGN; EVENT about one node (component NULL: about the service) */
	char *component, *host;
	unsigned n;
	uint64_t gen;
	uint64_t index; /* DESIRE, UNASSIGN, STATUS: for compare-and-set */
	/* ASSIGN, DESIRE: the new assignment. Body and checks are those of the component in the spec of `revision`. */
	uint64_t revision;
	char *fingerprint;
	enum plan_desired desired;
	int64_t since_ms;
	bool proven;
	bool found; /* ASSIGN: as the agent found it, with the body and checks of its `found` key; revision is 0 */
	/* DESIRE, UNASSIGN: below which hosts acks of this instance are to be deleted in the same transaction */
	struct strv drop_acks;
	struct plan_status status; /* STATUS: the whole new value */
	char *event, *text;        /* EVENT: a kind for programs ("rollback") and a sentence for people */
};

/* One Consul transaction, of one service; at most one for each service comes out of a call. The first action is STATUS.
 */
struct plan_txn {
	char *service;
	struct plan_action *actions;
	size_t n, cap;
};

struct plan_actions {
	struct plan_txn *txns; /* by service name */
	size_t n, cap;
	int64_t wake_ms;      /* realtime; call again then though nothing changed. INT64_MAX: no need */
	size_t n_unexplained; /* instances of services that have neither spec nor status: left alone */
};

/*
 * Plans the next writes. The same view gives the same actions; a settled one gives none. 0, or -EINVAL when the view
 * breaks its own rules (a spec of another service, n of 0); `ret` is released with plan_actions_release.
 */
int plan_next(const struct plan_view *view, struct plan_actions *ret, struct err *err);
void plan_actions_release(struct plan_actions *actions);

void plan_spec_release(struct plan_spec *spec);
void plan_spec_free(struct plan_spec *spec);
void plan_status_release(struct plan_status *status);
void plan_instance_release(struct plan_instance *instance);
void plan_service_release(struct plan_service *service);
void plan_host_release(struct plan_host *host);
void plan_ack_release(struct plan_ack *ack);
void plan_view_release(struct plan_view *view);

/* Room for one more, zeroed, at the end of the view's array. */
struct plan_service *plan_view_add_service(struct plan_view *view);
struct plan_host *plan_view_add_host(struct plan_view *view);
struct plan_instance *plan_view_add_instance(struct plan_view *view);
struct plan_ack *plan_view_add_ack(struct plan_view *view);

#define _cleanup_plan_view_ _cleanup_(plan_view_release)
#define _cleanup_plan_actions_ _cleanup_(plan_actions_release)

/* Names as in docs/state.md; _parse gives -EINVAL for others. */
const char *plan_desired_name(enum plan_desired desired);
const char *plan_state_name(enum plan_state state); /* "none" for PLAN_NONE */
const char *plan_phase_name(enum plan_phase phase); /* "new" for PLAN_NEW, "failed" for PLAN_GAVE_UP */
const char *plan_health_name(enum plan_health health);
int plan_desired_parse(const char *name, enum plan_desired *ret);
int plan_state_parse(const char *name, enum plan_state *ret);
int plan_phase_parse(const char *name, enum plan_phase *ret);
bool plan_phase_is_final(enum plan_phase phase); /* done, rolled-back, failed, removed */

#endif
