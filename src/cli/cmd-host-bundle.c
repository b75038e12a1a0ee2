/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/host-bundle.h"
#include "cli/options.h"
#include "image/base.h"

static void say(void *data, const char *text)
{
	struct cli *cli = data;

	fprintf(cli->out, "%s\n", text);
	fflush(cli->out);
}

static int make(struct cli *cli, const struct arguments *args, struct err *err)
{
	_cleanup_debs_ struct debs debs = { 0 };
	int r = debs_find(arguments_list(args, "package"), &debs, err);
	const struct deb *deb = r < 0 ? NULL : debs_for(&debs, base_architecture());

	if (r < 0)
		return r;
	if (!deb)
		return err_set(err, ENOENT,
			       _("There is no package of tepuy for this machine's architecture, %s; make the bundle on "
				 "a machine like "
				 "the hosts"),
			       base_architecture());
	return bundle_make(args->words.v[0], deb, arguments_list(args, "with"), say, cli, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct stat st;

	if (make(cli, args, &err) < 0)
		return cli_failed(cli, &err);
	if (stat(args->words.v[0], &st) == 0)
		fprintf(cli->out, _("%s is made, %lld MiB; 'tepuy host apply --offline %s' uses it.\n"),
			args->words.v[0], (long long)(st.st_size >> 20), args->words.v[0]);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	{ .name = "package",
	  .type = OPTION_LIST,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("The .deb of tepuy to put into it") },
	{ .name = "with",
	  .type = OPTION_LIST,
	  .argument = "PACKAGE",
	  .help = N_("This Debian package too; may be given several times") },
	OPTIONS_END,
};

const struct command cmd_host_bundle = {
	.name = "host bundle",
	.group = GROUP_HOST,
	.summary = N_("Put all packages that a host needs into one file"),
	.details = N_("For hosts whose mirror does not answer: made on a Debian 12 that has one, as root, and given to "
		      "'tepuy host apply "
		      "--offline'. It has tepuy, Docker, Consul and what they depend on, down to the base system."),
	.usage = "FILE",
	.min = 1,
	.max = 1,
	.word = WORD_FILE,
	.options = options,
	.exec = run,
};
