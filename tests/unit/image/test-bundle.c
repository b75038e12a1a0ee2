/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bundles: the same files give the same bytes, and what an archive brings cannot leave its directory. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/digest.h"
#include "image/image.h"
#include "image/tar-write.h"
#include "image/untar.h"
#include "scratch.h"

/* --- archives made by hand --- */

static int keep(void *data, const void *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return 0;
}

static void make_tar(struct buf *to, const struct tar_entry *entries, size_t n, const char *content)
{
	struct tar_writer *tar = tar_new(keep, to);

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(tar_add(tar, &entries[i]), 0);
		if (entries[i].size)
			assert_int_equal(tar_data(tar, content, entries[i].size), 0);
	}
	assert_int_equal(tar_finish(tar), 0);
	tar_free(tar);
}

/* Unpacks into the scratch directory; the result of untar_bundle, its message in `err`. */
static int unpack(const char *dir, const struct tar_entry *entries, size_t n, struct err *err)
{
	_cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buf_ struct buf tar = { 0 };

	make_tar(&tar, entries, n, "content");
	return untar_bundle(tar.data, tar.len, fd, err);
}

static void refused(void **state, const struct tar_entry *entries, size_t n, const char *why)
{
	_cleanup_err_ struct err err = ERR_INIT;

	assert_int_equal(unpack(*state, entries, n, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), why));
}

static void refuses_a_path_with_dots(void **state)
{
	refused(state, (struct tar_entry[]){ { .path = "a/../../escape", .mode = S_IFREG | 0644 } }, 1, "plain path");
}

static void refuses_an_absolute_path(void **state)
{
	refused(state, (struct tar_entry[]){ { .path = "/tmp/escape", .mode = S_IFREG | 0644 } }, 1, "plain path");
}

static void refuses_an_absolute_link(void **state)
{
	refused(state, (struct tar_entry[]){ { .path = "l", .mode = S_IFLNK | 0777, .link = "/etc/passwd" } }, 1,
		"out of the tree");
}

static void refuses_a_link_that_climbs_out(void **state)
{
	refused(state, (struct tar_entry[]){ { .path = "d/l", .mode = S_IFLNK | 0777, .link = "../../x" } }, 1,
		"out of the tree");
}

static void refuses_a_link_that_climbs_behind_another(void **state)
{
	const struct tar_entry entries[] = { { .path = "here", .mode = S_IFLNK | 0777, .link = "." },
					     { .path = "l", .mode = S_IFLNK | 0777, .link = "here/.." } };

	refused(state, entries, 2, "out of the tree");
}

static void refuses_a_file_behind_a_link(void **state)
{
	const struct tar_entry entries[] = { { .path = "d", .mode = S_IFDIR | 0755 },
					     { .path = "l", .mode = S_IFLNK | 0777, .link = "d" },
					     { .path = "l/file", .mode = S_IFREG | 0644 } };

	refused(state, entries, 3, "behind a symbolic link");
}

static void refuses_the_same_path_twice(void **state)
{
	const struct tar_entry entries[] = { { .path = "a", .mode = S_IFREG | 0644 },
					     { .path = "a", .mode = S_IFREG | 0644 } };

	refused(state, entries, 2, "contradicts");
}

static void refuses_a_hard_link(void **state)
{
	const struct tar_entry entries[] = { { .path = "a", .mode = S_IFREG | 0644 },
					     { .path = "b", .mode = S_IFREG | 0644, .hard = "a" } };

	refused(state, entries, 2, "neither a regular file");
}

static void refuses_a_fifo(void **state)
{
	refused(state, (struct tar_entry[]){ { .path = "p", .mode = S_IFIFO | 0644 } }, 1, "neither a regular file");
}

static void refuses_a_device(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf tar = { 0 };
	struct tar_entry entry = { .path = "null", .mode = S_IFREG | 0644 };
	unsigned sum = 0;

	(void)state;
	make_tar(&tar, &entry, 1, "");
	tar.data[156] = '3'; /* type: character device */
	memset(tar.data + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)tar.data[i];
	snprintf(tar.data + 148, 8, "%06o", sum);
	assert_int_equal(untar_bundle(tar.data, tar.len, -1, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), "neither a regular file"));
}

static void refuses_more_than_64_mib_of_holes(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	static char tar[65536];
	size_t used;

	(void)state;
	archive_write_set_format_pax(a);
	archive_write_open_memory(a, tar, sizeof(tar), &used);
	archive_entry_set_pathname(e, "sparse");
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (la_int64_t)100 << 20);
	archive_entry_sparse_add_entry(e, 0, 512);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	archive_write_data(a, tar + 32768, 512);
	archive_entry_free(e);
	archive_write_free(a);
	assert_int_equal(untar_bundle(tar, used, -1, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), "64 MiB"));
}

