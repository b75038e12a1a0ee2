/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/archive-base.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

#define MOST_JSON ((size_t)4 << 20)
#define MOST_LAYERS 128 /* as Docker */
#define MOST_LAYER ((uint64_t)64 << 30)
#define MOST_PASSES 4 /* over the file: the manifest may come last, and layers may be links to others */

struct taker {
	struct image_store *store;
	const char *name; /* the archive as the recipe has it, for messages */
	char *dir;        /* working directory */
	int fd;
	struct buf manifest, config;
	bool is_tree; /* has what every root file system has */
	char *config_name;
	struct strv wanted; /* names of the layers' files, lowest first */
	struct image_layer *layers;
	char *architecture;
};

typedef int (*entry_fn)(struct taker *t, struct archive *a, struct archive_entry *e, const char *path, struct err *err);

static void taker_release(struct taker *t)
{
	if (t->dir)
		fs_remove_tree(t->dir, NULL);
	free(t->dir);
	closep(&t->fd);
	buf_release(&t->manifest);
	buf_release(&t->config);
	free(t->config_name);
	for (size_t i = 0; t->layers && i < t->wanted.n; i++)
		image_layer_release(&t->layers[i]);
	free(t->layers);
	strv_release(&t->wanted);
	free(t->architecture);
}

static int damaged(struct taker *t, struct err *err)
{
	return err_set(err, EBADMSG,
		       _("The archive %s is damaged, or neither the tar of a root file system nor an image that "
			 "`docker save` wrote"),
		       t->name);
}

static int open_archive(struct image_store *store, const struct image_recipe *recipe, struct err *err)
{
	_cleanup_(freep) char *bundle = NULL;
	_cleanup_(closep) int dir = -1;
	int fd, r;

	if (recipe->archive[0] == '/') {
		fd = open(recipe->archive, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		return fd < 0 ? err_errno(err, errno, _("Cannot read the archive %s"), recipe->archive) : fd;
	}
	r = bundle_directory(store, recipe->bundle, &bundle, err);
	if (r < 0)
		return r;
	dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = beneath_open(dir, recipe->archive, O_RDONLY, 0, BENEATH_FOLLOW);
	return fd < 0 ? err_errno(err, -fd, _("Cannot read the archive %s of the recipe %s"), recipe->archive,
				  recipe->name)
		      : fd;
}

/* What stands for the open file without reading it; the caller owns it. */
static int archive_key(int fd, char **ret, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, _("Cannot read the archive"));
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, _("The archive of an image must be a regular file"));
	text =
	    xasprintf("%ju %ju %jd %jd.%ld %jd.%ld", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
		      (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	*ret = digest_of(text, strlen(text));
	return 0;
}

static int find_record(struct image_store *store, const char *key, struct image_layer **ret, size_t *ret_n,
		       char **ret_architecture, struct err *err)
{
	_cleanup_(freep) char *path = store_path_suffix(store, "archives", key, ".json");
	json_auto_t *record = NULL;
	const char *architecture;
	int r = record_read(path, &record, err);

	if (r < 0)
		return r;
	architecture = json_string_value(json_object_get(record, "architecture"));
	if (!architecture || record_read_layers(store, json_object_get(record, "layers"), ret, ret_n) < 0)
		return err_set(err, ENOENT, _("The layers of the archive are no longer in the store"));
	*ret_architecture = xstrdup(architecture);
	return 0;
}

static la_ssize_t read_outer(struct archive *inner, void *data, const void **ret)
{
	static _Thread_local char chunk[65536];

	(void)inner;
	*ret = chunk;
	return archive_read_data(data, chunk, sizeof(chunk));
}

/* Bytes of `inner`, decompressed, to the file `to`; `*ret_sha256` is the hash of what was written. */
static int decode(struct taker *t, struct archive *inner, const char *to, char **ret_sha256, struct err *err)
{
	_cleanup_(closep) int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	_cleanup_digest_ struct digest *digest = digest_new();
	struct archive_entry *entry;
	uint64_t total = 0;
	char chunk[65536];
	la_ssize_t n;
	int r = 0;

	if (fd < 0)
		return store_write_error(t->store, errno, to, err);
	if (archive_read_next_header(inner, &entry) != ARCHIVE_OK)
		return damaged(t, err);
	while (r == 0 && (n = archive_read_data(inner, chunk, sizeof(chunk))) != 0) {
		if (n < 0 || (total += (uint64_t)n) > MOST_LAYER)
			return damaged(t, err);
		digest_add(digest, chunk, (size_t)n);
		r = fs_write_all(fd, chunk, (size_t)n);
	}
	if (r < 0)
		return store_write_error(t->store, -r, to, err);
	*ret_sha256 = digest_hex(digest);
	return 0;
}

static struct archive *raw_reader(void)
{
	struct archive *inner = archive_read_new();

	archive_read_support_format_raw(inner);
	archive_read_support_filter_all(inner);
	return inner;
}

/* Takes layer number `i` from the present entry of the outer archive (NULL: the whole file). */
static int take_layer(struct taker *t, size_t i, struct archive *outer, struct err *err)
{
	_cleanup_(freep) char *to = xasprintf("%s/%zu.tar", t->dir, i), *sha256 = NULL;
	struct archive *inner = raw_reader();
	int r;

	if (outer)
		r = archive_read_open(inner, outer, NULL, read_outer, NULL);
	else
		r = lseek(t->fd, 0, SEEK_SET) < 0 ? ARCHIVE_FATAL : archive_read_open_fd(inner, t->fd, (size_t)1 << 18);
	r = r == ARCHIVE_OK ? decode(t, inner, to, &sha256, err) : damaged(t, err);
	archive_read_free(inner);
	return r < 0 ? r : store_adopt_layer(t->store, to, sha256, &t->layers[i], err);
}

static int read_json(struct taker *t, struct archive *a, struct buf *to, struct err *err)
{
	la_ssize_t n;

	to->len = 0;
	while ((n = archive_read_data(a, buf_reserve(to, 65536), 65536)) > 0) {
		to->len += (size_t)n;
		if (to->len > MOST_JSON)
			return damaged(t, err);
	}
	return n < 0 ? damaged(t, err) : 0;
}

/* One pass over the archive; `fn` returns 1 to end it. */
static int pass(struct taker *t, entry_fn fn, struct err *err)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	int r = 0, status = ARCHIVE_FATAL;

	archive_read_support_format_tar(a);
	archive_read_support_filter_all(a);
	if (lseek(t->fd, 0, SEEK_SET) == 0 && archive_read_open_fd(a, t->fd, (size_t)1 << 18) == ARCHIVE_OK)
		while (r == 0 && ((status = archive_read_next_header(a, &e)) == ARCHIVE_OK || status == ARCHIVE_WARN)) {
			const char *path = archive_entry_pathname(e);

			while (path && (text_starts(path, "./") || path[0] == '/'))
				path += path[0] == '.' ? 2 : 1;
			r = path ? fn(t, a, e, path, err) : 0;
		}
	if (r == 0 && status != ARCHIVE_EOF)
		r = damaged(t, err);
	archive_read_free(a);
	return r < 0 ? r : 0;
}

