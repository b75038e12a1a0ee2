/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A deterministic world for plan_next: a Consul, hosts with agents, a leader, operators, faults, and a clock that jumps
 * from event to event. One seed gives one schedule. Everything is a plain struct of fixed size, so that ten thousand
 * schedules take seconds and a snapshot of Consul is one copy.
 */
#ifndef TEPUY_TESTS_SIM_SIM_H
#define TEPUY_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/plan.h"

#define COMPONENTS 4
#define NODES_MAX 4
#define VERSIONS 24
#define HOSTS_MAX 4
#define INSTANCES_MAX 96
#define REVISIONS 32
#define ACKS_MAX 128
#define HOMES_MAX (COMPONENTS * NODES_MAX)
#define SNAPSHOTS 16
#define NEVER INT64_MAX

/* What a version of a component does when it is built and run. */
enum nature { FINE, SLOW, BUILD_FAILS, START_FAILS, NEVER_HEALTHY, NATURES };

/* An assignment, its state key and its catalog entry: what Consul holds of one instance. */
struct record {
	bool assigned, has_state;
	int component, host, version, checks;
	unsigned n;
	uint64_t gen, index, revision;
	enum plan_desired desired;
	int64_t since_ms;
	bool proven;
	enum plan_state state;
	int64_t answers_ms;
	enum plan_health health;
	int64_t health_at; /* when it became healthy or stopped being it */
};

struct ack {
	bool used;
	int slot; /* the draining instance */
	uint64_t gen;
	int64_t since_ms;
	unsigned sessions;
	char consumer[24];
};

struct out {
	bool used, stop;
	int component;
	unsigned n;
	int64_t deadline_ms;
};

/* All of Consul. */
struct kv {
	struct record records[INSTANCES_MAX];
	int n_records;
	struct ack acks[ACKS_MAX];
	struct out outs[COMPONENTS];
	int spec; /* index in world.specs, -1: none */
	enum plan_phase phase;
	uint64_t revision, good, step, status_index;
	int64_t phase_since_ms;
	char reason[160];
	struct plan_home homes[HOMES_MAX]; /* names are not owned */
	size_t n_homes;
	bool host_alive[HOSTS_MAX], host_drained[HOSTS_MAX];
	int64_t host_seen_at[HOSTS_MAX]; /* when that last changed */
};

enum container { NO_CONTAINER, CONTAINER_STOPPED, CONTAINER_RUNNING };

/* What is true of an instance on its host, whatever Consul says. */
struct actual {
	bool used, image, registered, maintenance;
	enum container container;
	int64_t healthy_at; /* checks pass from then on */
	int64_t sick_until; /* a fault: they fail until then */
	int64_t crashed_until;
	/* the agent's step under way */
	bool busy;
	bool removing;
	enum plan_desired doing;
	int64_t doing_since_ms;
	int64_t done_at;
	int64_t notice_at;  /* when the agent looks at it next */
	int64_t publish_at; /* when the catalog hears of its health next */
	int64_t ack_at;     /* when its consumers' agents look at it next */
};

struct host {
	bool up, agent_up, cut;
	int64_t up_at, agent_at, joined_at; /* when that ends */
	int64_t seen_at;                    /* when Consul's opinion of it changes next */
};

struct sim_spec {
	struct plan_spec spec;
	struct plan_component components[COMPONENTS];
	struct plan_link links[COMPONENTS][2];
	int version[COMPONENTS], checks[COMPONENTS], id[COMPONENTS]; /* of components[i] */
};

struct leader {
	bool up;
	int64_t started_at, next;
	int64_t apply_at;
	struct plan_actions actions; /* on their way to Consul */
	int64_t clock_ms;            /* its clock minus the world's */
};

struct node_record {
	bool served;   /* it has served, and is wanted since */
	bool excused;  /* a fault keeps it from serving */
	int64_t until; /* an operator's wish of a moment ago may still be on its way */
};

struct world {
	uint64_t seed, rng;
	bool verbose;
	int64_t now;
	int n_hosts;
	struct host hosts[HOSTS_MAX];
	struct kv kv;
	struct actual actual[INSTANCES_MAX];
	struct kv snapshots[SNAPSHOTS];
	int64_t snapshot_at[SNAPSHOTS];
	unsigned n_snapshots;
	uint64_t index; /* Consul's */
	bool changed;   /* since the last snapshot */
	struct sim_spec specs[REVISIONS];
	int n_specs;
	enum nature nature[COMPONENTS][VERSIONS];
	int n_versions[COMPONENTS];
	struct plan_update update[COMPONENTS]; /* the same in all revisions, so that what is to be kept is plain */
	bool exclusive[COMPONENTS], fixed_ports[COMPONENTS];
	struct leader leader;
	bool consul_down;
	int64_t consul_at;
	struct node_record nodes[COMPONENTS][NODES_MAX + 1];
	int64_t next_operator, next_fault, calm_at; /* no operator and no fault after calm_at */
	bool calm;
	unsigned n_faults, n_outs, n_events, n_plans;
	int mended; /* sound revisions given after a failure */
	char failure[256];
};

/* world.c */
extern const char *const component_names[COMPONENTS];
extern const char *const host_names[HOSTS_MAX];
const char *fingerprint_name(int component, int version);
const char *checks_name(int checks);
bool uses(int consumer, int provider);
int component_id(const char *name);
int host_id(const char *name);
uint64_t random_to(struct world *w, uint64_t n); /* 0 … n - 1 */
bool chance(struct world *w, unsigned in);       /* one in `in` */
int64_t between(struct world *w, int64_t low, int64_t high);
void world_init(struct world *w, uint64_t seed, bool verbose);
void world_release(struct world *w);
void touch(struct world *w); /* Consul changed: watchers hear of it */
void trace(struct world *w, const char *format, ...) _printf_(2, 3);
void fail(struct world *w, const char *format, ...) _printf_(2, 3);
struct sim_spec *spec_of_revision(struct world *w, uint64_t revision);
struct sim_spec *spec_in_work(struct world *w);            /* that the phase aims at, or NULL */
int spec_find(const struct sim_spec *spec, int component); /* index in components, or -1 */

/* agents.c */
int64_t agents_next(struct world *w);
void agents_step(struct world *w);
bool truly_healthy(const struct world *w, int slot);
bool truly_serves(const struct world *w, int slot);
void notice(struct world *w, int slot, int64_t most_ms);
void notice_host(struct world *w, int host);

/* leader.c */
void leader_step(struct world *w);
void leader_crash(struct world *w);

/* people.c: operators and faults */
void operator_step(struct world *w);
void fault_step(struct world *w);
void calm_down(struct world *w); /* faults end, hosts return */
void first_spec(struct world *w);
void mend(struct world *w); /* a sound revision */

/* check.c */
void check_always(struct world *w);
void check_action(struct world *w, const struct plan_action *action, int slot);
void check_settled(struct world *w);
const struct out *out_of(const struct world *w, int component, unsigned n); /* disconnected? */

#endif
