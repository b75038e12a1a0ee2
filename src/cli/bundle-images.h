/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The finished images of services' recipes, built on this machine as a host would, for a bundle. */
#ifndef TEPUY_CLI_BUNDLE_IMAGES_H
#define TEPUY_CLI_BUNDLE_IMAGES_H

#include "base/err.h"
#include "base/strv.h"
#include "cli/cli.h"

struct bundle_images_wish {
	const struct strv *services;     /* files; NULL: none */
	const struct strv *recipe_names; /* or directories; NULL: none */
	const struct strv *recipes;      /* where to look for recipes; NULL: nowhere else */
	const char *store;               /* NULL: the machine's own */
	bool machines;                   /* for machines as well as for containers */
	void (*say)(void *data, const char *text);
	void *data;
};

/*
 * Builds them, all base systems from this store, and writes them into `directory` (image/carry.h). `work` gets the
 * logs. Documents with errors are shown on cli->err. Errors as those of image_build, with the end of the log.
 */
int bundle_images(struct cli *cli, const struct bundle_images_wish *wish, const char *directory, const char *work,
		  struct err *err);

#endif
