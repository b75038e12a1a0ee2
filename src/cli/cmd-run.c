/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet.h"
#include "cli/options.h"
#include "cli/output.h"

enum { MOST_INPUT = 64 << 20, MOST_KEPT = 1 << 20, MOST_LINE = 1 << 16 };

struct run {
	struct fleet fleet;
	struct strv argv;
	struct buf input;
	bool group, json, sudo;
	int64_t timeout_ms;
	size_t next;          /* --group: the first host whose output is not shown yet */
	pthread_mutex_t lock; /* of what is printed */
};

/* What one host says, cut into lines; `line[1]` is standard error. */
struct speaker {
	struct run *run;
	size_t index;
	struct buf line[2];
};

/* On a terminal nothing that a host says may steer it. */
static void speak(struct speaker *speaker, bool is_stderr, const char *bytes, size_t len)
{
	struct run *run = speaker->run;
	struct cli *cli = run->fleet.cli;
	FILE *to = is_stderr ? cli->err : cli->out;
	const char *name = run->fleet.inventory->hosts[speaker->index].name;
	_cleanup_(freep) char *safe = cli->terminal ? xstrndup(bytes, len) : NULL;

	if (safe)
		text_printable(safe, true);
	pthread_mutex_lock(&run->lock);
	fprintf(to, "%s: ", name);
	fwrite(safe ? safe : bytes, 1, safe ? strlen(safe) : len, to);
	fputc('\n', to);
	fflush(to);
	pthread_mutex_unlock(&run->lock);
}

static void speak_lines(struct speaker *speaker, bool is_stderr, const char *bytes, size_t len)
{
	struct buf *line = &speaker->line[is_stderr];
	size_t from = 0;
	char *end;

	buf_add(line, bytes, len);
	while ((end = memchr(line->data + from, '\n', line->len - from))) {
		size_t at = (size_t)(end - line->data);

		speak(speaker, is_stderr, line->data + from, at - from);
		from = at + 1;
	}
	buf_consume(line, from);
	if (line->len > MOST_LINE) {
		speak(speaker, is_stderr, line->data, line->len);
		buf_consume(line, line->len);
	}
}

static void keep(struct fleet_result *result, bool is_stderr, const char *bytes, size_t len)
{
	struct buf *to = is_stderr ? &result->err : &result->out;
	size_t room = to->len < MOST_KEPT ? MOST_KEPT - to->len : 0;

	if (len > room)
		result->truncated = true;
	buf_add(to, bytes, len < room ? len : room);
}

static int take(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct speaker *speaker = data;
	struct run *run = speaker->run;

	if (run->json || run->group)
		keep(&run->fleet.results[speaker->index], is_stderr, bytes, len);
	else
		speak_lines(speaker, is_stderr, bytes, len);
	return 0;
}

static void end_lines(struct speaker *speaker)
{
	for (int i = 0; i < 2; i++) {
		if (speaker->line[i].len)
			speak(speaker, i, speaker->line[i].data, speaker->line[i].len);
		buf_release(&speaker->line[i]);
	}
}

static int on_host(struct fleet *fleet, struct remote *remote, size_t index, struct err *err)
{
	struct run *run = fleet->data;
	struct speaker speaker = { .run = run, .index = index };
	struct remote_command command = { .argv = &run->argv,
					  .sudo = run->sudo,
					  .input = run->input.data,
					  .input_len = run->input.len,
					  .sink = take,
					  .data = &speaker,
					  .timeout_ms = run->timeout_ms };
	int r = remote_exec(remote, &command, &fleet->results[index].status, err);

	end_lines(&speaker);
	return r;
}

static void write_kept(FILE *to, const struct buf *kept, bool safe)
{
	_cleanup_(freep) char *copy = safe ? xstrndup(buf_text(kept), kept->len) : NULL;

	if (copy)
		text_printable(copy, true);
	if (kept->len)
		fwrite(copy ? copy : kept->data, 1, copy ? strlen(copy) : kept->len, to);
	if (kept->len && kept->data[kept->len - 1] != '\n')
		fputc('\n', to);
}

/* A host's output as one piece behind a line that says how it went. */
static void show_group(struct run *run, size_t index)
{
	struct cli *cli = run->fleet.cli;
	struct fleet_result *result = &run->fleet.results[index];
	_cleanup_(freep) char *time = text_ago(result->ms), *title = NULL;
	_cleanup_buf_ struct buf line = { 0 };

	title = result->error ? xasprintf(_("%s: failed, %s"), run->fleet.inventory->hosts[index].name, time)
			      : xasprintf(_("%s: exit status %d, %s"), run->fleet.inventory->hosts[index].name,
					  result->status, time);
	output_colour(&line, cli->colour, fleet_failed(result) ? RED : BOLD, title);
	fprintf(cli->out, "%s\n", buf_text(&line));
	write_kept(cli->out, &result->out, cli->terminal);
	fflush(cli->out);
	write_kept(cli->err, &result->err, cli->terminal);
	if (result->truncated)
		cli_note(cli, _("%s: only the first MiB of its output is shown"),
			 run->fleet.inventory->hosts[index].name);
	buf_release(&result->out);
	buf_release(&result->err);
}

