/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files in a tree that is not trusted: every path is resolved by the kernel (openat2) with the tree as its root, so
 * that no link in it leads outside. Paths may begin with a slash; "" and "/" are the tree itself.
 */
#ifndef TEPUY_IMAGE_BENEATH_H
#define TEPUY_IMAGE_BENEATH_H

#include <stdint.h>
#include <sys/types.h>

#include "base/strv.h"

enum beneath_links {
	BENEATH_FOLLOW,   /* links are followed as a process chrooted in the tree would */
	BENEATH_NO_LINKS, /* a link on the way is -ELOOP */
};

/* As open(2): a descriptor or -errno. O_CLOEXEC is added. */
int beneath_open(int root, const char *path, uint64_t flags, mode_t mode, enum beneath_links links);
/* Opens a directory, making it and its parents (0755, owner of the caller) where they are missing. */
int beneath_mkdirs(int root, const char *path, enum beneath_links links);
/* Opens the directory that holds `path`, made when missing; `*ret_name` points at the last part, inside `path`. */
int beneath_parent(int root, const char *path, enum beneath_links links, const char **ret_name);
/* Appends the names in an open directory, sorted bytewise, without "." and "..". 0 or -errno. */
int beneath_list(int dir, struct strv *ret);

#endif
