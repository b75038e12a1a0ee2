/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/attempt.h"

#include <errno.h>

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
	if (attempt->r == 0)
		attempt->waits = NODE_WAITS_FOR_NOTHING;
}

void attempt_release(struct attempt *attempt)
{
	runtime_free(attempt->runtime);
	identity_release(&attempt->identity);
	err_release(&attempt->err);
	*attempt = (struct attempt){ .err = ERR_INIT };
}
