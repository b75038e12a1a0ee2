/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "model/schema.h"

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_json_ json_t *schema = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (!schema_find(args->words.v[0]))
		return cli_usage(cli, _("There are schemas of recipe, service and hosts, not of '%s'"),
				 args->words.v[0]);
	if (schema_json(args->words.v[0], &schema, &err) < 0)
		return cli_failed(cli, &err);
	output_json(cli->out, schema);
	return STATUS_DONE;
}

static const char *const documents[] = { "recipe", "service", "hosts", NULL };

const struct command cmd_schema = {
	.name = "schema",
	.group = GROUP_DOCUMENT,
	.summary = N_("Write the JSON Schema of a document, for editors"),
	.usage = "recipe|service|hosts",
	.min = 1,
	.max = 1,
	.choices = documents,
	.exec = run,
};
