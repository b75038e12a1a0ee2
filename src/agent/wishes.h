/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes on what other hosts wish for (wish.h), a few at a time, each at most once. On the agent's loop. */
#ifndef TEPUY_AGENT_WISHES_H
#define TEPUY_AGENT_WISHES_H

#include <jansson.h>

#include "agent/agent-state.h"

struct wishes *wishes_new(struct agent *agent);
void wishes_free(struct wishes *wishes); /* after the pool; NULL is fine */
/* For consul_watch_new on WISH_PREFIX; `data` is a struct wishes. */
void wishes_on_keys(void *data, const json_t *value, uint64_t index, const struct err *err);

#endif
