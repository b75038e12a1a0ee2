/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"
#include "image/beneath.h"
#include "image/digest.h"
#include "image/store.h"
#include "image/tar-write.h"

#define DEEPEST 256
#define MOST_XATTR 4096
#define MOST_XATTRS 16

/* The first name of a file that has several. */
struct named {
	dev_t dev;
	ino_t ino;
	char *path;
};

struct packer {
	const struct pack *pack;
	struct tar_writer *tar;
	struct digest *digest;
	int out;
	size_t entries;
	void *named; /* tsearch(3) tree of struct named */
};

static int pack_directory(struct packer *p, int dir, const char *prefix, int depth, struct err *err);

static int take_bytes(void *data, const void *bytes, size_t len)
{
	struct packer *p = data;

	digest_add(p->digest, bytes, len);
	return fs_write_all(p->out, bytes, len);
}

static int compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void named_free(void *data)
{
	struct named *named = data;

	free(named->path);
	free(named);
}

/* The name under which the file was packed already, or NULL (and `path` is that name from now on). Borrowed. */
static const char *first_name(struct packer *p, const struct stat *st, const char *path)
{
	struct named *named = xcalloc(1, sizeof(*named));
	struct named **found;

	*named = (struct named){ st->st_dev, st->st_ino, NULL };
	found = tsearch(named, &p->named, compare_named);
	if (!found)
		abort(); /* only for want of memory */
	if (*found == named) {
		named->path = xstrdup(path);
		return NULL;
	}
	free(named);
	return (*found)->path;
}

static int cannot(struct packer *p, int code, const char *path, struct err *err)
{
	if (code == ENOSPC || code == EDQUOT)
		return -ENOSPC;
	return err_errno(err, code, _("Cannot pack %s/%s"), p->pack->dir, path);
}

static bool travels(const char *name)
{
	return strcmp(name, "security.capability") == 0 || text_starts(name, "user.");
}

/* Extended attributes that mean something in an image, by name. `values` backs them. */
static size_t read_xattrs(const char *proc, struct tar_xattr *to, struct strv *names, struct buf *values)
{
	char list[MOST_XATTR];
	ssize_t len = llistxattr(proc, list, sizeof(list));
	size_t at[MOST_XATTRS], n = 0;

	for (char *name = list; len > 0 && name < list + len; name += strlen(name) + 1)
		if (travels(name))
			strv_add(names, name);
	strv_sort(names);
	for (size_t i = 0; i < names->n && n < MOST_XATTRS; i++) {
		ssize_t size = lgetxattr(proc, names->v[i], buf_reserve(values, MOST_XATTR), MOST_XATTR);

		if (size < 0)
			continue;
		at[n] = values->len;
		to[n++] = (struct tar_xattr){ .name = names->v[i], .len = (size_t)size };
		values->len += (size_t)size;
	}
	for (size_t i = 0; i < n; i++)
		to[i].value = values->data + at[i];
	return n;
}

static int64_t normal_time(struct packer *p, const struct stat *st)
{
	if (st->st_mtim.tv_sec >= p->pack->since)
		return IMAGE_EPOCH;
	return st->st_mtim.tv_sec < 0 ? 0 : st->st_mtim.tv_sec;
}

static int add_entry(struct packer *p, int dir, const char *name, const struct tar_entry *what, const struct stat *st)
{
	_cleanup_(freep) char *proc = xasprintf("/proc/self/fd/%d/%s", dir, name);
	struct tar_xattr xattrs[MOST_XATTRS];
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_buf_ struct buf values = { 0 };
	struct tar_entry entry = *what;

	entry.mode = st->st_mode;
	entry.uid = st->st_uid;
	entry.gid = st->st_gid;
	entry.mtime = normal_time(p, st);
	entry.xattrs = xattrs;
	entry.n_xattrs = entry.hard ? 0 : read_xattrs(proc, xattrs, &names, &values);
	p->entries++;
	return tar_add(p->tar, &entry);
}

static int pack_file(struct packer *p, int dir, const char *name, const char *path, const struct stat *st)
{
	struct tar_entry entry = { .path = path, .size = (uint64_t)st->st_size };
	_cleanup_(closep) int fd = -1;
	char chunk[65536];
	ssize_t n;
	int r;

	if (st->st_nlink > 1)
		entry.hard = first_name(p, st, path);
	r = add_entry(p, dir, name, &entry, st);
	if (r < 0 || entry.hard)
		return r;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (r == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0)
		r = n < 0 ? -errno : tar_data(p->tar, chunk, (size_t)n);
	return r;
}

