/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <unistd.h>

#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/dial.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/target.h"

/* `ret_begun`: the command may have run there, whatever became of it. */
static int run_on(struct cli *cli, const struct ways *ways, const char *host, const struct session *session,
		  bool *ret_begun, struct err *err)
{
	struct session there = *session;
	_cleanup_(freep) char *why = NULL;
	_cleanup_strv_ struct strv none = { 0 };
	struct way *way;
	int r = way_open(ways, host, &way, err);

	if (r < 0)
		return r;
	there.socket = way_socket(way);
	there.elsewhere = &none;
	r = session_run(&there, err);
	*ret_begun = r != -EREMOTE && r != -ENOENT;
	why = r < 0 && *ret_begun ? way_trouble(way) : NULL;
	if (why)
		cli_note(cli, "%s: %s", host, why);
	way_close(way);
	return r;
}

/* On the first of the hosts where a node of the target runs. */
static int run_elsewhere(struct cli *cli, const struct strv *hosts, const struct session *session, struct err *err)
{
	struct ways *ways;
	bool begun = false;
	int r = ways_new(cli, &ways, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < hosts->n && !begun; i++) {
		r = run_on(cli, ways, hosts->v[i], session, &begun, err);
		if (r < 0 && !begun && i + 1 < hosts->n)
			cli_note(cli, "%s: %s", hosts->v[i], err_text(err));
	}
	ways_free(ways);
	return r < 0 ? err_wrap(err, _("%s is on another host"), session->target) : r;
}

static int run(struct cli *cli, const struct arguments *args)
{
	bool terminals = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	_cleanup_target_ struct target target = { 0 };
	_cleanup_strv_ struct strv elsewhere = { 0 };
	struct session session = { .socket = cli->socket, .elsewhere = &elsewhere };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_json_ json_t *argv = NULL;
	int r;

	if (target_parse(args->words.v[0], &target, &err) < 0 || !(argv = json_words(&args->words, 1, &err)))
		return cli_usage(cli, "%s", err_text(&err));
	session.argv = argv;
	session.target = target.text;
	session.tty = arguments_has(args, "tty");
	session.interactive = arguments_has(args, "interactive");
	if (terminals && !session.tty && !session.interactive)
		session.tty = session.interactive = true;
	r = session_run(&session, &err);
	if (r == -EREMOTE && elsewhere.n)
		r = run_elsewhere(cli, &elsewhere, &session, &err);
	if (r < 0)
		return cli_failed(cli, &err);
	return r;
}

static const struct command_option options[] = {
	{ .name = "tty", .letter = 't', .help = N_("Give the command a terminal") },
	{ .name = "interactive", .letter = 'i', .help = N_("Send our standard input to the command") },
	OPTIONS_END,
};

const struct command cmd_exec = {
	.name = "exec",
	.group = GROUP_NODE,
	.flags = COMMAND_AGENT | COMMAND_ARGV,
	.summary = N_("Run a command in a node"),
	.details = N_(
	    "From a terminal both options are taken for granted when neither is given. The exit status is that of "
	    "the command: as in a shell 127 when there is no such program, 126 when it cannot be run; and 1 when the "
	    "node could not be asked. A component or service means its first running node. A node on another host "
	    "than the one that is asked is reached by SSH, as with --host."),
	.usage = "TARGET [--] COMMAND [ARGUMENT]…",
	.min = 2,
	.max = -1,
	.word = WORD_TARGET,
	.options = options,
	.exec = run,
};
