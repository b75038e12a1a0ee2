/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/target.h"

/* "db postgresql 1.0, web php-site 1.0 ×2". */
static char *describe(const json_t *components)
{
	struct buf buf = { 0 };
	const json_t *component;
	const char *name;

	json_object_foreach((json_t *)components, name, component)
	{
		long long nodes = json_number(component, "nodes");

		buf_printf(&buf, "%s%s %s %s", buf.len ? ", " : "", name, json_text(component, "recipe"),
			   json_text(component, "version"));
		if (nodes > 1)
			buf_printf(&buf, " ×%lld", nodes);
	}
	return buf_take(&buf);
}

static void show(struct cli *cli, const json_t *revisions)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("REVISION"), _("TIME"), _("AUTHOR"), _("COMPONENTS"), NULL);
	_cleanup_buf_ struct buf buf = { 0 };
	const json_t *revision;
	size_t i;

	json_array_foreach(revisions, i, revision)
	{
		_cleanup_(freep) char *time = output_time(json_number(revision, "time"));
		_cleanup_(freep) char *components = describe(json_object_get(revision, "components"));

		table_addf(table, PLAIN, "%lld", (long long)json_number(revision, "revision"));
		table_add(table, PLAIN, time);
		table_add(table, PLAIN, json_text(revision, "author"));
		table_add(table, PLAIN, components);
	}
	table_render(table, cli->colour, 0, &buf);
	fputs(buf_text(&buf), cli->out);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_target_ struct target target = { 0 };
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *path = NULL;

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	path = xasprintf("/v1/service/%s/revisions", target.service);
	if (api_get(cli->api, path, &answer, &err) < 0)
		return cli_failed(cli, &err);
	if (arguments_has(args, "json"))
		output_json(cli->out, answer);
	else
		show(cli, json_object_get(answer, "revisions"));
	return STATUS_DONE;
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_revisions = {
	.name = "revisions",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("List the revisions that a service can be rolled back to"),
	.usage = "SERVICE",
	.min = 1,
	.max = 1,
	.word = WORD_SERVICE,
	.options = options,
	.exec = run,
};
