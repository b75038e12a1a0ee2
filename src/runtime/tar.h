/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The heads of a POSIX tar (ustar with pax records for long names), made and read one entry at a time, without I/O: the
 * content of a big entry can then be streamed from where it lies. libarchive wants to see every byte.
 */
#ifndef TEPUY_RUNTIME_TAR_H
#define TEPUY_RUNTIME_TAR_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define TAR_BLOCK 512

struct tar_entry {
	const char *name; /* relative, at most 4095 bytes */
	uint64_t size;    /* under 2^63 */
	mode_t mode;      /* permission bits */
	uid_t uid;
	gid_t gid;
	char type; /* '0' file, '5' directory */
};

/* Appends the entry's head; its content and tar_padding() zero bytes are to follow. Times are 0: same input, same
 * bytes. */
void tar_add_head(struct buf *to, const struct tar_entry *entry);
/* Zero bytes needed behind a content of this size. */
size_t tar_padding(uint64_t size);
void tar_add_padding(struct buf *to, uint64_t size);
/* The two empty blocks that end an archive. */
void tar_add_end(struct buf *to);

/* The content of an archive's first regular file, borrowed from `bytes`: 0, -ENOENT when there is none, or -EBADMSG. */
int tar_first_file(const char *bytes, size_t len, const char **ret, size_t *ret_len);

#endif
