/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs what a build made into a layer whose bytes depend only on what was built: entries in the order of their names'
 * bytes, numeric owners, times of the build replaced by a fixed one, overlay whiteouts as ".wh." entries, and without
 * what one machine only has (identities, private keys made at install) or nobody needs (caches, logs, lists).
 */
#ifndef TEPUY_IMAGE_PACK_H
#define TEPUY_IMAGE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

enum pack_kind {
	PACK_LAYER,         /* of a recipe */
	PACK_MACHINE_LAYER, /* of a recipe, on a base that boots: nothing in it starts by itself at boot */
	PACK_BASE,          /* a base system: the apt sources that mmdebstrap left stay out as well */
};

struct pack {
	const char *dir; /* an overlay's upper directory, or a whole tree */
	const char *to;  /* the tar to write; its file system is full: -ENOSPC without a message */
	int64_t since;   /* seconds: a file as new as this was made by the build and gets IMAGE_EPOCH as its time */
	enum pack_kind kind;
	const struct strv
	    *lowers; /* directories below an upper one, or NULL: a directory that is in none hides nothing */
};

/* `*ret_sha256` is owned by the caller; `*ret_entries` (may be NULL) counts them without the top. Needs root. */
int pack_tree(const struct pack *pack, char **ret_sha256, size_t *ret_entries, struct err *err);

/* Whether an entry (relative path) never gets into a layer. */
bool pack_leaves_out(const char *path, bool directory, enum pack_kind kind);

#endif
