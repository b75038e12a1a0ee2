/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A running node's file system seen from the host, through /proc/PID/root, for drivers whose nodes share the host's
 * kernel. Paths are resolved by the kernel as inside the node (openat2, RESOLVE_IN_ROOT): whatever symbolic links the
 * node has made, nothing outside of it is ever touched. Faster than a program inside, and the image needs no tools.
 */
#ifndef TEPUY_RUNTIME_NODE_ROOT_H
#define TEPUY_RUNTIME_NODE_ROOT_H

#include "runtime/runtime.h"

/* Whether this process still belongs to the container: its control group bears the container's id. */
bool node_has_process(pid_t pid, const char *id);
/* Opens the root directory of a node whose main process is `pid`. The caller closes *ret_fd. -ESRCH: it has ended. */
int node_root_open(pid_t pid, const char *id, int *ret_fd, struct err *err);
/* Replaces files: all are written beside their places first, then each is renamed over its own. */
int node_root_put(int root_fd, const struct runtime_file *files, size_t n, struct err *err);
/* Connects to a Unix socket (stream), waiting at most 5 s for room in its queue. */
int node_root_dial(int root_fd, const char *path, int *ret_fd, struct err *err);

/* An absolute path without "." or ".." parts, not ending in '/'. */
bool node_path_is_sane(const char *path);
/* Finds "user", "user:group" or numbers in the texts of passwd and group (NULL: none). -ENOENT names what is missing.
 */
int node_owner(const char *owner, const char *passwd, const char *group, uid_t *ret_uid, gid_t *ret_gid,
	       struct err *err);

#endif
