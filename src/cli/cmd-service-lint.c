/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/options.h"
#include "model/service.h"

static int run(struct cli *cli, const struct arguments *args)
{
	const char *word = arguments_word(args, 0);
	_cleanup_(freep) char *file = documents_service_file(word ? word : "service.yaml");
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };

	service_search_path(file, arguments_list(args, "recipes"), &search);
	if (service_load(file, &diag, &service) == 0)
		service_resolve(service, &search, NULL, NULL, &diag, NULL);
	return documents_report(cli, &diag, arguments_has(args, "json"), file);
}

static const struct command_option options[] = {
	OPTION_RECIPES,
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_service_lint = {
	.name = "service lint",
	.group = GROUP_DOCUMENT,
	.summary = N_("Check a service with the recipes that it uses"),
	.usage = "[FILE]",
	.max = 1,
	.word = WORD_FILE,
	.options = options,
	.exec = run,
};
