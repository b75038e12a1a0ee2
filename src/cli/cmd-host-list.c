/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/host-view.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"

static void show(struct cli *cli, const json_t *hosts)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("HOST"), _("STATE"), _("ADDRESS"), _("RUNTIME"), _("TEPUY"), _("NODES"), _("LABELS"), NULL);
	_cleanup_buf_ struct buf buf = { 0 };
	const json_t *host;
	size_t i;

	json_array_foreach(hosts, i, host)
	{
		_cleanup_(freep) char *labels = host_labels(host);

		table_add(table, PLAIN, json_text(host, "name"));
		table_add(table, host_colour(host), host_state(host));
		table_add(table, PLAIN, json_text(host, "address"));
		table_addf(table, PLAIN, "%s %s", json_text(host, "runtime"), json_text(host, "version"));
		table_add(table, PLAIN, json_text(host, "agent"));
		table_addf(table, PLAIN, "%lld", (long long)json_number(host, "nodes"));
		table_add(table, PLAIN, labels);
	}
	table_render(table, cli->colour, 0, &buf);
	fputs(buf_text(&buf), cli->out);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (api_get(cli->api, "/v1/hosts", &answer, &err) < 0)
		return cli_failed(cli, &err);
	if (arguments_has(args, "json"))
		output_json(cli->out, answer);
	else
		show(cli, json_object_get(answer, "hosts"));
	return STATUS_DONE;
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_list = {
	.name = "host list",
	.group = GROUP_HOST,
	.flags = COMMAND_AGENT,
	.summary = N_("List the hosts of the cluster"),
	.options = options,
	.exec = run,
};
