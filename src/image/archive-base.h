/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `base: {archive: file}`: the tar of a root file system, which becomes one layer, or what `docker save` wrote (its
 * manifest.json format, which newer versions and other tools write as well), whose layers are taken as they are. Either
 * may be compressed. The file is read once; then its path, size, times and inode stand for it.
 */
#ifndef TEPUY_IMAGE_ARCHIVE_BASE_H
#define TEPUY_IMAGE_ARCHIVE_BASE_H

#include "image/store.h"

/* The layers that the recipe's archive became, lowest first, and its architecture; all owned by the caller. -ENOENT
 * when it was not taken in yet. */
int archive_find(struct image_store *store, const struct image_recipe *recipe, struct image_layer **ret, size_t *ret_n,
		 char **ret_architecture, struct err *err);
/* Takes it in when that was not done. -EBADMSG: damaged or of neither kind. */
int archive_take(struct image_store *store, const struct image_recipe *recipe, struct image_layer **ret, size_t *ret_n,
		 char **ret_architecture, struct err *err);

#endif
