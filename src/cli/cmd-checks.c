/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/target.h"
#include "cli/view.h"

/* The exit statuses of monitoring plugins. */
enum { CHECKS_PASSING, CHECKS_WARNING, CHECKS_CRITICAL, CHECKS_UNKNOWN };

static int status_of(const char *text)
{
	if (!strcmp(text, "passing"))
		return CHECKS_PASSING;
	if (!strcmp(text, "warning"))
		return CHECKS_WARNING;
	return !strcmp(text, "critical") ? CHECKS_CRITICAL : CHECKS_UNKNOWN;
}

/* Critical is worse than unknown, which is worse than warning; no checks at all is unknown. */
static int worst(const json_t *checks)
{
	static const int rank[] = {
		[CHECKS_PASSING] = 0, [CHECKS_WARNING] = 1, [CHECKS_UNKNOWN] = 2, [CHECKS_CRITICAL] = 3
	};
	int status = json_array_size(checks) ? CHECKS_PASSING : CHECKS_UNKNOWN;
	const json_t *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		int s = status_of(json_text(check, "status"));

		if (rank[s] > rank[status])
			status = s;
	}
	return status;
}

static void show(struct cli *cli, const json_t *checks)
{
	_cleanup_(table_freep) struct table *table =
	    table_new(_("NODE"), _("CHECK"), _("KIND"), _("STATUS"), _("FOR"), _("OUTPUT"), NULL);
	_cleanup_buf_ struct buf buf = { 0 };
	const json_t *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		_cleanup_(freep) char *since = output_since(json_number(check, "since"));
		_cleanup_(freep) char *output = xstrdup(json_text(check, "output"));
		const char *status = json_text(check, "status");

		output[strcspn(output, "\r\n")] = '\0';
		table_add(table, PLAIN, json_text(check, "node"));
		table_addf(table, PLAIN, "%s%s", json_text(check, "id"), json_flag(check, "added") ? " +" : "");
		table_add(table, PLAIN, json_text(check, "kind"));
		table_add(table, health_colour(status), status);
		table_add(table, PLAIN, since);
		table_add(table, PLAIN, output);
	}
	table_render(table, cli->colour, 0, &buf);
	if (!json_array_size(checks))
		buf_adds(&buf, _("There are no checks; 'tepuy check add' makes one.\n"));
	fputs(buf_text(&buf), cli->out);
}

static int fetch(struct api *api, const struct target *target, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/v1/checks/%s", target->text);

	return api_get(api, path, ret, err);
}

struct waiter {
	struct api *api; /* a connection beside the one of the watch */
	const struct target *target;
};

static int on_change(void *data, const json_t *service, struct err *err)
{
	struct waiter *waiter = data;
	_cleanup_json_ json_t *answer = NULL;
	int r = fetch(waiter->api, waiter->target, &answer, err);

	(void)service;
	return r < 0 ? r : worst(json_object_get(answer, "checks")) == CHECKS_PASSING;
}

/* 1 they pass, 0 they do not within the time, or -errno. */
static int wait_passing(struct cli *cli, const struct arguments *args, const struct target *target, struct err *err)
{
	_cleanup_(api_freep) struct api *api = api_new(cli->socket);
	struct waiter waiter = { .api = api, .target = target };
	int r = follow_watch(cli, target->service, arguments_number(args, "timeout", 60000), on_change, &waiter, err);

	return r == -ETIMEDOUT ? 0 : r;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_target_ struct target target = { 0 };
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (target_parse(args->words.v[0], &target, &err) < 0) {
		cli_usage(cli, "%s", err_text(&err));
		return CHECKS_UNKNOWN;
	}
	if ((arguments_has(args, "wait") && wait_passing(cli, args, &target, &err) < 0) ||
	    fetch(cli->api, &target, &answer, &err) < 0) {
		cli_failed(cli, &err);
		return CHECKS_UNKNOWN;
	}
	if (arguments_has(args, "json"))
		output_json(cli->out, answer);
	else
		show(cli, json_object_get(answer, "checks"));
	return worst(json_object_get(answer, "checks"));
}

static const char *const waits[] = { "passing", NULL };

static const struct command_option options[] = {
	{ .name = "wait",
	  .type = OPTION_TEXT,
	  .argument = "STATUS",
	  .choices = waits,
	  .help = N_("Wait until all are passing") },
	OPTION_TIMEOUT(N_("With --wait: no longer than this (60s without it)")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_checks = {
	.name = "checks",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT | COMMAND_PROBE,
	.summary = N_("Show health checks: status, since when, last output"),
	.details =
	    N_("The exit status is that of a monitoring plugin: 0 all are passing, 1 the worst is a warning, 2 one is "
	       "critical, 3 unknown, also when there is no answer. A + marks a check that was added at run time."),
	.usage = "TARGET",
	.min = 1,
	.max = 1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
