/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/base.h"
#include "image/beneath.h"
#include "image/digest.h"
#include "image/record.h"
#include "image/share.h"

#define MOST_BUNDLE ((size_t)80 << 20)
#define CARRIED "carried"

struct carry {
	struct image_store *store;
	const char *dir;
	unsigned n_new;
};

static char *carry_path(const struct carry *carry, const char *kind, const char *name)
{
	return xasprintf("%s/%s/%s", carry->dir, kind, name);
}

/* As a link, or else byte for byte. */
static int copy_file(const char *from, const char *to, struct err *err)
{
	_cleanup_(closep) int in = -1;
	_cleanup_(closep) int out = -1;
	ssize_t n = 1;

	if (link(from, to) == 0 || errno == EEXIST)
		return 0;
	in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0)
		return err_errno(err, errno, _("Cannot read %s"), from);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	while (out >= 0 && n > 0)
		n = sendfile(out, in, NULL, 1 << 24);
	return out < 0 || n < 0 ? err_errno(err, errno, _("Cannot write %s"), to) : 0;
}

/* The names in a directory; none when there is no such directory. */
static int list(const char *path, struct strv *ret, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, _("Cannot read %s"), path);
	r = beneath_list(fd, ret);
	return r < 0 ? err_errno(err, -r, _("Cannot read %s"), path) : 0;
}

/* --- out --- */

static int give_file(const struct carry *carry, const char *kind, const char *name, struct err *err)
{
	_cleanup_(freep) char *from = store_path(carry->store, kind, name), *to = carry_path(carry, kind, name);

	return copy_file(from, to, err);
}

static int give_layers(const struct carry *carry, const json_t *layers, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++) {
		const char *sha256 = json_string_value(json_object_get(json_array_get(layers, i), "sha256"));
		_cleanup_(freep) char *name = xasprintf("%s.tar", sha256 ? sha256 : "");

		r = give_file(carry, "layers", name, err);
	}
	return r;
}

/* The base of an image's record; its suite is borrowed, NULL: it has none. */
static struct image_base base_of_record(const json_t *record)
{
	return (struct image_base){ .suite = json_string_value(json_object_get(record, "suite")),
				    .machine = json_is_true(json_object_get(record, "machine")) };
}

/* Is it one that is asked for today, and not of a base that was renewed since? */
static bool is_present_image(const struct carry *carry, const json_t *record)
{
	const struct image_base what = base_of_record(record);
	const json_t *lowest = json_array_get(json_object_get(record, "layers"), 0);
	const char *sha256 = json_string_value(json_object_get(lowest, "sha256"));
	struct image_layer base = { 0 };
	bool same;

	if (!what.suite)
		return true;
	if (!sha256 || base_find(carry->store, &what, &base, NULL) < 0)
		return false;
	same = !strcmp(base.sha256, sha256);
	image_layer_release(&base);
	return same;
}

static int give_image(const struct carry *carry, const char *name, const json_t *record, struct err *err)
{
	const struct image_base what = base_of_record(record);
	int r = give_layers(carry, json_object_get(record, "layers"), err);

	if (r == 0 && what.suite) {
		_cleanup_(freep) char *base = base_name(&what), *file = xasprintf("%s.json", base);

		r = give_file(carry, "bases", file, err);
	}
	return r < 0 ? r : give_file(carry, "images", name, err);
}

/* All images of the bundle: for containers, for machines, or both. */
static int give_images(const struct carry *carry, const struct strv *names, const char *bundle, struct err *err)
{
	size_t found = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->n; i++) {
		_cleanup_(freep) char *path = store_path(carry->store, "images", names->v[i]);
		json_auto_t *record = NULL;
		const char *of;

		if (record_read(path, &record, NULL) < 0)
			continue;
		of = json_string_value(json_object_get(record, "bundle"));
		if (!of || strcmp(of, bundle) != 0 || !is_present_image(carry, record))
			continue;
		found++;
		r = give_image(carry, names->v[i], record, err);
	}
	return r < 0 || found ? r : err_set(err, ENOENT, _("There is no image of the recipe %.12s"), bundle);
}

