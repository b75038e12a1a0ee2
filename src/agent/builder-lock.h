/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who in the cluster makes an image: a key in Consul that one session holds, kept alive by a thread of its own for as
 * long as the work takes. It ends with the host or the agent that holds it.
 */
#ifndef TEPUY_AGENT_BUILDER_LOCK_H
#define TEPUY_AGENT_BUILDER_LOCK_H

#include "consul/consul.h"

struct builder_lock;

/* `value` is what the key says meanwhile. -ESTALE: another has it, or had it a moment ago. */
int builder_lock_take(struct consul *consul, const char *key, const char *value, struct builder_lock **ret,
		      struct err *err);
/* Gives it back; NULL is fine. */
void builder_lock_free(struct builder_lock *lock);
void builder_lock_freep(struct builder_lock **lock);

#endif
