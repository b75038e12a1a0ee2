/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Removes what nobody needs from the store: marks from the images of the kept bundles, then sweeps each kind. */
#include "image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/base.h"
#include "image/beneath.h"
#include "image/carry.h"
#include "image/record.h"

struct collector {
	struct image_store *store;
	struct strv bundles; /* kept ones */
	int64_t young_ms;
	struct strv *ids;   /* of the kept images, or NULL: nobody asks */
	struct strv images; /* keys of the kept ones */
	struct strv layers; /* of those images */
};

static int list_kind(struct collector *c, const char *kind, struct strv *ret, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(c->store->root, kind);
	_cleanup_(closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : beneath_list(dir, ret);

	return r < 0 ? err_errno(err, -r, _("Cannot read %s"), path) : 0;
}

/* An image on a base that was renewed since is never asked for again. */
static bool base_is_present(struct collector *c, const json_t *record)
{
	struct image_base base = { .suite = json_string_value(json_object_get(record, "suite")),
				   .machine = json_is_true(json_object_get(record, "machine")) };
	const json_t *lowest = json_array_get(json_object_get(record, "layers"), 0);
	const char *sha256 = json_string_value(json_object_get(lowest, "sha256"));
	struct image_layer layer = { 0 };
	bool same;

	if (!base.suite)
		return true;
	if (!sha256 || base_find(c->store, &base, &layer, NULL) < 0)
		return false;
	same = strcmp(layer.sha256, sha256) == 0;
	image_layer_release(&layer);
	return same;
}

static bool is_young(const struct collector *c, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && clock_realtime_ms() - (int64_t)st.st_mtim.tv_sec * 1000 < c->young_ms;
}

/* Those that may soon be used, and those that could not be made again here. */
static void mark_other_bundles(struct collector *c, const struct strv *names)
{
	for (size_t i = 0; i < names->n; i++) {
		_cleanup_(freep) char *path = store_path(c->store, "bundles", names->v[i]);

		if ((is_young(c, path) || image_is_carried(c->store, names->v[i])) &&
		    !strv_has(&c->bundles, names->v[i]))
			strv_add(&c->bundles, names->v[i]);
	}
}

static void mark_image(struct collector *c, const char *name)
{
	_cleanup_(freep) char *path = store_path(c->store, "images", name);
	json_auto_t *record = NULL;
	const char *bundle;
	json_t *layer;
	size_t i;

	if (record_read(path, &record, NULL) < 0)
		return;
	bundle = json_string_value(json_object_get(record, "bundle"));
	if (!bundle || !(strv_has(&c->bundles, bundle) || is_young(c, path)) || !base_is_present(c, record))
		return;
	strv_add(&c->images, name);
	if (c->ids && json_string_value(json_object_get(record, "id")))
		strv_add(c->ids, json_string_value(json_object_get(record, "id")));
	json_array_foreach(json_object_get(record, "layers"), i, layer)
	{
		const char *sha256 = json_string_value(json_object_get(layer, "sha256"));

		if (sha256 && !strv_has(&c->layers, sha256))
			strv_add(&c->layers, sha256);
	}
}

static bool keep_image(struct collector *c, const char *name)
{
	return strv_has(&c->images, name);
}

static bool keep_bundle(struct collector *c, const char *name)
{
	return strv_has(&c->bundles, name);
}

static bool keep_layer(struct collector *c, const char *name)
{
	_cleanup_(freep) char *sha256 = xstrndup(name, strcspn(name, "."));

	return strv_has(&c->layers, sha256);
}

/* A record of layers stays while all of them do. */
static bool keep_archive(struct collector *c, const char *name)
{
	_cleanup_(freep) char *path = store_path(c->store, "archives", name);
	json_auto_t *record = NULL;
	json_t *layer;
	size_t i;

	if (record_read(path, &record, NULL) < 0)
		return false;
	json_array_foreach(json_object_get(record, "layers"), i, layer)
	{
		const char *sha256 = json_string_value(json_object_get(layer, "sha256"));

		if (!sha256 || !strv_has(&c->layers, sha256))
			return false;
	}
	return true;
}

static bool keep_base(struct collector *c, const char *name)
{
	_cleanup_(freep) char *path = store_path(c->store, "bases", name);
	json_auto_t *record = NULL;
	const char *sha256;

	if (record_read(path, &record, NULL) < 0)
		return false;
	sha256 = json_string_value(json_object_get(record, "layer"));
	return sha256 && strv_has(&c->layers, sha256);
}

/* What was fetched in part is gone on with, if that is soon. */
static bool keep_part(struct collector *c, const char *name)
{
	_cleanup_(freep) char *path = store_path(c->store, "build", name);

	return text_ends(name, ".part") && is_young(c, path);
}

static int sweep(struct collector *c, const char *kind, bool (*keep)(struct collector *c, const char *name),
		 struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = list_kind(c, kind, &names, err);

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		_cleanup_(freep) char *path = store_path(c->store, kind, names.v[i]);

		if (!keep(c, names.v[i]))
			r = fs_remove_tree(path, err);
	}
	return r;
}

/* Records before what they point at, so that a crash in between leaves nothing that promises what is gone. */
static int sweep_all(struct collector *c, struct err *err)
{
	static const struct {
		const char *kind;
		bool (*keep)(struct collector *c, const char *name);
	} kinds[] = {
		{ "images", keep_image }, { "archives", keep_archive }, { "bases", keep_base },
		{ "layers", keep_layer }, { "rootfs", keep_layer },     { "bundles", keep_bundle },
		{ "build", keep_part },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = sweep(c, kinds[i].kind, kinds[i].keep, err);
	return r;
}

int image_collect(struct image_store *store, const struct strv *keep, int64_t young_ms, struct strv *ret_images,
		  struct err *err)
{
	struct collector c = { .store = store, .young_ms = young_ms, .ids = ret_images };
	_cleanup_(closep) int lock = store_lock(store, STORE_EXCLUSIVE, err);
	_cleanup_strv_ struct strv images = { 0 }, bundles = { 0 };
	int r;

	if (lock < 0)
		return lock;
	strv_copy(&c.bundles, keep);
	r = list_kind(&c, "bundles", &bundles, err);
	if (r == 0)
		r = list_kind(&c, "images", &images, err);
	mark_other_bundles(&c, &bundles);
	for (size_t i = 0; r == 0 && i < images.n; i++)
		mark_image(&c, images.v[i]);
	if (r == 0)
		r = sweep_all(&c, err);
	strv_release(&c.bundles);
	strv_release(&c.images);
	strv_release(&c.layers);
	return r;
}
