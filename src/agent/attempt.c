/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/attempt.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"

static int64_t memory_for_nodes(struct runtime *rt)
{
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t memory = 0;

	if (rt->ops->capacity && rt->ops->capacity(rt, &memory, &err) == 0)
		return (int64_t)memory;
	if (err.code)
		log_warning("The runtime does not say how much memory is left for nodes: %s", err_text(&err));
	return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

void attempt_run(struct attempt *attempt)
{
	const struct agent_options *options = attempt->options;

	attempt->waits = NODE_WAITS_FOR_RUNTIME;
	attempt->r = attempt->runtime
			 ? 0
			 : runtime_open(options->runtime, options->runtime_endpoint, &attempt->runtime, &attempt->err);
	if (attempt->r < 0)
		return;
	attempt->waits = NODE_WAITS_FOR_CONSUL;
	attempt->r = identity_find(attempt->consul, attempt->state_dir, options->name, options->address,
				   &attempt->identity, &attempt->err);
	if (attempt->r < 0)
		return;
	attempt->waits = NODE_WAITS_FOR_NOTHING;
	attempt->runtime->ops->probe(attempt->runtime, &attempt->version, NULL);
	attempt->memory = memory_for_nodes(attempt->runtime);
}

void attempt_release(struct attempt *attempt)
{
	runtime_free(attempt->runtime);
	identity_release(&attempt->identity);
	free(attempt->version);
	err_release(&attempt->err);
	*attempt = (struct attempt){ .err = ERR_INIT };
}
