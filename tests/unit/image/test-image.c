/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images that need no package mirror: on the runtime's own image, on archives; finding and collecting. Needs root. */
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

#include "base/clock.h"
#include "base/fs.h"
#include "image/base.h"
#include "image/digest.h"
#include "image/image.h"
#include "image/machine.h"
#include "image/pack.h"
#include "image/share.h"
#include "image/store.h"
#include "scratch.h"

#define RECIPE "recipe"
#define TEXT(s) ((char[]){ s }) /* a literal where the structure wants text of its own */

struct fixture {
	char *dir;
	struct image_store *store;
	char *bundle; /* hash */
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_cleanup_(freep) char *root = NULL, *recipe = NULL;
	_cleanup_buf_ struct buf tar = { 0 };

	if (scratch_setup((void **)&f->dir) < 0)
		return -1;
	root = fs_join(f->dir, "store");
	recipe = fs_join(f->dir, RECIPE);
	scratch_directory(f->dir, RECIPE "/files/site", 0755);
	scratch_file(f->dir, RECIPE "/files/site/index.html", "hello", 0644);
	scratch_file(f->dir, RECIPE "/files/start", "#!/bin/sh\n", 0755);
	*state = f;
	return image_store_open(root, &f->store, NULL) | bundle_pack(recipe, &tar, &f->bundle, NULL) |
	       bundle_store(f->store, f->bundle, tar.data, tar.len, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	image_store_free(f->store);
	free(f->bundle);
	r = scratch_teardown((void **)&f->dir);
	free(f);
	return r;
}

static struct image_file site = { .from = TEXT("files/site"), .to = TEXT("/srv/site") };

static struct image_recipe external_recipe(const struct fixture *f)
{
	return (struct image_recipe){
		.name = "web", .bundle = f->bundle, .external = "example:1", .files = &site, .n_files = 1
	};
}

/* The layer's entries as "path:mode:uid:gid" words. */
static char *describe(const char *path)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	struct buf text = { 0 };

	archive_read_support_format_tar(a);
	assert_int_equal(archive_read_open_filename(a, path, 10240), ARCHIVE_OK);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK)
		buf_printf(&text, "%s%s:%o:%d:%d", text.len ? " " : "", archive_entry_pathname(e),
			   archive_entry_perm(e), (int)archive_entry_uid(e), (int)archive_entry_gid(e));
	archive_read_free(a);
	return buf_take(&text);
}

static char *build_and_describe(struct fixture *f, const struct image_recipe *recipe)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct image image = { 0 };
	char *text;

	if (image_build(f->store, recipe, -1, 0, &image, &err) < 0)
		fail_msg("%s", err_text(&err));
	text = describe(image.layers[image.n_layers - 1].path);
	image_release(&image);
	return text;
}

static void refused(struct fixture *f, const struct image_recipe *recipe, int code, const char *part)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, recipe, -1, 0, &image, &err), code);
	assert_non_null(strstr(err_text(&err), part));
}

static void files_go_over_the_runtimes_image(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_(freep) char *text = build_and_describe(f, &recipe);

	assert_string_equal(text, "srv/:755:0:0 srv/site/:755:0:0 srv/site/index.html:644:0:0");
}

static void texts_and_modes(void **state)
{
	struct fixture *f = *state;
	struct image_file start = {
		.from = TEXT("files/start"), .to = TEXT("/usr/bin/"), .owner = TEXT("5:6"), .mode = 0700
	};
	struct image_text text = { .to = TEXT("/etc/conf"), .content = TEXT("x"), .mode = 0640 };
	struct image_recipe recipe = external_recipe(f);
	_cleanup_(freep) char *description = NULL;

	recipe.files = &start;
	recipe.texts = &text;
	recipe.n_texts = 1;
	description = build_and_describe(f, &recipe);
	assert_string_equal(description,
			    "etc/:755:0:0 etc/conf:640:0:0 usr/:755:0:0 usr/bin/:755:0:0 usr/bin/start:700:5:6");
}

