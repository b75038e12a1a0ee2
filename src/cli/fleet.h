/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The same thing done on many hosts at once: bounded, in batches if wanted, and no further when too many have failed.
 */
#ifndef TEPUY_CLI_FLEET_H
#define TEPUY_CLI_FLEET_H

#include <jansson.h>
#include <stdint.h>

#include "cli/inventory.h"

/* clang-format off */
#define OPTIONS_FLEET \
	{ .name = "parallel", .letter = 'P', .type = OPTION_NUMBER, .argument = "N", \
	  .help = N_("On so many hosts at once; 32 without it") }, \
	{ .name = "batch", .type = OPTION_NUMBER, .argument = "N", \
	  .help = N_("N hosts, then the next N when all of them are done; stops at a failure") }, \
	{ .name = "serial", .help = N_("One host after another: --batch 1") }, \
	{ .name = "max-failures", .type = OPTION_NUMBER, .argument = "N", \
	  .help = N_("Begin on no other host once more than N have failed") }
/* clang-format on */

struct fleet_result {
	bool begun, ended;
	int status;  /* of the command there */
	char *error; /* why there is no status; NULL: there is one */
	int64_t ms;
	struct buf out, err; /* what was kept of the output */
	bool truncated;
};

struct fleet {
	struct cli *cli;
	const struct arguments *args;
	const struct inventory *inventory;
	struct fleet_result *results; /* side by side with inventory->hosts */
	/* On a session that is open; 0 with result->status, or -errno. Called by several threads. */
	int (*each)(struct fleet *fleet, struct remote *remote, size_t index, struct err *err);
	/* After each host, one call at a time. */
	void (*done)(struct fleet *fleet, size_t index);
	void *data;
	size_t failed, good;
};

/* Runs it; returns the command's exit status: 0 all, 3 some, 1 none. */
enum status fleet_run(struct fleet *fleet);
void fleet_release(struct fleet *fleet);
bool fleet_failed(const struct fleet_result *result);
/* {"host","status","ms","error"} for --json; `out` and `err` are the command's to add. */
json_t *fleet_json(const struct fleet *fleet, size_t index);
/* The last lines for people: how many, and which failed, and how. On cli->err. */
void fleet_summary(const struct fleet *fleet, int64_t ms);

#endif
