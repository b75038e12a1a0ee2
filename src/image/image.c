/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "image/archive-base.h"
#include "image/base.h"
#include "image/build.h"
#include "image/digest.h"
#include "image/record.h"
#include "image/share.h"
#include "image/store.h"

/* Raised when the builder changes what it makes of the same inputs. */
#define BUILDER "tepuy image 1"
/* Likewise, of what it makes for machines. */
#define MACHINE_BUILDER "machine 1"
#define DEFAULT_TIMEOUT_MS ((int64_t)30 * 60 * 1000)

/* What lies below the recipe's layer. */
struct base {
	struct image_layer *layers;
	size_t n;
	char *architecture;
};

static void layers_free(struct image_layer *layers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_layer_release(&layers[i]);
	free(layers);
}

static void base_release(struct base *base)
{
	layers_free(base->layers, base->n);
	free(base->architecture);
}

void image_release(struct image *image)
{
	if (!image)
		return;
	layers_free(image->layers, image->n_layers);
	free(image->id);
	free(image->external);
	free(image->architecture);
	*image = (struct image){ 0 };
}

/* A word of the inputs, with its length before it, so that no two lists of words read the same. */
static void hash_text(struct digest *digest, const char *text)
{
	_cleanup_(freep) char *head = xasprintf("%zu:", text ? strlen(text) : 0);

	digest_add(digest, head, strlen(head));
	digest_add(digest, text ? text : "", text ? strlen(text) : 0);
}

static void hash_number(struct digest *digest, uint64_t number)
{
	_cleanup_(freep) char *text = xasprintf("%" PRIu64, number);

	hash_text(digest, text);
}

static void hash_strv(struct digest *digest, const struct strv *strv)
{
	size_t n = strv ? strv->n : 0;

	hash_number(digest, n);
	for (size_t i = 0; i < n; i++)
		hash_text(digest, strv->v[i]);
}

static void hash_recipe(struct digest *digest, const struct image_recipe *recipe)
{
	hash_text(digest, recipe->bundle);
	hash_strv(digest, recipe->packages);
	hash_number(digest, recipe->n_files);
	for (size_t i = 0; i < recipe->n_files; i++) {
		hash_text(digest, recipe->files[i].from);
		hash_text(digest, recipe->files[i].to);
		hash_text(digest, recipe->files[i].owner);
		hash_number(digest, recipe->files[i].mode);
	}
	hash_number(digest, recipe->n_build);
	for (size_t i = 0; i < recipe->n_build; i++)
		hash_strv(digest, &recipe->build[i]);
	hash_number(digest, recipe->n_texts);
	for (size_t i = 0; i < recipe->n_texts; i++) {
		hash_text(digest, recipe->texts[i].to);
		hash_text(digest, recipe->texts[i].content);
		hash_number(digest, recipe->texts[i].mode);
	}
}

/* Hash over all that goes into the image; the caller owns it. */
static char *image_key(const struct image_recipe *recipe, const struct base *base)
{
	_cleanup_digest_ struct digest *digest = digest_new();

	hash_text(digest, BUILDER);
	if (recipe->machine)
		hash_text(digest, MACHINE_BUILDER);
	hash_text(digest, recipe->external);
	hash_text(digest, base->architecture);
	hash_number(digest, base->n);
	for (size_t i = 0; i < base->n; i++)
		hash_text(digest, base->layers[i].sha256);
	hash_recipe(digest, recipe);
	return digest_hex(digest);
}

static struct image_base base_of(const struct image_recipe *recipe)
{
	return (struct image_base){ .suite = recipe->suite, .machine = recipe->machine };
}

static void one_layer_base(struct base *ret, struct image_layer *layer)
{
	ret->layers = xcalloc(1, sizeof(*ret->layers));
	ret->layers[0] = *layer;
	ret->n = 1;
	ret->architecture = xstrdup(base_architecture());
}

