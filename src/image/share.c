/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/share.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/base.h"
#include "image/beneath.h"
#include "image/digest.h"
#include "image/record.h"

#define BASE "base-"
#define BUNDLE "bundle-"

char *share_base_name(const struct image_base *base)
{
	_cleanup_(freep) char *name = base_name(base);

	return xasprintf(BASE "%s", name);
}

char *share_bundle_name(const char *sha256)
{
	return xasprintf(BUNDLE "%s", sha256);
}

int share_base(struct image_store *store, const struct image_base *base, char **ret_id, uint64_t *ret_size,
	       struct err *err)
{
	struct image_layer layer = { 0 };
	int r = base_find(store, base, &layer, err);

	if (r < 0)
		return r;
	*ret_id = TAKE_PTR(layer.sha256);
	*ret_size = layer.size;
	image_layer_release(&layer);
	return 0;
}

int share_base_take(struct image_store *store, const struct image_base *base, const char *layer, struct err *err)
{
	struct image_layer found = { 0 };

	if (!base_suite_valid(base->suite) || !digest_valid(layer) || store_layer(store, layer, &found) < 0)
		return err_set(err, ENOENT, _("The base system %s is not in the store"),
			       base->suite ? base->suite : "");
	image_layer_release(&found);
	return base_record(store, base, layer, err);
}

int share_image(struct image_store *store, const char *name, char **ret_id, struct err *err)
{
	_cleanup_(freep) char *path = NULL;
	struct image_layer *layers = NULL;
	json_auto_t *record = NULL;
	const char *id;
	size_t n = 0;
	int r;

	if (!digest_valid(name))
		return err_set(err, EINVAL, _("'%s' is not the name of an image"), name ? name : "");
	path = store_path_suffix(store, "images", name, ".json");
	r = record_read(path, &record, err);
	if (r < 0)
		return r;
	id = json_string_value(json_object_get(record, "id"));
	if (!digest_valid(id) || record_read_layers(store, json_object_get(record, "layers"), &layers, &n) < 0)
		return err_set(err, ENOENT, _("The image %.12s is no longer whole in the store"), name);
	for (size_t i = 0; i < n; i++)
		image_layer_release(&layers[i]);
	free(layers);
	*ret_id = xstrdup(id);
	return 0;
}

/* --- records --- */

void share_record_release(struct share_record *record)
{
	if (!record)
		return;
	free(record->id);
	free(record->external);
	free(record->architecture);
	for (size_t i = 0; i < record->n_layers; i++)
		free(record->layers[i].sha256);
	free(record->layers);
	*record = (struct share_record){ 0 };
}

static char *id_of_record(const struct share_record *record)
{
	struct image_layer *layers = xcalloc(record->n_layers + 1, sizeof(*layers));
	struct image image = { .external = record->external,
			       .architecture = record->architecture,
			       .layers = layers,
			       .n_layers = record->n_layers };
	char *id;

	for (size_t i = 0; i < record->n_layers; i++)
		layers[i].sha256 = record->layers[i].sha256;
	id = image_id(&image);
	free(layers);
	return id;
}

static bool read_layers(const json_t *array, struct share_record *record)
{
	size_t n = json_array_size(array);

	if (!json_is_array(array) || n > SHARE_MOST_LAYERS)
		return false;
	record->layers = xcalloc(n + 1, sizeof(*record->layers));
	for (size_t i = 0; i < n; i++) {
		const json_t *layer = json_array_get(array, i);
		const char *sha256 = json_string_value(json_object_get(layer, "sha256"));
		json_int_t size = json_integer_value(json_object_get(layer, "size"));

		if (!digest_valid(sha256) || size <= 0 || (uint64_t)size > SHARE_MOST_LAYER)
			return false;
		record->layers[record->n_layers++] = (struct share_layer){ xstrdup(sha256), (uint64_t)size };
	}
	return true;
}

static bool read_record(const json_t *json, struct share_record *record)
{
	const char *id = json_string_value(json_object_get(json, "id"));
	const char *architecture = json_string_value(json_object_get(json, "architecture"));
	json_int_t base = json_integer_value(json_object_get(json, "base"));
	_cleanup_(freep) char *is = NULL;

	if (!digest_valid(id) || !architecture || !read_layers(json_object_get(json, "layers"), record) || base < 0 ||
	    (uint64_t)base > record->n_layers)
		return false;
	record->id = xstrdup(id);
	record->external = xstrdup(json_string_value(json_object_get(json, "external")));
	record->architecture = xstrdup(architecture);
	record->n_base = (size_t)base;
	is = id_of_record(record);
	return strcmp(is, id) == 0;
}

int share_record_parse(const void *text, size_t len, struct share_record *ret, struct err *err)
{
	_cleanup_share_record_ struct share_record record = { 0 };
	json_auto_t *json = len > SHARE_MOST_RECORD ? NULL : json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(json) || !read_record(json, &record))
		return err_set(err, EBADMSG, _("The list of an image's layers is damaged"));
	*ret = record;
	record = (struct share_record){ 0 };
	return 0;
}

