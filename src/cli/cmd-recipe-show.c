/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "model/recipe.h"

/* In the language of the messages: gettext lets LANGUAGE decide before the locale, unless that is C. */
static const char *say(const json_t *text)
{
	const char *locale = setlocale(LC_MESSAGES, NULL), *language = getenv("LANGUAGE");

	if (language && *language && locale && strcmp(locale, "C") != 0)
		return localized(text, language);
	return localized(text, locale ? locale : "C");
}

static void add_title(struct buf *to, bool colour, const char *title)
{
	buf_addc(to, '\n');
	output_colour(to, colour, BOLD, title);
	buf_addc(to, '\n');
}

static void add_config(const struct recipe *recipe, bool colour, struct buf *to)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("KEY"), _("TYPE"), _("DEFAULT"), _("WHAT IT IS"), NULL);

	for (size_t i = 0; i < recipe->n_config; i++) {
		const struct recipe_config *config = &recipe->config[i];
		_cleanup_(freep) char *fallback =
		    config->fallback ? json_dumps(config->fallback, JSON_ENCODE_ANY) : NULL;

		table_add(table, PLAIN, config->item.name);
		table_add(table, PLAIN, config_type_name(config->type));
		table_add(table, PLAIN, fallback ? fallback : config->required ? _("required") : "");
		table_add(table, PLAIN, say(config->description));
	}
	add_title(to, colour, _("Configuration"));
	table_render(table, colour, 2, to);
}

static void add_links(const struct recipe *recipe, bool colour, struct buf *to)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("LINK"), _("INTERFACE"), _("NEEDED"), _("WHAT FOR"), NULL);

	for (size_t i = 0; i < recipe->n_links; i++) {
		const struct recipe_link *link = &recipe->links[i];

		table_add(table, PLAIN, link->item.name);
		table_add(table, PLAIN, link->interface);
		table_add(table, PLAIN, link->optional ? _("no") : _("yes"));
		table_add(table, PLAIN, say(link->description));
	}
	add_title(to, colour, _("Requires"));
	table_render(table, colour, 2, to);
}

static void add_ports(const struct recipe *recipe, bool colour, struct buf *to)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("PORT"), _("NUMBER"), _("INTERFACE"), _("WHAT IT IS"), NULL);

	for (size_t i = 0; i < recipe->n_ports; i++) {
		const struct recipe_port *port = &recipe->ports[i];

		table_add(table, PLAIN, port->item.name);
		table_addf(table, PLAIN, "%u/%s", port->port, port->protocol == PORT_UDP ? "udp" : "tcp");
		table_add(table, PLAIN, port->interface);
		table_add(table, PLAIN, say(port->description));
	}
	add_title(to, colour, _("Provides"));
	table_render(table, colour, 2, to);
}

static void add_volumes(const struct recipe *recipe, bool colour, struct buf *to)
{
	_cleanup_(table_freep) struct table *table = table_new(_("VOLUME"), _("PATH"), _("WHAT IT HOLDS"), NULL);

	for (size_t i = 0; i < recipe->n_volumes; i++) {
		table_add(table, PLAIN, recipe->volumes[i].item.name);
		table_add(table, PLAIN, recipe->volumes[i].path);
		table_add(table, PLAIN, say(recipe->volumes[i].description));
	}
	add_title(to, colour, _("Volumes"));
	table_render(table, colour, 2, to);
}

static void add_head(const struct recipe *recipe, bool colour, struct buf *to)
{
	const struct recipe_base *base = &recipe->base;
	_cleanup_(freep) char *packages = strv_join(&recipe->packages, " "), *summary = xstrdup(say(recipe->summary));

	text_printable(summary, false);
	output_colour(to, colour, BOLD, recipe->name);
	buf_printf(to, " %s\n", recipe->version);
	output_wrap(to, summary, 2, 80);
	buf_printf(to, _("\nMade from %s\n"), base->suite ? base->suite : base->image ? base->image : base->archive);
	if (*packages) {
		buf_adds(to, _("Packages:\n"));
		output_wrap(to, packages, 2, 80);
	}
}

static void show(struct cli *cli, const struct recipe *recipe)
{
	_cleanup_buf_ struct buf buf = { 0 };

	add_head(recipe, cli->colour, &buf);
	if (recipe->n_config)
		add_config(recipe, cli->colour, &buf);
	if (recipe->n_links)
		add_links(recipe, cli->colour, &buf);
	if (recipe->n_ports)
		add_ports(recipe, cli->colour, &buf);
	if (recipe->n_volumes)
		add_volumes(recipe, cli->colour, &buf);
	fputs(buf_text(&buf), cli->out);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *dir = NULL;
	_cleanup_json_ json_t *json = NULL;

	if (documents_find_recipe(args->words.v[0], arguments_list(args, "recipes"), &dir, &err) < 0)
		return cli_failed(cli, &err);
	if (recipe_load(dir, &diag, &recipe) < 0) {
		documents_print(cli, &diag);
		return STATUS_FAILED;
	}
	if (arguments_has(args, "json")) {
		json = recipe_to_json(recipe);
		output_json(cli->out, json);
	} else
		show(cli, recipe);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	OPTION_RECIPES,
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_recipe_show = {
	.name = "recipe show",
	.group = GROUP_DOCUMENT,
	.summary = N_("Show what a recipe makes and what can be configured"),
	.usage = "DIR|NAME",
	.min = 1,
	.max = 1,
	.word = WORD_DIRECTORY,
	.options = options,
	.exec = run,
};
