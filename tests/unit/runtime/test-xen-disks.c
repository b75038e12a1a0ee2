/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the Xen driver makes of disks, on a host whose `blkid` is a script. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "runtime/xen.h"

#define MIB ((off_t)1 << 20)

/* Says of a disk what is in the file beside it; nothing and 2, as blkid does, when there is none. */
static const char blkid[] = "#!/bin/sh\n"
			    "for disk; do :; done\n"
			    "[ -e \"$disk.said\" ] || exit 2\n"
			    "cat \"$disk.said\"\n";

static int dir_make(void **state)
{
	const char *tmp = getenv("TMPDIR"), *path = getenv("PATH");
	char *dir = xasprintf("%s/tt-xen-disks.XXXXXX", tmp ? tmp : "/tmp");
	_cleanup_(freep) char *program = NULL, *first = NULL;

	assert_non_null(mkdtemp(dir));
	first = xasprintf("%s:%s", dir, path);
	setenv("PATH", first, 1);
	program = fs_join(dir, "blkid");
	assert_int_equal(fs_write(program, blkid, strlen(blkid), 0755, NULL), 0);
	*state = dir;
	return 0;
}

static int dir_free(void **state)
{
	_cleanup_(freep) char *dir = *state, *rest = xstrdup(strchr(getenv("PATH"), ':') + 1);

	setenv("PATH", rest, 1);
	fs_remove_tree(dir, NULL);
	return 0;
}

/* A disk of that size with one byte at `at`; negative: nothing but zeros. */
static char *disk_make(const char *dir, off_t size, off_t at)
{
	char *disk = fs_join(dir, "disk");

	unlink(disk);
	assert_int_equal(xen_make_sparse(disk, (uint64_t)size, NULL), 0);
	if (at >= 0) {
		FILE *file = fopen(disk, "r+");

		assert_non_null(file);
		assert_int_equal(fseeko(file, at, SEEK_SET), 0);
		assert_int_equal(fputc('x', file), 'x');
		assert_int_equal(fclose(file), 0);
	}
	return disk;
}

static int look(const char *disk, enum xen_content *ret)
{
	_cleanup_(freep) char *uuid = NULL;

	return xen_look_at_disk(disk, ret, &uuid, NULL);
}

static void what_blkid_does_not_know_is_not_empty(void **state)
{
	static const struct {
		off_t size, at;
		enum xen_content content;
	} disks[] = {
		{ 64 * MIB, -1, XEN_EMPTY },
		{ 64 * MIB, 0, XEN_OTHER },
		{ 64 * MIB, 4 * MIB - 1, XEN_OTHER },
		{ 64 * MIB, 63 * MIB, XEN_OTHER },
		{ 64 * MIB, 64 * MIB - 1, XEN_OTHER },
		{ 4 * MIB + 5, 4 * MIB + 4, XEN_OTHER },
		{ 4 * MIB + 5, -1, XEN_EMPTY },
		{ 1, 0, XEN_OTHER },
		{ 1, -1, XEN_EMPTY },
	};
	const char *dir = *state;

	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
		_cleanup_(freep) char *disk = disk_make(dir, disks[i].size, disks[i].at);
		enum xen_content content;

		assert_int_equal(look(disk, &content), 0);
		assert_int_equal(content, disks[i].content);
	}
}

static void what_cannot_be_read_is_not_empty(void **state)
{
	const char *dir = *state;
	_cleanup_(freep) char *none = fs_join(dir, "none"), *empty = disk_make(dir, 0, -1);
	enum xen_content content;

	assert_int_equal(look(none, &content), -ENOENT);
	assert_int_equal(look(empty, &content), -ENOSPC);
	assert_true(look(dir, &content) < 0); /* opens, and cannot be read */
}

static void a_link_that_leads_nowhere_is_a_volume_already(void **state)
{
	const char *dir = *state;
	_cleanup_(freep) char *disk = fs_join(dir, "disk.img");
	struct runtime_mount mount = { .from = (char *)dir, .to = (char *)"/data", .size = (uint64_t)MIB };
	struct xen_config config = { .directory = (char *)dir };
	struct xen_node node = { .mounts = &mount, .n_mounts = 1 };
	char to[64];

	assert_int_equal(symlink("not-mounted/disk.img", disk), 0);
	assert_int_equal(xen_make_volumes(&config, &node, NULL), -ENOENT);
	assert_int_equal(readlink(disk, to, sizeof(to)), strlen("not-mounted/disk.img"));
}

static void volume_make(const char *dir, const char *name, const char *said)
{
	_cleanup_(freep) char *volume = fs_join(dir, name), *disk = fs_join(volume, "disk.img"),
			      *file = fs_join(volume, "disk.img.said");

	assert_int_equal(fs_mkdirs(volume, 0700, NULL), 0);
	assert_int_equal(fs_write(disk, "", 0, 0600, NULL), 0);
	assert_int_equal(fs_write(file, said, strlen(said), 0600, NULL), 0);
}

