/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs are run from an argv, never through a shell. Blocks the calling thread; bounded in time and output; the
 * child gets its own process group, which is killed whole when time runs out.
 */
#ifndef TEPUY_BASE_RUN_H
#define TEPUY_BASE_RUN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct run {
	struct strv argv;  /* argv.v[0] is looked up in PATH */
	struct strv env;   /* "NAME=value" set on top of the caller's environment */
	const char *input; /* standard input (NULL: /dev/null) */
	size_t input_len;
	int64_t timeout_ms;          /* 0: ten minutes */
	size_t most_output;          /* bytes kept of the output, the last ones (0: 64 KiB) */
	int output_fd;               /* also given all output as it comes; -1 or 0: nowhere */
	int stop_fd;                 /* > 0: it is killed once this is readable, and -ECANCELED returned */
	int (*in_child)(void *data); /* runs in the child before exec; negative errno stops it; NULL: nothing */
	void *child_data;
};

#define _cleanup_run_ _cleanup_(run_release)

/*
 * Runs it; `output` (may be NULL) gets standard output and error, interleaved. Returns the exit status (128+n for
 * signal n), or -errno: -ENOENT no such program, -ETIMEDOUT killed after its time.
 */
int run_program(struct run *run, struct buf *output, struct err *err);
/* As run_program, and a non-zero exit is an error (-EIO) whose message ends with the output's last line. */
int run_checked(struct run *run, struct buf *output, struct err *err);
void run_release(struct run *run);

#endif
