/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"

static int confirm(struct cli *cli, const struct arguments *args, const char *name, int64_t to, struct err *err)
{
	_cleanup_(freep) char *question = NULL;

	if (arguments_has(args, "yes"))
		return 1;
	question = to ? xasprintf(_("Roll %s back to revision %lld?"), name, (long long)to)
		      : xasprintf(_("Roll %s back to the last good revision before this one?"), name);
	return cli_ask(cli, question, err);
}

static enum status roll_back(struct cli *cli, const struct arguments *args, const char *name, int64_t to)
{
	_cleanup_(freep) char *path = xasprintf("/v1/service/%s/rollback", name), *author = cli_author();
	_cleanup_json_ json_t *body = json_pack("{s:I, s:s}", "revision", (json_int_t)to, "author", author);
	_cleanup_json_ json_t *answer = NULL, *report = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t revision;

	if (api_call(cli->api, "POST", path, body, &answer, &err) < 0)
		return cli_failed(cli, &err);
	revision = json_number(answer, "revision");
	report = json_pack("{s:s, s:I, s:b}", "service", name, "revision", (json_int_t)revision, "changed", 1);
	return follow_request(cli, args, name, revision, "done", report);
}

static int run(struct cli *cli, const struct arguments *args)
{
	int64_t to = arguments_number(args, "to", 0);
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (target.component)
		return cli_usage(cli, _("A service is rolled back as a whole; write 'tepuy rollback %s'"),
				 target.service);
	r = confirm(cli, args, target.service, to, &err);
	if (r < 0)
		return cli_failed(cli, &err);
	if (r == 0) {
		cli_note(cli, _("Nothing was done"));
		return STATUS_FAILED;
	}
	return roll_back(cli, args, target.service, to);
}

static const struct command_option options[] = {
	{ .name = "to",
	  .type = OPTION_NUMBER,
	  .argument = "REVISION",
	  .help = N_("Back to this one, as 'tepuy revisions' lists them; the last good one without it") },
	OPTION_YES,
	OPTION_DETACH,
	OPTION_TIMEOUT(N_("Wait no longer than this; the agents go on")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_rollback = {
	.name = "rollback",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("Bring an earlier revision of a service back"),
	.usage = "SERVICE",
	.min = 1,
	.max = 1,
	.word = WORD_SERVICE,
	.options = options,
	.exec = run,
};
