/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Remembers the hashes of large recipes, so that `up` need not read them again when nothing changed: as git's index, by
 * what stat() says of each file. It is only a cache: no hash from it is sent anywhere without packing the recipe anew.
 */
#ifndef TEPUY_CLI_PACK_CACHE_H
#define TEPUY_CLI_PACK_CACHE_H

#include <stdint.h>

/* What stat() says of all that is in a recipe's directory. */
struct pack_stamp {
	char *text;      /* sha256; NULL: the directory cannot be read */
	uint64_t bytes;  /* in its files */
	int64_t changed; /* last change of any of them, realtime ms */
};

void pack_stamp_take(const char *dir, struct pack_stamp *ret);
void pack_stamp_release(struct pack_stamp *stamp);

/* The hash that was remembered for this directory with this stamp, or NULL. The caller owns it. */
char *pack_cache_find(const char *dir, const struct pack_stamp *stamp);
/*
 * Remembers a hash. Small recipes are not worth it; one that was changed in the last two seconds could be changed again
 * within the same tick of the file system's clock and is not remembered either. Failing is no error.
 */
void pack_cache_store(const char *dir, const struct pack_stamp *stamp, const char *sha256);
/* Forgets what turned out to be wrong. */
void pack_cache_forget(const char *dir);

#endif