static void refuses_too_many_entries(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf tar = { 0 };
	struct tar_writer *writer = tar_new(keep, &tar);

	(void)state;
	for (int i = 0; i <= UNTAR_MOST_ENTRIES; i++) {
		_cleanup_(freep) char *path = xasprintf("%d", i);

		tar_add(writer, &(struct tar_entry){ .path = path, .mode = S_IFREG | 0644 });
	}
	tar_finish(writer);
	tar_free(writer);
	assert_int_equal(untar_bundle(tar.data, tar.len, -1, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), "more than"));
}

static void refuses_a_cut_archive(void **state)
{
	struct tar_entry entry = { .path = "a", .mode = S_IFREG | 0644, .size = 7 };
	_cleanup_buf_ struct buf tar = { 0 };

	(void)state;
	make_tar(&tar, &entry, 1, "content");
	assert_int_equal(untar_bundle(tar.data, 515, -1, NULL), -EBADMSG);
}

static void refuses_what_is_no_tar(void **state)
{
	static const char text[] = "this is not a tar archive, however long it goes on";

	(void)state;
	assert_int_equal(untar_bundle(text, sizeof(text), -1, NULL), -EBADMSG);
}

static void links_that_stay(void **state)
{
	(void)state;
	assert_true(untar_link_stays("file", 0));
	assert_true(untar_link_stays("../file", 1));
	assert_true(untar_link_stays("./.././x/y", 1));
	assert_false(untar_link_stays("..", 0));
	assert_false(untar_link_stays("x/../y", 3));
	assert_false(untar_link_stays("", 3));
}

/* --- packing --- */

static void make_recipe(const char *dir)
{
	scratch_directory(dir, "recipe/files", 0755);
	scratch_file(dir, "recipe/recipe.yaml", "recipe: x\n", 0644);
	scratch_file(dir, "recipe/files/start", "#!/bin/sh\n", 0755);
	scratch_link(dir, "recipe/files/again", "start");
}

static char *hash_of_recipe(const char *dir)
{
	_cleanup_(freep) char *recipe = fs_join(dir, "recipe");
	_cleanup_buf_ struct buf tar = { 0 };
	char *sha256 = NULL;

	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), 0);
	return sha256;
}

static void the_same_files_give_the_same_hash(void **state)
{
	_cleanup_(freep) char *first = NULL, *second = NULL, *other = fs_join(*state, "other");

	make_recipe(*state);
	first = hash_of_recipe(*state);
	scratch_directory(*state, "other", 0700);
	make_recipe(other);
	scratch_file(other, "recipe/recipe.yaml", "recipe: x\n", 0600); /* group and other bits do not count */
	second = hash_of_recipe(other);
	assert_string_equal(first, second);
}

/* The identity of every recipe in the field: a change of this value makes every node be replaced. */
static void the_hash_is_the_one_it_always_was(void **state)
{
	_cleanup_(freep) char *hash = NULL;

	make_recipe(*state);
	hash = hash_of_recipe(*state);
	assert_string_equal(hash, "83cfa1291481129f717e4e77f4ed26b8d05325183292eabb22c5ccf27b93e3de");
}

static void the_executable_bit_counts(void **state)
{
	_cleanup_(freep) char *first = NULL, *second = NULL;

	make_recipe(*state);
	first = hash_of_recipe(*state);
	scratch_file(*state, "recipe/files/start", "#!/bin/sh\n", 0644);
	second = hash_of_recipe(*state);
	assert_string_not_equal(first, second);
}

static void packing_refuses_a_link_out(void **state)
{
	_cleanup_(freep) char *recipe = fs_join(*state, "recipe"), *sha256 = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf tar = { 0 };

	make_recipe(*state);
	scratch_link(*state, "recipe/files/out", "../../secret");
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "files/out"));
}

static void packing_refuses_a_fifo(void **state)
{
	_cleanup_(freep) char *recipe = fs_join(*state, "recipe"), *fifo = fs_join(recipe, "p"), *sha256 = NULL;
	_cleanup_buf_ struct buf tar = { 0 };

	make_recipe(*state);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), -EINVAL);
}

static void packing_refuses_more_than_64_mib(void **state)
{
	_cleanup_(freep) char *recipe = fs_join(*state, "recipe"), *big = fs_join(recipe, "big"), *sha256 = NULL;
	_cleanup_buf_ struct buf tar = { 0 };

	make_recipe(*state);
	scratch_file(*state, "recipe/big", "", 0644);
	assert_int_equal(truncate(big, (off_t)65 << 20), 0);
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), -EFBIG);
}