static void volumes_are_mounted_by_what_only_they_have(void **state)
{
	const char *dir = *state;
	_cleanup_(freep) char *a = fs_join(dir, "a"), *b = fs_join(dir, "b"), *fstab = NULL;
	struct runtime_mount mounts[] = { { .from = a, .to = (char *)"/a" },
					  { .from = (char *)"/run/s", .to = (char *)"/s", .copied = true },
					  { .from = b, .to = (char *)"/b", .read_only = true } };
	struct xen_node node = { .mounts = mounts, .n_mounts = 3 };
	_cleanup_err_ struct err err = ERR_INIT;

	/* An operator's own labels: the same twice, and with a blank. */
	volume_make(dir, "a", "LABEL=my\\ data\nUUID=0a-1\nTYPE=ext4\n");
	volume_make(dir, "b", "LABEL=my\\ data\nUUID=0b-2\nTYPE=ext4\n");
	assert_int_equal(xen_volumes_fstab(&node, &fstab, NULL), 0);
	assert_non_null(strstr(fstab, "\nUUID=0a-1 /a ext4 noatime"));
	assert_non_null(strstr(fstab, "\nUUID=0b-2 /b ext4 ro,noload,"));
	assert_null(strstr(fstab, "LABEL"));

	volume_make(dir, "b", "UUID=0a-1\nTYPE=ext4\n");
	assert_int_equal(xen_volumes_fstab(&node, &(char *){ NULL }, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "/a/disk.img and "));
	assert_non_null(strstr(err_text(&err), "/b/disk.img have the same UUID"));
	volume_make(dir, "b", "LABEL=b\nTYPE=ext4\n");
	assert_int_equal(xen_volumes_fstab(&node, &(char *){ NULL }, NULL), -EINVAL);
}

static void a_node_keeps_the_disk_that_it_was_made_with(void **state)
{
	const char *dir = *state;
	struct xen_config files = { .directory = (char *)dir },
			  volumes = { .directory = (char *)dir, .volume_group = (char *)"vg1" };
	_cleanup_(freep) char *node = fs_join(dir, "nodes/a"), *file = fs_join(node, "disk.img"),
			      *link = fs_join(node, "disk");
	_cleanup_(freep) char *in_files = NULL, *in_volumes = NULL, *was_volume = NULL, *group = NULL, *none = NULL;

	assert_int_equal(fs_mkdirs(node, 0700, NULL), 0);
	none = xen_node_disk(&volumes, "a"); /* about to be made */
	assert_string_equal(none, "/dev/vg1/a");
	assert_int_equal(fs_write(file, "", 0, 0600, NULL), 0);
	in_files = xen_node_disk(&files, "a");
	in_volumes = xen_node_disk(&volumes, "a");
	assert_string_equal(in_files, file);
	assert_string_equal(in_volumes, file);
	assert_null(xen_node_group(&volumes, "a"));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("/dev/vg0/a", link), 0);
	was_volume = xen_node_disk(&files, "a");
	group = xen_node_group(&volumes, "a");
	assert_string_equal(was_volume, "/dev/vg0/a");
	assert_string_equal(group, "vg0");
}

static void what_a_machine_said_goes_with_it(void **state)
{
	static const struct {
		const char *name;
		bool stays;
	} logs[] = {
		{ "guest-tepuy.a.b.1.1.log", false },      { "guest-tepuy.a.b.1.1.log.1", false },
		{ "guest-tepuy.a.b.1.1.log.2.gz", false }, { "guest-tepuy.a.b.1.1.log-20261123", false },
		{ "guest-tepuy.a.b.1.11.log", true },      { "guest-tepuy.a.b.1.1.logs", true },
		{ "guest-tepuy.a.b.1.log", true },         { "hypervisor.log", true },
	};
	const char *dir = *state;

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		_cleanup_(freep) char *path = fs_join(dir, logs[i].name);

		assert_int_equal(fs_write(path, "", 0, 0600, NULL), 0);
	}
	xen_forget_console(dir, "tepuy.a.b.1.1");
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		_cleanup_(freep) char *path = fs_join(dir, logs[i].name);

		assert_int_equal(access(path, F_OK) == 0, logs[i].stays);
	}
	xen_forget_console("/nonexistent", "tepuy.a.b.1.1");
}

struct sweeper {
	struct xen_config config;
	_Atomic bool stop;
};

static void *sweep(void *data)
{
	struct sweeper *sweeper = data;

	while (!atomic_load(&sweeper->stop))
		xen_sweep(&sweeper->config);
	return NULL;
}

/* Two nodes are made at once: each removes what killed makings left, and not what the other one has just begun. */
static void a_sweep_leaves_what_is_being_made(void **state)
{
	char *dir = *state;
	struct sweeper sweeper = { .config = { .directory = dir } };
	_cleanup_(freep) char *nodes = fs_join(dir, "nodes"), *left = fs_join(nodes, ".new-left");
	pthread_t thread;

	assert_int_equal(fs_mkdirs(left, 0700, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, sweep, &sweeper), 0);
	for (int i = 0; i < 2000; i++) {
		_cleanup_(freep) char *made = NULL;
		_cleanup_(closep) int lock = xen_new_directory(&sweeper.config, &made, NULL);

		assert_true(lock >= 0);
		assert_int_equal(access(made, F_OK), 0);
		assert_int_equal(rmdir(made), 0);
	}
	atomic_store(&sweeper.stop, true);
	pthread_join(thread, NULL);
	xen_sweep(&sweeper.config);
	assert_int_equal(access(left, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_blkid_does_not_know_is_not_empty, dir_make, dir_free),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_not_empty, dir_make, dir_free),
		cmocka_unit_test_setup_teardown(a_link_that_leads_nowhere_is_a_volume_already, dir_make, dir_free),
		cmocka_unit_test_setup_teardown(volumes_are_mounted_by_what_only_they_have, dir_make, dir_free),
		cmocka_unit_test_setup_teardown(a_node_keeps_the_disk_that_it_was_made_with, dir_make, dir_free),
		cmocka_unit_test_setup_teardown(what_a_machine_said_goes_with_it, dir_make, dir_free),
		cmocka_unit_test_setup_teardown(a_sweep_leaves_what_is_being_made, dir_make, dir_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
