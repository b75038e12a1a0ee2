/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A recipe's directory as one canonical tar: entries of a directory in the order of their names' bytes, each directory
 * right before its contents; owner 0:0, time 0, modes 0644 and 0755; no entry for the top. The same files give the same
 * bytes wherever they are packed, so the hash is an identity.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "image/beneath.h"
#include "image/digest.h"
#include "image/store.h"
#include "image/tar-write.h"
#include "image/untar.h"

#define DEEPEST 32

struct bundler {
	const char *top; /* for messages */
	struct tar_writer *tar;
	struct buf *to;
	size_t entries;
};

static int pack_directory(struct bundler *b, int dir, const char *prefix, int depth, struct err *err);

static int keep(void *data, const void *bytes, size_t len)
{
	struct buf *to = data;

	if (len > UNTAR_MOST_BYTES - to->len)
		return -EFBIG;
	buf_add(to, bytes, len);
	return 0;
}

static int cannot_pack(struct bundler *b, int code, const char *path, struct err *err)
{
	if (code == EFBIG)
		return err_set(err, EFBIG,
			       _("The recipe in %s is larger than 64 MiB: fetch large files in a build step instead"),
			       b->top);
	if (code == EINVAL)
		return err_set(err, EAGAIN, _("The file %s/%s changed while it was read: try again"), b->top, path);
	return err_errno(err, code, _("Cannot read %s/%s"), b->top, path);
}

static int pack_file(struct bundler *b, int dir, const char *name, const char *path, struct err *err)
{
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct tar_entry entry = { .path = path, .mode = S_IFREG };
	struct stat st;
	char chunk[32768];
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return cannot_pack(b, errno, path, err);
	entry.mode |= st.st_mode & 0100 ? 0755 : 0644;
	entry.size = (uint64_t)st.st_size;
	if (entry.size > UNTAR_MOST_BYTES)
		return cannot_pack(b, EFBIG, path, err);
	r = tar_add(b->tar, &entry);
	while (r == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0)
		r = n < 0 ? -errno : tar_data(b->tar, chunk, (size_t)n);
	return r < 0 ? cannot_pack(b, -r, path, err) : 0;
}

static int pack_link(struct bundler *b, int dir, const char *name, const char *path, int depth, struct err *err)
{
	char target[UNTAR_MOST_PATH + 1];
	struct tar_entry entry = { .path = path, .mode = S_IFLNK | 0777, .link = target };
	ssize_t n = readlinkat(dir, name, target, sizeof(target));
	int r;

	if (n < 0)
		return cannot_pack(b, errno, path, err);
	if (n == sizeof(target))
		return cannot_pack(b, ENAMETOOLONG, path, err);
	target[n] = '\0';
	if (!untar_link_stays(target, (size_t)depth))
		return err_set(err, EINVAL,
			       _("The link %s/%s leads out of the recipe: a recipe carries all that it needs, so copy "
				 "the file or make the link relative"),
			       b->top, path);
	r = tar_add(b->tar, &entry);
	return r < 0 ? cannot_pack(b, -r, path, err) : 0;
}

static int pack_subdirectory(struct bundler *b, int dir, const char *name, const char *path, int depth, struct err *err)
{
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tar_entry entry = { .path = path, .mode = S_IFDIR | 0755 };
	int r;

	if (fd < 0)
		return cannot_pack(b, errno, path, err);
	r = tar_add(b->tar, &entry);
	return r < 0 ? cannot_pack(b, -r, path, err) : pack_directory(b, fd, path, depth + 1, err);
}

static int pack_entry(struct bundler *b, int dir, const char *name, const char *path, int depth, struct err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cannot_pack(b, errno, path, err);
	if (++b->entries > UNTAR_MOST_ENTRIES)
		return err_set(err, EFBIG, _("The recipe in %s has more than %d files"), b->top, UNTAR_MOST_ENTRIES);
	if (depth >= DEEPEST || strlen(path) > UNTAR_MOST_PATH)
		return cannot_pack(b, ENAMETOOLONG, path, err);
	if (S_ISREG(st.st_mode))
		return pack_file(b, dir, name, path, err);
	if (S_ISDIR(st.st_mode))
		return pack_subdirectory(b, dir, name, path, depth, err);
	if (S_ISLNK(st.st_mode))
		return pack_link(b, dir, name, path, depth, err);
	return err_set(err, EINVAL, _("%s/%s is neither a file nor a directory nor a link: take it out of the recipe"),
		       b->top, path);
}

