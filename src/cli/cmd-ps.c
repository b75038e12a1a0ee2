/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/target.h"
#include "cli/usage.h"
#include "cli/view.h"

/* All nodes of all services (of one, if named) in one array, each with its service. */
static json_t *collect(const json_t *answer, const struct target *target)
{
	json_t *nodes = json_array(), *service, *node;
	size_t i, j;

	json_array_foreach(json_object_get(answer, "services"), i, service)
	{
		const char *name = json_text(service, "service");

		if (target->service && strcmp(target->service, name))
			continue;
		json_array_foreach(json_object_get(service, "nodes"), j, node)
		{
			if (!target_has(target, json_text(node, "node")))
				continue;
			json_object_set_new(node, "service", json_string(name));
			json_array_append(nodes, node);
		}
	}
	return nodes;
}

static void show(struct cli *cli, const json_t *nodes)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("NODE"), _("RECIPE"), _("REVISION"), _("HOST"), _("RUNTIME"), _("STATE"), _("HEALTH"), _("FOR"),
		      _("MEMORY"), _("CPU"), _("PORTS"), NULL);
	_cleanup_buf_ struct buf buf = { 0 };
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		_cleanup_(freep) char *since = output_since(json_number(node, "since")), *ports = node_ports(node);
		_cleanup_(freep) char *memory = usage_memory(node), *cpu = usage_cpu(node);
		const char *health = json_text(node, "health");

		table_addf(table, PLAIN, "%s/%s", json_text(node, "service"), json_text(node, "node"));
		table_add(table, PLAIN, json_text(node, "recipe"));
		table_addf(table, PLAIN, "%lld", (long long)json_number(node, "gen"));
		table_add(table, PLAIN, json_text(node, "host"));
		table_add(table, PLAIN, json_text(node, "runtime"));
		table_add(table, node_has_failed(node) ? RED : PLAIN, json_text(node, "state"));
		table_add(table, health_colour(health), health);
		table_add(table, PLAIN, since);
		table_add(table, PLAIN, memory);
		table_add(table, PLAIN, cpu);
		table_add(table, PLAIN, ports);
	}
	table_render(table, cli->colour, 0, &buf);
	fputs(buf_text(&buf), cli->out);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_json_ json_t *answer = NULL, *nodes = NULL, *wrapped = NULL;
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (args->words.n && target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (api_get(cli->api, "/v1/services", &answer, &err) < 0)
		return cli_failed(cli, &err);
	usage_add(cli->api, answer);
	nodes = collect(answer, &target);
	if (arguments_has(args, "json")) {
		wrapped = json_pack("{s:O}", "nodes", nodes);
		output_json(cli->out, wrapped);
	} else
		show(cli, nodes);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_ps = {
	.name = "ps",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("List nodes, those of all services in one table"),
	.usage = "[TARGET]",
	.max = 1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
