/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What hosts give each other of their stores. Each thing has a name that every host gives it by itself, from the same
 * inputs, and an id, which is a hash of what it holds, so that nobody who hands it over can change it:
 *
 *   base-<suite>-<architecture>  a base system; the id is the sha256 of its layer
 *   base-<suite>-machine-<architecture>  one that boots
 *   bundle-<sha256>              a recipe; that sha256 is its id
 *   <image key>                  a finished image, named by the hash of its inputs; the id is `struct image`'s
 *
 * A name's id is the same everywhere only if one host makes it and the others take it over: that is agent/peers.h's.
 */
#ifndef TEPUY_IMAGE_SHARE_H
#define TEPUY_IMAGE_SHARE_H

#include "image/image.h"

char *share_base_name(const struct image_base *base); /* the caller owns it */
char *share_bundle_name(const char *sha256);          /* the caller owns it */

/* The base that this store has: -ENOENT. `ret_id` is owned by the caller; size in bytes. */
int share_base(struct image_store *store, const struct image_base *base, char **ret_id, uint64_t *ret_size,
	       struct err *err);
/* Makes a layer of the store this base, in place of the one that was. -ENOENT: there is no such layer. */
int share_base_take(struct image_store *store, const struct image_base *base, const char *layer, struct err *err);
/* Makes what is below the recipe's own layer, if it is not there; as image_build in all else. */
int share_base_build(struct image_store *store, const struct image_recipe *recipe, int log_fd, int64_t timeout_ms,
		     struct err *err);

/* The name of the image of a recipe; the caller owns it. -ENOENT: what is below its own layer is not there yet. */
int share_image_name(struct image_store *store, const struct image_recipe *recipe, char **ret, struct err *err);
/* The id of an image that this store has: -ENOENT. The caller owns it. */
int share_image(struct image_store *store, const char *name, char **ret_id, struct err *err);

/* What an image is made of, as images/<name>.json says it. */
struct share_record {
	char *id, *external, *architecture;
	size_t n_base; /* that many of the layers are the base's */
	struct share_layer {
		char *sha256;
		uint64_t size;
	} * layers; /* lowest first */
	size_t n_layers;
};

#define SHARE_MOST_RECORD ((size_t)256 << 10) /* bytes of a record */
#define SHARE_MOST_LAYERS 128                 /* of an image */
#define SHARE_MOST_LAYER ((uint64_t)64 << 30) /* bytes */

/* From another host: -EBADMSG unless it is a record whose layers come to its id. */
int share_record_parse(const void *text, size_t len, struct share_record *ret, struct err *err);
void share_record_release(struct share_record *record);
/* All its layers are in the store: the image is, too. -ENOENT when one is not. */
int share_image_take(struct image_store *store, const char *name, const struct image_recipe *recipe,
		     const struct share_record *record, struct err *err);

enum share_kind { SHARE_LAYER, SHARE_BUNDLE, SHARE_IMAGE };
/* What another host asks for, to be read from the start of the file; the caller closes it. `name` is a layer's or
 * bundle's sha256 or an image's name. A bundle is packed anew for it, and is refused when it is not what its name says.
 * -ENOENT; -EINVAL: no such name can be. */
int share_open(struct image_store *store, enum share_kind kind, const char *name, int *ret_fd, uint64_t *ret_size,
	       struct err *err);

/* All that this store can give. */
struct share {
	char *name, *id;
	uint64_t size; /* bytes, of a base; else 0 */
};

struct shares {
	struct share *v;
	size_t n;
};

int share_list(struct image_store *store, struct shares *ret, struct err *err);
void shares_release(struct shares *shares);

#define _cleanup_share_record_ _cleanup_(share_record_release)
#define _cleanup_shares_ _cleanup_(shares_release)

#endif
