/* SPDX-License-Identifier: GPL-3.0-or-later */

#include <errno.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/target.h"

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_(freep) char *id = http_encode(args->words.v[1]), *path = NULL;
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	path = xasprintf("/v1/check/%s/%s", target.service, id);
	r = api_call(cli->api, "DELETE", path, NULL, NULL, &err);
	if (r == -ENOENT)
		err_set(&err, ENOENT,
			_("%s has no check %s that was added at run time; 'tepuy checks %s' marks those that were with "
			  "a +"),
			target.service, args->words.v[1], target.service);
	return r < 0 ? cli_failed(cli, &err) : STATUS_DONE;
}

const struct command cmd_check_remove = {
	.name = "check remove",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT,
	.summary = N_("Remove a health check that was added at run time"),
	.usage = "TARGET ID",
	.min = 2,
	.max = 2,
	.word = WORD_TARGET,
	.exec = run,
};
