/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/bundle-images.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/host-bundle.h"
#include "cli/options.h"
#include "image/base.h"

struct making {
	struct cli *cli;
	const struct arguments *args;
};

static void say(void *data, const char *text)
{
	const struct making *making = data;

	fprintf(making->cli->out, "%s\n", text);
	fflush(making->cli->out);
}

static void say_of_images(void *data, const char *text)
{
	say(data, text);
}

static int fill(void *data, const char *directory, const char *work, struct err *err)
{
	const struct making *making = data;
	const struct bundle_images_wish wish = {
		.services = arguments_list(making->args, "service"),
		.recipe_names = arguments_list(making->args, "recipe"),
		.recipes = arguments_list(making->args, "recipes"),
		.store = arguments_text(making->args, "store", NULL),
		.machines = arguments_has(making->args, "machines"),
		.say = say_of_images,
		.data = data,
	};

	return bundle_images(making->cli, &wish, directory, work, err);
}

static int make(struct cli *cli, const struct arguments *args, struct err *err)
{
	bool images = arguments_has(args, "service") || arguments_has(args, "recipe");
	_cleanup_debs_ struct debs debs = { 0 };
	struct making making = { cli, args };
	struct bundle_wish wish = {
		.more = arguments_list(args, "with"), .fill = images ? fill : NULL, .say = say, .data = &making
	};
	int r = images && geteuid() != 0 ? err_set(err, EPERM, _("Making images needs root: run it with sudo"))
					 : debs_find(arguments_list(args, "package"), &debs, err);

	if (r < 0)
		return r;
	wish.deb = debs_for(&debs, base_architecture());
	if (!wish.deb)
		return err_set(err, ENOENT,
			       _("There is no package of tepuy for this machine's architecture, %s; make the bundle on "
				 "a machine like "
				 "the hosts"),
			       base_architecture());
	return bundle_make(args->words.v[0], &wish, err);
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
	{ .name = "service",
	  .type = OPTION_LIST,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("The images of this service's recipes too; may be given several times") },
	{ .name = "recipe",
	  .type = OPTION_LIST,
	  .word = WORD_DIRECTORY,
	  .argument = "RECIPE",
	  .help = N_("The image of this recipe too; may be given several times") },
	OPTION_RECIPES,
	{ .name = "machines", .help = N_("Images also for hosts whose nodes are virtual machines") },
	{ .name = "store",
	  .type = OPTION_TEXT,
	  .word = WORD_DIRECTORY,
	  .argument = "DIR",
	  .help = N_("Build images in DIR instead of /var/lib/tepuy/store; they stay there for the next bundle") },
	OPTIONS_END,
};

const struct command cmd_host_bundle = {
	.name = "host bundle",
	.group = GROUP_HOST,
	.summary = N_("Put all that a host without a mirror needs into one file"),
	.details = N_("For hosts whose mirror does not answer: made on a Debian 12 that has one, as root, and given to "
		      "'tepuy host apply "
		      "--offline'. It has tepuy, Docker, Consul and what they depend on, down to the base system, and "
		      "with --service all that the hosts need to bring that service up: the finished images of its "
		      "recipes, which are built here."),
	.usage = "FILE",
	.min = 1,
	.max = 1,
	.word = WORD_FILE,
	.options = options,
	.exec = run,
};
