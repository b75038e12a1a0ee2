/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A deterministic world for plan_next and converge_next: a Consul, hosts with their agents, leaders, operators, a
 * network that loses and delays, faults, and a clock that jumps from event to event. One seed gives one schedule.
 * Everything is a plain struct of fixed size, so that ten thousand schedules take seconds.
 *
 * Three kinds of knowledge are kept apart: what is true on a host (`actual`), what Consul holds (`kv`, and its older
 * snapshots, which are what late answers show), and what an agent has heard and remembers (`actual.heard`, `.mind`).
 */
#ifndef TEPUY_TESTS_SIM_SIM_H
#define TEPUY_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/converge.h"
#include "plan/plan.h"

#define SERVICES 3
#define COMPONENTS 4
#define NODES_MAX 4
#define VERSIONS 24
#define HOSTS_MAX 7
#define INSTANCES_MAX 192
#define REVISIONS 32
#define SPECS_MAX (REVISIONS + 4) /* the last are for what is submitted again after Consul lost its data */
#define ACKS_MAX 256
#define HOMES_MAX (COMPONENTS * NODES_MAX)
#define SNAPSHOTS 16
#define NEVER INT64_MAX
#define LATE_MS 5000  /* so far behind is a late answer of Consul at most */
#define DELAY_MS 3000 /* so long takes word of a change at most */
#define WAY_MS 4000   /* so long is a transaction on its way at most */

/* What a version of a component does when it is built and run. */
enum nature { FINE, SLOW, BUILD_FAILS, START_FAILS, NEVER_HEALTHY, NATURES };

enum runtime { ANY, DOCKER, XEN };

/* Consul returns as it was; without its data, as a server that was rebuilt; with an older copy of it. */
enum loss { NOTHING_LOST, ALL_LOST, SINCE_BACKUP_LOST };

/* An assignment, its state key and its catalog entry: what Consul holds of one instance. */
struct record {
	uint32_t uid;                     /* no other record ever has it, 0: none */
	bool assigned, has_state, listed; /* listed: in the catalog */
	bool found, found_runs;           /* its agent told of it: it has a container that Consul does not know */
	uint8_t service, component, host, version, checks;
	unsigned n;
	uint64_t gen, index, revision;
	enum plan_desired desired;
	int64_t since_ms; /* by the clock of the leader that wrote it */
	int64_t told_at;  /* when that was */
	bool proven;
	enum plan_state state;
	uint32_t state_uid; /* of its key, in place of CreateIndex */
	int64_t answers_ms;
	int64_t maintenance_ms; /* `since` of the drain that it is in maintenance for, as the catalog tells it */
	enum plan_health health;
	int64_t health_at; /* when it became healthy or stopped being it */
};

/* A consumer's word, under its own host: it stays when the consumer is gone. */
struct ack {
	uint32_t drained, consumer; /* uids */
	uint8_t host, component;    /* of the consumer, as its node and generation */
	unsigned n;
	uint64_t gen;
	unsigned sessions;
	int64_t since_ms; /* of the drain that it answers */
	int64_t at;       /* when that was last changed */
};

struct out {
	bool used, stop;
	int component;
	unsigned n;
	int64_t deadline_ms;
};

struct kv_service {
	int spec;                         /* index in service.specs, -1: none */
	uint8_t revisions[SPECS_MAX + 1]; /* of each revision: one more than its index in service.specs, 0: none */
	enum plan_phase phase;
	uint64_t revision, good, step, status_index;
	int64_t phase_since_ms, phase_at; /* by the leader's clock, and the world's */
	char reason[96];
	struct plan_home homes[HOMES_MAX]; /* names are not owned */
	size_t n_homes;
	struct out outs[COMPONENTS];
};

/* All of Consul. Copied as far as it is filled. */
struct kv {
	uint64_t session; /* that holds tepuy/leader */
	uint64_t index;   /* of the last write */
	struct kv_service services[SERVICES];
	bool host_alive[HOSTS_MAX], host_drained[HOSTS_MAX], host_cordoned[HOSTS_MAX];
	bool host_known[HOSTS_MAX];      /* has an info key */
	int64_t host_seen_at[HOSTS_MAX]; /* when its being alive last changed */
	int n_records, n_acks;
	struct ack acks[ACKS_MAX];
	struct record records[INSTANCES_MAX];
};

