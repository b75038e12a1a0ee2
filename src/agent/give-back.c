/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/give-back.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

/* A mapping as /proc/self/smaps has it: a line of its own and then one for each figure. */
struct mapping {
	uint64_t from, to;
	bool is_file; /* of a file, and not writable */
};

static bool read_head(const char *line, struct mapping *ret)
{
	uint64_t from, to, inode;
	char flags[5];

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64, &from, &to, flags, &inode) != 4)
		return false;
	*ret = (struct mapping){ .from = from, .to = to, .is_file = inode && flags[0] == 'r' && flags[1] == '-' };
	return true;
}

/*
 * Only what is as it is in its file, which it is read from again. What the linker relocated before it made it read-only
 * is anonymous memory and would be lost.
 */
static void drop(const struct mapping *mapping, const char *line)
{
	uint64_t kilobytes;

	if (mapping->is_file && sscanf(line, "Anonymous: %" SCNu64, &kilobytes) == 1 && kilobytes == 0)
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): addresses come as text */
		madvise((void *)(uintptr_t)mapping->from, (size_t)(mapping->to - mapping->from), MADV_DONTNEED);
}

void give_back_memory(void)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	struct mapping mapping = { 0 };
	char *line = NULL;
	size_t size = 0;

	malloc_trim(0);
	while (maps && getline(&line, &size, maps) > 0)
		if (!read_head(line, &mapping))
			drop(&mapping, line);
	free(line);
	if (maps)
		fclose(maps);
}
