/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images that are carried from one store to another: whole, once, kept; refused when they are damaged. Needs root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "image/base.h"
#include "image/carry.h"
#include "image/digest.h"
#include "image/image.h"
#include "image/store.h"
#include "scratch.h"

#define TEXT(s) ((char[]){ s }) /* a literal where the structure wants text of its own */

struct fixture {
	char *dir, *carried; /* scratch, and what is carried */
	struct image_store *from, *to;
	struct strv bundles; /* the one bundle of `from` */
};

static const struct image_base bookworm = { .suite = "bookworm" };
static struct image_file site = { .from = TEXT("files/site"), .to = TEXT("/srv/site") };

static struct image_recipe recipe_of(const struct fixture *f)
{
	return (struct image_recipe){
		.name = "web", .bundle = f->bundles.v[0], .external = "example:1", .files = &site, .n_files = 1
	};
}

static struct image_store *open_store(const struct fixture *f, const char *name)
{
	_cleanup_(freep) char *root = fs_join(f->dir, name);
	struct image_store *store = NULL;

	assert_int_equal(image_store_open(root, &store, NULL), 0);
	return store;
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_cleanup_(freep) char *recipe = NULL, *sha256 = NULL;
	_cleanup_buf_ struct buf tar = { 0 };
	struct image_recipe wanted;
	struct image image = { 0 };

	if (scratch_setup((void **)&f->dir) < 0)
		return -1;
	recipe = fs_join(f->dir, "recipe");
	f->carried = fs_join(f->dir, "carried");
	scratch_directory(f->dir, "recipe/files/site", 0755);
	scratch_file(f->dir, "recipe/files/site/index.html", "hello", 0644);
	f->from = open_store(f, "from");
	f->to = open_store(f, "to");
	assert_int_equal(bundle_pack(recipe, &tar, &sha256, NULL), 0);
	assert_int_equal(bundle_store(f->from, sha256, tar.data, tar.len, NULL), 0);
	strv_add(&f->bundles, sha256);
	wanted = recipe_of(f);
	assert_int_equal(image_build(f->from, &wanted, -1, 0, &image, NULL), 0);
	image_release(&image);
	assert_int_equal(image_carry_out(f->from, &f->bundles, f->carried, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	image_store_free(f->from);
	image_store_free(f->to);
	strv_release(&f->bundles);
	free(f->carried);
	r = scratch_teardown((void **)&f->dir);
	free(f);
	return r;
}

static unsigned carry_in(const struct fixture *f)
{
	_cleanup_err_ struct err err = ERR_INIT;
	unsigned n = 0;

	if (image_carry_in(f->to, f->carried, &n, &err) < 0)
		fail_msg("%s", err_text(&err));
	return n;
}

static void refused(const struct fixture *f, int code, const char *part)
{
	_cleanup_err_ struct err err = ERR_INIT;
	unsigned n = 0;

	assert_int_equal(image_carry_in(f->to, f->carried, &n, &err), code);
	assert_non_null(strstr(err_text(&err), part));
}

static bool has_image(const struct fixture *f)
{
	struct image_recipe recipe = recipe_of(f);
	struct image image = { 0 };
	bool found = image_find(f->to, &recipe, &image, NULL) == 0;

	image_release(&image);
	return found;
}

static void the_image_is_there(void **state)
{
	struct fixture *f = *state;

	assert_false(has_image(f));
	assert_int_equal(carry_in(f), 3); /* bundle, layer, image */
	assert_true(has_image(f));
	assert_int_equal(bundle_verify(f->to, f->bundles.v[0], NULL), 0);
}

static void a_second_time_there_is_nothing_new(void **state)
{
	struct fixture *f = *state;

	carry_in(f);
	assert_int_equal(carry_in(f), 0);
}

static void nothing_carried_is_no_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fs_remove_tree(f->carried, NULL), 0);
	assert_int_equal(carry_in(f), 0);
}

static void a_recipe_without_an_image_is_told(void **state)
{
	struct fixture *f = *state;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *dir = fs_join(f->dir, "none");

	carry_in(f);
	assert_int_equal(image_collect(f->from, &f->bundles, 0, NULL, NULL), 0);
	fs_remove_tree(f->carried, NULL);
	assert_int_equal(fs_mkdirs(dir, 0755, NULL), 0);
	{
		_cleanup_(freep) char *images = store_path(f->from, "images", "");

		assert_int_equal(fs_remove_tree(images, NULL), 0);
		assert_int_equal(fs_mkdirs(images, 0755, NULL), 0);
	}
	assert_int_equal(image_carry_out(f->from, &f->bundles, dir, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "no image"));
}