/* What is true of an instance on its host, and what its agent knows and wants to say. */
struct actual {
	bool used;
	/* true */
	enum container container;
	uint8_t version, version_checks; /* that the container was made of */
	bool stored;                     /* its image is in the host's store */
	bool registered, maintenance;    /* with the host's own Consul agent */
	uint8_t checks;                  /* registered ones */
	int64_t maintenance_ms;          /* `since` of the drain that it was put into maintenance for */
	int64_t healthy_at;              /* checks pass from then on */
	int64_t again_at;                /* it ended, and its runtime starts it again then, unless told to stop it */
	int64_t sick_until;              /* a fault: they fail until then */
	int64_t forgotten_until;         /* Consul was restarted and has not run its checks again */
	int64_t serves_since;            /* NEVER: it does not */
	bool bereft;                     /* Consul forgot it while it was told to run */
	bool stop_told;                  /* a leader told it to stop, or took its assignment away */
	/* what its agent heard from Consul last */
	struct {
		bool assigned, explained, state;
		enum plan_desired desired;
		int64_t since_ms;
		uint8_t version, checks;
	} heard;
	/* what its agent knows */
	struct {
		enum container container;
		bool image, proven, failed, has_state, stopped;
		bool orphaned, found_known, found_told; /* as in src/agent/instance.h */
		uint32_t state_uid;                     /* of the last answer */
		unsigned failures;
		int64_t retry_ms, launched_ms; /* monotonic */
	} mind;
	bool busy;
	enum converge_step doing;
	enum plan_desired doing_for;
	int64_t doing_since_ms; /* of the assignment */
	int64_t done_at;
	/* what it says in its state key */
	bool reported, saying, deleting;
	bool telling, tells_found, tells_runs; /* its `found` key is to be written so, or deleted */
	enum plan_state state;
	int64_t answers_ms;
	int64_t look_at;    /* when the agent looks at it next */
	int64_t say_at;     /* when what it says next reaches Consul */
	int64_t tell_at;    /* and what it found */
	int64_t publish_at; /* when the catalog hears of its health next */
	/* as a consumer: which instances it sends to, and which it has taken out */
	uint64_t route[(INSTANCES_MAX + 63) / 64];
	bool routed;
};

struct host {
	bool up, agent_up, gone; /* gone: for good */
	bool deaf, mute;         /* cannot hear Consul; is not heard by it */
	bool lonely;             /* cannot reach the other hosts */
	bool xen;                /* its runtime */
	int64_t runtime_at;      /* when its runtime, which is away, answers again; else NEVER */
	bool silent;             /* its gossip is lost: it counts as dead though all else goes on */
	bool known, listed;      /* its agent has heard its assignments, and has looked at the runtime */
	bool info_told;          /* and has told Consul that it is there */
	int64_t info_at;         /* when that reaches Consul */
	unsigned epoch;          /* of world, when its agent heard last */
	int64_t up_at, agent_at, joined_at, listed_at; /* when that ends */
	int64_t seen_at;                               /* when Consul's opinion of it changes next */
	int64_t hear_at;                               /* when its agent hears of its keys next */
	int64_t links_at;                              /* when its agent hears of the catalog next */
	unsigned heard_of, links_of;                   /* the number of the snapshot that it heard of last */
	bool away;                                     /* it has not heard since it was cut off */
	int64_t hears_since;                           /* without a break */
	int64_t misled_at;                             /* it was told again what it was told before */
	int64_t clock_ms;                              /* its realtime minus the world's */
};

struct sim_spec {
	struct plan_spec spec;
	struct plan_component components[COMPONENTS];
	struct plan_link links[COMPONENTS][2];
	uint8_t version[COMPONENTS], checks[COMPONENTS], id[COMPONENTS]; /* of components[i] */
	enum runtime runtime[COMPONENTS];
};

/* One that holds the lock, or one that held it and whose last transactions are on their way. */
struct leader {
	bool up;
	int host;
	uint64_t session;
	int64_t started_at, next, apply_at, deaf_at;
	int64_t looks_since;         /* without a break that it noticed */
	struct plan_actions actions; /* on their way to Consul */
	size_t applied;              /* of these transactions */
};

