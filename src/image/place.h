/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Puts a recipe's files and texts into the tree of an image that is being built. */
#ifndef TEPUY_IMAGE_PLACE_H
#define TEPUY_IMAGE_PLACE_H

#include <stdbool.h>

#include "image/image.h"

struct place {
	int root;           /* the image's tree; its links are followed inside it only */
	const char *bundle; /* directory of the unpacked recipe */
	bool bare;          /* nothing below: the base stays with the runtime, so its users are not known here */
};

/*
 * A directory is copied with all that it holds; a `to` that ends in '/' takes the file's own name. The time of a file
 * comes from its content, as web servers tell versions of a page apart by time and size. Names of owners are looked up
 * in the image. The messages name the recipe.
 */
int place_files(const struct place *place, const struct image_recipe *recipe, struct err *err);

#endif
