/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory of a test's own: made by scratch_setup, removed by scratch_teardown (cmocka fixtures). */
#ifndef TEPUY_TESTS_IMAGE_SCRATCH_H
#define TEPUY_TESTS_IMAGE_SCRATCH_H

#include <stddef.h>
#include <sys/types.h>

int scratch_setup(void **state); /* *state: the directory's path */
int scratch_teardown(void **state);

/* All of them fail the test when they cannot; `path` is below `dir`. */
void scratch_file(const char *dir, const char *path, const char *content, mode_t mode);
void scratch_directory(const char *dir, const char *path, mode_t mode);
void scratch_link(const char *dir, const char *path, const char *target);

#endif