static int find_base(struct image_store *store, const struct image_recipe *recipe, struct base *ret, struct err *err)
{
	struct image_base base = base_of(recipe);
	struct image_layer layer = { 0 };
	int r;

	if (recipe->archive)
		return archive_find(store, recipe, &ret->layers, &ret->n, &ret->architecture, err);
	if (recipe->external) {
		ret->architecture = xstrdup(base_architecture());
		return 0;
	}
	r = base_find(store, &base, &layer, err);
	if (r == 0)
		one_layer_base(ret, &layer);
	return r;
}

static int build_base(const struct build *build, struct base *ret, struct err *err)
{
	const struct image_recipe *recipe = build->recipe;
	struct image_base base = base_of(recipe);
	struct image_layer layer = { 0 };
	int r;

	if (recipe->external)
		return find_base(build->store, recipe, ret, err);
	if (recipe->archive)
		return archive_take(build->store, recipe, &ret->layers, &ret->n, &ret->architecture, err);
	r = base_build(build->store, &base, false, build->log_fd, build->deadline, &layer, err);
	if (r == 0)
		one_layer_base(ret, &layer);
	return r;
}

static int load_image(struct image_store *store, const char *key, struct image *ret, struct err *err)
{
	_cleanup_(freep) char *path = store_path_suffix(store, "images", key, ".json");
	json_auto_t *record = NULL;
	const char *id, *external, *architecture;
	int r = record_read(path, &record, err);

	if (r < 0)
		return r;
	id = json_string_value(json_object_get(record, "id"));
	external = json_string_value(json_object_get(record, "external"));
	architecture = json_string_value(json_object_get(record, "architecture"));
	if (!digest_valid(id) || !architecture ||
	    record_read_layers(store, json_object_get(record, "layers"), &ret->layers, &ret->n_layers) < 0)
		return err_set(err, ENOENT, _("The image %.12s is no longer whole in the store"), key);
	ret->id = xstrdup(id);
	ret->external = xstrdup(external);
	ret->architecture = xstrdup(architecture);
	ret->machine = json_is_true(json_object_get(record, "machine"));
	return 0;
}

char *image_id(const struct image *image)
{
	_cleanup_digest_ struct digest *digest = digest_new();

	hash_text(digest, BUILDER);
	hash_text(digest, image->external);
	hash_text(digest, image->architecture);
	for (size_t i = 0; i < image->n_layers; i++)
		hash_text(digest, image->layers[i].sha256);
	return digest_hex(digest);
}

int image_record(const struct image_store *store, const char *key, const struct image_recipe *recipe, size_t n_base,
		 const struct image *image, struct err *err)
{
	_cleanup_(freep) char *path = store_path_suffix(store, "images", key, ".json");
	json_auto_t *record = json_object();

	json_object_set_new(record, "id", json_string(image->id));
	json_object_set_new(record, "recipe", json_string(recipe->name));
	json_object_set_new(record, "bundle", json_string(recipe->bundle));
	json_object_set_new(record, "suite", recipe->suite ? json_string(recipe->suite) : json_null());
	json_object_set_new(record, "machine", json_boolean(recipe->machine));
	json_object_set_new(record, "external", image->external ? json_string(image->external) : json_null());
	json_object_set_new(record, "architecture", json_string(image->architecture));
	json_object_set_new(record, "base", json_integer((json_int_t)n_base)); /* that many of the layers */
	json_object_set_new(record, "layers", record_layers(image->layers, image->n_layers));
	return record_write(store, path, record, err);
}

