/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/run.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/documents.h"
#include "cli/dot.h"
#include "cli/options.h"
#include "cli/output.h"

/* A name that is no file here is a service that runs. */
static bool is_file(const char *word)
{
	return !text_is_name(word) || access(word, F_OK) == 0;
}

static int running_spec(struct cli *cli, const char *service, json_t **ret, struct err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	json_t *spec;
	int r = api_service(cli->api, service, &answer, err);

	if (r < 0)
		return r;
	spec = json_object_get(answer, "spec");
	if (!json_is_object(spec))
		return err_set(err, ENOENT, _("There is no service %s; 'tepuy status' lists all"), service);
	*ret = json_incref(spec);
	return 0;
}

/* Has Graphviz draw it. */
static int draw(struct cli *cli, const struct buf *dot, struct err *err)
{
	_cleanup_run_ struct run run = { .input = dot->data, .input_len = dot->len, .most_output = 16u << 20 };
	_cleanup_buf_ struct buf svg = { 0 };
	int r;

	strv_add_all(&run.argv, "dot", "-Tsvg", NULL);
	r = run_checked(&run, &svg, err);
	if (r == -ENOENT)
		return err_set(
		    err, ENOENT,
		    _("Graphviz is not installed; 'apt install graphviz' gives the program dot that --svg needs"));
	if (r < 0)
		return r;
	fwrite(svg.data, 1, svg.len, cli->out);
	return 0;
}

static int run(struct cli *cli, const struct arguments *args)
{
	const char *word = args->words.n ? args->words.v[0] : "service.yaml";
	_cleanup_(freep) char *file = documents_service_file(word);
	_cleanup_(bundles_release) struct bundles bundles = { 0 };
	_cleanup_buf_ struct buf dot = { 0 };
	_cleanup_json_ json_t *spec = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (is_file(word)) {
		if (documents_load_spec(cli, file, arguments_list(args, "recipes"), &bundles, &spec) < 0)
			return STATUS_FAILED;
	} else if (running_spec(cli, word, &spec, &err) < 0)
		return cli_failed(cli, &err);
	dot_service(spec, &dot);
	if (!arguments_has(args, "svg"))
		fputs(buf_text(&dot), cli->out);
	else if (draw(cli, &dot, &err) < 0)
		return cli_failed(cli, &err);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	{ .name = "svg", .help = N_("Draw it, as SVG; needs Graphviz") },
	OPTION_RECIPES,
	OPTIONS_END,
};

const struct command cmd_graph = {
	.name = "graph",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("Write a service's components and links as a graph (DOT)"),
	.usage = "[FILE|SERVICE]",
	.max = 1,
	.word = WORD_FILE,
	.options = options,
	.exec = run,
};
