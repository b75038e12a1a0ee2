/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

static void show_agent(struct cli *cli, const json_t *agent)
{
	const json_t *runtime = json_object_get(agent, "runtime"), *consul = json_object_get(agent, "consul");
	_cleanup_(freep) char *text = xasprintf(
	    _("agent %s on %s (%s), %s %s, Consul %s%s\n"), json_text(agent, "version"), json_text(agent, "host"),
	    json_text(agent, "address"), json_text(runtime, "name"), json_text(runtime, "version"),
	    json_text(consul, "version"), json_flag(consul, "leader") ? _(", leader") : "");

	text_printable(text, true);
	if (*json_text(agent, "host")) /* else it has not begun its work, and says why */
		fputs(text, cli->out);
	if (*json_text(agent, "trouble"))
		cli_note(cli, "%s", json_text(agent, "trouble"));
}

/* An agent that is away is part of the answer, not a failure. */
static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_json_ json_t *agent = NULL, *all = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = api_get(cli->api, "/v1/version", &agent, &err);

	if (arguments_has(args, "json")) {
		all = json_pack("{s:s, s:O?}", "version", TEPUY_VERSION, "agent", agent);
		output_json(cli->out, all);
		return STATUS_DONE;
	}
	fprintf(cli->out, "tepuy %s\n", TEPUY_VERSION);
	if (r < 0)
		cli_failed(cli, &err);
	else
		show_agent(cli, agent);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_version = {
	.name = "version",
	.group = GROUP_OTHER,
	.flags = COMMAND_AGENT,
	.summary = N_("Show the versions of tepuy, its agent, the runtime and Consul"),
	.options = options,
	.exec = run,
};
