/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/start-order.h"

#include <string.h>

/* After a start of the agent, as after the host's, machines come up in the order of their links for so long at most. */
#define ORDER_MS 180000

static bool is_connected_to(const struct instance *instance, const struct instance *other)
{
	for (size_t i = 0; instance->spec && i < instance->spec->n_links; i++)
		if (!strcmp(instance->spec->links[i].component, other->id.component))
			return true;
	return false;
}

/*
 * A host's machines have ended with it, and it has better use for its power than to start all at once: what is
 * connected to another one that is about to start here waits for it. Containers are started again by their runtime.
 */
bool start_order_waits(const struct instance *instance, int64_t now_ms)
{
	const struct agent *agent = instance->agent;

	if (agent->env.runtime->ops->quick || instance->container != CONTAINER_EXITED ||
	    now_ms - agent->started_ms > ORDER_MS)
		return false;
	for (const struct instance *other = agent->instances; other; other = other->next)
		if (other != instance && !strcmp(other->id.service, instance->id.service) && other->assignment &&
		    other->spec && other->spec->desired == NODE_RUN && other->container == CONTAINER_EXITED &&
		    !other->failed && is_connected_to(instance, other) && !is_connected_to(other, instance))
			return true;
	return false;
}