static void on_done(struct fleet *fleet, size_t index)
{
	struct run *run = fleet->data;

	if (run->json)
		return;
	if (fleet->results[index].error)
		cli_note(fleet->cli, "%s", fleet->results[index].error);
	/* In the order of the hosts, whichever ended first: two runs can be compared. */
	while (run->group && run->next < fleet->inventory->n && fleet->results[run->next].ended)
		show_group(run, run->next++);
}

/* JSON carries UTF-8 alone. */
static json_t *text_of(const struct buf *kept)
{
	_cleanup_(freep) char *copy = xstrndup(buf_text(kept), kept->len);
	json_t *text = json_string(copy);

	if (text)
		return text;
	text_printable(copy, true);
	return json_string(copy);
}

static void show_json(struct run *run)
{
	_cleanup_json_ json_t *all = NULL;
	struct fleet *fleet = &run->fleet;
	json_t *rows = json_array();

	for (size_t i = 0; i < fleet->inventory->n; i++) {
		json_t *row = fleet_json(fleet, i);

		json_object_set_new(row, "stdout", text_of(&fleet->results[i].out));
		json_object_set_new(row, "stderr", text_of(&fleet->results[i].err));
		json_object_set_new(row, "truncated", json_boolean(fleet->results[i].truncated));
		json_array_append_new(rows, row);
	}
	all = json_pack("{s:I, s:I, s:o}", "done", (json_int_t)fleet->good, "failed", (json_int_t)fleet->failed,
			"hosts", rows);
	output_json(fleet->cli->out, all);
}

static int read_input(struct run *run, struct err *err)
{
	ssize_t n;

	do {
		n = read(STDIN_FILENO, buf_reserve(&run->input, 65536), 65536);
		if (n > 0)
			run->input.len += (size_t)n;
		if (run->input.len > MOST_INPUT)
			return err_set(
			    err, EFBIG,
			    _("Standard input has more than 64 MiB, which is too much to keep for all hosts; "
			      "use 'tepuy copy'"));
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_errno(err, errno, _("Standard input cannot be read")) : 0;
}

static void set_command(struct run *run, const struct arguments *args)
{
	_cleanup_(freep) char *line = NULL;

	if (!arguments_has(args, "shell")) {
		strv_copy(&run->argv, &args->words);
		return;
	}
	line = strv_join(&args->words, " ");
	strv_add_all(&run->argv, "/bin/sh", "-c", line, NULL);
}

static int run_on_all(struct run *run)
{
	int64_t start = clock_monotonic_ms();
	enum status status;

	pthread_mutex_init(&run->lock, NULL);
	status = fleet_run(&run->fleet);
	if (run->json)
		show_json(run);
	else
		fleet_summary(&run->fleet, clock_monotonic_ms() - start);
	pthread_mutex_destroy(&run->lock);
	return status;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_inventory_ struct inventory inventory = { 0 };
	struct run run = { .group = arguments_has(args, "group"),
			   .json = arguments_has(args, "json"),
			   .sudo = arguments_has(args, "sudo"),
			   .timeout_ms = arguments_number(args, "timeout", -1) };
	_cleanup_err_ struct err err = ERR_INIT;
	int status = STATUS_FAILED;

	if (inventory_select(cli, args, &inventory, &err) < 0)
		return err.code ? (int)cli_usage(cli, "%s", err_text(&err)) : STATUS_USAGE;
	set_command(&run, args);
	run.fleet = (struct fleet){
		.cli = cli, .args = args, .inventory = &inventory, .each = on_host, .done = on_done, .data = &run
	};
	if (arguments_has(args, "stdin") && read_input(&run, &err) < 0)
		cli_failed(cli, &err);
	else
		status = run_on_all(&run);
	fleet_release(&run.fleet);
	buf_release(&run.input);
	strv_release(&run.argv);
	return status;
}

static const struct command_option options[] = {
	OPTIONS_INVENTORY,
	OPTIONS_FLEET,
	{ .name = "sudo",
	  .letter = 'S',
	  .help = N_("Run it as root; sudo's password is asked for once if it needs one") },
	{ .name = "shell", .letter = 'c', .help = N_("COMMAND is a line for the hosts' shell, as with ssh") },
	{ .name = "stdin", .letter = 'i', .help = N_("Give our standard input, of 64 MiB at most, to all") },
	{ .name = "group",
	  .letter = 'g',
	  .help = N_("Show each host's output as one piece, in the order of the hosts") },
	OPTION_TIMEOUT(N_("Give the command up on a host after this")),
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_run = {
	.name = "run",
	.group = GROUP_HOST,
	.flags = COMMAND_ARGV,
	.summary = N_("Run a command on many hosts at once by SSH"),
	.details = N_(
	    "The hosts need nothing but sshd. Each line of output has the name of its host before it. The words of "
	    "COMMAND reach the command as they are; no shell on the host looks at them without --shell. Host keys are "
	    "always checked: one that is not known is asked for, or given as fingerprint in hosts.yaml. The exit "
	    "status is 0 when the command succeeded on all hosts, 3 when on some, 1 when on none."),
	.usage = "[--] COMMAND [ARGUMENT]…",
	.min = 1,
	.max = -1,
	.options = options,
	.exec = run,
};
