/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bounded number of threads for blocking work. The agent's state belongs to its event loop: a job gets its own copy
 * of what it needs, works on it in a thread, and its result is taken up again on the loop.
 */
#ifndef TEPUY_AGENT_POOL_H
#define TEPUY_AGENT_POOL_H

#include <systemd/sd-event.h>

#include "base/err.h"

struct pool;

/* `work` runs in a thread, then `done` on the loop with the same data, which it owns from then on. */
typedef void (*pool_fn)(void *data);

int pool_new(sd_event *event, unsigned most_threads, struct pool **ret, struct err *err);
void pool_submit(struct pool *pool, pool_fn work, pool_fn done, void *data);
/* Waits for running jobs; jobs not begun yet are dropped by calling their `done` without `work`. */
void pool_free(struct pool *pool);

#endif