static void the_runtimes_image_is_named(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_string_equal(image.external, "example:1");
	assert_int_equal(image.n_layers, 1);
	image_release(&image);
}

static void packages_on_the_runtimes_image_are_refused(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_strv_ struct strv packages = { 0 };

	strv_add(&packages, "nginx");
	recipe.packages = &packages;
	refused(f, &recipe, -EOPNOTSUPP, "stays with the runtime");
}

static void a_missing_file_is_named(void **state)
{
	struct fixture *f = *state;
	struct image_file file = { .from = TEXT("files/none"), .to = TEXT("/x") };
	struct image_recipe recipe = external_recipe(f);

	recipe.files = &file;
	refused(f, &recipe, -ENOENT, "files/none");
}

static void a_file_that_would_vanish_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image_file file = { .from = TEXT("files/start"), .to = TEXT("/run/start") };
	struct image_recipe recipe = external_recipe(f);

	recipe.files = &file;
	refused(f, &recipe, -EINVAL, "/run/start");
}

static void an_option_is_no_package(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = { .name = "web", .bundle = f->bundle, .suite = "bookworm" };
	_cleanup_strv_ struct strv packages = { 0 };

	strv_add(&packages, "-oAPT::Update::Pre-Invoke::=x");
	recipe.packages = &packages;
	refused(f, &recipe, -EINVAL, "not a name of a package");
}

static void removing_a_package_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = { .name = "web", .bundle = f->bundle, .suite = "bookworm" };
	_cleanup_strv_ struct strv packages = { 0 };

	strv_add(&packages, "libc6-");
	recipe.packages = &packages;
	refused(f, &recipe, -EINVAL, "libc6-");
}

static void two_bases_are_refused(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);

	recipe.suite = "bookworm";
	refused(f, &recipe, -EINVAL, "exactly one base");
}

static void a_machine_on_a_runtimes_image_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);

	recipe.machine = true;
	refused(f, &recipe, -EOPNOTSUPP, "place its nodes on hosts that run containers");
}

static void a_machine_on_an_archive_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = { .name = "web", .bundle = f->bundle, .archive = "files/start", .machine = true };

	refused(f, &recipe, -EOPNOTSUPP, "files/start");
}

/* A base of one kind is there: `recipe` comes to an image on it alone. */
static char *name_on_base(struct fixture *f, const struct image_base *base)
{
	struct image_recipe recipe = {
		.name = "web", .bundle = f->bundle, .suite = base->suite, .machine = base->machine
	};
	char *name = NULL;

	return share_image_name(f->store, &recipe, &name, NULL) < 0 ? NULL : name;
}

static void a_machine_has_a_base_and_images_of_its_own(void **state)
{
	struct fixture *f = *state;
	static const struct image_base kinds[] = { { "bookworm", false }, { "bookworm", true } };
	_cleanup_(freep) char *names[2] = { 0 }, *layer = NULL;
	_cleanup_digest_ struct digest *digest = digest_new();

	layer = digest_hex(digest);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(freep) char *path = xasprintf("store/layers/%s.tar", layer);

		assert_null(name_on_base(f, &kinds[i]));
		scratch_file(f->dir, path, "", 0600);
		assert_int_equal(base_record(f->store, &kinds[i], layer, NULL), 0);
		names[i] = name_on_base(f, &kinds[i]);
		assert_non_null(names[i]);
	}
	assert_string_not_equal(names[0], names[1]);
	free(names[1]);
}

static void names_of_bases_are_read_back(void **state)
{
	const struct image_base base = { "bookworm", true };
	_cleanup_(freep) char *name = base_name(&base), *suite = NULL;
	bool machine = false;

	(void)state;
	assert_true(base_of_name(name, &suite, &machine));
	assert_string_equal(suite, "bookworm");
	assert_true(machine);
	assert_false(base_suite_valid("bookworm-machine"));
	assert_false(base_of_name("bookworm-machine-vax", &suite, &machine));
}