int share_image_take(struct image_store *store, const char *name, const struct image_recipe *recipe,
		     const struct share_record *record, struct err *err)
{
	struct image image = { .id = record->id,
			       .external = record->external,
			       .architecture = record->architecture,
			       .layers = xcalloc(record->n_layers + 1, sizeof(*image.layers)) };
	int r = 0;

	for (; r == 0 && image.n_layers < record->n_layers; image.n_layers += r == 0)
		r = store_layer(store, record->layers[image.n_layers].sha256, &image.layers[image.n_layers]);
	r = r < 0 ? err_set(err, ENOENT, _("The image %.12s is no longer whole in the store"), name)
		  : image_record(store, name, recipe, record->n_base, &image, err);
	for (size_t i = 0; i < image.n_layers; i++)
		image_layer_release(&image.layers[i]);
	free(image.layers);
	return r;
}

/* --- giving --- */

static int open_file(const char *path, const char *name, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
		errno = ENOENT;
	}
	if (fd < 0)
		return err_errno(err, errno, _("%.12s cannot be read from the store"), name);
	*ret_fd = fd;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* The store keeps recipes unpacked; packing is canonical, so that the same bytes come again. In a file without a name,
 * as many hosts may ask at once. */
static int open_bundle(struct image_store *store, const char *name, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	_cleanup_(freep) char *dir = NULL, *is = NULL, *work = fs_join(store->root, "build");
	_cleanup_(closep) int fd = -1;
	_cleanup_buf_ struct buf tar = { 0 };
	int r = bundle_directory(store, name, &dir, err);

	if (r == 0)
		r = bundle_pack(dir, &tar, &is, err);
	if (r < 0)
		return r;
	if (!is || strcmp(is, name) != 0)
		return err_set(err, ENOENT, _("The bundle %.12s was changed in %s and is not given to others"), name,
			       store->root);
	fd = open(work, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : fs_write_all(fd, tar.data, tar.len);
	if (r < 0)
		return store_write_error(store, -r, work, err);
	*ret_fd = fd;
	*ret_size = tar.len;
	fd = -1;
	return 0;
}

int share_open(struct image_store *store, enum share_kind kind, const char *name, int *ret_fd, uint64_t *ret_size,
	       struct err *err)
{
	_cleanup_(freep) char *path = NULL;

	if (!digest_valid(name))
		return err_set(err, EINVAL, _("'%.80s' is no sha256"), name ? name : "");
	if (kind == SHARE_BUNDLE)
		return open_bundle(store, name, ret_fd, ret_size, err);
	path = kind == SHARE_LAYER ? store_path_suffix(store, "layers", name, ".tar")
				   : store_path_suffix(store, "images", name, ".json");
	return open_file(path, name, ret_fd, ret_size, err);
}

static void add_share(struct shares *shares, const char *name, const char *id, uint64_t size)
{
	shares->v = xreallocarray(shares->v, shares->n + 1, sizeof(*shares->v));
	shares->v[shares->n++] = (struct share){ xstrdup(name), xstrdup(id), size };
}

static void add_base(struct image_store *store, struct shares *shares, const char *file)
{
	_cleanup_(freep) char *suite = NULL, *id = NULL, *name = NULL, *base = NULL;
	struct image_base what = { 0 };
	uint64_t size;

	if (!text_ends(file, ".json"))
		return;
	base = xstrndup(file, strlen(file) - strlen(".json"));
	if (!base_of_name(base, &suite, &what.machine))
		return;
	what.suite = suite;
	if (share_base(store, &what, &id, &size, NULL) < 0)
		return;
	name = share_base_name(&what);
	add_share(shares, name, id, size);
}

static void add_image(struct image_store *store, struct shares *shares, const char *file)
{
	_cleanup_(freep) char *name = xstrndup(file, strcspn(file, ".")), *id = NULL;

	if (share_image(store, name, &id, NULL) == 0)
		add_share(shares, name, id, 0);
}

static void add_bundle(struct image_store *store, struct shares *shares, const char *file)
{
	_cleanup_(freep) char *name = share_bundle_name(file);

	if (bundle_present(store, file))
		add_share(shares, name, file, 0);
}

int share_list(struct image_store *store, struct shares *ret, struct err *err)
{
	static const struct {
		const char *kind;
		void (*add)(struct image_store *store, struct shares *shares, const char *file);
	} kinds[] = { { "bases", add_base }, { "bundles", add_bundle }, { "images", add_image } };

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		_cleanup_(freep) char *path = fs_join(store->root, kinds[k].kind);
		_cleanup_(closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_cleanup_strv_ struct strv names = { 0 };
		int r = dir < 0 ? -errno : beneath_list(dir, &names);

		if (r < 0) {
			shares_release(ret);
			return err_errno(err, -r, _("Cannot read %s"), path);
		}
		for (size_t i = 0; i < names.n; i++)
			kinds[k].add(store, ret, names.v[i]);
	}
	return 0;
}

void shares_release(struct shares *shares)
{
	for (size_t i = 0; i < shares->n; i++) {
		free(shares->v[i].name);
		free(shares->v[i].id);
	}
	free(shares->v);
	*shares = (struct shares){ 0 };
}
