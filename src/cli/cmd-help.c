/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const struct command *command;
	int words;

	if (args->words.n == 0)
		help_all(cli->out);
	else if (args->words.n == 1 && commands_has_family(args->words.v[0]))
		help_family(cli->out, args->words.v[0]);
	else if (commands_find((int)args->words.n, args->words.v, &command, &words, &err) == 0)
		help_command(cli->out, command);
	else
		return cli_usage(cli, "%s", err_text(&err));
	return STATUS_DONE;
}

const struct command cmd_help = {
	.name = "help",
	.group = GROUP_OTHER,
	.summary = N_("Show what tepuy can do, or one command's help"),
	.usage = "[COMMAND]",
	.max = 2,
	.exec = run,
};
