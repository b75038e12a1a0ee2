/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet.h"
#include "cli/options.h"
#include "cli/output.h"

struct copy {
	struct fleet fleet;
	const struct strv *files;
	const char *to;
	bool into; /* `to` is a directory */
	bool sudo, json;
	long mode; /* -1: each file's own */
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *target(const struct copy *copy, const char *file)
{
	const char *between = copy->to[strlen(copy->to) - 1] == '/' ? "" : "/";

	return copy->into ? xasprintf("%s%s%s", copy->to, between, base_name(file)) : xstrdup(copy->to);
}

static int copy_file(const struct copy *copy, struct remote *remote, const char *file, struct err *err)
{
	_cleanup_(closep) int fd = open(file, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *path = target(copy, file);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, _("%s cannot be read"), file);
	return remote_put(remote, fd, path, copy->mode >= 0 ? (mode_t)copy->mode : st.st_mode & 0777, copy->sudo, err);
}

static int on_host(struct fleet *fleet, struct remote *remote, size_t index, struct err *err)
{
	const struct copy *copy = fleet->data;
	int r = 0;

	(void)index;
	for (size_t i = 0; r == 0 && i < copy->files->n; i++)
		r = copy_file(copy, remote, copy->files->v[i], err);
	return r;
}

static void on_done(struct fleet *fleet, size_t index)
{
	const struct copy *copy = fleet->data;
	const struct fleet_result *result = &fleet->results[index];
	_cleanup_(freep) char *time = text_ago(result->ms);

	if (copy->json)
		return;
	if (result->error)
		cli_note(fleet->cli, "%s", result->error);
	else
		fprintf(fleet->cli->out, _("%s: done, %s\n"), fleet->inventory->hosts[index].name, time);
}

static void show_json(struct copy *copy)
{
	_cleanup_json_ json_t *all = NULL;
	json_t *rows = json_array();

	for (size_t i = 0; i < copy->fleet.inventory->n; i++)
		json_array_append_new(rows, fleet_json(&copy->fleet, i));
	all = json_pack("{s:I, s:I, s:o}", "done", (json_int_t)copy->fleet.good, "failed",
			(json_int_t)copy->fleet.failed, "hosts", rows);
	output_json(copy->fleet.cli->out, all);
}

/* Before any host is reached. */
static int check(struct copy *copy, const struct arguments *args, struct err *err)
{
	const char *mode = arguments_text(args, "mode", NULL);
	char *end;

	copy->mode = mode ? strtol(mode, &end, 8) : -1;
	if (mode && (!*mode || *end || copy->mode < 0 || copy->mode > 07777))
		return err_set(err, EINVAL, _("--mode takes permissions as 0644, not '%s'"), mode);
	if (!copy->to || !*copy->to)
		return err_set(err, EINVAL, _("'copy' needs --to PATH"));
	for (size_t i = 0; i < copy->files->n; i++) {
		struct stat st;

		if (stat(copy->files->v[i], &st) < 0)
			return err_errno(err, errno, _("%s cannot be read"), copy->files->v[i]);
		if (!S_ISREG(st.st_mode))
			return err_set(err, EINVAL, _("%s is no regular file"), copy->files->v[i]);
	}
	return 0;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_inventory_ struct inventory inventory = { 0 };
	struct copy copy = { .files = &args->words,
			     .to = arguments_text(args, "to", NULL),
			     .sudo = arguments_has(args, "sudo"),
			     .json = arguments_has(args, "json") };
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t start = clock_monotonic_ms();
	enum status status;

	if (check(&copy, args, &err) < 0)
		return cli_usage(cli, "%s", err_text(&err));
	copy.into = copy.files->n > 1 || text_ends(copy.to, "/");
	if (inventory_select(cli, args, &inventory, &err) < 0)
		return err.code ? (int)cli_usage(cli, "%s", err_text(&err)) : STATUS_USAGE;
	copy.fleet = (struct fleet){
		.cli = cli, .args = args, .inventory = &inventory, .each = on_host, .done = on_done, .data = &copy
	};
	status = fleet_run(&copy.fleet);
	if (copy.json)
		show_json(&copy);
	else
		fleet_summary(&copy.fleet, clock_monotonic_ms() - start);
	fleet_release(&copy.fleet);
	return status;
}

static const struct command_option options[] = {
	OPTIONS_INVENTORY,
	OPTIONS_FLEET,
	{ .name = "to",
	  .letter = 't',
	  .type = OPTION_TEXT,
	  .argument = "PATH",
	  .help = N_("Where it goes: a file, or a directory when it ends with / or there are several files") },
	{ .name = "mode",
	  .letter = 'm',
	  .type = OPTION_TEXT,
	  .argument = "MODE",
	  .help = N_("Permissions, as 0644; those of the file without it") },
	{ .name = "sudo", .letter = 'S', .help = N_("Write it as root") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_copy = {
	.name = "copy",
	.group = GROUP_HOST,
	.summary = N_("Copy files to many hosts at once by SSH"),
	.details =
	    N_("A file is written beside its place, its sha256 compared, and then put there in one step: whoever "
	       "reads it sees the old one or the new one. One that is there already is not sent again. Exit "
	       "statuses are those of 'run'."),
	.usage = "FILE… --to PATH",
	.min = 1,
	.max = -1,
	.word = WORD_FILE,
	.options = options,
	.exec = run,
};
