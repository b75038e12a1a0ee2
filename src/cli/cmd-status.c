/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "cli/usage.h"
#include "cli/view.h"

struct watcher {
	struct cli *cli;
	struct region region;
	bool json;
};

static int on_change(void *data, const json_t *service, struct err *err)
{
	struct watcher *watcher = data;
	_cleanup_buf_ struct buf buf = { 0 };

	(void)err;
	if (watcher->json) {
		output_json_line(watcher->cli->out, service);
		return 0;
	}
	view_service(service, watcher->cli->colour, &buf);
	if (watcher->cli->terminal)
		region_draw(&watcher->region, buf_text(&buf));
	else
		fprintf(watcher->cli->out, "%s\n", buf_text(&buf));
	fflush(watcher->cli->out);
	return 0;
}

static enum status watch(struct cli *cli, const struct arguments *args)
{
	struct watcher watcher = { .cli = cli, .json = arguments_has(args, "json") };
	const char *service = arguments_word(args, 0);
	_cleanup_err_ struct err err = ERR_INIT;

	if (!service)
		return cli_usage(cli,
				 _("--watch needs the service that is to be watched: tepuy status SERVICE --watch"));
	watcher.region = (struct region){ .to = cli->out, .columns = cli_columns(cli) };
	follow_watch(cli, service, 0, on_change, &watcher, &err);
	return cli_failed(cli, &err);
}

static int fetch(struct cli *cli, const char *service, json_t **ret, struct err *err)
{
	json_t *one = NULL;
	int r;

	if (!service)
		return api_get(cli->api, "/v1/services", ret, err);
	r = api_service(cli->api, service, &one, err);
	if (r < 0)
		return r;
	if (!json_number(one, "index")) {
		json_decref(one);
		return err_set(err, ENOENT, _("There is no service %s; 'tepuy status' lists all"), service);
	}
	*ret = json_pack("{s:[O], s:O*}", "services", one, "trouble", json_object_get(one, "trouble"));
	json_decref(one);
	return 0;
}

static void show(struct cli *cli, const json_t *services)
{
	_cleanup_buf_ struct buf buf = { 0 };
	const json_t *service;
	size_t i;

	json_array_foreach(services, i, service)
	{
		if (i)
			buf_addc(&buf, '\n');
		view_service(service, cli->colour, &buf);
	}
	if (!json_array_size(services))
		buf_adds(&buf, _("There is no service yet; 'tepuy up FILE' makes one.\n"));
	fputs(buf_text(&buf), cli->out);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_target_ struct target target = { 0 };
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (args->words.n && target_parse(args->words.v[0], &target, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	if (target.component)
		return cli_usage(cli, _("'status' is about services; write 'tepuy status %s'"), target.service);
	if (arguments_has(args, "watch"))
		return watch(cli, args);
	if (fetch(cli, target.service, &answer, &err) < 0)
		return cli_failed(cli, &err);
	usage_add(cli->api, answer);
	if (arguments_has(args, "json"))
		output_json(cli->out, answer);
	else
		show(cli, json_object_get(answer, "services"));
	if (*json_text(answer, "trouble"))
		cli_note(cli, "%s", json_text(answer, "trouble"));
	return STATUS_DONE;
}

static const struct command_option options[] = {
	{ .name = "watch", .letter = 'w', .help = N_("Go on showing it as it changes") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_status = {
	.name = "status",
	.group = GROUP_SERVICE,
	.flags = COMMAND_AGENT,
	.summary = N_("Show how services and their nodes are"),
	.usage = "[SERVICE]",
	.max = 1,
	.word = WORD_SERVICE,
	.options = options,
	.exec = run,
};
