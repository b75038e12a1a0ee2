/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Layers: what gets into one, in which shape, and back out of it as an overlay's lower directory. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/image.h"
#include "image/pack.h"
#include "image/store.h"
#include "image/tar-write.h"
#include "image/untar.h"
#include "scratch.h"

/* A capability set as setcap(8) writes it: cap_net_bind_service=ep (linux/capability.h, revision 2). */
static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 4 };

/* Files of the tests are new; `since` in the future keeps their times, in the past replaces them. */
static char *pack_at(const char *dir, const char *name, int64_t since, const struct strv *lowers)
{
	_cleanup_(freep) char *tree = fs_join(dir, "tree"), *to = fs_join(dir, name);
	struct pack pack = { .dir = tree, .to = to, .since = since, .lowers = lowers };
	char *sha256 = NULL;

	assert_int_equal(pack_tree(&pack, &sha256, NULL, NULL), 0);
	return sha256;
}

static struct archive *open_layer(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = fs_join(dir, name);
	struct archive *a = archive_read_new();

	archive_read_support_format_tar(a);
	assert_int_equal(archive_read_open_filename(a, path, 10240), ARCHIVE_OK);
	return a;
}

/* "name name …" of the layer's entries. */
static char *names_of(const char *dir, const char *name)
{
	struct archive *a = open_layer(dir, name);
	struct archive_entry *e;
	struct buf names = { 0 };

	while (archive_read_next_header(a, &e) == ARCHIVE_OK)
		buf_printf(&names, names.len ? " %s" : "%s", archive_entry_pathname(e));
	archive_read_free(a);
	return buf_take(&names);
}

/* The archive at its entry `path`; the caller frees it. */
static struct archive *entry_of(const char *dir, const char *name, const char *path, struct archive_entry **ret)
{
	struct archive *a = open_layer(dir, name);

	while (archive_read_next_header(a, ret) == ARCHIVE_OK)
		if (strcmp(archive_entry_pathname(*ret), path) == 0)
			return a;
	fail_msg("no entry %s", path);
	return NULL;
}

static void entries_are_sorted(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *names = NULL;

	scratch_directory(*state, "tree/b", 0755);
	scratch_file(*state, "tree/b/z", "", 0644);
	scratch_file(*state, "tree/b/a", "", 0644);
	scratch_file(*state, "tree/a", "", 0644);
	sha256 = pack_at(*state, "out", 0, NULL);
	names = names_of(*state, "out");
	assert_string_equal(names, "a b/ b/a b/z");
}

static void times_of_the_build_do_not_count(void **state)
{
	_cleanup_(freep) char *first = NULL, *second = NULL, *file = fs_join(*state, "tree/a");
	struct timespec later[2] = { { .tv_sec = time(NULL) + 100 }, { .tv_sec = time(NULL) + 100 } };

	scratch_directory(*state, "tree", 0755);
	scratch_file(*state, "tree/a", "x", 0644);
	first = pack_at(*state, "one", time(NULL) - 10, NULL);
	assert_int_equal(utimensat(AT_FDCWD, file, later, 0), 0);
	second = pack_at(*state, "two", time(NULL) - 10, NULL);
	assert_string_equal(first, second);
}

static void older_times_are_kept(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *file = fs_join(*state, "tree/a");
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct archive_entry *e;
	struct archive *a;

	scratch_directory(*state, "tree", 0755);
	scratch_file(*state, "tree/a", "x", 0644);
	assert_int_equal(utimensat(AT_FDCWD, file, old, 0), 0);
	sha256 = pack_at(*state, "out", time(NULL) - 10, NULL);
	a = entry_of(*state, "out", "a", &e);
	assert_int_equal(archive_entry_mtime(e), 1000);
	archive_read_free(a);
}

static void a_whiteout_becomes_an_entry(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *names = NULL, *path = fs_join(*state, "tree/d/gone");

	scratch_directory(*state, "tree/d", 0755);
	assert_int_equal(mknod(path, S_IFCHR, makedev(0, 0)), 0);
	sha256 = pack_at(*state, "out", 0, NULL);
	names = names_of(*state, "out");
	assert_string_equal(names, "d/ d/.wh.gone");
}

static void an_opaque_directory_becomes_an_entry(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *names = NULL, *path = fs_join(*state, "tree/d");

	scratch_directory(*state, "tree/d", 0755);
	scratch_file(*state, "tree/d/new", "", 0644);
	assert_int_equal(setxattr(path, "trusted.overlay.opaque", "y", 1, 0), 0);
	sha256 = pack_at(*state, "out", 0, NULL);
	names = names_of(*state, "out");
	assert_string_equal(names, "d/ d/.wh..wh..opq d/new");
}

