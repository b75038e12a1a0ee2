/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/drain.h"
#include "cli/options.h"
#include "cli/target.h"

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	return drain_request(cli, args, &target, DRAIN_CONNECT, NULL);
}

static const struct command_option options[] = {
	OPTION_DETACH,
	OPTION_TIMEOUT(N_("Wait no longer than this; the agents go on")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_connect = {
	.name = "connect",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT,
	.summary = N_("Put disconnected nodes back into use"),
	.usage = "TARGET",
	.min = 1,
	.max = 1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
