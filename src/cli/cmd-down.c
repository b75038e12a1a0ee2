/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"

/* Says what will go. 1 go on, 0 the answer was no, or -errno. */
static int confirm(struct cli *cli, const struct arguments *args, const json_t *service, const char *name,
		   struct err *err)
{
	size_t n = json_array_size(json_object_get(service, "nodes"));
	_cleanup_(freep) char *question = NULL;

	if (arguments_has(args, "yes"))
		return 1;
	question = xasprintf(ngettext("Stop and remove %zu node of %s? Its volumes and secrets are kept.",
				      "Stop and remove %zu nodes of %s? Their volumes and secrets are kept.", n),
			     n, name);
	return cli_ask(cli, question, err);
}

static bool is_gone(const json_t *service)
{
	const char *phase = json_text(json_object_get(service, "status"), "phase");

	return !strcmp(phase, "removed") && json_array_size(json_object_get(service, "nodes")) == 0;
}

static enum status nothing(struct cli *cli, const struct arguments *args, const char *name, const json_t *service)
{
	_cleanup_json_ json_t *report = NULL;

	if (arguments_has(args, "json")) {
		report = json_pack("{s:s, s:I, s:b, s:s, s:s}", "service", name, "revision",
				   (json_int_t)json_number(json_object_get(service, "status"), "revision"), "changed",
				   0, "phase", "removed", "reason", "");
		output_json(cli->out, report);
	} else
		fprintf(cli->out, _("%s is down already.\n"), name);
	return STATUS_DONE;
}

static enum status take_down(struct cli *cli, const struct arguments *args, const char *name)
{
	_cleanup_(freep) char *path = xasprintf("/v1/service/%s/down", name), *author = cli_author();
	_cleanup_json_ json_t *body = json_pack("{s:s}", "author", author), *answer = NULL, *report = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t revision;

	if (api_call(cli->api, "POST", path, body, &answer, &err) < 0)
		return cli_failed(cli, &err);
	revision = json_number(answer, "revision");
	report = json_pack("{s:s, s:I, s:b}", "service", name, "revision", (json_int_t)revision, "changed", 1);
	return follow_request(cli, args, name, revision, "removed", report);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_target_ struct target target = { 0 };
	_cleanup_json_ json_t *service = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (target.component)
		return cli_usage(
		    cli, _("'down' takes a whole service away; 'tepuy disconnect %s --stop' stops a part of it"),
		    target.text);
	if (api_service(cli->api, target.service, &service, &err) < 0)
		return cli_failed(cli, &err);
	if (!json_number(service, "index")) {
		err_set(&err, ENOENT, _("There is no service %s; 'tepuy status' lists all"), target.service);
		return cli_failed(cli, &err);
	}
	if (is_gone(service))
		return nothing(cli, args, target.service, service);
	r = confirm(cli, args, service, target.service, &err);
	if (r < 0)
		return cli_failed(cli, &err);
	if (r == 0) {
		cli_note(cli, _("Nothing was done"));
		return STATUS_FAILED;
	}
	return take_down(cli, args, target.service);
}

static const struct command_option options[] = {
	OPTION_YES,  OPTION_DETACH, OPTION_TIMEOUT(N_("Wait no longer than this; the agents go on")),
	OPTION_JSON, OPTIONS_END,
};

const struct command cmd_down = {
	.name = "down",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("Stop a service and remove its nodes, never its volumes"),
	.details = N_("Nodes on a host that does not answer are named at once. When only such nodes are left, it waits "
		      "ten seconds for them and ends with status 3: the agents remove them when their host returns, or "
		      "'tepuy host remove --force' forgets it."),
	.usage = "SERVICE",
	.min = 1,
	.max = 1,
	.word = WORD_SERVICE,
	.options = options,
	.exec = run,
};
