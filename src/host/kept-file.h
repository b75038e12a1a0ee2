/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: a file of the host's administrator that a step completes, and the way back.
 */
#ifndef TEPUY_HOST_KEPT_FILE_H
#define TEPUY_HOST_KEPT_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/* How the file was before the step. */
struct kept_file {
	const char *path; /* borrowed */
	char *text;       /* "" also when there was none */
	bool there;       /* there was one */
	gid_t group;      /* of it; 0 and 0644 when there was none */
	mode_t mode;
	bool written; /* kept_file_write has changed it */
};

#define _cleanup_kept_file_ _cleanup_(kept_file_release)

/* `path` must outlive `ret`. */
int kept_file_read(const char *path, struct kept_file *ret, struct err *err);
/* Gives the file this content; group and mode stay, as it may have secrets. The directories above it are made. */
int kept_file_write(struct kept_file *file, const char *text, struct err *err);
/* Makes the file what it was: where there was none, none. Nothing to do when it was not written. */
int kept_file_put_back(const struct kept_file *file, struct err *err);
void kept_file_release(struct kept_file *file);

#endif
