/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store's small JSON files. */
#ifndef TEPUY_IMAGE_RECORD_H
#define TEPUY_IMAGE_RECORD_H

#include <jansson.h>

#include "image/store.h"

/* -ENOENT when it is not there or not what this program writes. */
int record_read(const char *path, json_t **ret, struct err *err);
int record_write(const struct image_store *store, const char *path, const json_t *record, struct err *err);

/* An array of {"sha256", "size"}. */
json_t *record_layers(const struct image_layer *layers, size_t n);
/* The layers of a record; -ENOENT when the store lacks one. The caller frees them one by one. */
int record_read_layers(const struct image_store *store, const json_t *array, struct image_layer **ret, size_t *ret_n);

/* Hash over the layers' hashes: two recipes that come to the same bits have the same id. The caller owns it. */
char *image_id(const struct image *image);
/* images/<key>.json; `n_base` of its layers are the base's. */
int image_record(const struct image_store *store, const char *key, const struct image_recipe *recipe, size_t n_base,
		 const struct image *image, struct err *err);

#endif
