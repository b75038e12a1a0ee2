/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Service and recipe documents for the commands that read them: where they are, and what is wrong with them. */
#ifndef TEPUY_CLI_DOCUMENTS_H
#define TEPUY_CLI_DOCUMENTS_H

#include <jansson.h>

#include "base/strv.h"
#include "cli/cli.h"
#include "model/diag.h"
#include "model/service.h"

/* `service.yaml` inside it when `path` is a directory. The caller owns the string. */
char *documents_service_file(const char *path);
/* A recipe's directory, from one or from a name that is looked for in ./recipes, `given` and the shipped recipes. */
int documents_find_recipe(const char *name, const struct strv *given, char **ret_dir, struct err *err);

/* Bundles that were packed while a service was resolved: which directory each hash came from. */
struct bundles {
	struct strv hashes, directories; /* side by side */
};

void bundles_release(struct bundles *bundles);

/*
 * Reads a service with its recipes and makes its spec (docs/state.md), with the author filled in. Diagnostics are
 * printed on cli->err. `bundles` gets what was packed. -EINVAL when there were errors.
 */
int documents_load_spec(struct cli *cli, const char *file, const struct strv *recipes, struct bundles *bundles,
			json_t **ret_spec);
/* Prints what `diag` has on cli->err, and how many errors and warnings that are. */
void documents_print(struct cli *cli, struct diag *diag);
/* For lint: as text on cli->err, or as JSON on cli->out. Returns the status: failed when there are errors. */
enum status documents_report(struct cli *cli, struct diag *diag, bool json, const char *what);

#endif
