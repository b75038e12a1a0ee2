/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which hosts a command is for: those of hosts.yaml (or --inventory FILE), of which --hosts and --label choose, or any
 * names that ssh knows. Commands that take them put OPTIONS_INVENTORY into their options table.
 */
#ifndef TEPUY_CLI_INVENTORY_H
#define TEPUY_CLI_INVENTORY_H

#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "model/hosts.h"
#include "ssh/remote.h"

/* clang-format off */
#define OPTIONS_INVENTORY \
	{ .name = "inventory", .letter = 'I', .type = OPTION_TEXT, .word = WORD_FILE, .argument = "FILE", \
	  .help = N_("Hosts are those of FILE instead of hosts.yaml") }, \
	{ .name = "hosts", .letter = 'H', .type = OPTION_LIST, .word = WORD_HOST, .argument = "NAME[,NAME]…", \
	  .help = N_("Only these hosts, patterns as web* too; names that are not in the file are ssh's") }, \
	{ .name = "label", .letter = 'l', .type = OPTION_LIST, .argument = "NAME=VALUE", \
	  .help = N_("Only hosts with that label; may be given several times") }
/* clang-format on */

struct inventory {
	struct hosts *document; /* NULL: there is none */
	struct remote_host *hosts;
	const struct host **rows; /* of the document, side by side with `hosts`; NULL for a name of ssh's */
	size_t n, cap;
	struct strv texts; /* what `hosts` borrows that is not the document's */
};

#define _cleanup_inventory_ _cleanup_(inventory_release)

/*
 * Reads the options. Diagnostics of the file go to cli->err. Never empty on success: -ENOENT with a sentence when
 * nothing was chosen or a name is none; -EINVAL (and `err` unset when the diagnostics said it all).
 */
int inventory_select(struct cli *cli, const struct arguments *args, struct inventory *ret, struct err *err);
/* The same without a command line; `file` NULL: hosts.yaml if it is there. `names`, `labels` may be NULL. */
int inventory_load(struct cli *cli, const char *file, const struct strv *names, const struct strv *labels,
		   struct inventory *ret, struct err *err);
/* How a host of the document is reached. Borrows from both. */
void inventory_reach(const struct hosts *document, const struct host *row, struct remote_host *ret);
void inventory_release(struct inventory *inventory);

#endif
