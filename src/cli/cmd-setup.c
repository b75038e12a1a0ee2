/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "host/setup.h"

#define MOST_INPUT ((size_t)4 << 20)

/*
 * Whoever reads may be gone: a step that has begun goes on to its end, so that a connection that breaks leaves no half
 * installed packages. What cannot be written is lost; the next run says how things are.
 */
static void write_line(struct cli *cli, const json_t *line)
{
	output_json_line(cli->out, line);
	fflush(cli->out);
}

static void tell(void *data, const char *step, const char *item, enum setup_state state, const char *text)
{
	json_t *line = json_pack("{s:s, s:s, s:s, s:s}", "step", step, "item", item, "state", setup_state_name(state),
				 "text", text);

	write_line(data, line);
	json_decref(line);
}

static int read_input(json_t **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	json_error_t why;
	ssize_t n;

	while ((n = read(0, buf_reserve(&text, 65536), 65536)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, _("Cannot read the input"));
		text.len += (size_t)n;
		if (text.len > MOST_INPUT)
			return err_set(err, EFBIG, _("The input is larger than %zu bytes"), MOST_INPUT);
	}
	if (!text.len || !text.data[strspn(text.data, " \t\r\n")])
		return 0;
	*ret = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &why);
	if (!*ret)
		return err_set(err, EINVAL, _("The input is no JSON: line %d: %s"), why.line, why.text);
	return 0;
}

static enum status give_up(struct cli *cli, const struct err *err)
{
	const char *code = strerrorname_np(err->code);
	json_t *line = json_pack("{s:{s:s, s:s}}", "error", "text", err_text(err), "code", code ? code : "EIO");

	write_line(cli, line);
	json_decref(line);
	return STATUS_FAILED;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *input = NULL, *result = NULL, *line;
	int r;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	r = read_input(&input, &err);
	if (r == 0)
		r = setup_run(args->words.v[0], input, tell, cli, &result, &err);
	json_decref(input);
	if (r < 0)
		return give_up(cli, &err);
	line = json_pack("{s:o}", "result", result);
	write_line(cli, line);
	json_decref(line);
	return STATUS_DONE;
}

const struct command cmd_setup = {
	.name = "setup",
	.group = GROUP_OTHER,
	.summary = N_("Do one step of making this machine a host"),
	.details =
	    N_("Run as root by 'tepuy host apply', through SSH: JSON on standard input, one JSON object a line on "
	       "standard output. docs/setup.md says what each step takes, does and answers."),
	.usage = N_("STEP"),
	.min = 1,
	.max = 1,
	.choices = setup_steps,
	.exec = run,
};