struct node_record {
	bool served;         /* it has served, and is wanted since */
	bool excused;        /* a fault keeps it from serving, or it is not known yet that it serves again */
	bool down;           /* it is not excused, and does not serve */
	int64_t until;       /* an operator's wish of a moment ago may still be on its way */
	int64_t deadline_ms; /* of a disconnect that was withdrawn then; 0: none */
};

struct service {
	struct sim_spec specs[SPECS_MAX];
	int n_specs;
	enum nature nature[COMPONENTS][VERSIONS];
	uint8_t n_versions[COMPONENTS];
	struct plan_update update[COMPONENTS]; /* the same in all revisions, so that what is to be kept is plain */
	bool exclusive[COMPONENTS], fixed_ports[COMPONENTS];
	enum runtime runtime[COMPONENTS]; /* of the first revision */
	struct node_record nodes[COMPONENTS][NODES_MAX + 1];
	unsigned n_outs;
	int mended;                                   /* sound revisions given after a failure */
	uint8_t data_host[COMPONENTS][NODES_MAX + 1]; /* one more than where an exclusive node's data is, 0: nowhere */
};

struct world {
	uint64_t seed, rng;
	bool verbose;
	int64_t now;
	int n_hosts, n_services;
	int n_open;            /* the first hosts stay open and are never taken away: one of each runtime */
	bool flaky;            /* steps on hosts fail often */
	int64_t reschedule_ms; /* 0: the plan's own */
	struct host hosts[HOSTS_MAX];
	struct kv kv, frozen; /* frozen: the last that a leader heard who cannot hear any more */
	struct actual actual[INSTANCES_MAX];
	struct kv snapshots[SNAPSHOTS];
	int64_t snapshot_at[SNAPSHOTS];
	unsigned n_snapshots;
	unsigned first_snapshot; /* older ones are of another history */
	uint64_t sessions;       /* given so far */
	uint32_t uids;
	bool changed; /* since the last snapshot */
	bool started; /* a container, since the last check */
	int64_t changed_at;
	struct service services[SERVICES];
	struct leader leader, former;
	bool no_session_check; /* compare-and-set alone must do */
	struct kv backup;      /* an older copy of Consul's data */
	bool has_backup;
	unsigned losses_left; /* so often Consul still loses its data */
	enum loss loss;       /* it does when it returns */
	unsigned epoch;       /* raised by each loss */
	int server;           /* the host whose Consul agent is the server, and forgets with it; -1: none */
	int64_t restored_at;  /* when an older copy came back: so does its catalog, until Consul's agents have told */
	int64_t recover_at;   /* when an operator looks whether he can submit again what was lost */
	bool consul_down;
	int64_t consul_at, consul_since; /* without a break well since then */
	unsigned flaps;                  /* so often an operator still changes his mind about one disconnect */
	int flaps_of;                    /* service */
	int64_t next_operator, next_fault, calm_at; /* no operator and no fault after calm_at */
	int64_t calm_since;
	bool calm;
	bool late_words; /* what is applied now is a former leader's */
	unsigned n_faults, n_events, n_plans, n_stale;
	int64_t settle_ms; /* from the calm to the last change */
	char failure[256];
};

/* world.c */
extern const char *const service_names[SERVICES];
extern const char *const component_names[COMPONENTS];
extern const char *const host_names[HOSTS_MAX];
const char *fingerprint_name(int component, int version);
const char *checks_name(int checks);
const char *instance_name(const struct record *record); /* overwritten by the eighth call after it */
bool uses(int consumer, int provider);
int service_id(const char *name);
int component_id(const char *name);
int host_id(const char *name);
uint64_t random_to(struct world *w, uint64_t n); /* 0 … n - 1 */
bool chance(struct world *w, unsigned in);       /* one in `in` */
int64_t between(struct world *w, int64_t low, int64_t high);
int64_t least(int64_t a, int64_t b);
void sooner(int64_t *at, int64_t then); /* the earlier of both */
void world_init(struct world *w, uint64_t seed, bool verbose);
void world_release(struct world *w);
void trace(struct world *w, const char *format, ...) _printf_(2, 3);
void fail(struct world *w, const char *format, ...) _printf_(2, 3);
struct sim_spec *spec_in(struct world *w, const struct kv *kv, int service, uint64_t revision);
struct sim_spec *spec_of_revision(struct world *w, int service, uint64_t revision);
struct sim_spec *spec_wanted(struct world *w, int service);  /* NULL: Consul has none */
struct sim_spec *spec_in_work(struct world *w, int service); /* that the phase aims at, or NULL */
int spec_find(const struct sim_spec *spec, int component);   /* index in components, or -1 */
const struct out *out_of(const struct world *w, int service, int component, unsigned n); /* disconnected? */

