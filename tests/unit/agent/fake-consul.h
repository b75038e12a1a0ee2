/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A small Consul for the tests of what speaks with it: keys with compare-and-set and transactions, answers that a test
 * gives for other paths, failures on demand. Threads of its own; all members are read through functions.
 */
#ifndef TEPUY_TESTS_AGENT_FAKE_CONSUL_H
#define TEPUY_TESTS_AGENT_FAKE_CONSUL_H

#include <stdbool.h>
#include <stdint.h>

struct fake_consul;

struct fake_consul *fake_consul_start(void);
void fake_consul_stop(struct fake_consul *consul);
const char *fake_consul_base(const struct fake_consul *consul); /* "http://127.0.0.1:…" */

/* tepuy/leader is held by a session while it is there. */
void fake_consul_set(struct fake_consul *consul, const char *key, const char *value);
char *fake_consul_get(struct fake_consul *consul, const char *key); /* owned by the caller; NULL: absent */
/* The answer to GETs of this path, its query left out; JSON text that must outlive the server. */
void fake_consul_answer(struct fake_consul *consul, const char *path, const char *json);

/* The next `n` requests get a 500. */
void fake_consul_fail(struct fake_consul *consul, unsigned n);
/* Its servers have no leader: only GETs with `stale` are answered. */
void fake_consul_depose(struct fake_consul *consul);
/* How many requests got a 500 for that. */
unsigned fake_consul_leaderless(struct fake_consul *consul);
/* While held, requests wait for their answer. */
void fake_consul_hold(struct fake_consul *consul, bool held);

unsigned fake_consul_requests(struct fake_consul *consul); /* that came so far */
unsigned fake_consul_most_at_once(struct fake_consul *consul);
unsigned fake_consul_waiting(struct fake_consul *consul);
/* How many requests were "METHOD path", GETs not counted. */
unsigned fake_consul_writes(struct fake_consul *consul, const char *what);
/* "METHOD path" of the last request that was no GET; owned by the caller. */
char *fake_consul_last_write(struct fake_consul *consul);

#endif
