/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/options.h"
#include "model/recipe.h"

/* All the recipes' diagnostics in one list, so that the JSON is one document. */
static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_(freep) char *what = strv_join(&args->words, ", ");
	_cleanup_diag_ struct diag diag = { 0 };

	for (size_t i = 0; i < args->words.n; i++) {
		_cleanup_(recipe_freep) struct recipe *recipe = NULL;

		recipe_load(args->words.v[i], &diag, &recipe);
	}
	return documents_report(cli, &diag, arguments_has(args, "json"), what);
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_recipe_lint = {
	.name = "recipe lint",
	.group = GROUP_DOCUMENT,
	.summary = N_("Check recipes and the files that they name"),
	.usage = "DIR…",
	.min = 1,
	.max = -1,
	.word = WORD_DIRECTORY,
	.options = options,
	.exec = run,
};
