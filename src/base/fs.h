/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_BASE_FS_H
#define TEPUY_BASE_FS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Reads a regular file of at most `most` bytes (appends to `buf`). -EFBIG over that, -EISDIR, -EINVAL for devices. */
int fs_read(const char *path, size_t most, struct buf *buf, struct err *err);
/* The same in a directory that somebody else may write to: a link of that name is not followed, -ELOOP. */
int fs_read_no_link(const char *path, size_t most, struct buf *buf, struct err *err);
/* Writes beside the path, flushes, renames over it: a reader sees the old or the new, a crash leaves one of both. */
int fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err);
int fs_mkdirs(const char *path, mode_t mode, struct err *err); /* as mkdir -p */
int fs_remove_tree(const char *path, struct err *err);         /* follows no links, crosses no mount; absent is fine */
int fs_write_all(int fd, const void *data, size_t len);        /* 0 or -errno */
/* As fs_write_all into what may be slow or stuck, as a pipe is; -ETIMEDOUT at that moment of clock_monotonic_ms. */
int fs_write_until(int fd, const void *data, size_t len, int64_t deadline_ms);
/* Opens the file, made with 0600 when absent, and waits until nobody else holds its lock. The caller closes it, which
 * gives the lock back; or -errno. */
int fs_lock(const char *path, struct err *err);
char *fs_join(const char *dir, const char *name); /* the caller owns it */

#endif
