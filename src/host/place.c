/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/place.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"

int place_read(const char *path, struct buf *ret, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	int r = fs_read(path, PLACE_MOST, ret, &why);

	if (r == -ENOENT)
		return 1;
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

int place_read_text(const char *path, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	int r = place_read(path, &text, err);

	*ret = r == 0 ? buf_take(&text) : NULL;
	return r;
}

int place_read_line(const char *path, char **ret, struct err *err)
{
	int r = place_read_text(path, ret, err);
	size_t len = *ret ? strlen(*ret) : 0;

	while (len && strchr(" \t\r\n", (*ret)[len - 1]))
		(*ret)[--len] = '\0';
	return r;
}

bool place_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

bool place_holds(const char *path, const void *data, size_t len)
{
	_cleanup_buf_ struct buf now = { 0 };

	return place_read(path, &now, NULL) == 0 && now.len == len && (!len || !memcmp(now.data, data, len));
}

static bool same_owner(const char *path, gid_t group, mode_t mode)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_uid == 0 && st.st_gid == group && (st.st_mode & 07777) == mode;
}

bool place_is(const char *path, const char *text, gid_t group, mode_t mode)
{
	return same_owner(path, group, mode) && place_holds(path, text, strlen(text));
}

/* The name of a file that was renamed is in its directory only once that is flushed too. */
static int flush_directory(const char *path)
{
	_cleanup_(freep) char *copy = xstrdup(path);
	_cleanup_(closep) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int place_write(const char *path, const void *data, size_t len, gid_t group, mode_t mode, bool *changed,
		struct err *err)
{
	_cleanup_(freep) char *beside = xasprintf("%s.tepuy-new", path);
	_cleanup_(closep) int fd = -1;
	int r;

	if (same_owner(path, group, mode) && place_holds(path, data, len))
		return 0;
	/* One name, so that what a killed run left behind is used up by the next. */
	if (unlink(beside) < 0 && errno != ENOENT)
		return err_errno(err, errno, _("Cannot write %s"), path);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, errno, _("Cannot write %s"), path);
	r = fs_write_all(fd, data, len);
	if (r == 0 && (fchown(fd, 0, group) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(beside, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(beside);
		return err_errno(err, -r, _("Cannot write %s"), path);
	}
	r = flush_directory(path);
	if (r < 0)
		return err_errno(err, -r, _("Cannot write %s"), path);
	if (changed)
		*changed = true;
	return 0;
}

int place_write_text(const char *path, const char *text, gid_t group, mode_t mode, bool *changed, struct err *err)
{
	return place_write(path, text, strlen(text), group, mode, changed, err);
}

int place_directory(const char *path, gid_t group, mode_t mode, bool *changed, struct err *err)
{
	int r = fs_mkdirs(path, 0755, err);

	if (r < 0)
		return r;
	if (same_owner(path, group, mode))
		return 0;
	if (chown(path, 0, group) < 0 || chmod(path, mode) < 0)
		return err_errno(err, errno, _("Cannot change owner and mode of %s"), path);
	if (changed)
		*changed = true;
	return 0;
}

int place_remove(const char *path, struct err *err)
{
	if (!place_exists(path))
		return 0;
	return fs_remove_tree(path, err);
}
