/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/inventory.h"
#include "cli/output.h"

static void add(struct strv *words, char *word)
{
	text_printable(word, false);
	if (!strv_has(words, word))
		strv_add(words, word);
	free(word);
}

static void add_targets(struct strv *words, const json_t *service, const char *name)
{
	const json_t *node;
	size_t i;

	json_array_foreach(json_object_get(service, "nodes"), i, node)
	{
		const char *text = json_text(node, "node");

		add(words, xasprintf("%s/%.*s", name, (int)strcspn(text, "/"), text));
		add(words, xasprintf("%s/%s", name, text));
	}
}

/* What the scripts offer; an agent that is away offers nothing and says nothing in the middle of typing. */
static enum status names(struct cli *cli, bool targets)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const json_t *service;
	size_t i;

	if (api_get(cli->api, "/v1/services", &answer, &err) < 0)
		return STATUS_FAILED;
	json_array_foreach(json_object_get(answer, "services"), i, service)
	{
		const char *name = json_text(service, "service");

		add(&words, xstrdup(name));
		if (targets)
			add_targets(&words, service, name);
	}
	for (i = 0; i < words.n; i++)
		fprintf(cli->out, "%s\n", words.v[i]);
	return STATUS_DONE;
}

/* Those of the document here, and those of the cluster. */
static enum status host_names(struct cli *cli)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_inventory_ struct inventory inventory = { 0 };
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const json_t *host;
	size_t i;

	if (access("hosts.yaml", F_OK) == 0)
		inventory_load(cli, "hosts.yaml", NULL, NULL, &inventory, &err);
	for (i = 0; i < inventory.n; i++)
		add(&words, xstrdup(inventory.hosts[i].name));
	api_get(cli->api, "/v1/hosts", &answer, &err);
	json_array_foreach(json_object_get(answer, "hosts"), i, host) add(&words, xstrdup(json_text(host, "name")));
	for (i = 0; i < words.n; i++)
		fprintf(cli->out, "%s\n", words.v[i]);
	return words.n ? STATUS_DONE : STATUS_FAILED;
}

static int run(struct cli *cli, const struct arguments *args)
{
	const char *what = args->words.v[0];
	_cleanup_buf_ struct buf buf = { 0 };

	if (!strcmp(what, "services") || !strcmp(what, "targets"))
		return names(cli, !strcmp(what, "targets"));
	if (!strcmp(what, "hosts"))
		return host_names(cli);
	if (!strcmp(what, "bash"))
		complete_bash(&buf);
	else if (!strcmp(what, "zsh"))
		complete_zsh(&buf);
	else
		return cli_usage(cli, _("There is completion for bash and for zsh, not for '%s'"), what);
	fputs(buf_text(&buf), cli->out);
	return STATUS_DONE;
}

static const char *const shells[] = { "bash", "zsh", "services", "targets", "hosts", NULL };

const struct command cmd_completion = {
	.name = "completion",
	.group = GROUP_OTHER,
	.flags = COMMAND_AGENT,
	.summary = N_("Write the completion script of a shell"),
	.usage = "bash|zsh|services|targets|hosts",
	.min = 1,
	.max = 1,
	.choices = shells,
	.exec = run,
};