static char *content_of(struct fixture *f, const char *path)
{
	_cleanup_(freep) char *full = xasprintf("%s/root/%s", f->dir, path);
	struct buf text = { 0 };
	char target[256];
	ssize_t n = readlink(full, target, sizeof(target) - 1);

	if (n >= 0)
		return xasprintf("-> %.*s", (int)n, target);
	assert_int_equal(fs_read(full, 65536, &text, NULL), 0);
	return buf_take(&text);
}

static void a_machine_starts_what_it_needs_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *root = fs_join(f->dir, "root"), *ssh = NULL, *timer = NULL, *sshd = NULL, *gone = NULL;

	scratch_directory(f->dir, "root/etc/systemd/system/multi-user.target.wants", 0755);
	scratch_directory(f->dir, "root/etc/systemd/system/timers.target.wants", 0755);
	scratch_link(f->dir, "root/etc/systemd/system/multi-user.target.wants/nginx.service", "/lib/nginx.service");
	scratch_file(f->dir, "root/etc/systemd/system/fstrim.timer", "[Timer]\n", 0644);
	assert_int_equal(machine_settle(root, NULL), 0);
	assert_int_equal(machine_settle(root, NULL), 0); /* it stands whatever is there */
	ssh = content_of(f, "etc/systemd/system/multi-user.target.wants/ssh.service");
	assert_string_equal(ssh, "-> /lib/systemd/system/ssh.service");
	timer = content_of(f, "etc/systemd/system/fstrim.timer");
	assert_string_equal(timer, "-> /dev/null");
	sshd = content_of(f, "etc/ssh/sshd_config.d/zz-machine.conf");
	assert_non_null(strstr(sshd, "PasswordAuthentication no\n"));
	gone = fs_join(root, "etc/systemd/system/multi-user.target.wants/nginx.service");
	assert_int_equal(access(gone, F_OK), -1);
}

static void what_was_not_built_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	struct image image = { 0 };

	assert_int_equal(image_find(f->store, &recipe, &image, NULL), -ENOENT);
	assert_null(image.id);
}

static void what_was_built_is_found(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	struct image built = { 0 }, found = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &built, NULL), 0);
	assert_int_equal(image_find(f->store, &recipe, &found, NULL), 0);
	assert_string_equal(built.id, found.id);
	assert_string_equal(built.layers[0].sha256, found.layers[0].sha256);
	image_release(&built);
	image_release(&found);
}

static void another_recipe_is_another_image(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	image_release(&image);
	recipe.external = "example:2";
	assert_int_equal(image_find(f->store, &recipe, &image, NULL), -ENOENT);
}

static void finding_takes_no_millisecond(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	struct image image = { 0 };
	int64_t start;

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	image_release(&image);
	start = clock_monotonic_ms();
	for (int i = 0; i < 200; i++) {
		assert_int_equal(image_find(f->store, &recipe, &image, NULL), 0);
		image_release(&image);
	}
	assert_true(clock_monotonic_ms() - start < 1000); /* 0.05 ms each where nothing else runs */
}

static void an_image_without_its_layer_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_int_equal(unlink(image.layers[0].path), 0);
	image_release(&image);
	assert_int_equal(image_find(f->store, &recipe, &image, NULL), -ENOENT);
}

/* --- archives --- */

static void make_tree(struct fixture *f)
{
	scratch_directory(f->dir, "tree/etc", 0755);
	scratch_file(f->dir, "tree/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/srv:/bin/false\n", 0644);
	scratch_file(f->dir, "tree/etc/group", "root:x:0:\nadmins:x:77:\n", 0644);
}

static char *pack(struct fixture *f, const char *name)
{
	_cleanup_(freep) char *tree = fs_join(f->dir, "tree"), *to = fs_join(f->dir, name);
	struct pack p = { .dir = tree, .to = to, .since = INT64_MAX };
	char *sha256 = NULL;

	assert_int_equal(pack_tree(&p, &sha256, NULL, NULL), 0);
	return sha256;
}

static void add_entry(struct archive *a, const char *path, const void *data, size_t len)
{
	struct archive_entry *e = archive_entry_new();

	archive_entry_set_pathname(e, path);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (la_int64_t)len);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	archive_write_data(a, data, len);
	archive_entry_free(e);
}

