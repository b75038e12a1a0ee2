/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Heads of tar archives, and whose files are whose in a node. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/node-root.h"
#include "runtime/tar.h"

static const char passwd[] =
    "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:\nbroken\nweb:x:101:102::/:\n";
static const char group[] = "root:x:0:\nwww-data:x:33:\nadm:x:4:web\n";

static void add(struct buf *tar, const char *name, const char *content)
{
	struct tar_entry entry = {
		.name = name, .size = strlen(content), .mode = 0640, .uid = 33, .gid = 44, .type = '0'
	};

	tar_add_head(tar, &entry);
	buf_adds(tar, content);
	tar_add_padding(tar, entry.size);
}

/* Reads the archive's first entry with libarchive, which did not write it. */
static struct archive *open_archive(const struct buf *tar, struct archive_entry **ret)
{
	struct archive *archive = archive_read_new();

	archive_read_support_format_tar(archive);
	assert_int_equal(archive_read_open_memory(archive, tar->data, tar->len), ARCHIVE_OK);
	assert_int_equal(archive_read_next_header(archive, ret), ARCHIVE_OK);
	return archive;
}

static void another_program_reads_our_tar(void **state)
{
	_cleanup_buf_ struct buf tar = { 0 };
	struct archive_entry *entry;
	struct archive *archive;
	char content[16] = "";

	(void)state;
	add(&tar, "etc/a.conf", "hello");
	add(&tar, "etc/b.conf", "");
	tar_add_end(&tar);
	assert_int_equal(tar.len % TAR_BLOCK, 0);
	archive = open_archive(&tar, &entry);
	assert_string_equal(archive_entry_pathname(entry), "etc/a.conf");
	assert_int_equal(archive_entry_size(entry), 5);
	assert_int_equal(archive_entry_perm(entry), 0640);
	assert_int_equal(archive_entry_uid(entry), 33);
	assert_int_equal(archive_entry_gid(entry), 44);
	assert_int_equal(archive_entry_mtime(entry), 0);
	assert_int_equal(archive_read_data(archive, content, sizeof(content)), 5);
	assert_string_equal(content, "hello");
	assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
	assert_string_equal(archive_entry_pathname(entry), "etc/b.conf");
	assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_EOF);
	archive_read_free(archive);
}

static void names_of_any_length_come_back(void **state)
{
	static const size_t lengths[] = { 1, 99, 100, 101, 110, 981, 982, 983, 984, 985, 4000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_buf_ struct buf tar = { 0 };
		char name[4096] = "";
		struct archive_entry *entry;
		struct archive *archive;

		memset(name, 'n', lengths[i]);
		add(&tar, name, "x");
		tar_add_end(&tar);
		archive = open_archive(&tar, &entry);
		assert_string_equal(archive_entry_pathname(entry), name);
		archive_read_free(archive);
	}
}

static void numbers_too_big_for_octal_come_back(void **state)
{
	struct tar_entry big = { .name = "big", .size = 20ull << 30, .uid = 4000000000u, .type = '0' };
	_cleanup_buf_ struct buf tar = { 0 };
	struct archive_entry *entry;
	struct archive *archive;

	(void)state;
	tar_add_head(&tar, &big);
	archive = open_archive(&tar, &entry);
	assert_true(archive_entry_size(entry) == (20ll << 30));
	assert_true(archive_entry_uid(entry) == 4000000000u);
	archive_read_free(archive);
}

static void the_first_file_is_found(void **state)
{
	struct tar_entry dir = { .name = "etc/", .mode = 0755, .type = '5' };
	_cleanup_buf_ struct buf tar = { 0 };
	const char *content;
	size_t len;

	(void)state;
	tar_add_head(&tar, &dir);
	assert_int_equal(tar_first_file(tar.data, tar.len, &content, &len), -ENOENT);
	add(&tar, "etc/passwd", passwd);
	tar_add_end(&tar);
	assert_int_equal(tar_first_file(tar.data, tar.len, &content, &len), 0);
	assert_int_equal(len, strlen(passwd));
	assert_memory_equal(content, passwd, len);
}

static void a_cut_tar_is_refused(void **state)
{
	_cleanup_buf_ struct buf tar = { 0 };
	const char *content;
	size_t len;

	(void)state;
	add(&tar, "etc/passwd", passwd);
	assert_int_equal(tar_first_file(tar.data, TAR_BLOCK + 10, &content, &len), -EBADMSG);
	assert_int_equal(tar_first_file(tar.data, 100, &content, &len), -EBADMSG);
	tar.data[257] = 'X';
	assert_int_equal(tar_first_file(tar.data, tar.len, &content, &len), -EBADMSG);
}

static void owner_is(const char *owner, uid_t uid, gid_t gid)
{
	_cleanup_err_ struct err err = ERR_INIT;
	uid_t got_uid = 9999;
	gid_t got_gid = 9999;

	assert_int_equal(node_owner(owner, passwd, group, &got_uid, &got_gid, &err), 0);
	assert_int_equal(got_uid, uid);
	assert_int_equal(got_gid, gid);
}

static void owners_are_found(void **state)
{
	(void)state;
	owner_is("root", 0, 0);
	owner_is("www-data", 33, 33);
	owner_is("web", 101, 102);
	owner_is("web:adm", 101, 4);
	owner_is("101", 101, 102);
	owner_is("500", 500, 500);
	owner_is("500:600", 500, 600);
}

static void unknown_owners_are_named(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	uid_t uid = 7;
	gid_t gid = 7;

	(void)state;
	assert_int_equal(node_owner("nobody", passwd, group, &uid, &gid, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "nobody"));
	assert_int_equal(node_owner("web:staff", passwd, group, &uid, &gid, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "staff"));
	assert_int_equal(node_owner("broken", passwd, group, &uid, &gid, NULL), -ENOENT);
	assert_int_equal(node_owner("", passwd, group, &uid, &gid, NULL), -ENOENT);
	assert_int_equal(uid, 7);
}

static void paths_are_judged(void **state)
{
	static const char *const good[] = { "/a", "/etc/a.conf", "/etc/..a", "/...", "/a/.b" };
	static const char *const bad[] = { "",    "/",       "a",     "/a/",  "//a", "/a//b",
					   "/..", "/a/../b", "/a/..", "/./a", "/a/." };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(node_path_is_sane(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(node_path_is_sane(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_program_reads_our_tar),
		cmocka_unit_test(names_of_any_length_come_back),
		cmocka_unit_test(numbers_too_big_for_octal_come_back),
		cmocka_unit_test(the_first_file_is_found),
		cmocka_unit_test(a_cut_tar_is_refused),
		cmocka_unit_test(owners_are_found),
		cmocka_unit_test(unknown_owners_are_named),
		cmocka_unit_test(paths_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
