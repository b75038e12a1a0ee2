/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/untar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/beneath.h"

/* A directory's time can be set only after its files are written. */
struct late_time {
	char *path;
	struct timespec mtime;
};

struct untar {
	struct archive *archive;
	struct archive_entry *entry;
	const char *path; /* of the present entry, without final slashes; borrowed from `path_owned` */
	char *path_owned;
	int dir;    /* -1: only look */
	bool layer; /* a layer, else a bundle */
	enum {
		NOT_ONTO,
		ONTO_CLEAR,
		ONTO_WRITE
	} onto; /* a layer onto those below it: first what it hides is removed */
	size_t entries;
	uint64_t bytes;
	int parent; /* directory that was used last, -1: none */
	char *parent_path;
	struct late_time *late;
	size_t n_late, cap_late;
};

static void untar_release(struct untar *u)
{
	archive_read_free(u->archive);
	closep(&u->parent);
	freep(&u->path_owned);
	freep(&u->parent_path);
	for (size_t i = 0; i < u->n_late; i++)
		free(u->late[i].path);
	free(u->late);
}

static int bad(struct untar *u, struct err *err, const char *why)
{
	_cleanup_(freep) char *name = xstrndup(u->path ? u->path : "", 200);

	text_printable(name, false);
	return err_set(err, EBADMSG, _("The archive was refused: its entry '%s' %s"), name, why);
}

static int cannot_write(struct untar *u, int code, struct err *err)
{
	if (code == ELOOP)
		return bad(u, err, _("lies behind a symbolic link"));
	if (code == EEXIST || code == ENOTDIR || code == ENAMETOOLONG)
		return bad(u, err, _("contradicts another entry"));
	return err_errno(err, code, _("Cannot unpack '%s'"), u->path);
}

bool untar_link_stays(const char *target, size_t depth)
{
	const char *p = target;

	if (*p == '/' || *p == '\0')
		return false;
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			if (depth-- == 0)
				return false;
		} else if (n != 0 && !(n == 1 && *p == '.')) {
			break;
		}
		p += n + strspn(p + n, "/");
	}
	/* Behind a name, ".." could climb from wherever a link of that name leads. */
	for (; *p; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0)
			return false;
		p += n;
	}
	return true;
}

/* The number of directories above the entry, or -1 when a part of the path is empty, "." or "..". */
static int path_depth(const char *path)
{
	int depth = -1;

	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && *p == '.') || (n == 2 && memcmp(p, "..", 2) == 0))
			return -1;
		depth++;
		p += n;
		if (!*p)
			return depth;
	}
}