static int give_bundle(const struct carry *carry, const char *sha256, struct err *err)
{
	_cleanup_(freep) char *dir = NULL, *name = xasprintf("%s.tar", sha256), *is = NULL;
	_cleanup_(freep) char *to = carry_path(carry, "bundles", name);
	_cleanup_buf_ struct buf tar = { 0 };
	int r = bundle_directory(carry->store, sha256, &dir, err);

	if (r == 0)
		r = bundle_pack(dir, &tar, &is, err);
	if (r == 0 && strcmp(is, sha256) != 0)
		return err_set(err, EBADMSG, _("The bundle %.12s was changed in %s and is not given to others"), sha256,
			       carry->store->root);
	return r < 0 ? r : fs_write(to, tar.data, tar.len, 0644, err);
}

int image_carry_out(struct image_store *store, const struct strv *bundles, const char *dir, struct err *err)
{
	static const char *const kinds[] = { "bundles", "layers", "bases", "images" };
	_cleanup_(closep) int lock = store_lock(store, STORE_SHARED, err);
	const struct carry carry = { .store = store, .dir = dir };
	_cleanup_(freep) char *images = fs_join(store->root, "images");
	_cleanup_strv_ struct strv names = { 0 };
	int r = lock < 0 ? lock : list(images, &names, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
		_cleanup_(freep) char *path = fs_join(dir, kinds[i]);

		r = fs_mkdirs(path, 0755, err);
	}
	for (size_t i = 0; r == 0 && i < bundles->n; i++) {
		r = give_bundle(&carry, bundles->v[i], err);
		if (r == 0)
			r = give_images(&carry, &names, bundles->v[i], err);
	}
	return r;
}

/* --- in --- */

/* The name without its end, if that is a hash; the caller owns it. */
static char *hash_of(const char *name, const char *end)
{
	_cleanup_(freep) char *hash = text_ends(name, end) ? xstrndup(name, strlen(name) - strlen(end)) : NULL;

	return digest_valid(hash) ? TAKE_PTR(hash) : NULL;
}

static int damaged(const char *path, struct err *err)
{
	return err_set(err, EBADMSG, _("%s is not what its name says; make the bundle again, or copy it again"), path);
}

static int take_layer(struct carry *carry, const char *name, struct err *err)
{
	_cleanup_(freep) char *from = carry_path(carry, "layers", name), *sha256 = hash_of(name, ".tar"), *is = NULL;
	_cleanup_(freep) char *work = NULL, *file = NULL, *key = NULL;
	struct image_layer layer = { 0 };
	_cleanup_(closep) int lock = -1;
	int r;

	if (!sha256)
		return damaged(from, err);
	if (store_layer(carry->store, sha256, &layer) == 0) {
		image_layer_release(&layer);
		return 0;
	}
	key = xasprintf("carry-%s", sha256);
	lock = store_build_lock(carry->store, key, true, err);
	if (lock < 0)
		return lock;
	r = store_build_directory(carry->store, key, &work, err);
	if (r < 0)
		return r;
	file = fs_join(work, "tar");
	r = copy_file(from, file, err);
	if (r == 0)
		r = digest_of_file(file, &is, err);
	if (r == 0 && strcmp(is, sha256) != 0)
		r = damaged(from, err);
	if (r == 0)
		r = store_adopt_layer(carry->store, file, sha256, &layer, err);
	image_layer_release(&layer);
	fs_remove_tree(work, NULL);
	carry->n_new += r == 0;
	return r;
}

/* First the note that it was carried, so that it is never here without. */
static int take_bundle(struct carry *carry, const char *name, struct err *err)
{
	_cleanup_(freep) char *from = carry_path(carry, "bundles", name), *sha256 = hash_of(name, ".tar");
	_cleanup_(freep) char *notes = fs_join(carry->store->root, CARRIED), *note = NULL;
	_cleanup_buf_ struct buf tar = { 0 };
	bool was_here;
	int r;

	if (!sha256)
		return damaged(from, err);
	note = fs_join(notes, sha256);
	was_here = image_is_carried(carry->store, sha256) && bundle_present(carry->store, sha256);
	r = fs_mkdirs(notes, 0755, err);
	if (r >= 0)
		r = fs_write(note, "", 0, 0644, err);
	if (r == 0)
		r = fs_read(from, MOST_BUNDLE, &tar, err);
	if (r == 0)
		r = bundle_store(carry->store, sha256, tar.data, tar.len, err);
	carry->n_new += r == 0 && !was_here;
	return r;
}

