/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The working state while one service is planned; for the files of src/plan only. `struct work` holds copies that the
 * steps change as they decide, so that a later step of the same call sees what an earlier one did.
 */
#ifndef TEPUY_PLAN_WORK_H
#define TEPUY_PLAN_WORK_H

#include "plan/plan.h"

/* A host with what this call has put on it. */
struct place_host {
	const struct plan_host *host;
	unsigned load;   /* instances on it, stopped ones too */
	uint64_t memory; /* that they ask for at most at once */
	size_t at;       /* in lookup.by_load */
	unsigned same;   /* instances of the group in lookup.counted; 0 while `epoch` is another one's */
	unsigned epoch;
};

/* The view, sorted for look-up; made once a call. */
struct lookup {
	const struct plan_view *view;
	const struct plan_service **services;   /* by name */
	const struct plan_instance **instances; /* by service, component, n, gen, host */
	const struct plan_ack **acks;           /* by the draining instance */
	struct place_host *hosts;               /* by name */
	size_t n_hosts;
	bool any_alive;
	struct place_host **by_load; /* fewest instances first */
	const struct group *counted; /* whose nodes are counted in hosts[].same */
	unsigned epoch, least_same;  /* no host that fits has fewer of that group */
};

void lookup_init(struct lookup *lookup, const struct plan_view *view);
void lookup_release(struct lookup *lookup);
struct place_host *lookup_host(const struct lookup *lookup, const char *name); /* NULL: taken away */
/* The acks of one draining instance; returns how many. */
size_t lookup_acks(const struct lookup *lookup, const struct plan_instance *instance, const struct plan_ack ***ret);

/* An instance as this call leaves it. */
struct unit {
	const struct plan_instance *it;
	const struct plan_host *host; /* NULL: taken away from the cluster */
	/* What the catalog says of it, but that nothing on a host that does not answer is healthy. */
	enum plan_health health;
	int64_t health_ms;
	enum plan_desired desired;
	bool proven;
	bool lost;      /* on a host that is dead for so long that its nodes are given up there */
	bool evicted;   /* lost, or on a host that is being emptied; never an exclusive node's, whose data is there */
	bool misplaced; /* on a host where the spec in work does not allow it; not an exclusive node's */
	bool displaced; /* evicted or misplaced */
	bool gone;      /* unassigned in this call */
	bool touched;   /* has an action in this call already: a transaction names each key once */
};

struct node {
	unsigned n;
	struct unit *units;
	size_t n_units;
	struct unit *current;              /* the matching instance that is (to be) the node, or NULL */
	const struct plan_disconnect *out; /* taken out by an operator, or NULL */
	bool wanted;
};

/* All nodes of one component: wanted, running, or both. */
struct group {
	const char *name;
	const struct plan_component *want; /* NULL: the spec in work has no such component */
	struct node *nodes;                /* by n */
	size_t n_nodes;
	struct unit *units; /* part of work.units */
	size_t n_units;
	unsigned rank; /* providers have lower ones than their consumers */
	/* Answers that cost a look at everything, kept until the next action (work.acted + 1 then; 0: not known). */
	size_t right_at, gate_at, count_at;
	bool right, gate;
	size_t healthy, needed, down, busy;
	/* running instances that use this component */
	struct unit **consumers;
	size_t n_consumers, cap_consumers;
	bool consumers_known;
};

struct edge {
	size_t consumer, provider; /* groups */
	bool required;
	bool kept; /* not part of a cycle that had to be cut */
};

struct work {
	struct lookup *lookup;
	const struct plan_service *service;
	const struct plan_spec *spec; /* that the present phase aims at; NULL: nothing is wanted */
	int64_t now_ms, wake_ms;
	struct unit *units; /* by component, n, gen, host */
	size_t n_units;
	struct group *groups; /* by name */
	size_t n_groups;
	size_t *order; /* indices of groups, providers first */
	struct edge *edges;
	size_t n_edges, cap_edges;
	struct plan_status status; /* as this call leaves it */
	bool status_changed;
	struct plan_txn txn;
	size_t ops;   /* of the transaction so far */
	bool full;    /* something had to wait for the next call */
	size_t acted; /* actions on instances */
	bool waiting; /* something waits, and status.reason says for what */
};

/* groups.c */
void groups_build(struct work *work, const struct plan_spec *spec);
void groups_release(struct work *work);
const struct plan_component *spec_component(const struct plan_spec *spec, const char *name);

/* order.c: fills rank, order, and kept of the edges. Cycles are cut where links are optional, if need be anywhere. */
void order_groups(struct work *work);

