/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Follows what the agents do with a service after it was asked for, until it is done or has failed. */
#ifndef TEPUY_CLI_FOLLOW_H
#define TEPUY_CLI_FOLLOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/cli.h"

struct arguments;
struct progress;

struct follow {
	const char *service;
	int64_t revision;   /* of the request that is followed */
	const char *goal;   /* the phase that is success: "done", "removed" */
	int64_t timeout_ms; /* 0: for as long as it takes */
	bool quiet;         /* no progress: --json */
};

/*
 * Shows the progress of each node until the service's phase is final for that revision; on failure, why, with the
 * failing checks' output and the nodes' last log lines. `ret_service` (may be NULL) gets the last answer. When the
 * agent is restarted meanwhile it is waited for. With the goal "removed", what is on hosts that do not answer is waited
 * for only shortly once all else is gone: STATUS_PARTLY.
 */
enum status follow_service(struct cli *cli, const struct follow *follow, json_t **ret_service);

/*
 * What up, down and rollback do once the agent took their request: follow it as --detach, --timeout and --json of
 * `args` say. With --json, `report` (an object, borrowed) is written at the end with phase and reason added.
 */
enum status follow_request(struct cli *cli, const struct arguments *args, const char *service, int64_t revision,
			   const char *goal, json_t *report);

/* Ends, with success, once it says 1; negative errno with `err` set is failure. */
typedef int (*follow_fn)(void *data, const json_t *service, struct err *err);
/* The watch beneath: calls `fn` for each state of the service. 1 when `fn` ended it, or -errno. */
int follow_watch(struct cli *cli, const char *service, int64_t timeout_ms, follow_fn fn, void *data, struct err *err);
/* A running progress display on `cli->out`; free with progress_free. */
struct progress *follow_progress(struct cli *cli);
/* From here until the program ends, an interrupt says that the work goes on without us. */
void follow_explain_interrupt(const char *service);

#endif