/* Layers say "./etc/x" and "/etc/x" for "etc/x"; the bundles that we make do not. */
static char *entry_path(struct untar *u)
{
	const char *raw = archive_entry_pathname(u->entry);
	char *path;
	size_t len;

	if (!raw)
		raw = archive_entry_pathname_utf8(u->entry);
	if (!raw)
		return NULL;
	while (u->layer && (*raw == '/' || (raw[0] == '.' && raw[1] == '/')))
		raw += raw[0] == '.' ? 2 : 1;
	path = xstrdup(raw);
	for (len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	return path;
}

static const char *entry_link(struct untar *u)
{
	const char *link = archive_entry_symlink(u->entry);

	if (!link)
		link = archive_entry_symlink_utf8(u->entry);
	return link ? link : "";
}

static int check_bundle_entry(struct untar *u, struct err *err)
{
	int64_t size = archive_entry_size(u->entry);
	mode_t type = archive_entry_filetype(u->entry);
	int depth = path_depth(u->path);

	if (++u->entries > UNTAR_MOST_ENTRIES)
		return err_set(err, EBADMSG, _("The archive was refused: it has more than %d entries"),
			       UNTAR_MOST_ENTRIES);
	if (strlen(u->path) > UNTAR_MOST_PATH)
		return bad(u, err, _("has too long a name"));
	if (depth < 0)
		return bad(u, err, _("does not have a plain path inside the tree"));
	if (archive_entry_hardlink(u->entry) || (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK))
		return bad(u, err, _("is neither a regular file nor a directory nor a symbolic link"));
	if (type == AE_IFLNK && !untar_link_stays(entry_link(u), (size_t)depth))
		return bad(u, err, _("is a link that leads out of the tree"));
	if (type == AE_IFREG && (size < 0 || (uint64_t)size > UNTAR_MOST_BYTES - u->bytes))
		return bad(u, err, _("makes the tree larger than 64 MiB"));
	u->bytes += type == AE_IFREG ? (uint64_t)size : 0;
	return 0;
}

/* Directory that holds the entry; kept open, as most entries have the parent of the one before. */
static int open_parent(struct untar *u, const char **ret_name)
{
	const char *slash = strrchr(u->path, '/'), *name;
	_cleanup_(freep) char *above = xstrndup(u->path, slash ? (size_t)(slash - u->path) : 0);
	int fd;

	*ret_name = slash ? slash + 1 : u->path;
	if (u->parent >= 0 && strcmp(above, u->parent_path) == 0)
		return u->parent;
	fd = beneath_parent(u->dir, u->path, u->layer ? BENEATH_FOLLOW : BENEATH_NO_LINKS, &name);
	if (fd < 0)
		return fd;
	closep(&u->parent);
	freep(&u->parent_path);
	u->parent = fd;
	u->parent_path = TAKE_PTR(above);
	return fd;
}

/* Gives the present entry's bytes to `fd` (-1: nowhere). Holes stay holes. */
static int copy_data(struct untar *u, int fd, struct err *err)
{
	uint64_t most = (uint64_t)archive_entry_size(u->entry);
	const void *block;
	size_t size;
	la_int64_t offset;
	int r;

	while ((r = archive_read_data_block(u->archive, &block, &size, &offset)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		if (offset < 0 || (uint64_t)offset > most || size > most - (uint64_t)offset)
			return bad(u, err, _("has more bytes than it says"));
		for (size_t done = 0; fd >= 0 && done < size;) {
			ssize_t n = pwrite(fd, (const char *)block + done, size - done, offset + (la_int64_t)done);

			if (n < 0 && errno != EINTR)
				return cannot_write(u, errno, err);
			done += n > 0 ? (size_t)n : 0;
		}
	}
	if (r != ARCHIVE_EOF)
		return bad(u, err, _("is damaged"));
	if (fd >= 0 && ftruncate(fd, (off_t)most) < 0)
		return cannot_write(u, errno, err);
	return 0;
}

/* In a layer a later entry replaces an earlier one; onto lower layers also a directory of theirs. */
static int make_room(struct untar *u, int parent, const char *name)
{
	_cleanup_(freep) char *path = NULL;

	if (!u->layer || unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR || !u->onto)
		return errno == EISDIR ? -EEXIST : -errno;
	path = xasprintf("/proc/self/fd/%d/%s", parent, name);
	return fs_remove_tree(path, NULL);
}

static int write_file(struct untar *u, int parent, const char *name, struct err *err)
{
	mode_t mode = archive_entry_perm(u->entry) & 0100 ? 0755 : 0644;
	_cleanup_(closep) int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return cannot_write(u, errno, err);
	r = copy_data(u, fd, err);
	if (r == 0 && !u->layer && fchmod(fd, mode) < 0)
		r = cannot_write(u, errno, err);
	return r;
}

static int write_directory(struct untar *u, int parent, const char *name, struct err *err)
{
	struct stat st;

	if (mkdirat(parent, name, 0755) == 0)
		return u->layer || fchmodat(parent, name, 0755, 0) == 0 ? 0 : cannot_write(u, errno, err);
	if (errno == EEXIST && u->layer && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return 0; /* made as the parent of an earlier entry, or by a lower layer */
	if (errno == EEXIST && u->onto && make_room(u, parent, name) == 0 && mkdirat(parent, name, 0755) == 0)
		return 0;
	return cannot_write(u, errno, err);
}

static int write_hard_link(struct untar *u, int parent, const char *name, struct err *err)
{
	const char *target = archive_entry_hardlink(u->entry);
	_cleanup_(closep) int fd = -1;

	while (target[0] == '.' && target[1] == '/')
		target += 2;
	fd = beneath_open(u->dir, target, O_PATH | O_NOFOLLOW, 0, BENEATH_FOLLOW);
	if (fd < 0)
		return bad(u, err, _("is a link to a file that the archive does not have"));
	return linkat(fd, "", parent, name, AT_EMPTY_PATH) < 0 ? cannot_write(u, errno, err) : 0;
}

/* ".wh.name" hides name of the layers below; ".wh..wh..opq" hides all that they have in the directory. */
static int write_whiteout(struct untar *u, int parent, const char *name, struct err *err)
{
	if (strcmp(name, ".wh..wh..opq") == 0)
		return fsetxattr(parent, "trusted.overlay.opaque", "y", 1, 0) < 0 ? cannot_write(u, errno, err) : 0;
	if (text_starts(name, ".wh..wh."))
		return 0; /* AUFS's own bookkeeping */
	name += strlen(".wh.");
	if (make_room(u, parent, name) < 0)
		return bad(u, err, _("contradicts another entry"));
	return mknodat(parent, name, S_IFCHR, makedev(0, 0)) < 0 ? cannot_write(u, errno, err) : 0;
}

/* What lower layers have is removed for good. */
static int clear_hidden(struct untar *u, int parent, const char *name, struct err *err)
{
	_cleanup_strv_ struct strv all = { 0 };
	int r = 0;

	if (strcmp(name, ".wh..wh..opq") == 0)
		r = beneath_list(parent, &all);
	else if (!text_starts(name, ".wh..wh."))
		strv_add(&all, name + strlen(".wh."));
	for (size_t i = 0; i < all.n && r == 0; i++)
		r = make_room(u, parent, all.v[i]);
	return r < 0 ? cannot_write(u, -r, err) : 0;
}

static int set_xattrs(struct untar *u, int parent, const char *name)
{
	_cleanup_(freep) char *path = xasprintf("/proc/self/fd/%d/%s", parent, name);
	const char *key;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(u->entry);
	while (archive_entry_xattr_next(u->entry, &key, &value, &size) == ARCHIVE_OK) {
		/* Only these mean the same in an image; trusted.* would speak to the overlay. */
		if (!text_starts(key, "security.capability") && !text_starts(key, "user."))
			continue;
		if (lsetxattr(path, key, value, size, 0) < 0 && errno != ENOTSUP)
			return -errno;
	}
	return 0;
}

static void remember_time(struct untar *u, struct timespec mtime)
{
	u->late = grow_array(u->late, u->n_late, &u->cap_late, sizeof(*u->late));
	u->late[u->n_late++] = (struct late_time){ xstrdup(u->path), mtime };
}

/* Owner before mode and capabilities: chown clears both. */
static int set_metadata(struct untar *u, int parent, const char *name, struct err *err)
{
	mode_t type = archive_entry_filetype(u->entry);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = archive_entry_mtime(u->entry) } };
	int r = 0;

	if (fchownat(parent, name, (uid_t)archive_entry_uid(u->entry), (gid_t)archive_entry_gid(u->entry),
		     AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0 && type != AE_IFLNK && fchmodat(parent, name, archive_entry_perm(u->entry), 0) < 0)
		r = -errno;
	if (r == 0)
		r = set_xattrs(u, parent, name);
	if (r == 0 && type == AE_IFDIR)
		remember_time(u, times[1]);
	else if (r == 0 && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r < 0 ? cannot_write(u, -r, err) : 0;
}

static int write_node(struct untar *u, int parent, const char *name, struct err *err)
{
	mode_t type = archive_entry_filetype(u->entry);

	if (type == AE_IFDIR)
		return write_directory(u, parent, name, err);
	if (make_room(u, parent, name) < 0)
		return bad(u, err, _("contradicts another entry"));
	if (archive_entry_hardlink(u->entry))
		return write_hard_link(u, parent, name, err);
	if (type == AE_IFLNK)
		return symlinkat(entry_link(u), parent, name) < 0 ? cannot_write(u, errno, err) : 0;
	if (type == AE_IFIFO)
		return mkfifoat(parent, name, 0600) < 0 ? cannot_write(u, errno, err) : 0;
	return write_file(u, parent, name, err);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_whiteout(const char *path)
{
	return text_starts(last_part(path), ".wh.");
}

/* ".wh..." would hide "..": the directory above the tree, for who unpacks as root. */
static bool hides_no_name(const char *name)
{
	static const char *const none[] = { ".wh.", ".wh..", ".wh..." };

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (strcmp(name, none[i]) == 0)
			return true;
	return false;
}

static int take_layer_entry(struct untar *u, struct err *err)
{
	mode_t type = archive_entry_filetype(u->entry);
	bool hard = archive_entry_hardlink(u->entry) != NULL;
	const char *name;
	int parent, r;

	if (strcmp(u->path, ".") == 0 || !*u->path)
		return 0;
	if (path_depth(u->path) < 0)
		return bad(u, err, _("does not have a plain path inside the tree"));
	if (hides_no_name(last_part(u->path)))
		return bad(u, err, _("hides what has no name"));
	if (!hard && (type == AE_IFCHR || type == AE_IFBLK || type == AE_IFSOCK))
		return 0;
	if (u->onto && is_whiteout(u->path) != (u->onto == ONTO_CLEAR))
		return 0;
	parent = open_parent(u, &name);
	if (parent < 0)
		return cannot_write(u, -parent, err);
	if (u->onto == ONTO_CLEAR)
		return clear_hidden(u, parent, name, err);
	if (text_starts(name, ".wh."))
		return write_whiteout(u, parent, name, err);
	r = write_node(u, parent, name, err);
	return r < 0 || hard ? r : set_metadata(u, parent, name, err);
}

static int take_bundle_entry(struct untar *u, struct err *err)
{
	const char *name;
	int parent, r = check_bundle_entry(u, err);

	if (r < 0)
		return r;
	if (u->dir < 0)
		return archive_entry_filetype(u->entry) == AE_IFREG ? copy_data(u, -1, err) : 0;
	parent = open_parent(u, &name);
	return parent < 0 ? cannot_write(u, -parent, err) : write_node(u, parent, name, err);
}

static void set_late_times(struct untar *u)
{
	for (size_t i = u->n_late; i-- > 0;) {
		struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, u->late[i].mtime };
		_cleanup_(closep) int fd =
		    beneath_open(u->dir, u->late[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, BENEATH_FOLLOW);

		if (fd >= 0)
			futimens(fd, times);
	}
}

static int take_entries(struct untar *u, struct err *err)
{
	int r;

	while ((r = archive_read_next_header(u->archive, &u->entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		freep(&u->path_owned);
		u->path = NULL;
		u->path_owned = entry_path(u);
		if (!u->path_owned)
			return bad(u, err, _("has a name that cannot be read"));
		u->path = u->path_owned;
		r = u->layer ? take_layer_entry(u, err) : take_bundle_entry(u, err);
		if (r < 0)
			return r;
	}
	if (r != ARCHIVE_EOF)
		return err_set(err, EBADMSG, _("The archive was refused: it is damaged (%s)"),
			       archive_error_string(u->archive) ? archive_error_string(u->archive) : "?");
	set_late_times(u);
	return 0;
}

int untar_bundle(const void *tar, size_t len, int dir, struct err *err)
{
	_cleanup_(untar_release) struct untar u = { .archive = archive_read_new(), .dir = dir, .parent = -1 };

	if (len > UNTAR_MOST_BYTES)
		return err_set(err, EFBIG, _("The archive was refused: it is larger than 64 MiB"));
	archive_read_support_format_tar(u.archive);
	if (archive_read_open_memory(u.archive, tar, len) != ARCHIVE_OK)
		return err_set(err, EBADMSG, _("The archive was refused: it is not a tar archive"));
	return take_entries(&u, err);
}

static int unpack_layer(struct untar *u, const char *path, struct err *err)
{
	int r;

	archive_read_support_format_tar(u->archive);
	archive_read_support_filter_all(u->archive);
	if (archive_read_open_filename(u->archive, path, (size_t)1 << 18) != ARCHIVE_OK)
		return err_set(err, archive_errno(u->archive) > 0 ? archive_errno(u->archive) : EIO,
			       _("Cannot read %s: %s"), path, archive_error_string(u->archive));
	r = take_entries(u, err);
	if (r < 0)
		err_wrap(err, _("Cannot unpack the layer %s"), path);
	return r;
}

int untar_layer(const char *path, int dir, struct err *err)
{
	_cleanup_(
	    untar_release) struct untar u = { .archive = archive_read_new(), .dir = dir, .parent = -1, .layer = true };

	return unpack_layer(&u, path, err);
}

int untar_onto(const char *path, int dir, struct err *err)
{
	int r = 0;

	for (int pass = ONTO_CLEAR; pass <= ONTO_WRITE && r == 0; pass++) {
		_cleanup_(untar_release) struct untar u = {
			.archive = archive_read_new(), .dir = dir, .parent = -1, .layer = true, .onto = pass
		};

		r = unpack_layer(&u, path, err);
	}
	return r;
}
