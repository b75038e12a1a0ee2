/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/beneath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int beneath_open(int root, const char *path, uint64_t flags, mode_t mode, enum beneath_links links)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve =
		    RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (links == BENEATH_NO_LINKS ? RESOLVE_NO_SYMLINKS : 0),
	};
	int fd;

	while (*path == '/')
		path++;
	do
		fd = (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
	while (fd < 0 && (errno == EAGAIN || errno == EINTR)); /* EAGAIN: a rename elsewhere raced with the walk */
	return fd < 0 ? -errno : fd;
}

/* Makes `path` in its existing parent. */
static int make_one(int root, const char *path, enum beneath_links links)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *above = xstrndup(path, slash ? (size_t)(slash - path) : 0);
	_cleanup_(closep) int fd = beneath_open(root, above, O_PATH | O_DIRECTORY, 0, links);

	if (fd < 0)
		return fd;
	return mkdirat(fd, slash ? slash + 1 : path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int beneath_mkdirs(int root, const char *path, enum beneath_links links)
{
	_cleanup_(freep) char *part = NULL;
	int fd = beneath_open(root, path, O_RDONLY | O_DIRECTORY, 0, links);

	if (fd != -ENOENT)
		return fd;
	while (*path == '/')
		path++;
	for (size_t len = 0; path[len]; len += strspn(path + len, "/")) {
		int r;

		len += strcspn(path + len, "/");
		freep(&part);
		part = xstrndup(path, len);
		r = make_one(root, part, links);
		if (r < 0)
			return r;
	}
	return beneath_open(root, path, O_RDONLY | O_DIRECTORY, 0, links);
}

int beneath_parent(int root, const char *path, enum beneath_links links, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(freep) char *above = xstrndup(path, slash ? (size_t)(slash - path) : 0);
	int fd = beneath_mkdirs(root, above, links);

	if (fd >= 0)
		*ret_name = slash ? slash + 1 : path;
	return fd;
}

int beneath_list(int dir, struct strv *ret)
{
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = own < 0 ? NULL : fdopendir(own);
	struct dirent *e;

	if (!stream)
		return -errno;
	while ((e = readdir(stream)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			strv_add(ret, e->d_name);
	closedir(stream);
	strv_sort(ret);
	return 0;
}
