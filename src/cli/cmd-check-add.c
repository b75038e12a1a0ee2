/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"

static const char *const kinds[] = { "http", "tcp", "exec", "ttl" };

/* The one kind that was given. */
static const char *find_kind(const struct arguments *args, struct err *err)
{
	const char *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!arguments_has(args, kinds[i]))
			continue;
		if (found) {
			err_set(err, EINVAL, _("A check is of one kind; --%s and --%s were given"), found, kinds[i]);
			return NULL;
		}
		found = kinds[i];
	}
	if (!found)
		err_set(err, EINVAL,
			_("Say what is to be checked: --http PATH, --tcp PORT, --exec -- COMMAND… or --ttl DURATION"));
	return found;
}

static void set_text(json_t *check, const char *key, const char *text)
{
	if (text)
		json_object_set_new(check, key, json_string(text));
}

static void set_duration(json_t *check, const struct arguments *args, const char *key)
{
	if (arguments_has(args, key))
		json_object_set_new(check, key, json_integer(arguments_number(args, key, 0)));
}

/* The check as docs/api.md has it; what was not given is left to the agent's defaults. */
static json_t *make_check(const struct arguments *args, const char *kind, struct err *err)
{
	json_t *check = json_pack("{s:s}", "kind", kind), *argv = NULL;

	if (!strcmp(kind, "exec") && !(argv = json_words(&args->words, args->argv, err))) {
		json_decref(check);
		return NULL;
	}

	if (!strcmp(kind, "http"))
		set_text(check, "path", arguments_text(args, "http", NULL));
	if (!strcmp(kind, "http"))
		set_text(check, "port", arguments_text(args, "port", NULL));
	if (!strcmp(kind, "tcp"))
		set_text(check, "port", arguments_text(args, "tcp", NULL));
	if (argv)
		json_object_set_new(check, "argv", argv);
	set_duration(check, args, "ttl");
	set_duration(check, args, "interval");
	set_duration(check, args, "timeout");
	return check;
}

/* What the table of options cannot say. */
static int check_usage(const struct arguments *args, const char *kind, struct err *err)
{
	bool exec = !strcmp(kind, "exec"), command = args->argv < args->words.n;

	if (exec && !command)
		return err_set(err, EINVAL, _("--exec needs a command: tepuy check add TARGET --exec -- COMMAND…"));
	if (!exec && (command || args->words.n > 1))
		return err_set(err, EINVAL, _("Only --exec takes a command; '%s' is one word too many"),
			       args->words.v[1]);
	if (exec && args->argv != 1)
		return err_set(err, EINVAL, _("The command of --exec stands behind '--', one TARGET before it"));
	if (arguments_has(args, "port") && strcmp(kind, "http"))
		return err_set(err, EINVAL, _("--port goes with --http only"));
	if (!strcmp(kind, "ttl") && (arguments_has(args, "interval") || arguments_has(args, "timeout")))
		return err_set(err, EINVAL,
			       _("A ttl check is reported from outside: it has no --interval and no --timeout"));
	return 0;
}

static enum status add(struct cli *cli, const struct arguments *args, const struct target *target, json_t *check)
{
	_cleanup_json_ json_t *body = json_pack("{s:s?, s:O}", "id", arguments_text(args, "id", NULL), "check", check);
	_cleanup_(freep) char *path = xasprintf("/v1/check/%s", target->text), *id = NULL;
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (!body)
		return cli_usage(cli, _("The name of the check is not text in UTF-8"));
	if (api_call(cli->api, "PUT", path, body, &answer, &err) < 0)
		return cli_failed(cli, &err);
	if (arguments_has(args, "json")) {
		output_json(cli->out, answer);
		return STATUS_DONE;
	}
	id = xstrdup(json_text(answer, "id"));
	text_printable(id, false);
	fprintf(cli->out, _("Check %s is on %s; 'tepuy checks %s' shows it.\n"), id, target->text, target->text);
	return STATUS_DONE;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_target_ struct target target = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const char *kind = find_kind(args, &err);
	_cleanup_json_ json_t *check = NULL;

	if (!kind || check_usage(args, kind, &err) < 0 || target_parse(args->words.v[0], &target, &err) < 0 ||
	    !(check = make_check(args, kind, &err)))
		return cli_usage(cli, "%s", err_text(&err));
	return add(cli, args, &target, check);
}

static const struct command_option options[] = {
	{ .name = "http", .type = OPTION_TEXT, .argument = "PATH", .help = N_("GET this path; 2xx is passing") },
	{ .name = "port",
	  .type = OPTION_TEXT,
	  .argument = "PORT",
	  .help = N_("With --http: the recipe's port by name; the first one without it") },
	{ .name = "tcp",
	  .type = OPTION_TEXT,
	  .argument = "PORT",
	  .help = N_("Connect to the recipe's port of that name") },
	{ .name = "exec", .help = N_("Run the command behind '--' in the node: 0 is passing, 1 a warning") },
	{ .name = "ttl",
	  .type = OPTION_DURATION,
	  .argument = "DURATION",
	  .help = N_("Critical when 'tepuy check report' is silent for so long") },
	{ .name = "interval", .type = OPTION_DURATION, .argument = "DURATION", .help = N_("How often") },
	OPTION_TIMEOUT(N_("No answer within this time is critical")),
	{ .name = "id", .type = OPTION_TEXT, .argument = "ID", .help = N_("Its name; made from its kind without it") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_check_add = {
	.name = "check add",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT,
	.summary = N_("Add a health check to running and future nodes"),
	.details =
	    N_("The check is kept in Consul and put on the nodes without touching a container; it stays until 'tepuy "
	       "check remove'."),
	.usage = "TARGET [-- COMMAND…]",
	.min = 1,
	.max = -1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