static void a_directory_over_nothing_hides_nothing(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *names = NULL, *path = fs_join(*state, "tree/d");
	_cleanup_strv_ struct strv lowers = { 0 };

	scratch_directory(*state, "tree/d", 0755);
	scratch_directory(*state, "lower", 0755);
	strv_addf(&lowers, "%s/lower", (char *)*state);
	assert_int_equal(setxattr(path, "trusted.overlay.opaque", "y", 1, 0), 0);
	sha256 = pack_at(*state, "out", 0, &lowers);
	names = names_of(*state, "out");
	assert_string_equal(names, "d/");
}

static void capabilities_of_files_travel(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *path = fs_join(*state, "tree/ping");
	struct archive_entry *e;
	struct archive *a;

	scratch_directory(*state, "tree", 0755);
	scratch_file(*state, "tree/ping", "", 0755);
	assert_int_equal(setxattr(path, "security.capability", capability, sizeof(capability), 0), 0);
	sha256 = pack_at(*state, "out", 0, NULL);
	a = entry_of(*state, "out", "ping", &e);
	assert_int_equal(archive_entry_xattr_count(e), 1);
	archive_read_free(a);
}

static void several_names_stay_one_file(void **state)
{
	_cleanup_(freep) char *sha256 = NULL, *one = fs_join(*state, "tree/a"), *two = fs_join(*state, "tree/b");
	struct archive_entry *e;
	struct archive *a;

	scratch_directory(*state, "tree", 0755);
	scratch_file(*state, "tree/a", "x", 0644);
	assert_int_equal(link(one, two), 0);
	sha256 = pack_at(*state, "out", 0, NULL);
	a = entry_of(*state, "out", "b", &e);
	assert_string_equal(archive_entry_hardlink(e), "a");
	archive_read_free(a);
}

static void what_one_machine_has_stays_out(void **state)
{
	(void)state;
	assert_true(pack_leaves_out("etc/machine-id", false, PACK_LAYER));
	assert_true(pack_leaves_out("etc/ssh/ssh_host_rsa_key", false, PACK_LAYER));
	assert_true(pack_leaves_out("etc/ssl/private/ssl-cert-snakeoil.key", false, PACK_LAYER));
	assert_true(pack_leaves_out("var/lib/postgresql/15/main/PG_VERSION", false, PACK_LAYER));
	assert_true(pack_leaves_out("var/log/nginx/access.log", false, PACK_LAYER));
	assert_true(pack_leaves_out("tmp/x", true, PACK_LAYER));
	assert_true(pack_leaves_out("etc/apt/sources.list.d/x.sources", false, PACK_BASE));
}

static void what_packages_enable_stays_out_of_a_machine(void **state)
{
	static const char *const links[] = {
		"etc/systemd/system/multi-user.target.wants/nginx.service",
		"etc/systemd/system/timers.target.wants/logrotate.timer",
		"etc/systemd/system/postgresql.service.wants/postgresql@15-main.service",
		"lib/systemd/system/sysinit.target.wants/x.service",
		"usr/lib/systemd/system/multi-user.target.wants/dbus.service",
		"usr/lib/systemd/system-generators/postgresql-generator",
		"etc/systemd/system/default.target",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		assert_true(pack_leaves_out(links[i], false, PACK_MACHINE_LAYER));
		assert_false(pack_leaves_out(links[i], false, PACK_LAYER));
		assert_false(pack_leaves_out(links[i], false, PACK_BASE));
	}
	assert_false(pack_leaves_out("etc/systemd/system/multi-user.target.wants", true, PACK_MACHINE_LAYER));
	assert_false(pack_leaves_out("usr/lib/systemd/system/nginx.service", false, PACK_MACHINE_LAYER));
	assert_false(pack_leaves_out("usr/lib/tmpfiles.d/php8.2-fpm.conf", false, PACK_MACHINE_LAYER));
	assert_true(pack_leaves_out("etc/machine-id", false, PACK_MACHINE_LAYER));
}

static void what_an_image_needs_stays_in(void **state)
{
	(void)state;
	assert_false(pack_leaves_out("var/log/nginx", true, PACK_LAYER));
	assert_false(pack_leaves_out("tmp", true, PACK_LAYER));
	assert_false(pack_leaves_out("etc/ssh/sshd_config", false, PACK_LAYER));
	assert_false(pack_leaves_out("usr/lib/postgresql/15/bin/postgres", false, PACK_LAYER));
	assert_false(pack_leaves_out("etc/apt/sources.list.d/x.sources", false, PACK_LAYER));
	assert_false(pack_leaves_out("etc/hosts.allow", false, PACK_LAYER));
	assert_false(pack_leaves_out("etc/hostnames/x", false, PACK_LAYER));
}