static int take_base(struct carry *carry, const char *name, struct err *err)
{
	_cleanup_(freep) char *path = carry_path(carry, "bases", name), *suite = NULL;
	_cleanup_(freep) char *base = xstrndup(name, strlen(name) - (text_ends(name, ".json") ? strlen(".json") : 0));
	struct image_layer present = { 0 };
	json_auto_t *record = NULL;
	struct image_base what = { 0 };
	const char *sha256;
	int r = 0;

	if (!base_of_name(base, &suite, &what.machine))
		return err_set(err, EBADMSG, _("%s is of another architecture than this host, which is %s"), path,
			       base_architecture());
	if (record_read(path, &record, NULL) < 0)
		return damaged(path, err);
	what.suite = suite;
	sha256 = json_string_value(json_object_get(record, "layer"));
	if (base_find(carry->store, &what, &present, NULL) < 0) {
		r = share_base_take(carry->store, &what, sha256, err);
		carry->n_new += r == 0;
	} else if (!sha256 || strcmp(present.sha256, sha256) != 0)
		r = err_set(err, EEXIST,
			    _("This host has another base system %s than the bundle, so that its images would not be "
			      "found: make the bundle where the first one was made, or where %s/bases and "
			      "%s/layers of this host were copied to"),
			    suite, carry->store->root, carry->store->root);
	image_layer_release(&present);
	return r;
}

static int take_image(struct carry *carry, const char *name, struct err *err)
{
	_cleanup_(freep) char *path = carry_path(carry, "images", name), *key = hash_of(name, ".json"), *had = NULL;
	_cleanup_share_record_ struct share_record record = { 0 };
	_cleanup_buf_ struct buf text = { 0 };
	struct image_recipe recipe = { 0 };
	json_auto_t *json = NULL;
	int r = key ? fs_read(path, SHARE_MOST_RECORD, &text, err) : damaged(path, err);

	if (r < 0 || share_image(carry->store, key, &had, NULL) == 0)
		return r;
	json = json_loadb(buf_text(&text), text.len, 0, NULL);
	recipe.name = json_string_value(json_object_get(json, "recipe"));
	recipe.bundle = json_string_value(json_object_get(json, "bundle"));
	recipe.suite = json_string_value(json_object_get(json, "suite"));
	recipe.machine = json_is_true(json_object_get(json, "machine"));
	if (!recipe.name || !recipe.bundle || share_record_parse(buf_text(&text), text.len, &record, NULL) < 0)
		return damaged(path, err);
	r = share_image_take(carry->store, key, &recipe, &record, err);
	carry->n_new += r == 0;
	return r;
}

int image_carry_in(struct image_store *store, const char *dir, unsigned *ret_new, struct err *err)
{
	/* What is pointed at before what points at it. */
	static const struct {
		const char *kind;
		int (*take)(struct carry *carry, const char *name, struct err *err);
	} kinds[] = {
		{ "bundles", take_bundle },
		{ "layers", take_layer },
		{ "bases", take_base },
		{ "images", take_image },
	};
	_cleanup_(closep) int lock = store_lock(store, STORE_SHARED, err);
	struct carry carry = { .store = store, .dir = dir };
	int r = lock < 0 ? lock : 0;

	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(kinds); k++) {
		_cleanup_(freep) char *path = fs_join(dir, kinds[k].kind);
		_cleanup_strv_ struct strv names = { 0 };

		r = list(path, &names, err);
		for (size_t i = 0; r == 0 && i < names.n; i++)
			r = kinds[k].take(&carry, names.v[i], err);
	}
	if (r == 0)
		*ret_new = carry.n_new;
	return r;
}

bool image_is_carried(const struct image_store *store, const char *bundle)
{
	_cleanup_(freep) char *note = store_path(store, CARRIED, bundle);

	return access(note, F_OK) == 0;
}

int image_carried_forget(struct image_store *store, struct err *err)
{
	_cleanup_(freep) char *notes = fs_join(store->root, CARRIED);

	return fs_remove_tree(notes, err);
}
