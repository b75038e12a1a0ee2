/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/host-view.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"

/* What is left is said: their data is there, and where a node's data is, there it runs. */
static void say_kept(struct cli *cli, const char *name, int kept)
{
	if (kept)
		cli_note(cli,
			 ngettext("%s keeps %d node, whose data is on it; 'tepuy host show %s' names it",
				  "%s keeps %d nodes, whose data is on it; 'tepuy host show %s' names them",
				  (unsigned)kept),
			 name, kept, name);
}

static int drain(struct cli *cli, const struct arguments *args)
{
	bool json = arguments_has(args, "json");
	const char *name = args->words.v[0];
	_cleanup_json_ json_t *host = NULL, *drained = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	struct progress *progress;
	int kept;

	if (host_order(cli->api, name, "drain", &host, &err) < 0)
		return cli_failed(cli, &err);
	if (!arguments_has(args, "detach")) {
		progress = json ? NULL : follow_progress(cli);
		kept =
		    host_wait_drained(cli->api, progress, name, arguments_number(args, "timeout", 0), &drained, &err);
		progress_free(progress);
		if (kept < 0)
			return cli_failed(cli, &err);
		say_kept(cli, name, kept);
	} else if (!json)
		fprintf(cli->out, _("%s: the agents move its nodes; 'tepuy host show %s' shows what is left.\n"), name,
			name);
	if (json)
		output_json(cli->out, drained ? drained : host);
	return STATUS_DONE;
}

static int undrain(struct cli *cli, const struct arguments *args)
{
	const char *name = args->words.v[0];
	_cleanup_json_ json_t *host = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	/* Somebody who undrains a host wants it used, also when it was closed as well. */
	if (host_order(cli->api, name, "undrain", NULL, &err) < 0 ||
	    host_order(cli->api, name, "uncordon", &host, &err) < 0)
		return cli_failed(cli, &err);
	if (arguments_has(args, "json"))
		output_json(cli->out, host);
	else
		fprintf(cli->out, _("%s: it takes nodes again.\n"), name);
	return STATUS_DONE;
}

static const struct command_option drain_options[] = {
	OPTION_DETACH,
	OPTION_TIMEOUT(N_("Wait no longer than this; the agents go on")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_drain = {
	.name = "host drain",
	.group = GROUP_HOST,
	.flags = COMMAND_AGENT,
	.summary = N_("Move a host's nodes to others, and give it no new ones"),
	.details = N_(
	    "Each node leaves when its replacement elsewhere has proven itself. Nodes whose data is on the host stay "
	    "there. 'tepuy host undrain' opens the host again."),
	.usage = "HOST",
	.min = 1,
	.max = 1,
	.word = WORD_HOST,
	.options = drain_options,
	.exec = drain,
};

static const struct command_option undrain_options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_undrain = {
	.name = "host undrain",
	.group = GROUP_HOST,
	.flags = COMMAND_AGENT,
	.summary = N_("Let a host that was drained have nodes again"),
	.usage = "HOST",
	.min = 1,
	.max = 1,
	.word = WORD_HOST,
	.options = undrain_options,
	.exec = undrain,
};