/* It would hide another file, or whole directories, where the layer is used. */
static void a_name_that_hides_another_is_refused(void **state)
{
	static const char *const names[] = { ".wh.passwd", ".wh...", ".wh..wh..opq" };

	for (size_t i = 0; i < 2 * ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *at = fs_join("tree/d", names[i / 2]), *whole = fs_join(*state, at);
		_cleanup_(freep) char *tree = fs_join(*state, "tree"), *to = fs_join(*state, "out");
		_cleanup_err_ struct err err = ERR_INIT;
		struct pack pack = { .dir = tree, .to = to };
		char *sha256 = NULL;

		scratch_directory(*state, "tree/d", 0755);
		if (i % 2)
			scratch_directory(*state, at, 0755);
		else
			scratch_file(*state, at, "x", 0644);
		assert_int_equal(pack_tree(&pack, &sha256, NULL, &err), -EINVAL);
		assert_null(sha256);
		assert_non_null(strstr(err_text(&err), names[i / 2]));
		assert_int_equal(fs_remove_tree(whole, NULL), 0);
		assert_int_equal(unlink(to), 0);
	}
}

/* --- and back --- */

static int unpack(const char *dir, const char *name, struct err *err)
{
	_cleanup_(freep) char *layer = fs_join(dir, name), *to = fs_join(dir, "back");
	_cleanup_(closep) int fd = -1;

	scratch_directory(dir, "back", 0755);
	fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return untar_layer(layer, fd, err);
}

static void a_layer_comes_back_the_same(void **state)
{
	_cleanup_(freep) char *first = NULL, *second = NULL, *file = fs_join(*state, "tree/d/f");
	_cleanup_(freep) char *other = fs_join(*state, "tree/g"), *gone = fs_join(*state, "tree/d/gone");
	_cleanup_(freep) char *opaque = fs_join(*state, "tree/d"), *to = fs_join(*state, "again"), *back = NULL;
	struct pack pack = { .to = to, .since = INT64_MAX };

	scratch_directory(*state, "tree/d", 02755);
	scratch_file(*state, "tree/d/f", "content", 04755);
	scratch_link(*state, "tree/abs", "/usr/lib");
	assert_int_equal(link(file, other), 0);
	assert_int_equal(lchown(opaque, 33, 42), 0);
	assert_int_equal(chmod(opaque, 02755), 0);
	assert_int_equal(setxattr(file, "security.capability", capability, sizeof(capability), 0), 0);
	assert_int_equal(mknod(gone, S_IFCHR, makedev(0, 0)), 0);
	assert_int_equal(setxattr(opaque, "trusted.overlay.opaque", "y", 1, 0), 0);
	first = pack_at(*state, "out", INT64_MAX, NULL);
	assert_int_equal(unpack(*state, "out", NULL), 0);
	pack.dir = back = fs_join(*state, "back");
	assert_int_equal(pack_tree(&pack, &second, NULL, NULL), 0);
	assert_string_equal(first, second);
}

static int write_to(void *data, const void *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return 0;
}

/* A layer whose link points out of it, and a file that goes through the link: it stays inside. */
static void a_link_in_a_layer_leads_nowhere_outside(void **state)
{
	_cleanup_(freep) char *outside = fs_join(*state, "outside"), *layer = fs_join(*state, "evil");
	_cleanup_(freep) char *escaped = fs_join(outside, "file");
	_cleanup_buf_ struct buf bytes = { 0 };
	_cleanup_tar_ struct tar_writer *tar = tar_new(write_to, &bytes);

	scratch_directory(*state, "outside", 0755);
	tar_add(tar, &(struct tar_entry){ .path = "l", .mode = S_IFLNK | 0777, .link = outside });
	tar_add(tar, &(struct tar_entry){ .path = "l/file", .mode = S_IFREG | 0644 });
	tar_finish(tar);
	assert_int_equal(fs_write(layer, bytes.data, bytes.len, 0644, NULL), 0);
	unpack(*state, "evil", NULL);
	assert_int_equal(access(escaped, F_OK), -1);
}

static bool there(const char *dir, const char *name)
{
	_cleanup_(freep) char *path = xasprintf("%s/back/%s", dir, name);

	return access(path, F_OK) == 0;
}

