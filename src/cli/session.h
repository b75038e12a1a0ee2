/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A command in a node, with our own standard input and output as its own: POST /v1/exec, upgraded to frames. */
#ifndef TEPUY_CLI_SESSION_H
#define TEPUY_CLI_SESSION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"

struct session {
	const char *socket; /* of the agent */
	const char *target;
	const json_t *argv;
	bool tty;               /* a terminal in the node; ours, if there is one, goes raw meanwhile */
	bool interactive;       /* our standard input goes to the command */
	struct strv *elsewhere; /* gets the hosts that have the target when the agent's has not */
};

/* Runs it to its end. The command's exit status, 128+n when signal n ended us, or -errno; -EREMOTE, -ENOENT: no running
 * node of the target is on that host. */
int session_run(const struct session *session, struct err *err);

#endif
