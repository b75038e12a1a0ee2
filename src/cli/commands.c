/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/commands.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/dial.h"
#include "cli/help.h"

const struct command *const commands[] = {
	/* services */
	&cmd_up,
	&cmd_down,
	&cmd_status,
	&cmd_ps,
	&cmd_events,
	&cmd_revisions,
	&cmd_rollback,
	&cmd_graph,
	/* nodes */
	&cmd_logs,
	&cmd_exec,
	&cmd_disconnect,
	&cmd_connect,
	&cmd_checks,
	&cmd_check_add,
	&cmd_check_remove,
	&cmd_check_report,
	/* documents */
	&cmd_recipe_new,
	&cmd_recipe_lint,
	&cmd_recipe_show,
	&cmd_service_lint,
	&cmd_schema,
	/* hosts */
	&cmd_host_apply,
	&cmd_host_list,
	&cmd_host_show,
	&cmd_host_drain,
	&cmd_host_undrain,
	&cmd_host_remove,
	&cmd_host_upgrade,
	&cmd_host_renew,
	&cmd_host_rotate_keys,
	&cmd_host_bundle,
	&cmd_run,
	&cmd_copy,
	/* the rest */
	&cmd_doctor,
	&cmd_completion,
	&cmd_help,
	&cmd_version,
	&cmd_setup,
	&cmd_dial_stdio,
#ifdef TEPUY_WITH_AGENT
	&cmd_agent,
#endif
	NULL,
};

/* Length of the first word of a command of two words, 0 for one word. */
static size_t family_length(const struct command *command)
{
	const char *space = strchr(command->name, ' ');

	return space ? (size_t)(space - command->name) : 0;
}

static bool is_family(const struct command *command, const char *word)
{
	size_t len = family_length(command);

	return len && strlen(word) == len && !strncmp(command->name, word, len);
}

bool commands_has_family(const char *word)
{
	for (size_t i = 0; commands[i]; i++)
		if (is_family(commands[i], word))
			return true;
	return false;
}

/* Adds the name that `command` has behind `family`, or, without one, its first word; each once. */
static void add_name(struct strv *names, const struct command *command, const char *family)
{
	size_t len = family_length(command);
	_cleanup_(freep) char *name = NULL;

	if (command->flags & COMMAND_HIDDEN || (family && !is_family(command, family)))
		return;
	name = family ? xstrdup(command->name + len + 1) : len ? xstrndup(command->name, len) : xstrdup(command->name);
	if (!strv_has(names, name))
		strv_take(names, TAKE_PTR(name));
}

static int unknown(const char *family, const char *word, struct err *err)
{
	const char *between = family ? " " : "", *meant;
	_cleanup_strv_ struct strv names = { 0 };

	for (size_t i = 0; commands[i]; i++)
		add_name(&names, commands[i], family);
	meant = text_suggest(word, (const char *const *)names.v, names.n);
	if (!family)
		family = "";
	if (meant)
		return err_set(err, ENOENT, _("There is no command '%s%s%s'; did you mean '%s%s%s'?"), family, between,
			       word, family, between, meant);
	return err_set(err, ENOENT, _("There is no command '%s%s%s'; 'tepuy --help' lists all"), family, between, word);
}

int commands_find(int argc, char *const *argv, const struct command **ret, int *ret_words, struct err *err)
{
	bool family = commands_has_family(argv[0]);
	_cleanup_(freep) char *name = NULL;

	if (family && argc < 2)
		return err_set(err, ENOENT, _("'%s' needs a second word; 'tepuy %s --help' lists them"), argv[0],
			       argv[0]);
	name = family ? xasprintf("%s %s", argv[0], argv[1]) : xstrdup(argv[0]);
	for (size_t i = 0; commands[i]; i++) {
		if (strcmp(commands[i]->name, name))
			continue;
		*ret = commands[i];
		*ret_words = family ? 2 : 1;
		return 0;
	}
	return family ? unknown(argv[0], argv[1], err) : unknown(NULL, argv[0], err);
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static enum status wrong_usage(struct cli *cli, const struct command *command, const struct err *err)
{
	cli_usage(cli, "%s", err_text(err));
	if (command)
		fprintf(cli->err, _("Try 'tepuy %s --help'.\n"), command->name);
	return command && command->flags & COMMAND_PROBE ? 3 : STATUS_USAGE;
}

/* The agent of this host, or of the one that --host or the environment names. */
static int reach_agent(struct cli *cli, const struct arguments *args, struct err *err)
{
	const char *host = args->host ? args->host : getenv("TEPUY_HOST");
	int r = 0;

	if (!(args->command->flags & COMMAND_AGENT))
		return 0;
	if (host && *host)
		r = dial_host(cli, host, err);
	if (r < 0)
		return r;
	cli->api = api_new(cli->socket);
	if (host && *host)
		api_call_it(cli->api, host);
	return 0;
}

static int run(struct cli *cli, const struct command *command, int argc, char **argv)
{
	_cleanup_arguments_ struct arguments args = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	if (arguments_parse(command, argc, argv, &args, &err) < 0)
		return wrong_usage(cli, command, &err);
	if (args.help) {
		help_command(cli->out, command);
		return STATUS_DONE;
	}
	if (reach_agent(cli, &args, &err) < 0) {
		cli_failed(cli, &err);
		return command->flags & COMMAND_PROBE ? 3 : STATUS_FAILED;
	}
	return command->exec(cli, &args);
}

static int main_options(struct cli *cli, const char *word)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (is_help(word))
		help_all(cli->out);
	else if (!strcmp(word, "--version"))
		fprintf(cli->out, "tepuy %s\n", TEPUY_VERSION);
	else {
		err_set(&err, EINVAL,
			_("There is no option '%s' before the command; 'tepuy --help' lists what there is"), word);
		return wrong_usage(cli, NULL, &err);
	}
	return STATUS_DONE;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const struct command *command;
	int words;

	if (argc == 0) {
		help_all(cli->err);
		return STATUS_USAGE;
	}
	if (argv[0][0] == '-')
		return main_options(cli, argv[0]);
	if (argc > 1 && commands_has_family(argv[0]) && is_help(argv[1])) {
		help_family(cli->out, argv[0]);
		return STATUS_DONE;
	}
	if (commands_find(argc, argv, &command, &words, &err) < 0)
		return wrong_usage(cli, NULL, &err);
	return run(cli, command, argc - words, argv + words);
}

int commands_main(struct cli *cli, int argc, char **argv)
{
	int status = dispatch(cli, argc, argv);

	/* What could not be written (a full disk) must not look like success. */
	if ((fflush(cli->out) == EOF || ferror(cli->out)) && status == STATUS_DONE) {
		cli_note(cli, _("Cannot write the output: %s"), strerror(errno));
		return STATUS_FAILED;
	}
	return status;
}
