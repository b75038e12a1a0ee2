/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tepuy/schema in Consul: which layout the cluster's keys have. An agent that does not know it reads, plans and writes
 * none of them; what runs on its host stays as it is. On the loop.
 */
#ifndef TEPUY_AGENT_SCHEMA_GATE_H
#define TEPUY_AGENT_SCHEMA_GATE_H

#include "agent/agent-state.h"

struct schema_gate;

/* The cluster's keys may be used from now on (`open`), or not any more. Not called before Consul has told. */
typedef void (*schema_gate_fn)(void *data, bool open);

/* Writes the key when there is none. `env->other_schema` is kept. */
int schema_gate_new(struct agent *agent, schema_gate_fn fn, void *data, struct schema_gate **ret, struct err *err);
void schema_gate_free(struct schema_gate *gate);

/* The layout that a value of the key says; 0 when it says none that can be read. */
uint64_t schema_gate_parse(const char *value);

#endif
