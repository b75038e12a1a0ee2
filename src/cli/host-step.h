/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is done on a host through its session: steps of `tepuy setup` (docs/setup.md), and single programs. */
#ifndef TEPUY_CLI_HOST_STEP_H
#define TEPUY_CLI_HOST_STEP_H

#include "cli/cluster.h"

/*
 * Runs `tepuy setup STEP` on the host with `input` (borrowed; NULL: none), shows its items as they come and counts
 * those that were not as wanted in host->changes. `ret` (may be NULL) gets the result; what it held before is released.
 * Errors: the step's own, with its code; -EPIPE when the session broke off in the middle.
 */
int host_step(struct cluster *cluster, struct member *host, const char *step, const json_t *input, json_t **ret,
	      struct err *err);

/* Runs a program as root; `output` (may be NULL) gets what it prints. A non-zero status is -EIO. */
int host_run(struct member *host, struct buf *output, struct err *err, ...) __attribute__((sentinel));

/* For tests: the decoder of a step's output. Feed it bytes, ask it for the end. */
struct step_reader {
	struct cluster *cluster;
	struct member *host;
	struct buf line;
	json_t *result;
	struct err err;
	bool over;
	char *item; /* the last that was begun */
};

int step_reader_feed(struct step_reader *reader, const char *bytes, size_t len);
void step_reader_release(struct step_reader *reader);

#endif
