/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the runtime contract's assertions stand on: counting, a node at hand, its events. */
#ifndef TEPUY_TESTS_E2E_CONTRACT_KIT_H
#define TEPUY_TESTS_E2E_CONTRACT_KIT_H

#include "runtime/runtime.h"

struct kit {
	struct runtime *rt;
	const char *dir;    /* base.tar, base.sha256, top.tar, top.sha256, other.tar, other.sha256 */
	char *tag;          /* unique to this run: part of all names */
	struct image image; /* base and top */
	char *ref;
	int slow;                         /* RUNTIME_SLOW: what bounds of time are multiplied by; 1 */
	struct runtime_network *networks; /* of ops->networks: NULL where nodes have no addresses of their own */
	size_t n_networks;
	_Atomic unsigned given; /* addresses so far */
};

/* A bound of time on this runtime. */
int kit_ms(const struct kit *kit, int ms);
/* Kilobytes that are carried around: fewer where the processor is emulated. */
int kit_kilobytes(const struct kit *kit, int kilobytes);

/* Counts, and prints what failed with the error's text (err may be NULL). Returns `ok`. */
bool expect(bool ok, const char *what, const struct err *err);
int report(void); /* prints "N passed, N failed"; the exit status */
/* A figure for a person. */
void measured(const char *what, int64_t us);
int64_t now_us(void);

/* `endpoint` NULL: the driver's default. */
int kit_open(struct kit *kit, const char *driver, const char *endpoint, const char *dir);
void kit_close(struct kit *kit); /* removes every node of this run */
/* Reads NAME.sha256 and describes NAME.tar. */
void kit_add_layer(struct kit *kit, struct image *image, const char *name);
void image_clear(struct image *image);

/* A node's description; change what a test needs, then kit_create. The lists are its own. */
struct draft {
	struct runtime_spec spec;
	struct strv labels, argv, env;
	char *name, *instance;
	struct runtime_network *networks; /* with an address for this node each */
	size_t n_networks;
};

void draft_init(struct draft *draft, struct kit *kit, const char *short_name);
void draft_release(struct draft *draft);
/* Creates and starts it, or counts a failure and returns NULL. The caller owns the id. */
char *kit_run(struct kit *kit, const struct draft *draft);
/* Runs argv (ended by NULL) in it; the output's text goes to `ret_output` (may be NULL, else owned). */
int kit_exec(struct kit *kit, const char *id, char **ret_output, ...) __attribute__((sentinel));
/* Sends a line to the node's own socket; the answer is owned by the caller, NULL on failure. Waits until it listens. */
char *kit_ask(struct kit *kit, const char *id, const char *line);
/* Polls inspect until the state is this one, at most `ms`. */
bool kit_wait_state(struct kit *kit, const char *id, enum runtime_state state, int ms);

/* A watch in a thread of its own that keeps all events. */
void events_begin(struct kit *kit);
void events_end(void);
/* The count of events so far: wait for later ones. */
size_t events_mark(void);
/* Waits for an event of this kind (of this instance, unless NULL) since `mark`; copies it (instance stays NULL). */
bool events_wait(size_t mark, enum runtime_event_kind kind, const char *instance, int ms, struct runtime_event *ret);

/* The groups of assertions; `id` is a running node made from kit->image. */
void contract_exec(struct kit *kit, const char *id);
void contract_attach(struct kit *kit, const char *id);
void contract_put(struct kit *kit, const char *id);
void contract_put_created(struct kit *kit);
void contract_dial(struct kit *kit, const char *id);
void contract_logs(struct kit *kit, const char *id);
void contract_usage(struct kit *kit, const char *id);
void contract_resize(struct kit *kit, const char *id);
void contract_killed(struct kit *kit, const char *driver);
/* A life of its own: "create NAME ADDRESS-NUMBER", "start NAME", "remove NAME", for contract_killed to kill. */
int contract_step(struct kit *kit, char **argv);

#endif
