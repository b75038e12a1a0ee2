/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"

struct printer {
	struct cli *cli;
	const char *service;
	bool json;
};

static void add_safe(struct buf *to, const char *format, const char *text)
{
	_cleanup_(freep) char *safe = xstrdup(text);

	text_printable(safe, false);
	if (*safe)
		buf_printf(to, format, safe);
}

static int on_event(void *data, json_t *event, struct err *err)
{
	struct printer *printer = data;
	_cleanup_(freep) char *time = output_time(json_number(event, "time"));
	_cleanup_buf_ struct buf buf = { 0 };

	if (printer->json) {
		output_json_line(printer->cli->out, event);
		return output_flush(printer->cli->out, err);
	}
	output_colour(&buf, printer->cli->colour, DIM, time);
	if (!printer->service)
		add_safe(&buf, "  %s", json_text(event, "service"));
	add_safe(&buf, "  %s", json_text(event, "node"));
	add_safe(&buf, "  %s:", json_text(event, "kind"));
	add_safe(&buf, " %s", json_text(event, "text"));
	add_safe(&buf, "  (%s)", json_text(event, "host"));
	fprintf(printer->cli->out, "%s\n", buf_text(&buf));
	return output_flush(printer->cli->out, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	struct printer printer = { .cli = cli, .json = arguments_has(args, "json") };
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *path = NULL;
	bool follow = arguments_has(args, "follow");

	if (args->words.n && target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (target.component)
		return cli_usage(cli, _("'events' is about services; write 'tepuy events %s'"), target.service);
	printer.service = target.service;
	path = xasprintf("/v1/events?follow=%d&tail=%lld%s%s", follow, (long long)arguments_number(args, "lines", 50),
			 target.service ? "&service=" : "", target.service ? target.service : "");
	if (api_stream(cli->api, path, 0, on_event, &printer, &err) < 0)
		return cli_failed(cli, &err);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	{ .name = "follow", .letter = 'f', .help = N_("Go on with new events as they come") },
	{ .name = "lines",
	  .letter = 'n',
	  .type = OPTION_NUMBER,
	  .argument = "N",
	  .help = N_("Only the last N events; 50 without it") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_events = {
	.name = "events",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("Show what happened: who did what, and when"),
	.usage = "[SERVICE]",
	.max = 1,
	.word = WORD_SERVICE,
	.options = options,
	.exec = run,
};
