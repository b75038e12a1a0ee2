/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stands in for libFuzzer's main: runs the target over each file given, and over each file of a directory given. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"

enum { MOST_INPUT = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	_cleanup_buf_ struct buf buf = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	uint8_t *exact;

	if (fs_read(path, MOST_INPUT, &buf, &err) < 0) {
		fprintf(stderr, "%s: %s\n", path, err_text(&err));
		return -1;
	}
	/* Of exactly its size, so that a sanitizer sees a read behind its end. */
	exact = xmalloc(buf.len);
	if (buf.len)
		memcpy(exact, buf.data, buf.len);
	LLVMFuzzerTestOneInput(exact, buf.len);
	free(exact);
	return 1;
}

static int replay_directory(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int count = 0;

	while (dir && count >= 0 && (entry = readdir(dir))) {
		_cleanup_(freep) char *file = fs_join(path, entry->d_name);

		if (entry->d_name[0] == '.')
			continue;
		count = replay_file(file) < 0 ? -1 : count + 1;
	}
	if (dir)
		closedir(dir);
	return dir ? count : -1;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		int count = -1;

		if (stat(argv[i], &st) == 0)
			count = S_ISDIR(st.st_mode) ? replay_directory(argv[i]) : replay_file(argv[i]);
		if (count < 0) {
			fprintf(stderr, "cannot replay %s\n", argv[i]);
			return 1;
		}
		total += count;
	}
	printf("%d inputs replayed\n", total);
	return total ? 0 : 1; /* an empty corpus proves nothing */
}