/* What `docker save` writes for the layer in `layer`; `id` is the hash that its configuration claims. */
static char *docker_save(struct fixture *f, const char *layer, const char *id, int filter)
{
	_cleanup_(freep) char *path = fs_join(f->dir, layer), *config = NULL, *to = fs_join(f->dir, "saved");
	static const char manifest[] = "[{\"Config\":\"c.json\",\"RepoTags\":null,\"Layers\":[\"l/layer.tar\"]}]";
	struct archive *a = archive_write_new();
	_cleanup_buf_ struct buf bytes = { 0 };

	assert_int_equal(fs_read(path, 1 << 20, &bytes, NULL), 0);
	config = xasprintf("{\"architecture\":\"%s\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}",
			   base_architecture(), id);
	archive_write_set_format_ustar(a);
	archive_write_add_filter(a, filter);
	assert_int_equal(archive_write_open_filename(a, to), ARCHIVE_OK);
	add_entry(a, "l/layer.tar", bytes.data, bytes.len);
	add_entry(a, "c.json", config, strlen(config));
	add_entry(a, "manifest.json", manifest, strlen(manifest));
	archive_write_close(a);
	archive_write_free(a);
	return TAKE_PTR(to);
}

static void a_root_file_system_is_a_base(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *archive = fs_join(f->dir, "rootfs.tar"), *sha256 = NULL, *text = NULL;
	struct image_file file = { .from = TEXT("files/start"), .to = TEXT("/etc/start"), .owner = TEXT("www:admins") };
	struct image_recipe recipe = {
		.name = "web", .bundle = f->bundle, .archive = archive, .files = &file, .n_files = 1
	};

	make_tree(f);
	sha256 = pack(f, "rootfs.tar");
	text = build_and_describe(f, &recipe);
	assert_string_equal(text, "etc/:755:0:0 etc/start:755:33:77");
}

static void an_owner_that_the_image_lacks_is_named(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *archive = fs_join(f->dir, "rootfs.tar"), *sha256 = NULL;
	struct image_file file = { .from = TEXT("files/start"), .to = TEXT("/etc/start"), .owner = TEXT("postgres") };
	struct image_recipe recipe = {
		.name = "web", .bundle = f->bundle, .archive = archive, .files = &file, .n_files = 1
	};

	make_tree(f);
	sha256 = pack(f, "rootfs.tar");
	refused(f, &recipe, -ENOENT, "'postgres'");
}

static void a_saved_image_is_a_base(void **state, int filter)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *sha256 = NULL, *archive = NULL;
	struct image_recipe recipe = { .name = "web", .bundle = f->bundle };
	struct image image = { 0 };

	make_tree(f);
	sha256 = pack(f, "layer.tar");
	recipe.archive = archive = docker_save(f, "layer.tar", sha256, filter);
	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_int_equal(image.n_layers, 1);
	assert_string_equal(image.layers[0].sha256, sha256);
	image_release(&image);
}

static void a_docker_archive_is_a_base(void **state)
{
	a_saved_image_is_a_base(state, ARCHIVE_FILTER_NONE);
}

static void a_compressed_docker_archive_is_a_base(void **state)
{
	a_saved_image_is_a_base(state, ARCHIVE_FILTER_GZIP);
}

static void a_damaged_docker_archive_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *sha256 = NULL, *archive = NULL;
	struct image_recipe recipe = { .name = "web", .bundle = f->bundle };

	make_tree(f);
	sha256 = pack(f, "layer.tar");
	sha256[0] = sha256[0] == '0' ? '1' : '0';
	recipe.archive = archive = docker_save(f, "layer.tar", sha256, ARCHIVE_FILTER_NONE);
	refused(f, &recipe, -EBADMSG, "damaged");
}

static void a_file_that_is_no_archive_is_refused(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = { .name = "web", .bundle = f->bundle, .archive = "files/start" };

	refused(f, &recipe, -EBADMSG, "files/start");
}

