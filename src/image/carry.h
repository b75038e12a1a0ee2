/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A part of a store in a directory, to be carried to hosts that have no mirror: the finished images of some recipes
 * with all that is below them. What was carried in stays in the store until image_carried_forget(), used or not: it
 * could not be made again there.
 *
 *   bundles/<sha>.tar   layers/<sha>.tar   bases/<suite>-<architecture>.json   images/<key>.json
 */
#ifndef TEPUY_IMAGE_CARRY_H
#define TEPUY_IMAGE_CARRY_H

#include "image/image.h"

/* Writes bundles and images of these bundles into `dir`, which must be empty. -ENOENT: one has no image. Layers are
 * linked where that is possible. */
int image_carry_out(struct image_store *store, const struct strv *bundles, const char *dir, struct err *err);
/*
 * Takes all that is in `dir` into the store, holding each thing against its hash. `ret_new` gets how many things the
 * store did not have. Errors: -EBADMSG something is damaged or for another architecture; -EEXIST the store has another
 * base system of that name, on which these images are not found; -ENOSPC.
 */
int image_carry_in(struct image_store *store, const char *dir, unsigned *ret_new, struct err *err);
/* Whether a bundle was carried in. */
bool image_is_carried(const struct image_store *store, const char *bundle);
/* From now on it goes when nobody needs it. */
int image_carried_forget(struct image_store *store, struct err *err);

#endif
