/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/spread.h"
#include "cli/target.h"

static bool is_status(const char *text)
{
	return !strcmp(text, "passing") || !strcmp(text, "warning") || !strcmp(text, "critical");
}

struct report {
	const char *path;
	const json_t *body;
};

static int report_to(void *data, struct api *api, struct err *err)
{
	const struct report *report = data;

	return api_call(api, "POST", report->path, report->body, NULL, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_(freep) char *id = http_encode(args->words.v[1]), *path = NULL;
	_cleanup_target_ struct target target = { 0 };
	_cleanup_json_ json_t *body = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	const char *status = args->words.v[2];
	struct report report;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (!is_status(status))
		return cli_usage(cli, _("A check is passing, warning or critical, not '%s'"), status);
	path = xasprintf("/v1/ttl/%s/%s", target.text, id);
	body = json_pack("{s:s, s:s}", "status", status, "output", arguments_text(args, "output", ""));
	if (!body)
		return cli_usage(cli, _("The text of --output is not UTF-8"));
	report = (struct report){ .path = path, .body = body };
	return spread_each(cli, &target, report_to, &report);
}

static const struct command_option options[] = {
	{ .name = "output",
	  .letter = 'o',
	  .type = OPTION_TEXT,
	  .argument = "TEXT",
	  .help = N_("What 'tepuy checks' shows beside the status") },
	OPTIONS_END,
};

const struct command cmd_check_report = {
	.name = "check report",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT,
	.summary = N_("Report the status of a ttl check"),
	.details = N_("Of all nodes of the target. Those on other hosts than the one that is asked are reached by SSH, "
		      "as with --host: what reports from a node's own host should name that node."),
	.usage = "TARGET ID passing|warning|critical",
	.min = 3,
	.max = 3,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
