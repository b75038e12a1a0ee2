/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where builds run: a thread with a mount namespace of its own, in which the tree is put together, and programs in
 * process, IPC and host name namespaces of their own with that tree as their root. Everything goes away with the thread
 * or the process, however they end; nothing needs to be unmounted by anybody. The network is the host's, for apt.
 */
#ifndef TEPUY_IMAGE_SANDBOX_H
#define TEPUY_IMAGE_SANDBOX_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

/* Calls `fn` in a thread with private mounts and returns what it returns. */
int sandbox_call(int (*fn)(void *data, struct err *err), void *data, struct err *err);

/*
 * In that thread: mounts an overlay of `lowers` (directories, lowest first) and the writable `dir`/upper on `dir`/root.
 * When the file system of `dir` cannot hold an upper directory (it is itself an overlay, as in a container), a tmpfs is
 * used for the time of the build. `*ret_upper` is owned by the caller.
 */
int sandbox_mount(const char *dir, const struct strv *lowers, char **ret_upper, struct err *err);
/* Gives it what programs need: /dev, /run and, from `dir`/apt, APT_INSIDE. */
int sandbox_furnish(const char *dir, struct err *err);

struct sandbox {
	const char *root; /* becomes /; NULL: the host's, for mmdebstrap */
	struct strv env;  /* the whole environment */
	int log_fd;       /* gets all output; -1: nobody */
	int64_t deadline; /* clock_monotonic_ms */
};

/* Whole environment of a build: nothing of ours but the proxies gets in. */
void sandbox_environment(struct strv *env);
/* Runs a program to its end: its exit status, or -errno (-ETIMEDOUT: all of it was killed). */
int sandbox_run(const struct sandbox *sandbox, const struct strv *argv, struct buf *output, struct err *err);

#endif
