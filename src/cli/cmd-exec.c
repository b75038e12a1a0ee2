/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/target.h"

static int run(struct cli *cli, const struct arguments *args)
{
	bool terminals = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	_cleanup_target_ struct target target = { 0 };
	struct session session = { .socket = cli->socket };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *argv = NULL;
	int r;

	if (target_parse(args->words.v[0], &target, &err) < 0 || !(argv = json_words(&args->words, 1, &err)))
		return cli_usage(cli, "%s", err_text(&err));
	session.argv = argv;
	session.target = target.text;
	session.tty = arguments_has(args, "tty");
	session.interactive = arguments_has(args, "interactive");
	if (terminals && !session.tty && !session.interactive)
		session.tty = session.interactive = true;
	r = session_run(&session, &err);
	if (r < 0)
		return cli_failed(cli, &err);
	return r;
}

static const struct command_option options[] = {
	{ .name = "tty", .letter = 't', .help = N_("Give the command a terminal") },
	{ .name = "interactive", .letter = 'i', .help = N_("Send our standard input to the command") },
	OPTIONS_END,
};

const struct command cmd_exec = {
	.name = "exec",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT | COMMAND_ARGV,
	.summary = N_("Run a command in a node"),
	.details = N_(
	    "From a terminal both options are taken for granted when neither is given. The exit status is that of "
	    "the command: as in a shell 127 when there is no such program, 126 when it cannot be run; and 1 when the "
	    "node could not be asked. A component or service means its first running node."),
	.usage = "TARGET [--] COMMAND [ARGUMENT]…",
	.min = 2,
	.max = -1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