/* --- collecting --- */

static void what_is_kept_stays(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_strv_ struct strv keep = { 0 };
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	image_release(&image);
	strv_add(&keep, f->bundle);
	assert_int_equal(image_collect(f->store, &keep, 0, NULL, NULL), 0);
	assert_int_equal(image_find(f->store, &recipe, &image, NULL), 0);
	assert_true(bundle_present(f->store, f->bundle));
	image_release(&image);
}

static void what_is_not_kept_goes(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_strv_ struct strv keep = { 0 };
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_int_equal(image_collect(f->store, &keep, 0, NULL, NULL), 0);
	assert_int_equal(access(image.layers[0].path, F_OK), -1);
	assert_false(bundle_present(f->store, f->bundle));
	image_release(&image);
}

static void what_is_young_stays(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_strv_ struct strv keep = { 0 }, ids = { 0 };
	struct image image = { 0 };

	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_int_equal(image_collect(f->store, &keep, 60000, &ids, NULL), 0);
	assert_true(bundle_present(f->store, f->bundle));
	assert_int_equal(access(image.layers[0].path, F_OK), 0);
	assert_true(strv_has(&ids, image.id));
	image_release(&image);
}

static void collecting_waits_for_no_builder(void **state)
{
	struct fixture *f = *state;
	_cleanup_strv_ struct strv keep = { 0 };
	_cleanup_(closep) int lock = store_lock(f->store, STORE_SHARED, NULL);

	assert_true(lock >= 0);
	assert_int_equal(image_collect(f->store, &keep, 0, NULL, NULL), -EBUSY);
	assert_true(bundle_present(f->store, f->bundle));
}

static void a_killed_builders_work_is_swept(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_(freep) char *stale = store_path(f->store, "build", "0123");
	struct image image = { 0 };

	scratch_directory(f->dir, "store/build/0123/upper/x", 0755);
	scratch_file(f->dir, "store/build/0123.lock", "", 0600);
	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_int_equal(access(stale, F_OK), -1);
	image_release(&image);
}

static void a_living_builders_work_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct image_recipe recipe = external_recipe(f);
	_cleanup_(freep) char *work = store_path(f->store, "build", "0123");
	_cleanup_(closep) int lock = store_build_lock(f->store, "0123", true, NULL);
	struct image image = { 0 };

	assert_true(lock >= 0);
	scratch_directory(f->dir, "store/build/0123", 0755);
	assert_int_equal(image_build(f->store, &recipe, -1, 0, &image, NULL), 0);
	assert_int_equal(access(work, F_OK), 0);
	image_release(&image);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(files_go_over_the_runtimes_image),
		test(texts_and_modes),
		test(the_runtimes_image_is_named),
		test(packages_on_the_runtimes_image_are_refused),
		test(a_missing_file_is_named),
		test(a_file_that_would_vanish_is_refused),
		test(an_option_is_no_package),
		test(removing_a_package_is_refused),
		test(two_bases_are_refused),
		test(a_machine_on_a_runtimes_image_is_refused),
		test(a_machine_on_an_archive_is_refused),
		test(a_machine_has_a_base_and_images_of_its_own),
		test(names_of_bases_are_read_back),
		test(a_machine_starts_what_it_needs_and_nothing_else),
		test(what_was_not_built_is_not_found),
		test(what_was_built_is_found),
		test(another_recipe_is_another_image),
		test(finding_takes_no_millisecond),
		test(an_image_without_its_layer_is_not_found),
		test(a_root_file_system_is_a_base),
		test(an_owner_that_the_image_lacks_is_named),
		test(a_docker_archive_is_a_base),
		test(a_compressed_docker_archive_is_a_base),
		test(a_damaged_docker_archive_is_refused),
		test(a_file_that_is_no_archive_is_refused),
		test(what_is_kept_stays),
		test(what_is_not_kept_goes),
		test(what_is_young_stays),
		test(collecting_waits_for_no_builder),
		test(a_killed_builders_work_is_swept),
		test(a_living_builders_work_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
