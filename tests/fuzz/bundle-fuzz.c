/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bundles as anybody may send them: first only looked at, then unpacked into a directory that has a file beside it,
 * which no archive may ever touch.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "image/untar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char outer[] = "/tmp/tepuy-bundle-fuzz-XXXXXX";

static void remove_outer(void)
{
	fs_remove_tree(outer, NULL);
}

static int prepare(void)
{
	if (!mkdtemp(outer))
		abort();
	atexit(remove_outer);
	return 0;
}

/* Nothing but the directory "in" may be beside it afterwards: it is removed, then the outer one must be empty. */
static void unpack(const uint8_t *data, size_t size)
{
	_cleanup_(freep) char *in = fs_join(outer, "in");
	_cleanup_(closep) int dir = -1;

	if (mkdir(in, 0755) < 0)
		abort();
	dir = open(in, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	untar_bundle(data, size, dir, NULL);
	if (fs_remove_tree(in, NULL) < 0 || rmdir(outer) < 0 || mkdir(outer, 0700) < 0)
		abort(); /* something escaped */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_err_ struct err err = ERR_INIT;
	static int ready = -1;
	int r;

	if (ready < 0)
		ready = prepare();
	r = untar_bundle(data, size, -1, &err);
	if ((r < 0) != (err.message != NULL))
		abort(); /* a refusal without a reason, or a reason without a refusal */
	unpack(data, size);
	return 0;
}
