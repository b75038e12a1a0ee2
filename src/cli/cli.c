/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/cli.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/dial.h"
#include "cli/terminal.h"

static bool may_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && strcmp(term, "dumb");
}

void cli_init(struct cli *cli)
{
	const char *socket = getenv("TEPUY_SOCKET");

	*cli = (struct cli){ .out = stdout, .err = stderr };
	cli->terminal = isatty(STDOUT_FILENO);
	cli->person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	cli->colour = cli->terminal && may_colour();
	cli->socket = socket && *socket ? socket : "/run/tepuy/agent.sock";
}

void cli_release(struct cli *cli)
{
	api_free(cli->api);
	cli->api = NULL;
	dial_end(cli);
}

char *cli_author(void)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *user = getpwuid(getuid());
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return xasprintf("%s@%s", sudo && *sudo ? sudo : user ? user->pw_name : "unknown", host);
}

int cli_columns(const struct cli *cli)
{
	struct winsize size;

	if (cli->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/* Messages from elsewhere go through here: nothing in them may steer the terminal. */
static void say(struct cli *cli, const char *text)
{
	_cleanup_(freep) char *safe = xstrdup(text);
	size_t n;

	text_printable(safe, true);
	n = strlen(safe);
	fflush(cli->out);
	fprintf(cli->err, "tepuy: %s%s\n", safe, n && strchr(".?!:\n", safe[n - 1]) ? "" : ".");
}

enum status cli_failed(struct cli *cli, const struct err *err)
{
	say(cli, err_text(err));
	dial_explain(cli);
	return STATUS_FAILED;
}

enum status cli_usage(struct cli *cli, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	say(cli, text);
	return STATUS_USAGE;
}

void cli_note(struct cli *cli, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	say(cli, text);
}

/* The letter that means yes in the reader's language is accepted beside y. */
static bool is_yes(const char *answer)
{
	return !strncasecmp(answer, "y", 1) || !strncasecmp(answer, _("y"), strlen(_("y")));
}

int cli_ask(struct cli *cli, const char *question, struct err *err)
{
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;

	if (!cli->person)
		return err_set(err, ENOTTY, _("There is no terminal to ask on; give --yes if this is to be done"));
	fflush(cli->out);
	fprintf(cli->err, "%s [%s/N] ", question, _("y"));
	fflush(cli->err);
	if (getline(&line, &size, stdin) < 0)
		return 0;
	return is_yes(line);
}

static int read_line(char **ret)
{
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;
	ssize_t n = getline(&line, &size, stdin);

	if (n < 0)
		return -ENODATA;
	if (n && line[n - 1] == '\n')
		line[n - 1] = '\0';
	*ret = TAKE_PTR(line);
	return 0;
}

int cli_read_hidden(struct cli *cli, const char *prompt, char **ret, struct err *err)
{
	int r;

	if (!cli->person)
		return err_set(err, ENOTTY, _("There is no terminal to ask on for %s"), prompt);
	r = terminal_set(TERMINAL_HIDDEN, err);
	if (r < 0)
		return r;
	fprintf(cli->err, "%s: ", prompt);
	fflush(cli->err);
	r = read_line(ret);
	terminal_restore();
	fputc('\n', cli->err);
	return r < 0 ? err_set(err, ENODATA, _("Nothing was typed for %s"), prompt) : 0;
}