static int look(struct taker *t, struct archive *a, struct archive_entry *e, const char *path, struct err *err)
{
	(void)e;
	if (text_starts(path, "etc/") || text_starts(path, "usr/") || text_starts(path, "bin/"))
		t->is_tree = true;
	if (strcmp(path, "manifest.json") != 0)
		return 0;
	return read_json(t, a, &t->manifest, err) < 0 ? -EBADMSG : 1;
}

/* Where a link entry points, from the top of the archive; the caller owns it. */
static char *link_target(struct archive_entry *e, const char *path)
{
	const char *link = archive_entry_symlink(e), *slash = strrchr(path, '/');
	size_t above = slash ? (size_t)(slash - path) : 0;

	if (!link)
		return xstrdup(archive_entry_hardlink(e));
	while (text_starts(link, "../")) {
		link += 3;
		while (above && path[--above] != '/')
			;
	}
	return above ? xasprintf("%.*s/%s", (int)above, path, link) : xstrdup(link);
}

static int collect(struct taker *t, struct archive *a, struct archive_entry *e, const char *path, struct err *err)
{
	_cleanup_(freep) char *target = link_target(e, path);
	size_t first = SIZE_MAX;
	int r;

	if (t->config_name && strcmp(path, t->config_name) == 0)
		return read_json(t, a, &t->config, err);
	for (size_t i = 0; i < t->wanted.n; i++) {
		if (t->layers[i].sha256 || strcmp(t->wanted.v[i], path) != 0)
			continue;
		if (target) {
			free(t->wanted.v[i]);
			t->wanted.v[i] = xstrdup(target);
		} else if (first == SIZE_MAX) {
			r = take_layer(t, i, a, err);
			if (r < 0)
				return r;
			first = i;
		} else {
			image_layer_copy(&t->layers[i], &t->layers[first]);
		}
	}
	return 0;
}