/* consul.c: what is written, and who hears of it when */
void kv_copy(struct kv *to, const struct kv *from);
void touch(struct world *w);                   /* something changed: leaders hear of it */
void touch_host(struct world *w, int host);    /* of its keys: its agent hears of it */
void touch_catalog(struct world *w, int slot); /* the consumers' agents hear of it */
void take_snapshot(struct world *w);
/* A snapshot up to `most` changes older than number `than`, and no more than some seconds behind. */
unsigned old_snapshot(struct world *w, unsigned than, unsigned most);
int find_uid(const struct kv *kv, uint32_t uid, int slot); /* the slot, or -1; `slot` is where it should be */
int new_slot(struct world *w, int host);                   /* of one there; -1: too many */
void forget_slot(struct world *w, int slot);
bool apply_txn(struct world *w, const struct plan_txn *txn, uint64_t session); /* false: refused */
void drop_acks(struct world *w, uint32_t drained, int consumer_host);          /* -1: of all hosts */
void drop_acks_of_host(struct world *w, int host);
void write_ack(struct world *w, int drained, int consumer, unsigned sessions, int64_t since_ms); /* slots */
void delete_ack(struct world *w, uint32_t drained, uint32_t consumer);
const struct ack *find_ack(const struct kv *kv, uint32_t drained, uint32_t consumer);

/* hosts.c */
bool hears(const struct world *w, int host);
bool is_heard(const struct world *w, int host);
bool truly_healthy(const struct world *w, int slot);
bool truly_serves(const struct world *w, int slot);
int64_t hosts_next(const struct world *w);
void hosts_step(struct world *w);
void publish_soon(struct world *w, int slot, int64_t most_ms);
void stop_agent(struct world *w, int host);
void start_agent(struct world *w, int host);
void consul_returns(struct world *w);
void forget_checks(struct world *w, int host);

/* loss.c: Consul comes back without its data, or with an older copy of it */
void lose_data(struct world *w);
void restore_while_up(struct world *w); /* as `consul snapshot restore`: nobody notices that it was away */
void make_backup(struct world *w);
bool has_home(const struct kv_service *kv, int component, unsigned n); /* does Consul know where its data is? */
void recover(struct world *w); /* the operator submits again what Consul has not */

/* agents.c */
int64_t agents_next(const struct world *w);
void agents_step(struct world *w);
void hear(struct world *w, int host);
void look_soon(struct world *w, int slot, int64_t most_ms);

/* links.c */
void hear_links(struct world *w, int host);
bool routes_to(const struct world *w, int consumer, int slot);
void forget_routes(struct world *w, int slot);

/* leader.c */
void leader_step(struct world *w);
int64_t leader_next(const struct world *w);
void leader_lost(struct world *w, bool paused);

/* people.c: operators and faults */
void operator_step(struct world *w);
void first_specs(struct world *w);
void mend(struct world *w, int service); /* a sound revision */
void up_again(struct world *w, int service);
bool runtime_fits(const struct world *w, int host, enum runtime runtime);
void remove_hosts(struct world *w); /* those that are gone for good */

/* faults.c */
void fault_step(struct world *w);
void calm_down(struct world *w);             /* faults end, hosts return */
void excuse_host(struct world *w, int host); /* a fault keeps its nodes from serving for a while */

/* check.c */
void check_always(struct world *w);
void check_action(struct world *w, int service, const struct plan_action *action, int slot);
void check_step(struct world *w, int slot, enum converge_step step);
void check_launch(struct world *w, int slot);
void check_stopped(struct world *w, int slot); /* its agent is about to say so */
void check_moved(struct world *w, int host);
void check_empty_route(struct world *w, int consumer, int dropped);
bool host_is_well(const struct world *w, int host);

/* settled.c */
void check_settled(struct world *w);

#endif
