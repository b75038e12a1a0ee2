/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images and bundles in a content-addressed store (docs/ARCHITECTURE.md). A bundle is a recipe's directory as a
 * canonical tar; its sha256 is the recipe's identity. An image is a list of layers, each a tar named by its sha256.
 * No Docker here; all calls block; the store may be used by several threads and processes at once (flock).
 */
#ifndef TEPUY_IMAGE_IMAGE_H
#define TEPUY_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct image_layer {
	char *sha256; /* of the uncompressed tar */
	char *path;   /* the tar in the store */
	uint64_t size;
};

struct image {
	char *id;                   /* sha256 over its layers and what is under them: same id, same bits */
	char *external;             /* `base: {image:}`: the runtime's own image under our layers, or NULL */
	struct image_layer *layers; /* lowest first */
	size_t n_layers;
	char *architecture; /* "amd64" */
	bool machine;       /* it boots: init, sshd and network are inside, a kernel is not */
};

void image_release(struct image *image);

struct image_store; /* by default /var/lib/tepuy/store */

/* `root` NULL: the default. Makes what is missing. Root's alone (0700). */
int image_store_open(const char *root, struct image_store **ret, struct err *err);
void image_store_free(struct image_store *store);
void image_store_freep(struct image_store **store);
/* Builds from these apt sources (the text of a deb822 .sources file) instead of the host's own; NULL: the host's. */
void image_store_set_sources(struct image_store *store, const char *sources);

/* Packs a recipe's directory: sorted, owners and times fixed, only regular files, directories and links that stay
 * inside; at most 64 MiB (-EFBIG) and 16384 entries; `.git` at the top is left out. Appends the tar to `to`;
 * `ret_sha256` is owned by the caller. The same bytes come again from packing bundle_directory(). */
int bundle_pack(const char *dir, struct buf *to, char **ret_sha256, struct err *err);
/* Takes a bundle into the store after checking its hash and unpacking it safely (-EBADMSG when it lies). Idempotent. */
int bundle_store(struct image_store *store, const char *sha256, const void *tar, size_t len, struct err *err);
bool bundle_present(struct image_store *store, const char *sha256);
/* Holds what is in the store against its name. -EBADMSG: it was changed there, and is removed to be sent again. */
int bundle_verify(struct image_store *store, const char *sha256, struct err *err);
/* Directory with the unpacked recipe; -ENOENT. The caller owns the path. */
int bundle_directory(struct image_store *store, const char *sha256, char **ret_dir, struct err *err);

/* A base system: of a Debian suite, for containers or for machines (image/machine.h). */
struct image_base {
	const char *suite; /* "bookworm" */
	bool machine;
};

/* What a recipe asks of an image: the part of recipe.yaml that the builder needs. */
struct image_recipe {
	const char *name;
	const char *bundle;   /* sha256 */
	const char *suite;    /* "bookworm", or NULL */
	bool machine;         /* on a base system that boots as a machine; with `suite` only (-EOPNOTSUPP) */
	const char *external; /* image name:tag, or NULL */
	const char *archive;  /* path inside the bundle, or absolute on the host: rootfs tar or `docker save` archive */
	const struct strv *packages;
	const struct image_file *files;
	size_t n_files;
	const struct strv *build; /* n_build argvs, run once each in the image */
	size_t n_build;
	const struct image_text *texts; /* generated files put into the layer (start scripts) */
	size_t n_texts;
};

struct image_file {              /* from the bundle */
	char *from, *to, *owner; /* owner: user[:group] in the image or NULL */
	mode_t mode;             /* 0: as in the bundle */
};

struct image_text {
	char *to;
	char *content;
	mode_t mode;
};

/* The finished image for this recipe, from the store (-ENOENT when it was never built). Reads two small files. */
int image_find(struct image_store *store, const struct image_recipe *recipe, struct image *ret, struct err *err);
/*
 * Builds it if it is not there; `log_fd` (-1: none) gets all the output of apt and the build steps; bounded by
 * `timeout_ms` (0: 30 min). Two builders of the same thing: one builds, the other waits. Half-made work is cleaned up,
 * also that of a builder that was killed. Needs root; signals and mounts of the caller are left alone. Errors: -ENOENT
 * a package, a suite, a file or a user that does not exist; -EHOSTUNREACH the mirror is away; -ENOSPC; -ETIMEDOUT; -EIO
 * a build step failed; -EINVAL, -EOPNOTSUPP the recipe asks for what cannot be; -EBADMSG an archive that is damaged.
 */
int image_build(struct image_store *store, const struct image_recipe *recipe, int log_fd, int64_t timeout_ms,
		struct image *ret, struct err *err);
/* Makes a base system anew, with the mirror's present packages (its images are then built again when they are next
 * asked for). A base is made once and never renewed unasked. */
int image_base_renew(struct image_store *store, const struct image_base *base, int log_fd, int64_t timeout_ms,
		     struct err *err);
/*
 * Removes bundles that are not in `keep` and the images, layers, bases and left-overs that none of `keep` needs. What
 * came into the store less than `young_ms` ago stays, as its use may be about to begin. `ret_images` (may be NULL) gets
 * the ids of the images that stay. -EBUSY while something is built or stored: try later.
 */
int image_collect(struct image_store *store, const struct strv *keep, int64_t young_ms, struct strv *ret_images,
		  struct err *err);

#endif