static int pack_link(struct packer *p, int dir, const char *name, const char *path, const struct stat *st)
{
	char target[4096];
	struct tar_entry entry = { .path = path, .link = target };
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	if (n < 0 || n == sizeof(target))
		return n < 0 ? -errno : -ENAMETOOLONG;
	target[n] = '\0';
	return add_entry(p, dir, name, &entry, st);
}

/* An empty ".wh." file beside what it hides (OCI image specification, "Whiteouts"). */
static int pack_whiteout(struct packer *p, const char *path)
{
	const char *slash = strrchr(path, '/');
	int above = slash ? (int)(slash - path) + 1 : 0;
	_cleanup_(freep) char *hidden = xasprintf("%.*s.wh.%s", above, path, path + above);
	struct tar_entry entry = { .path = hidden, .mode = S_IFREG | 0644, .mtime = IMAGE_EPOCH };

	p->entries++;
	return tar_add(p->tar, &entry);
}

/* The overlay marks directories that were renamed, too, though there is nothing below them to hide; which ones depends
 * on the kernel. */
static bool hides_something(struct packer *p, int dir, const char *path)
{
	const struct strv *lowers = p->pack->lowers;
	char value[4];

	if (fgetxattr(dir, "trusted.overlay.opaque", value, sizeof(value)) != 1 || value[0] != 'y')
		return false;
	for (size_t i = 0; lowers && i < lowers->n; i++) {
		_cleanup_(freep) char *below = fs_join(lowers->v[i], path);
		struct stat st;

		if (lstat(below, &st) == 0)
			return true;
	}
	return lowers == NULL;
}

static int pack_subdirectory(struct packer *p, int dir, const char *name, const char *path, const struct stat *st,
			     int depth, struct err *err)
{
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tar_entry entry = { .path = path };
	int r;

	if (fd < 0)
		return cannot(p, errno, path, err);
	r = add_entry(p, dir, name, &entry, st);
	if (r == 0 && hides_something(p, fd, path)) {
		_cleanup_(freep) char *all = fs_join(path, ".wh..opq"); /* becomes ".wh..wh..opq" */

		r = pack_whiteout(p, all);
	}
	return r < 0 ? cannot(p, -r, path, err) : pack_directory(p, fd, path, depth + 1, err);
}

static int pack_entry(struct packer *p, int dir, const char *name, const char *path, int depth, struct err *err)
{
	struct stat st;
	int r = 0;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cannot(p, errno, path, err);
	if (pack_leaves_out(path, S_ISDIR(st.st_mode), p->pack->kind))
		return 0;
	if (text_starts(name, ".wh."))
		return err_set(
		    err, EINVAL,
		    _("Cannot pack %s/%s: in a layer a name that begins with '.wh.' hides another file; give it "
		      "another name"),
		    p->pack->dir, path);
	if (S_ISDIR(st.st_mode))
		return depth < DEEPEST ? pack_subdirectory(p, dir, name, path, &st, depth, err)
				       : cannot(p, ENAMETOOLONG, path, err);
	if (S_ISREG(st.st_mode))
		r = pack_file(p, dir, name, path, &st);
	else if (S_ISLNK(st.st_mode))
		r = pack_link(p, dir, name, path, &st);
	else if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
		r = pack_whiteout(p, path);
	else if (S_ISFIFO(st.st_mode))
		r = add_entry(p, dir, name, &(struct tar_entry){ .path = path }, &st);
	/* Sockets die with their process; devices are the runtime's. */
	return r < 0 ? cannot(p, -r, path, err) : 0;
}

static int pack_directory(struct packer *p, int dir, const char *prefix, int depth, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = beneath_list(dir, &names);

	if (r < 0)
		return cannot(p, -r, prefix, err);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		_cleanup_(freep) char *path = *prefix ? fs_join(prefix, names.v[i]) : xstrdup(names.v[i]);

		r = pack_entry(p, dir, names.v[i], path, depth, err);
	}
	return r;
}

int pack_tree(const struct pack *pack, char **ret_sha256, size_t *ret_entries, struct err *err)
{
	_cleanup_(closep) int dir = open(pack->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closep) int out = open(pack->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	_cleanup_digest_ struct digest *digest = digest_new();
	struct packer p = { .pack = pack, .digest = digest, .out = out };
	_cleanup_tar_ struct tar_writer *tar = tar_new(take_bytes, &p);
	int r;

	p.tar = tar;
	if (dir < 0 || out < 0)
		return cannot(&p, errno, "", err);
	r = pack_directory(&p, dir, "", 0, err);
	tdestroy(p.named, named_free);
	if (r < 0)
		return r;
	r = tar_finish(tar);
	if (r < 0)
		return cannot(&p, -r, "", err);
	*ret_sha256 = digest_hex(digest);
	if (ret_entries)
		*ret_entries = p.entries;
	return 0;
}
