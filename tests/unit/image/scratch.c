/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "scratch.h"

int scratch_setup(void **state)
{
	char *dir = xstrdup("/tmp/tepuy-test-image-XXXXXX");

	*state = mkdtemp(dir);
	return *state ? 0 : -1;
}

int scratch_teardown(void **state)
{
	int r = fs_remove_tree(*state, NULL);

	free(*state);
	return r;
}

void scratch_file(const char *dir, const char *path, const char *content, mode_t mode)
{
	_cleanup_(freep) char *whole = fs_join(dir, path);

	assert_int_equal(fs_write(whole, content, strlen(content), mode, NULL), 0);
	assert_int_equal(chmod(whole, mode), 0);
}

void scratch_directory(const char *dir, const char *path, mode_t mode)
{
	_cleanup_(freep) char *whole = fs_join(dir, path);

	assert_int_equal(fs_mkdirs(whole, 0755, NULL), 0);
	assert_int_equal(chmod(whole, mode), 0);
}

void scratch_link(const char *dir, const char *path, const char *target)
{
	_cleanup_(freep) char *whole = fs_join(dir, path);

	assert_int_equal(symlink(target, whole), 0);
}