/* A whiteout, an opaque directory that keeps what its own layer has, a directory instead of a file and the reverse. */
static void a_layer_onto_another_hides_what_it_says(void **state)
{
	static const struct tar_entry entries[] = {
		{ .path = "d/new", .mode = S_IFREG | 0644 },    { .path = "d/.wh..wh..opq", .mode = S_IFREG | 0644 },
		{ .path = ".wh.gone", .mode = S_IFREG | 0644 }, { .path = ".wh.tree", .mode = S_IFREG | 0644 },
		{ .path = "f", .mode = S_IFDIR | 0755 },        { .path = "f/inside", .mode = S_IFREG | 0644 },
		{ .path = "was-dir", .mode = S_IFREG | 0644 },
	};
	_cleanup_(freep) char *layer = fs_join(*state, "upper"), *to = fs_join(*state, "back");
	_cleanup_buf_ struct buf bytes = { 0 };
	_cleanup_tar_ struct tar_writer *tar = tar_new(write_to, &bytes);
	_cleanup_(closep) int fd = -1;

	scratch_directory(*state, "back", 0755);
	scratch_directory(*state, "back/d", 0755);
	scratch_directory(*state, "back/tree", 0755);
	scratch_directory(*state, "back/was-dir", 0755);
	scratch_file(*state, "back/d/old", "x", 0644);
	scratch_file(*state, "back/tree/deep", "x", 0644);
	scratch_file(*state, "back/was-dir/deep", "x", 0644);
	scratch_file(*state, "back/gone", "x", 0644);
	scratch_file(*state, "back/f", "x", 0644);
	scratch_file(*state, "back/stays", "x", 0644);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		tar_add(tar, &entries[i]);
	tar_finish(tar);
	assert_int_equal(fs_write(layer, bytes.data, bytes.len, 0644, NULL), 0);
	fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(untar_onto(layer, fd, NULL), 0);
	assert_true(there(*state, "d/new") && there(*state, "f/inside") && there(*state, "stays"));
	assert_true(there(*state, "was-dir") && !there(*state, "was-dir/deep"));
	assert_false(there(*state, "d/old") || there(*state, "gone") || there(*state, "tree"));
	assert_false(there(*state, ".wh.gone") || there(*state, "d/.wh..wh..opq"));
}

/* Onto lower layers it would remove the directory that holds the tree, and what else is in there. */
static void a_whiteout_of_no_name_is_refused(void **state)
{
	static const char *const names[] = { ".wh...", ".wh..", ".wh.", "d/.wh...", "d/.wh..", "d/.wh." };

	for (size_t i = 0; i < 2 * ARRAY_SIZE(names); i++) {
		_cleanup_(freep) char *layer = fs_join(*state, "evil"), *to = fs_join(*state, "in/back");
		_cleanup_(freep) char *stays = fs_join(*state, "in/stays"), *inside = fs_join(*state, "in/back/d/f");
		_cleanup_buf_ struct buf bytes = { 0 };
		_cleanup_tar_ struct tar_writer *tar = tar_new(write_to, &bytes);
		_cleanup_(closep) int fd = -1;

		scratch_directory(*state, "in/back/d", 0755);
		scratch_file(*state, "in/stays", "x", 0644);
		scratch_file(*state, "in/back/d/f", "x", 0644);
		tar_add(tar, &(struct tar_entry){ .path = names[i / 2], .mode = S_IFREG | 0644 });
		tar_finish(tar);
		assert_int_equal(fs_write(layer, bytes.data, bytes.len, 0644, NULL), 0);
		fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(i % 2 ? untar_onto(layer, fd, NULL) : untar_layer(layer, fd, NULL), -EBADMSG);
		assert_int_equal(access(stays, F_OK), 0);
		assert_int_equal(access(inside, F_OK), 0);
	}
}

static void a_layer_with_dots_is_refused(void **state)
{
	_cleanup_(freep) char *layer = fs_join(*state, "evil");
	_cleanup_buf_ struct buf bytes = { 0 };
	_cleanup_tar_ struct tar_writer *tar = tar_new(write_to, &bytes);

	tar_add(tar, &(struct tar_entry){ .path = "d/../../x", .mode = S_IFREG | 0644 });
	tar_finish(tar);
	assert_int_equal(fs_write(layer, bytes.data, bytes.len, 0644, NULL), 0);
	assert_int_equal(unpack(*state, "evil", NULL), -EBADMSG);
}

#define test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(entries_are_sorted),
		test(times_of_the_build_do_not_count),
		test(older_times_are_kept),
		test(a_whiteout_becomes_an_entry),
		test(an_opaque_directory_becomes_an_entry),
		test(a_directory_over_nothing_hides_nothing),
		test(capabilities_of_files_travel),
		test(several_names_stay_one_file),
		test(what_one_machine_has_stays_out),
		test(what_packages_enable_stays_out_of_a_machine),
		test(what_an_image_needs_stays_in),
		test(a_name_that_hides_another_is_refused),
		test(a_layer_comes_back_the_same),
		test(a_link_in_a_layer_leads_nowhere_outside),
		test(a_layer_onto_another_hides_what_it_says),
		test(a_layer_with_dots_is_refused),
		test(a_whiteout_of_no_name_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
