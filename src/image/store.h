/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The store's inside; only src/image includes this.
 *
 *   lock                  shared by whoever adds something, exclusive for image_collect
 *   bundles/<sha>/        an unpacked recipe
 *   layers/<sha>.tar      a layer, named by the sha256 of its bytes
 *   rootfs/<sha>/         a layer unpacked as an overlay's lower directory: a cache
 *   bases/<name>.json     which layer is the base system <suite>[-machine]-<architecture>
 *   archives/<key>.json   which layers an archive file became; the key is its path, size, times and inode
 *   images/<key>.json     a finished image; the key is a hash over all inputs; written last
 *   carried/<sha>         a note: that bundle and its images were carried here and stay (carry.h)
 *   build/<key>/          work in progress; stale when nobody holds build/<key>.lock
 *
 * Everything appears by rename, complete. Nothing in it is ever changed, so readers take no lock.
 */
#ifndef TEPUY_IMAGE_STORE_H
#define TEPUY_IMAGE_STORE_H

#include <stdint.h>

#include "image/image.h"

/* Time of everything made in a build (2024-01-01 UTC), also SOURCE_DATE_EPOCH of what runs in it. */
#define IMAGE_EPOCH 1704067200

struct image_store {
	char *root;
	char *sources; /* image_store_set_sources, or NULL: the host's */
};

/* <root>/<kind>/<name>; the caller owns it. */
char *store_path(const struct image_store *store, const char *kind, const char *name);
char *store_path_suffix(const struct image_store *store, const char *kind, const char *name, const char *suffix);

enum store_lock_kind { STORE_SHARED, STORE_EXCLUSIVE };
/* The store's lock, held until the descriptor is closed. Exclusive does not wait: -EBUSY. */
int store_lock(struct image_store *store, enum store_lock_kind kind, struct err *err);
/* The lock of one build, waited for. `wait` false: -EBUSY at once. */
int store_build_lock(struct image_store *store, const char *key, bool wait, struct err *err);
/* An empty build/<key>, its remains removed; hold its lock. The caller owns the path. */
int store_build_directory(struct image_store *store, const char *key, char **ret_path, struct err *err);
/* Removes the work of builders that were killed. */
void store_sweep_builds(struct image_store *store);

/* Makes the finished file `path` (in build/) the layer `sha256`, durable. Fills `ret`. */
int store_adopt_layer(struct image_store *store, const char *path, const char *sha256, struct image_layer *ret,
		      struct err *err);
/* The layer `sha256`: -ENOENT when the store does not have it. */
int store_layer(const struct image_store *store, const char *sha256, struct image_layer *ret);
/* Directory with the layer unpacked, made when missing. The caller owns the path. */
int store_rootfs(struct image_store *store, const struct image_layer *layer, char **ret_path, struct err *err);

void image_layer_release(struct image_layer *layer);
void image_layer_copy(struct image_layer *to, const struct image_layer *from);

/* -ENOSPC gets a sentence that says which disk, others "<sentence>: errno text". */
int store_write_error(const struct image_store *store, int code, const char *path, struct err *err);

#endif