/* Changes what the only file of a kind holds, not by its link. */
static void damage(const struct fixture *f, const char *kind, const char *end)
{
	_cleanup_(freep) char *command = NULL;

	command = xasprintf("for f in %s/%s/*%s; do rm \"$f\" && echo changed >\"$f\"; done", f->carried, kind, end);
	assert_int_equal(system(command), 0);
}

static void a_changed_layer_is_refused(void **state)
{
	struct fixture *f = *state;

	damage(f, "layers", ".tar");
	refused(f, -EBADMSG, "is not what its name says");
	assert_false(has_image(f));
}

static void a_changed_bundle_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_err_ struct err err = ERR_INIT;
	unsigned n;

	damage(f, "bundles", ".tar");
	assert_int_equal(image_carry_in(f->to, f->carried, &n, &err), -EBADMSG);
	assert_false(bundle_present(f->to, f->bundles.v[0]));
}

static void a_changed_record_is_refused(void **state)
{
	struct fixture *f = *state;

	damage(f, "images", ".json");
	refused(f, -EBADMSG, "is not what its name says");
	assert_false(has_image(f));
}

static void what_was_carried_stays_until_it_is_forgotten(void **state)
{
	struct fixture *f = *state;
	_cleanup_strv_ struct strv none = { 0 };

	carry_in(f);
	assert_int_equal(image_collect(f->to, &none, 0, NULL, NULL), 0);
	assert_true(has_image(f));
	assert_int_equal(image_carried_forget(f->to, NULL), 0);
	assert_int_equal(image_collect(f->to, &none, 0, NULL, NULL), 0);
	assert_false(has_image(f));
}

/* A file as a layer of a store: its hash, owned by the caller. */
static char *make_layer(const struct fixture *f, struct image_store *store, const char *content)
{
	_cleanup_(freep) char *path = fs_join(f->dir, "layer"), *hash = digest_of(content, strlen(content));
	struct image_layer layer = { 0 };

	scratch_file(f->dir, "layer", content, 0644);
	assert_int_equal(store_adopt_layer(store, path, hash, &layer, NULL), 0);
	image_layer_release(&layer);
	return TAKE_PTR(hash);
}

static void carry_base(const struct fixture *f, const char *layer)
{
	_cleanup_(freep) char *path = xasprintf("carried/bases/bookworm-%s.json", base_architecture());
	_cleanup_(freep) char *text = xasprintf("{\"layer\":\"%s\"}", layer);

	scratch_file(f->dir, path, text, 0644);
}

static void another_base_is_refused_and_left_alone(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *theirs = make_layer(f, f->to, "one"), *ours = make_layer(f, f->to, "two");
	struct image_layer base = { 0 };

	assert_int_equal(base_record(f->to, &bookworm, theirs, NULL), 0);
	carry_base(f, ours);
	refused(f, -EEXIST, "another base system bookworm");
	assert_int_equal(base_find(f->to, &bookworm, &base, NULL), 0);
	assert_string_equal(base.sha256, theirs);
	image_layer_release(&base);
}

static void a_base_that_is_not_there_is_taken(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *ours = make_layer(f, f->to, "two");
	struct image_layer base = { 0 };

	carry_base(f, ours);
	assert_int_equal(carry_in(f), 4);
	assert_int_equal(base_find(f->to, &bookworm, &base, NULL), 0);
	assert_string_equal(base.sha256, ours);
	image_layer_release(&base);
}

static void a_base_of_another_architecture_is_refused(void **state)
{
	struct fixture *f = *state;

	scratch_file(f->dir, "carried/bases/bookworm-vax.json", "{}", 0644);
	refused(f, -EBADMSG, "another architecture");
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_image_is_there),
		test(a_second_time_there_is_nothing_new),
		test(nothing_carried_is_no_error),
		test(a_recipe_without_an_image_is_told),
		test(a_changed_layer_is_refused),
		test(a_changed_bundle_is_refused),
		test(a_changed_record_is_refused),
		test(what_was_carried_stays_until_it_is_forgotten),
		test(another_base_is_refused_and_left_alone),
		test(a_base_that_is_not_there_is_taken),
		test(a_base_of_another_architecture_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
