/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <string.h>

#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/spread.h"
#include "cli/target.h"

struct printer {
	struct cli *cli;
	const char *path;
	bool json, named;     /* named: each line says of which node it is */
	pthread_mutex_t lock; /* of the output: each host has a thread */
};

/* Each node has its own colour among those that say neither good nor bad. */
static void add_name(struct buf *to, bool colour, const char *node)
{
	_cleanup_(freep) char *name = xstrdup(node);
	unsigned hash = 5381;

	text_printable(name, false);
	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	if (colour)
		buf_printf(to, "\033[%um%s |\033[0m ", 34 + hash % 3, name);
	else
		buf_printf(to, "%s | ", name);
}

static int on_line(void *data, json_t *line, struct err *err)
{
	struct printer *printer = data;
	_cleanup_(freep) char *text = xstrdup(json_text(line, "text"));
	_cleanup_buf_ struct buf buf = { 0 };
	size_t n = strlen(text);

	if (printer->json) {
		pthread_mutex_lock(&printer->lock);
		output_json_line(printer->cli->out, line);
		pthread_mutex_unlock(&printer->lock);
		return output_flush(printer->cli->out, err);
	}
	while (n && strchr("\r\n", text[n - 1]))
		text[--n] = '\0';
	text_printable(text, true);
	if (printer->named)
		add_name(&buf, printer->cli->colour, json_text(line, "node"));
	buf_printf(&buf, "%s\n", text);
	pthread_mutex_lock(&printer->lock);
	fputs(buf_text(&buf), printer->cli->out);
	pthread_mutex_unlock(&printer->lock);
	return output_flush(printer->cli->out, err);
}

static int follow_agent(void *data, struct api *api, struct err *err)
{
	struct printer *printer = data;

	return api_stream(api, printer->path, 0, on_line, printer, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	struct printer printer = { .cli = cli, .json = arguments_has(args, "json"), .lock = PTHREAD_MUTEX_INITIALIZER };
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *path = NULL;
	long long tail = arguments_number(args, "lines", arguments_has(args, "follow") ? 20 : -1);

	if (target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	printer.named = target.node == 0;
	path = xasprintf("/v1/logs/%s?follow=%d&tail=%lld&timestamps=%d", target.text, arguments_has(args, "follow"),
			 tail, arguments_has(args, "timestamps"));
	printer.path = path;
	return spread_each(cli, &target, follow_agent, &printer);
}

static const struct command_option options[] = {
	{ .name = "follow", .letter = 'f', .help = N_("Go on with new lines as they come") },
	{ .name = "lines",
	  .letter = 'n',
	  .type = OPTION_NUMBER,
	  .argument = "N",
	  .help = N_("Only the last N lines; all without it, 20 with --follow") },
	{ .name = "timestamps", .letter = 't', .help = N_("Say when each line was written") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_logs = {
	.name = "logs",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT,
	.summary = N_("Show what nodes wrote to their output"),
	.details = N_("Nodes on other hosts than the one that is asked are reached by SSH, as with --host. When a host "
		      "cannot be reached the others' lines are shown, and the exit status is 3."),
	.usage = "TARGET",
	.min = 1,
	.max = 1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
