/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/drain.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_json_ json_t *body = json_object();
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (!target.component)
		return cli_usage(
		    cli,
		    _("Name the component or the node: %s/COMPONENT or %s/COMPONENT/1; 'tepuy down %s' takes "
		      "the whole service away"),
		    target.service, target.service, target.service);
	json_object_set_new(body, "stop", json_boolean(arguments_has(args, "stop")));
	if (arguments_has(args, "deadline"))
		json_object_set_new(body, "deadline", json_integer(arguments_number(args, "deadline", 0)));
	return drain_request(cli, args, &target, arguments_has(args, "stop") ? DRAIN_STOP : DRAIN_DISCONNECT, body);
}

static const struct command_option options[] = {
	{ .name = "deadline",
	  .type = OPTION_DURATION,
	  .argument = "DURATION",
	  .help = N_("Give sessions no longer than this to end; 30s otherwise") },
	{ .name = "stop", .help = N_("Stop the nodes once their sessions have ended") },
	OPTION_DETACH,
	OPTION_TIMEOUT(N_("Wait no longer than this; the agents go on")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_disconnect = {
	.name = "disconnect",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT,
	.summary = N_("Take nodes out of use without cutting a session"),
	.details =
	    N_("Whoever uses the nodes sends them nothing new, the sessions that they have end by themselves or at the "
	       "deadline. 'tepuy connect' brings them back at any point."),
	.usage = "TARGET",
	.min = 1,
	.max = 1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
