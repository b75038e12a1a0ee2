/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From Consul's keys and checks to the planner's view. No I/O. */
#ifndef TEPUY_AGENT_LEADER_VIEW_H
#define TEPUY_AGENT_LEADER_VIEW_H

#include <jansson.h>

#include "consul/consul-types.h"
#include "plan/plan.h"

/*
 * Since when each instance and host has been well or not, each assignment and phase as it is, by the monotonic clock:
 * Consul does not say. It begins with the first look; who could not look for a while begins a new one.
 */
struct health_memory;

struct health_memory *health_memory_new(void);
void health_memory_free(struct health_memory *memory);

/* Documents of specs by service and revision, as they are needed to roll back. */
struct spec_cache;

struct spec_cache *spec_cache_new(void);
void spec_cache_free(struct spec_cache *cache);
/* Borrowed; NULL: not there. */
const json_t *spec_cache_get(const struct spec_cache *cache, const char *service, uint64_t revision);
void spec_cache_put(struct spec_cache *cache, const char *service, uint64_t revision, json_t *spec); /* takes it */
/* Drops those that no service of the view has as its wanted, present or good revision. */
void spec_cache_trim(struct spec_cache *cache, const struct plan_view *view);

struct leader_sources {
	const struct consul_kvs *hosts;     /* tepuy/host/ */
	const struct consul_kvs *services;  /* tepuy/service/ */
	const struct consul_checks *checks; /* of the whole cluster */
	struct health_memory *memory;
	struct spec_cache *specs; /* filled with the present specs */
	int64_t now_ms, monotonic_ms;
};

/*
 * Builds the view. What cannot be read is logged and left out, with the whole service when it is the status or an
 * assignment, as to plan without them could run a node twice; a service whose good spec is needed but not in the cache
 * is named in `missing` as "service/revision" and left out as well.
 */
void leader_view(const struct leader_sources *from, struct plan_view *ret, struct strv *missing);

#endif