/* facts.c: questions about instances and nodes */
bool unit_healthy(const struct unit *unit);
int64_t health_for(const struct work *work, const struct unit *unit); /* ms; not from before it was told to run */
/* Known to be ill for at least that long; an instance that the catalog does not know is not known to be ill. */
bool unit_ill(struct work *work, const struct unit *unit, int64_t for_ms);
bool unit_answers(const struct unit *unit, enum plan_state state); /* the agent says so about this assignment */
bool unit_stopped(const struct unit *unit); /* certain not to run: never ran, stopped, or its host was taken away */
bool host_given_up(struct work *work, const struct plan_host *host); /* dead for so long that nothing waits for it */
bool unit_live(const struct unit *unit); /* told to run, or not yet known to be stopped; lost ones are not */
int64_t told_for(const struct work *work, const struct unit *unit); /* ms for which it was seen to be told that */
int64_t phase_for(const struct work *work);                         /* ms for which this phase was seen */
/* Has the caller looked for long enough to believe what Consul says of health? If not, the plan is called again then.
 */
bool sure(struct work *work);
/* Whether `elapsed` has reached `limit`; if not, the plan is to be called again when it has. */
bool reached(struct work *work, int64_t elapsed_ms, int64_t limit_ms);
bool component_stop_first(const struct plan_component *want);
bool node_alone(const struct node *node, const struct unit *but); /* every other instance is certain not to run */
struct unit *node_match(struct work *work, const struct group *group, struct node *node);
bool node_right(struct work *work, const struct group *group, const struct node *node);
bool group_right(struct work *work, struct group *group);
bool group_gate(struct work *work, struct group *group); /* its required providers are right */

/* drain.c */
void group_count(struct work *work, struct group *group); /* fills healthy, needed, down, busy */
bool unit_drained(struct work *work, struct group *group, const struct unit *unit, int64_t deadline_ms);
bool may_drain(struct work *work, struct group *group, const struct node *node, const struct unit *old);

void lookup_add_load(struct lookup *lookup, struct place_host *host, uint64_t memory); /* one instance more on it */

/* take-over.c: what agents found without an assignment gets one. Whether there is any such: nothing else is done then.
 */
bool take_over(struct work *work);
bool service_exclusive(const struct plan_service *service, const char *component); /* next.c: its data does not move */

/* place.c: the host for a new instance, NULL with a sentence when none fits (ret_never: not even those that are dead)
 */
struct place_host *place_node(struct work *work, const struct group *group, const struct node *node, char **ret_why,
			      bool *ret_never);
/* Whether its nodes may be there at all, as far as that does not change from one minute to the next. */
bool host_fits(const struct plan_host *host, const struct plan_component *want);
/* Bytes that a node asks for on that host: a machine has some also when its service does not say how much. */
uint64_t memory_on(const struct plan_host *host, uint64_t asked);
/* Bytes that a new instance of the node asks for there beside what is on the host. */
uint64_t memory_added(const struct place_host *host, const struct plan_component *want, const struct node *node);
unsigned *place_same(const struct lookup *lookup, struct place_host *host);
/* Why the place of an exclusive node cannot be what the spec says, as its data is elsewhere; NULL: it can. Owned by the
 * caller. */
char *place_refused(struct work *work, const struct group *group, const struct node *node);
const char *home_of(const struct plan_status *status, const char *component, unsigned n);

/* act.c: decisions become actions; false when the transaction is full */
bool act_assign(struct work *work, const struct group *group, struct node *node, struct place_host *host,
		enum plan_desired desired);
bool act_take_over(struct work *work, struct unit *unit, enum plan_desired desired, bool exclusive);
bool act_desire(struct work *work, struct unit *unit, enum plan_desired desired);
bool act_prove(struct work *work, struct unit *unit);
bool act_around(struct work *work, const struct plan_component *want, struct unit *unit);
bool act_unassign(struct work *work, struct unit *unit);
void act_event(struct work *work, const char *kind, const struct unit *unit, const char *format, ...) _printf_(4, 5);
/* Enters a phase; takes ownership of reason and detail. */
void act_phase(struct work *work, enum plan_phase phase, char *reason, char *detail);
void act_reason(struct work *work, char *reason); /* takes ownership; says why the phase takes its time */
void status_copy(struct plan_status *to, const struct plan_status *from);
void act_finish(struct work *work, struct plan_actions *ret);

/* node.c: one step for one node or instance */
enum roll_mode { ROLL_FORWARD, ROLL_BACK, ROLL_STEADY };

bool assign_node(struct work *work, struct group *group, struct node *node, enum plan_desired desired);
void roll_node(struct work *work, struct group *group, struct node *node, enum roll_mode mode);
void retire_old(struct work *work, struct group *group, struct node *node, enum roll_mode mode);
void retire_extra(struct work *work, struct group *group, struct node *node);
void hold_node(struct work *work, struct group *group,
	       struct node *node); /* no roll here: only disconnect and connect */

/* fail.c */
bool node_failed(struct work *work, struct group *group, struct node *node); /* and the phase was changed for it */
void deployment_failed(struct work *work, const struct plan_component *want, char *reason, char *detail);

/* phases.c: what the service aims at in that phase, NULL: nothing is wanted */
const struct plan_spec *service_aim(const struct plan_service *service, enum plan_phase phase);
/* One step of the present phase; may enter another one */
void plan_phase_step(struct work *work);

#endif
