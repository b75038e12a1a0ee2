/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A consumer's word that it took a draining instance out, and how many sessions it still has with it (docs/state.md).
 */
#ifndef TEPUY_AGENT_ACKS_H
#define TEPUY_AGENT_ACKS_H

#include "agent/instance.h"

struct ack {
	char *instance; /* the draining one: "portal/web/1.5" */
	unsigned sessions;
	int64_t since_ms; /* of the drain: `since` of the assignment; 0: not known */
};

/* Writes what is new or changed and deletes the acks of what drains no longer. */
void acks_set(struct instance *consumer, const struct ack *acks, size_t n);
/* Holds what was written against what Consul has: the leader deletes acks when it begins a drain anew. True: some are
 * gone and must be given again. */
bool acks_observe(struct instance *consumer, const struct consul_kvs *present);
/* For a consumer that follows its links by templates only: what it was configured without is taken out. */
void acks_by_templates(struct instance *consumer);
/* Forgets, without deleting: the leader deletes the acks of what it no longer drains. */
void acks_free(struct acks *acks);

#endif