/* --- the store --- */

static struct image_store *open_store(const char *dir)
{
	_cleanup_(freep) char *root = fs_join(dir, "store");
	struct image_store *store = NULL;

	assert_int_equal(image_store_open(root, &store, NULL), 0);
	return store;
}

static void a_bundle_comes_back_the_same(void **state)
{
	_cleanup_(image_store_freep) struct image_store *store = open_store(*state);
	_cleanup_(freep) char *recipe = fs_join(*state, "recipe"), *sha256 = NULL, *again = NULL, *dir = NULL;
	_cleanup_buf_ struct buf tar = { 0 }, tar2 = { 0 };

	make_recipe(*state);
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), 0);
	assert_int_equal(bundle_store(store, sha256, tar.data, tar.len, NULL), 0);
	assert_int_equal(bundle_directory(store, sha256, &dir, NULL), 0);
	assert_int_equal(bundle_pack(dir, &tar2, &again, NULL), 0);
	assert_string_equal(sha256, again);
}

static void a_long_name_with_accents_comes_back(void **state)
{
	_cleanup_(image_store_freep) struct image_store *store = open_store(*state);
	_cleanup_(freep) char *recipe = fs_join(*state, "recipe"), *sha256 = NULL, *again = NULL, *dir = NULL;
	_cleanup_buf_ struct buf tar = { 0 }, tar2 = { 0 }, name = { 0 };

	make_recipe(*state);
	buf_adds(&name, "recipe/");
	for (int i = 0; i < 60; i++)
		buf_adds(&name, "ñá");
	scratch_file(*state, buf_text(&name), "x", 0644);
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), 0);
	assert_int_equal(bundle_store(store, sha256, tar.data, tar.len, NULL), 0);
	assert_int_equal(bundle_directory(store, sha256, &dir, NULL), 0);
	assert_int_equal(bundle_pack(dir, &tar2, &again, NULL), 0);
	assert_string_equal(sha256, again);
}

static void a_changed_bundle_is_refused(void **state)
{
	_cleanup_(image_store_freep) struct image_store *store = open_store(*state);
	_cleanup_(freep) char *recipe = fs_join(*state, "recipe"), *sha256 = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf tar = { 0 };

	make_recipe(*state);
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), 0);
	tar.data[600] ^= 1;
	assert_int_equal(bundle_store(store, sha256, tar.data, tar.len, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), "changed on its way"));
	assert_false(bundle_present(store, sha256));
}

static void a_refused_bundle_leaves_nothing(void **state)
{
	const struct tar_entry entries[] = { { .path = "good", .mode = S_IFREG | 0644 },
					     { .path = "../bad", .mode = S_IFREG | 0644 } };
	_cleanup_(image_store_freep) struct image_store *store = open_store(*state);
	_cleanup_(freep) char *sha256 = NULL, *build = fs_join(*state, "store/build");
	_cleanup_buf_ struct buf tar = { 0 };

	make_tar(&tar, entries, 2, "");
	sha256 = digest_of(tar.data, tar.len);
	assert_int_equal(bundle_store(store, sha256, tar.data, tar.len, NULL), -EBADMSG);
	assert_false(bundle_present(store, sha256));
	assert_int_equal(rmdir(build), 0); /* so it was empty */
}

static void a_name_that_is_no_hash_is_refused(void **state)
{
	_cleanup_(image_store_freep) struct image_store *store = open_store(*state);

	assert_int_equal(bundle_store(store, "../../etc", "", 0, NULL), -EINVAL);
	assert_false(bundle_present(store, "../bundles"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(refuses_a_path_with_dots),
		test(refuses_an_absolute_path),
		test(refuses_an_absolute_link),
		test(refuses_a_link_that_climbs_out),
		test(refuses_a_link_that_climbs_behind_another),
		test(refuses_a_file_behind_a_link),
		test(refuses_the_same_path_twice),
		test(refuses_a_hard_link),
		test(refuses_a_fifo),
		test(refuses_a_device),
		test(refuses_more_than_64_mib_of_holes),
		test(refuses_too_many_entries),
		test(refuses_a_cut_archive),
		test(refuses_what_is_no_tar),
		test(links_that_stay),
		test(the_same_files_give_the_same_hash),
		test(the_hash_is_the_one_it_always_was),
		test(the_executable_bit_counts),
		test(packing_refuses_a_link_out),
		test(packing_refuses_a_fifo),
		test(packing_refuses_more_than_64_mib),
		test(a_bundle_comes_back_the_same),
		test(a_long_name_with_accents_comes_back),
		test(a_changed_bundle_is_refused),
		test(a_refused_bundle_leaves_nothing),
		test(a_name_that_is_no_hash_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
