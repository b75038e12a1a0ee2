/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Base systems: one per suite, kind and architecture, made once by mmdebstrap and shared by all recipes. What it was
 * made from is not part of its name: a mirror that moves must not rebuild every image; image_base_renew does that when
 * asked.
 */
#ifndef TEPUY_IMAGE_BASE_H
#define TEPUY_IMAGE_BASE_H

#include "image/sources.h"
#include "image/store.h"

const char *base_architecture(void); /* Debian's name of this machine's: "amd64" */

/* "bookworm-amd64", "bookworm-machine-amd64"; the caller owns it. */
char *base_name(const struct image_base *base);
/* The opposite: `*ret_suite` is owned by the caller. False: it is no such name of this architecture's. */
bool base_of_name(const char *name, char **ret_suite, bool *ret_machine);
/* The base that is there: -ENOENT when none was made. */
int base_find(const struct image_store *store, const struct image_base *base, struct image_layer *ret, struct err *err);
/* Makes it when it is not there (or `renew`). Output goes to `log_fd`. */
int base_build(struct image_store *store, const struct image_base *base, bool renew, int log_fd, int64_t deadline,
	       struct image_layer *ret, struct err *err);
/* Says which layer of the store is this base from now on. */
int base_record(const struct image_store *store, const struct image_base *base, const char *layer, struct err *err);
/* The sources that packages of `suite` come from: the store's, or the host's. */
int base_sources(const struct image_store *store, const char *suite, struct sources *ret, struct err *err);
/* "bookworm": letters, digits, '-', and not the name of a machine's base. */
bool base_suite_valid(const char *suite);

#endif
