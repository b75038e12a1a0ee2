/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes the recipe's own layer on the layers of its base. */
#ifndef TEPUY_IMAGE_BUILD_H
#define TEPUY_IMAGE_BUILD_H

#include "image/store.h"

struct build {
	struct image_store *store;
	const struct image_recipe *recipe;
	const char *key;                /* of the image: names the working directory; its lock is held */
	const struct image_layer *base; /* lowest first */
	size_t n_base;
	int log_fd;
	int64_t deadline; /* clock_monotonic_ms */
};

/* `ret->sha256` stays NULL when the recipe adds nothing. */
int build_layer(const struct build *build, struct image_layer *ret, struct err *err);

/* What a recipe may not ask for, before anything is started. */
int build_check(const struct image_recipe *recipe, struct err *err);

#endif
