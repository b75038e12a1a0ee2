/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/untar.h"

char *store_path(const struct image_store *store, const char *kind, const char *name)
{
	return xasprintf("%s/%s/%s", store->root, kind, name);
}

char *store_path_suffix(const struct image_store *store, const char *kind, const char *name, const char *suffix)
{
	return xasprintf("%s/%s/%s%s", store->root, kind, name, suffix);
}

int image_store_open(const char *root, struct image_store **ret, struct err *err)
{
	static const char *const kinds[] = { "bundles", "layers", "rootfs", "bases", "archives", "images", "build" };
	_cleanup_(image_store_freep) struct image_store *store = xcalloc(1, sizeof(*store));

	store->root = xstrdup(root ? root : "/var/lib/tepuy/store");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_(freep) char *dir = fs_join(store->root, kinds[i]);
		int r = fs_mkdirs(dir, 0755, err);

		if (r < 0) {
			err_wrap(err, _("Cannot use the store %s"), store->root);
			return r;
		}
	}
	/* Layers hold what root may read in an image; nobody else shall read it here. */
	if (chmod(store->root, 0700) < 0)
		return err_errno(err, errno, _("Cannot use the store %s"), store->root);
	*ret = TAKE_PTR(store);
	return 0;
}

void image_store_set_sources(struct image_store *store, const char *sources)
{
	free(store->sources);
	store->sources = xstrdup(sources);
}

void image_store_free(struct image_store *store)
{
	if (!store)
		return;
	free(store->root);
	free(store->sources);
	free(store);
}

void image_store_freep(struct image_store **store)
{
	image_store_free(*store);
}

/* Takes a flock; -EBUSY instead of waiting when not `wait`. */
static int lock_file(const char *path, int how, bool wait, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot open %s"), path);
	do
		r = flock(fd, how | (wait ? 0 : LOCK_NB));
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EWOULDBLOCK)
		return err_set(err, EBUSY, _("%s is held by another process"), path);
	if (r < 0)
		return err_errno(err, errno, _("Cannot lock %s"), path);
	r = fd;
	fd = -1;
	return r;
}

int store_lock(struct image_store *store, enum store_lock_kind kind, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(store->root, "lock");

	return lock_file(path, kind == STORE_SHARED ? LOCK_SH : LOCK_EX, kind == STORE_SHARED, err);
}

int store_build_lock(struct image_store *store, const char *key, bool wait, struct err *err)
{
	_cleanup_(freep) char *path = store_path_suffix(store, "build", key, ".lock");

	return lock_file(path, LOCK_EX, wait, err);
}

int store_build_directory(struct image_store *store, const char *key, char **ret_path, struct err *err)
{
	_cleanup_(freep) char *path = store_path(store, "build", key);
	int r = fs_remove_tree(path, err);

	if (r < 0)
		return r;
	if (mkdir(path, 0755) < 0)
		return store_write_error(store, errno, path, err);
	*ret_path = TAKE_PTR(path);
	return 0;
}

void store_sweep_builds(struct image_store *store)
{
	_cleanup_(freep) char *dir = fs_join(store->root, "build");
	DIR *stream = opendir(dir);
	struct dirent *e;

	while (stream && (e = readdir(stream))) {
		_cleanup_(closep) int lock = -1;
		_cleanup_(freep) char *key = xstrdup(e->d_name), *path = NULL;

		if (e->d_name[0] == '.' || !text_ends(key, ".lock"))
			continue;
		key[strlen(key) - strlen(".lock")] = '\0';
		path = store_path(store, "build", key);
		if (access(path, F_OK) < 0)
			continue;
		lock = store_build_lock(store, key, false, NULL);
		if (lock >= 0)
			fs_remove_tree(path, NULL);
	}
	if (stream)
		closedir(stream);
}

int store_write_error(const struct image_store *store, int code, const char *path, struct err *err)
{
	if (code == ENOSPC || code == EDQUOT)
		return err_set(err, ENOSPC,
			       _("The disk that holds %s is full: make room on it, or move the store to a larger one"),
			       store->root);
	return err_errno(err, code, _("Cannot write %s"), path);
}

static int sync_path(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int store_adopt_layer(struct image_store *store, const char *path, const char *sha256, struct image_layer *ret,
		      struct err *err)
{
	_cleanup_(freep) char *final = store_path_suffix(store, "layers", sha256, ".tar");
	int r = sync_path(path);

	if (r == 0 && rename(path, final) < 0)
		r = -errno;
	if (r == 0)
		r = store_layer(store, sha256, ret);
	return r < 0 ? store_write_error(store, -r, final, err) : 0;
}

int store_layer(const struct image_store *store, const char *sha256, struct image_layer *ret)
{
	_cleanup_(freep) char *path = store_path_suffix(store, "layers", sha256, ".tar");
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*ret = (struct image_layer){ xstrdup(sha256), TAKE_PTR(path), (uint64_t)st.st_size };
	return 0;
}

/* Unpacks beside the final place. Flushed before the rename: a half-written lower directory would spoil every build. */
static int unpack_rootfs(struct image_store *store, const struct image_layer *layer, const char *temporary,
			 const char *final, struct err *err)
{
	_cleanup_(closep) int fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : untar_layer(layer->path, fd, err);

	if (fd >= 0 && r < 0)
		return r == -ENOSPC ? store_write_error(store, ENOSPC, final, err) : r;
	if (r == 0 && (fchmod(fd, 0755) < 0 || syncfs(fd) < 0))
		r = -errno;
	if (r == 0 && rename(temporary, final) < 0 && errno != EEXIST && errno != ENOTEMPTY)
		r = -errno;
	return r < 0 ? store_write_error(store, -r, final, err) : 0;
}

int store_rootfs(struct image_store *store, const struct image_layer *layer, char **ret_path, struct err *err)
{
	_cleanup_(freep) char *final = store_path(store, "rootfs", layer->sha256), *temporary = NULL, *key = NULL;
	_cleanup_(closep) int lock = -1;
	int r = 0;

	key = xasprintf("rootfs-%s", layer->sha256);
	lock = store_build_lock(store, key, true, err);
	if (lock < 0)
		return lock;
	if (access(final, F_OK) < 0) {
		r = store_build_directory(store, key, &temporary, err);
		if (r == 0)
			r = unpack_rootfs(store, layer, temporary, final, err);
		if (temporary)
			fs_remove_tree(temporary, NULL);
	}
	if (r == 0)
		*ret_path = TAKE_PTR(final);
	return r;
}

void image_layer_release(struct image_layer *layer)
{
	if (!layer)
		return;
	free(layer->sha256);
	free(layer->path);
	*layer = (struct image_layer){ 0 };
}

void image_layer_copy(struct image_layer *to, const struct image_layer *from)
{
	*to = (struct image_layer){ xstrdup(from->sha256), xstrdup(from->path), from->size };
}
