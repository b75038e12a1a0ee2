/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "model/recipe.h"

static int run(struct cli *cli, const struct arguments *args)
{
	const char *name = args->words.v[0], *given = arguments_word(args, 1);
	_cleanup_(freep) char *dir = given ? xstrdup(given) : xasprintf("recipes/%s", name);
	_cleanup_err_ struct err err = ERR_INIT;

	if (!text_is_name(name))
		return cli_usage(cli, _("'%s' is no name for a recipe: small letters, digits and '-', a letter first"),
				 name);
	if (recipe_skeleton(name, dir, &err) < 0)
		return cli_failed(cli, &err);
	fprintf(cli->out, _("The recipe %s is in %s; 'tepuy recipe lint %s' checks it.\n"), name, dir, dir);
	return STATUS_DONE;
}

const struct command cmd_recipe_new = {
	.name = "recipe new",
	.group = GROUP_DOCUMENT,
	.summary = N_("Make a small recipe that works, to start from"),
	.details =
	    N_("The recipe is put into DIR, which is recipes/NAME when it is not given: where services look for it."),
	.usage = "NAME [DIR]",
	.min = 1,
	.max = 2,
	.word = WORD_ANY,
	.exec = run,
};
