/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes tar archives whose bytes depend on nothing but the entries given: POSIX.1-1988 ustar headers, with a
 * POSIX.1-2001 extended header only where an entry does not fit. Written here rather than with libarchive because these
 * bytes are hashed into identities that must not change with the library's version. User and group names are left
 * empty, times are whole seconds.
 */
#ifndef TEPUY_IMAGE_TAR_WRITE_H
#define TEPUY_IMAGE_TAR_WRITE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mem.h"

/* Takes the archive's bytes as they come; a negative errno stops the writer with that error. */
typedef int (*tar_sink)(void *data, const void *bytes, size_t len);

struct tar_writer;

struct tar_xattr {
	const char *name;
	const void *value;
	size_t len;
};

struct tar_entry {
	const char *path; /* relative, without a final slash */
	mode_t mode;      /* with its type: S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO */
	uid_t uid;
	gid_t gid;
	int64_t mtime;    /* seconds since the epoch, not negative */
	uint64_t size;    /* of a regular file; that many bytes must follow through tar_data */
	const char *link; /* target of a symbolic link */
	const char *hard; /* path of an earlier entry that this is another name of, or NULL */
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
};

/* For tar_free. `data` is handed to `sink` with each piece of the archive. */
struct tar_writer *tar_new(tar_sink sink, void *data);
/* All three return 0 or the sink's error. -EINVAL: more or fewer bytes given than the entry's size. */
int tar_add(struct tar_writer *tar, const struct tar_entry *entry);
int tar_data(struct tar_writer *tar, const void *bytes, size_t len);
int tar_finish(struct tar_writer *tar); /* end marker; flushes */
void tar_free(struct tar_writer *tar);
void tar_freep(struct tar_writer **tar);

#define _cleanup_tar_ _cleanup_(tar_freep)

#endif
