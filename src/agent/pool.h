/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bounded number of threads for blocking work. The agent's state belongs to its event loop: a job gets its own copy
 * of what it needs, works on it in a thread, and its result is taken up again on the loop.
 */
#ifndef TEPUY_AGENT_POOL_H
#define TEPUY_AGENT_POOL_H

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/err.h"

struct pool;

typedef void (*pool_work)(void *data);
/* `dropped`: the pool ends, and the work may not have been done: nothing but to free `data`. */
typedef void (*pool_done)(void *data, bool dropped);

int pool_new(sd_event *event, unsigned most_threads, struct pool **ret, struct err *err);
/* `work` runs in a thread, then `done` on the loop with the same data, which it owns from then on. */
void pool_submit(struct pool *pool, pool_work work, pool_done done, void *data);
/*
 * The same for work that lasts as long as somebody else lets it. However many wait for that, all else goes on: of each
 * kind no more are at work at once than its share of the threads, one at least; together they leave a quarter.
 */
enum pool_kind {
	POOL_QUICK,  /* has a bound of its own; as pool_submit */
	POOL_SLOW,   /* minutes, as what waits for an image: half */
	POOL_CHECKS, /* programs of nodes' own, asked again and again: a quarter */
	POOL_KINDS
};

void pool_submit_as(struct pool *pool, enum pool_kind kind, pool_work work, pool_done done, void *data);
/* Begins no further job and waits so long for those that run. Whether they have ended; then pool_free is next. */
bool pool_stop(struct pool *pool, int seconds);
/* Waits for running jobs; all whose `done` has not been called are dropped. Nothing may be submitted from there. */
void pool_free(struct pool *pool);

#endif