/* The lock of the key is held. */
static int make_image(struct build *build, const struct base *base, struct image *ret, struct err *err)
{
	struct image image = { .external = xstrdup(build->recipe->external),
			       .architecture = xstrdup(base->architecture),
			       .machine = build->recipe->machine };
	struct image_layer own = { 0 };
	int r;

	build->base = base->layers;
	build->n_base = base->n;
	r = build_layer(build, &own, err);
	if (r == 0) {
		image.layers = xcalloc(base->n + 1, sizeof(*image.layers));
		for (size_t i = 0; i < base->n; i++)
			image_layer_copy(&image.layers[image.n_layers++], &base->layers[i]);
		if (own.sha256)
			image.layers[image.n_layers++] = own;
		image.id = image_id(&image);
		r = image_record(build->store, build->key, build->recipe, base->n, &image, err);
	}
	if (r < 0)
		image_release(&image);
	else
		*ret = image;
	return r;
}

int image_find(struct image_store *store, const struct image_recipe *recipe, struct image *ret, struct err *err)
{
	_cleanup_(base_release) struct base base = { 0 };
	_cleanup_(freep) char *key = NULL;
	int r = build_check(recipe, err);

	if (r == 0)
		r = find_base(store, recipe, &base, err);
	if (r < 0)
		return r;
	key = image_key(recipe, &base);
	return load_image(store, key, ret, err);
}

int share_image_name(struct image_store *store, const struct image_recipe *recipe, char **ret, struct err *err)
{
	_cleanup_(base_release) struct base base = { 0 };
	int r = build_check(recipe, err);

	if (r == 0)
		r = find_base(store, recipe, &base, err);
	if (r == 0)
		*ret = image_key(recipe, &base);
	return r;
}

static int build_locked(struct build *build, struct image *ret, struct err *err)
{
	_cleanup_(base_release) struct base base = { 0 };
	_cleanup_(freep) char *key = NULL;
	_cleanup_(closep) int lock = -1;
	int r = build_base(build, &base, err);

	if (r < 0)
		return r;
	key = image_key(build->recipe, &base);
	lock = store_build_lock(build->store, key, true, err);
	if (lock < 0)
		return lock;
	if (load_image(build->store, key, ret, NULL) == 0)
		return 0; /* another builder made it while this one waited */
	build->key = key;
	return make_image(build, &base, ret, err);
}

/* Checks what is asked for and takes the store's lock; returns its descriptor. */
static int begin(struct build *build, int64_t timeout_ms, struct err *err)
{
	int r = build_check(build->recipe, err);

	if (r < 0)
		return r;
	build->deadline = clock_monotonic_ms() + (timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS);
	r = store_lock(build->store, STORE_SHARED, err);
	if (r >= 0)
		store_sweep_builds(build->store);
	return r;
}

int image_build(struct image_store *store, const struct image_recipe *recipe, int log_fd, int64_t timeout_ms,
		struct image *ret, struct err *err)
{
	struct build build = { .store = store, .recipe = recipe, .log_fd = log_fd };
	_cleanup_(closep) int lock = begin(&build, timeout_ms, err);

	return lock < 0 ? lock : build_locked(&build, ret, err);
}

int share_base_build(struct image_store *store, const struct image_recipe *recipe, int log_fd, int64_t timeout_ms,
		     struct err *err)
{
	struct build build = { .store = store, .recipe = recipe, .log_fd = log_fd };
	_cleanup_(base_release) struct base base = { 0 };
	_cleanup_(closep) int lock = begin(&build, timeout_ms, err);

	return lock < 0 ? lock : build_base(&build, &base, err);
}

int image_base_renew(struct image_store *store, const struct image_base *base, int log_fd, int64_t timeout_ms,
		     struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + (timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS);
	struct image_layer layer = { 0 };
	_cleanup_(closep) int lock = -1;
	int r;

	if (!base_suite_valid(base->suite))
		return err_set(err, EINVAL, _("'%s' is not a name of a Debian suite"), base->suite ? base->suite : "");
	lock = store_lock(store, STORE_SHARED, err);
	if (lock < 0)
		return lock;
	r = base_build(store, base, true, log_fd, deadline, &layer, err);
	image_layer_release(&layer);
	return r;
}