static int pack_directory(struct bundler *b, int dir, const char *prefix, int depth, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = beneath_list(dir, &names);

	if (r < 0)
		return cannot_pack(b, -r, prefix, err);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		_cleanup_(freep) char *path = *prefix ? fs_join(prefix, names.v[i]) : xstrdup(names.v[i]);

		if (strcmp(path, ".git") != 0)
			r = pack_entry(b, dir, names.v[i], path, depth, err);
	}
	return r;
}

int bundle_pack(const char *dir, struct buf *to, char **ret_sha256, struct err *err)
{
	_cleanup_(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buf_ struct buf tar = { 0 };
	_cleanup_tar_ struct tar_writer *writer = tar_new(keep, &tar);
	struct bundler b = { .top = dir, .tar = writer, .to = &tar };
	int r;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot read the recipe in %s"), dir);
	r = pack_directory(&b, fd, "", 0, err);
	if (r < 0)
		return r;
	r = tar_finish(writer);
	if (r < 0)
		return cannot_pack(&b, -r, "", err);
	*ret_sha256 = digest_of(tar.data, tar.len);
	buf_add(to, tar.data, tar.len);
	return 0;
}

/* Unpacks beside the final place and renames: a bundle is there whole or not at all. */
static int unpack_to(struct image_store *store, const char *final, const void *tar, size_t len, struct err *err)
{
	_cleanup_(freep) char *temporary = store_path(store, "build", "bundle-XXXXXX");
	_cleanup_(closep) int fd = -1;
	int r;

	if (!mkdtemp(temporary))
		return err_errno(err, errno, _("Cannot make a directory in %s"), store->root);
	fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? err_errno(err, errno, _("Cannot open %s"), temporary) : untar_bundle(tar, len, fd, err);
	if (r == 0 && (fchmod(fd, 0755) < 0 || syncfs(fd) < 0))
		r = err_errno(err, errno, _("Cannot write %s"), temporary);
	if (r == 0 && rename(temporary, final) < 0 && errno != EEXIST && errno != ENOTEMPTY)
		r = err_errno(err, errno, _("Cannot write %s"), final);
	fs_remove_tree(temporary, NULL);
	return r;
}

int bundle_store(struct image_store *store, const char *sha256, const void *tar, size_t len, struct err *err)
{
	_cleanup_(freep) char *final = NULL, *real = NULL;
	_cleanup_(closep) int lock = -1;
	int r;

	if (!digest_valid(sha256))
		return err_set(err, EINVAL, _("'%s' is not the name of a bundle"), sha256 ? sha256 : "");
	if (len > UNTAR_MOST_BYTES)
		return err_set(err, EFBIG, _("The bundle is larger than 64 MiB"));
	real = digest_of(tar, len);
	if (strcmp(real, sha256) != 0)
		return err_set(err, EBADMSG,
			       _("The bundle %.12s was changed on its way (its content is %.12s): send it again"),
			       sha256, real);
	lock = store_lock(store, STORE_SHARED, err);
	if (lock < 0)
		return lock;
	final = store_path(store, "bundles", sha256);
	if (access(final, F_OK) == 0)
		return 0;
	r = unpack_to(store, final, tar, len, err);
	if (r < 0)
		err_wrap(err, _("Cannot keep the bundle %.12s"), sha256);
	return r;
}

bool bundle_present(struct image_store *store, const char *sha256)
{
	_cleanup_(freep) char *path = digest_valid(sha256) ? store_path(store, "bundles", sha256) : NULL;

	return path && access(path, F_OK) == 0;
}

int bundle_directory(struct image_store *store, const char *sha256, char **ret_dir, struct err *err)
{
	if (!bundle_present(store, sha256))
		return err_set(err, ENOENT, _("The bundle %.12s is not on this host"), sha256 ? sha256 : "");
	*ret_dir = store_path(store, "bundles", sha256);
	return 0;
}

int bundle_verify(struct image_store *store, const char *sha256, struct err *err)
{
	_cleanup_(freep) char *dir = NULL, *is = NULL;
	_cleanup_buf_ struct buf tar = { 0 };
	int r = bundle_directory(store, sha256, &dir, err);

	if (r < 0)
		return r;
	r = bundle_pack(dir, &tar, &is, err);
	if (r == 0 && strcmp(is, sha256) == 0)
		return 0;
	if (r < 0 && r != -EINVAL && r != -EFBIG)
		return r;
	err_release(err);
	r = fs_remove_tree(dir, err);
	if (r < 0)
		return r;
	return err_set(
	    err, EBADMSG,
	    _("The bundle %.12s was changed in %s and was removed from it; run 'tepuy up' again, which sends "
	      "it anew"),
	    sha256, store->root);
}
