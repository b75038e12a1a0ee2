/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"

static int read_open_file(int fd, const char *path, size_t most, struct buf *buf, struct err *err)
{
	size_t had = buf->len;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, _("Cannot read %s"), path);
	if (S_ISDIR(st.st_mode))
		return err_errno(err, EISDIR, _("Cannot read %s"), path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, _("Cannot read %s: it is not a regular file"), path);
	for (;;) {
		char *to = buf_reserve(buf, 16384);
		ssize_t n = read(fd, to, 16384);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, _("Cannot read %s"), path);
		if (n == 0)
			break;
		buf->len += (size_t)n;
		if (buf->len - had > most)
			return err_set(err, EFBIG, _("Cannot read %s: it is larger than %zu bytes"), path, most);
	}
	*buf_reserve(buf, 0) = '\0';
	return 0;
}

static int read_path(const char *path, int flags, size_t most, struct buf *buf, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);

	if (fd < 0)
		return err_errno(err, errno, _("Cannot read %s"), path);
	return read_open_file(fd, path, most, buf, err);
}

int fs_read(const char *path, size_t most, struct buf *buf, struct err *err)
{
	return read_path(path, 0, most, buf, err);
}

int fs_read_no_link(const char *path, size_t most, struct buf *buf, struct err *err)
{
	return read_path(path, O_NOFOLLOW, most, buf, err);
}

int fs_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fs_write(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	_cleanup_(freep) char *temporary = xasprintf("%s.XXXXXX", path);
	_cleanup_(closep) int fd = mkostemp(temporary, O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot write %s"), path);
	r = fs_write_all(fd, data, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		return err_errno(err, -r, _("Cannot write %s"), path);
	}
	return 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
	_cleanup_(freep) char *part = xstrdup(path);

	for (char *p = part + 1;; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return err_errno(err, errno, _("Cannot make the directory %s"), part);
		*p = was;
		if (!was)
			return 0;
	}
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

int fs_remove_tree(const char *path, struct err *err)
{
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return err_errno(err, errno, _("Cannot remove %s"), path);
	return 0;
}

char *fs_join(const char *dir, const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

/* Never more at a time than a pipe takes without blocking. */
int fs_write_until(int fd, const void *data, size_t len, int64_t deadline_ms)
{
	struct pollfd out = { .fd = fd, .events = POLLOUT };
	const char *bytes = data;
	int r = 0;

	while (len && r == 0) {
		size_t part = len < PIPE_BUF ? len : PIPE_BUF;
		int64_t left = deadline_ms - clock_monotonic_ms();
		int n = left > 0 ? poll(&out, 1, left < 1000 ? (int)left : 1000) : 0;

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0 && left <= 0)
			return -ETIMEDOUT;
		if (n <= 0)
			continue;
		r = fs_write_all(out.fd, bytes, part);
		bytes += part;
		len -= part;
	}
	return r;
}

int fs_lock(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;

	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	r = err_errno(err, errno, _("Cannot lock %s"), path);
	if (fd >= 0)
		close(fd);
	return r;
}
