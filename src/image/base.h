/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Base systems: one per suite and architecture, made once by mmdebstrap and shared by all recipes. What it was made
 * from is not part of its name: a mirror that moves must not rebuild every image; image_base_renew does that when
 * asked.
 */
#ifndef TEPUY_IMAGE_BASE_H
#define TEPUY_IMAGE_BASE_H

#include "image/sources.h"
#include "image/store.h"

const char *base_architecture(void); /* Debian's name of this machine's: "amd64" */

/* The base that is there: -ENOENT when none was made. */
int base_find(const struct image_store *store, const char *suite, struct image_layer *ret, struct err *err);
/* Makes it when it is not there (or `renew`). Output goes to `log_fd`. */
int base_build(struct image_store *store, const char *suite, bool renew, int log_fd, int64_t deadline,
	       struct image_layer *ret, struct err *err);
/* Says which layer of the store is the base of the suite from now on. */
int base_record(const struct image_store *store, const char *suite, const char *layer, struct err *err);
/* The sources that packages of `suite` come from: the store's, or the host's. */
int base_sources(const struct image_store *store, const char *suite, struct sources *ret, struct err *err);
/* "bookworm": letters, digits, '-'. */
bool base_suite_valid(const char *suite);

#endif
