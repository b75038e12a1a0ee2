/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A leader's lock on the event loop: a Consul session with a TTL, kept alive, and a key that one session at a time can
 * hold. It competes for the key for as long as it lives.
 *
 * Held means: Consul said so, and since the last renewal that was answered less than the TTL has passed on the
 * monotonic clock. Consul gives the key to another only after that, so two holders at once need a stopped process;
 * writes that must be safe even then carry a CONSUL_CHECK_SESSION on the key with consul_lock_session.
 */
#ifndef TEPUY_CONSUL_CONSUL_LOCK_H
#define TEPUY_CONSUL_CONSUL_LOCK_H

#include "consul/consul.h"
#include "http/http-loop.h"

struct consul_lock;

struct consul_lock_options {
	const char *key;       /* "tepuy/leader" */
	const char *value;     /* what the key says while it is held: the host's name */
	int64_t ttl_ms;        /* 0: 15 s; Consul takes no less than 10 s */
	int64_t lock_delay_ms; /* after a holder's session expired, how long nobody gets the key; 0: 1 s */
	const char *previous;  /* session of a holder that is known to be dead, or NULL: its key is given back first */
};

/* Elected (`held`) or lost; then `err` says why, and the lock goes on competing. consul_lock_free is allowed in here.
 */
typedef void (*consul_lock_fn)(void *data, bool held, const struct err *err);

/* The options are copied; `consul` and the loop must outlive the lock. `fn` is called from the event loop. Giving back
 * blocks for at most a second when Consul does not answer. */
int consul_lock_new(struct http_loop *loop, struct consul *consul, const struct consul_lock_options *options,
		    consul_lock_fn fn, void *data, struct consul_lock **ret, struct err *err);
/* Gives the key back (blocks for at most a second when Consul does not answer). `fn` is not called. NULL is fine. */
void consul_lock_free(struct consul_lock *lock);
void consul_lock_freep(struct consul_lock **lock);
bool consul_lock_held(const struct consul_lock *lock);
/* The session while it is held, else NULL; borrowed until the next turn of the loop. */
const char *consul_lock_session(const struct consul_lock *lock);

#endif
