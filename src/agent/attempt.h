/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One try at what an agent cannot begin without: a runtime, what that says of itself, and who this host is. It blocks
 * for seconds when something hangs, so tries after the first are jobs of the pool.
 */
#ifndef TEPUY_AGENT_ATTEMPT_H
#define TEPUY_AGENT_ATTEMPT_H

#include "agent/agent.h"
#include "agent/identity.h"
#include "agent/node-env.h"

struct program;

struct attempt {
	/* asked */
	struct program *program; /* the asker's own */
	const struct agent_options *options;
	struct consul *consul;
	const char *state_dir;
	/* answered */
	struct runtime *runtime; /* not NULL before: an earlier try got it */
	struct identity identity;
	char *version;        /* the runtime's; NULL: it does not say */
	int64_t memory;       /* bytes that nodes may have together */
	enum node_wait waits; /* for what, when `r` is negative */
	int r;                /* 0: all is there; -EINVAL: no further try helps */
	struct err err;
};

void attempt_run(struct attempt *attempt);
void attempt_release(struct attempt *attempt);

#endif
