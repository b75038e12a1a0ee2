/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/host-view.h"
#include "cli/options.h"
#include "cli/output.h"

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_json_ json_t *host = NULL;
	_cleanup_buf_ struct buf buf = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (host_path(args->words.v[0], "", &path, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (api_get(cli->api, path, &host, &err) < 0)
		return cli_failed(cli, &err);
	if (arguments_has(args, "json"))
		output_json(cli->out, host);
	else {
		host_describe(host, cli->colour, &buf);
		fputs(buf_text(&buf), cli->out);
	}
	return STATUS_DONE;
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_show = {
	.name = "host show",
	.group = GROUP_HOST,
	.flags = COMMAND_AGENT,
	.summary = N_("Show one host and the nodes that it has"),
	.usage = "HOST",
	.min = 1,
	.max = 1,
	.word = WORD_HOST,
	.options = options,
	.exec = run,
};