static int read_manifest(struct taker *t, struct err *err)
{
	json_auto_t *manifest = json_loadb(buf_text(&t->manifest), t->manifest.len, 0, NULL);
	const json_t *image = json_array_get(manifest, 0), *layers = json_object_get(image, "Layers");
	const char *config = json_string_value(json_object_get(image, "Config"));

	if (!config || !json_array_size(layers) || json_array_size(layers) > MOST_LAYERS)
		return damaged(t, err);
	if (json_array_size(manifest) != 1)
		return err_set(err, EINVAL, _("The archive %s holds more than one image: save one alone"), t->name);
	t->config_name = xstrdup(config);
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const char *name = json_string_value(json_array_get(layers, i));

		if (!name)
			return damaged(t, err);
		strv_add(&t->wanted, name);
	}
	return 0;
}

/* The configuration names every layer's hash, so a damaged archive shows; and the architecture. */
static int check_config(struct taker *t, struct err *err)
{
	json_auto_t *config = json_loadb(buf_text(&t->config), t->config.len, 0, NULL);
	const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	const char *architecture = json_string_value(json_object_get(config, "architecture"));

	if (!architecture || json_array_size(ids) != t->wanted.n)
		return damaged(t, err);
	for (size_t i = 0; i < t->wanted.n; i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (!id || !text_starts(id, "sha256:") || !t->layers[i].sha256 ||
		    strcmp(id + 7, t->layers[i].sha256) != 0)
			return damaged(t, err);
	}
	t->architecture = xstrdup(architecture);
	return 0;
}

static int take_docker(struct taker *t, struct err *err)
{
	int r = read_manifest(t, err);

	if (r < 0)
		return r;
	t->layers = xcalloc(t->wanted.n, sizeof(*t->layers));
	for (int passes = 0; r == 0 && passes < MOST_PASSES; passes++) {
		size_t missing = 0;

		r = pass(t, collect, err);
		for (size_t i = 0; i < t->wanted.n; i++)
			missing += t->layers[i].sha256 == NULL;
		if (!missing && t->config.len)
			break;
	}
	return r < 0 ? r : check_config(t, err);
}

static int take_tree(struct taker *t, struct err *err)
{
	if (!t->is_tree)
		return damaged(t, err);
	strv_add(&t->wanted, "");
	t->layers = xcalloc(1, sizeof(*t->layers));
	t->architecture = xstrdup(base_architecture());
	return take_layer(t, 0, NULL, err);
}

static int save_record(struct taker *t, const char *key, struct err *err)
{
	_cleanup_(freep) char *path = store_path_suffix(t->store, "archives", key, ".json");
	json_auto_t *record = json_object();

	json_object_set_new(record, "architecture", json_string(t->architecture));
	json_object_set_new(record, "layers", record_layers(t->layers, t->wanted.n));
	return record_write(t->store, path, record, err);
}

static int take(struct taker *t, const char *key, struct err *err)
{
	int r = pass(t, look, err);

	if (r == 0)
		r = t->manifest.len ? take_docker(t, err) : take_tree(t, err);
	if (r == 0 && strcmp(t->architecture, base_architecture()) != 0)
		r = err_set(err, EINVAL, _("The archive %s is for the architecture %s, and this host is %s"), t->name,
			    t->architecture, base_architecture());
	return r < 0 ? r : save_record(t, key, err);
}

int archive_find(struct image_store *store, const struct image_recipe *recipe, struct image_layer **ret, size_t *ret_n,
		 char **ret_architecture, struct err *err)
{
	_cleanup_(closep) int fd = open_archive(store, recipe, err);
	_cleanup_(freep) char *key = NULL;
	int r = fd < 0 ? fd : archive_key(fd, &key, err);

	return r < 0 ? r : find_record(store, key, ret, ret_n, ret_architecture, err);
}

int archive_take(struct image_store *store, const struct image_recipe *recipe, struct image_layer **ret, size_t *ret_n,
		 char **ret_architecture, struct err *err)
{
	_cleanup_(taker_release) struct taker t = { .store = store, .name = recipe->archive, .fd = -1 };
	_cleanup_(freep) char *key = NULL, *work = NULL;
	_cleanup_(closep) int lock = -1;
	int r;

	t.fd = open_archive(store, recipe, err);
	r = t.fd < 0 ? t.fd : archive_key(t.fd, &key, err);
	if (r < 0)
		return r;
	work = xasprintf("archive-%s", key);
	lock = store_build_lock(store, work, true, err);
	if (lock < 0)
		return lock;
	if (find_record(store, key, ret, ret_n, ret_architecture, NULL) == 0)
		return 0;
	r = store_build_directory(store, work, &t.dir, err);
	if (r == 0)
		r = take(&t, key, err);
	return r < 0 ? r : find_record(store, key, ret, ret_n, ret_architecture, err);
}
