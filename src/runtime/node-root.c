/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/node-root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"

#define MOST_PASSWD (1u << 20)
#define DIAL_MS 5000

bool node_has_process(pid_t pid, const char *id)
{
	_cleanup_(freep) char *path = xasprintf("/proc/%d/cgroup", (int)pid);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf text = { 0 };
	ssize_t n;

	if (fd < 0)
		return false;
	do {
		n = read(fd, buf_reserve(&text, 4096), 4096);
		text.len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && text.len < 65536);
	buf_addc(&text, '\n');
	return strstr(text.data, id) != NULL;
}

int node_root_open(pid_t pid, const char *id, int *ret_fd, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/proc/%d/root", (int)pid);
	_cleanup_(closep) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* Looked at after opening: the process was alive then, so the number had not passed to another one. */
	if (fd >= 0 && node_has_process(pid, id)) {
		*ret_fd = fd;
		fd = -1;
		return 0;
	}
	if (fd < 0 && errno != ENOENT && errno != ESRCH)
		return err_errno(err, errno, _("Cannot open the node's file system at %s"), path);
	return err_set(err, ESRCH, _("The node's main process (%d) has ended"), (int)pid);
}

static int open_inside(int root_fd, const char *path, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* Reads a small file of the node, "" when it has none. */
static void read_inside(int root_fd, const char *path, struct buf *to)
{
	_cleanup_(closep) int fd = open_inside(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	while (n > 0 && to->len < MOST_PASSWD) {
		n = read(fd, buf_reserve(to, 16384), 16384);
		to->len += n > 0 ? (size_t)n : 0;
	}
	buf_add(to, "", 0);
}

/* Opens the directory of the first `len` bytes of `path`, making what is missing. The descriptor or -errno. */
static int open_directory(int root_fd, const char *path, size_t len)
{
	_cleanup_(freep) char *dir = xstrndup(path, len ? len : 1);
	int fd = open_inside(root_fd, dir, O_PATH | O_DIRECTORY);
	_cleanup_(closep) int parent = -1;
	const char *last = strrchr(dir, '/');

	if (fd != -ENOENT || last == NULL || !last[1])
		return fd;
	parent = open_directory(root_fd, dir, (size_t)(last - dir));
	if (parent < 0)
		return parent;
	if (mkdirat(parent, last + 1, 0755) < 0 && errno != EEXIST)
		return -errno;
	return open_inside(root_fd, dir, O_PATH | O_DIRECTORY);
}

/* A file written, but not yet in its place. */
struct placed {
	int dir_fd; /* -1: nothing to tidy */
	char *temporary;
	const char *name; /* borrowed: the path's last part */
};

static void placed_release(struct placed *placed)
{
	if (placed->temporary)
		unlinkat(placed->dir_fd, placed->temporary, 0);
	if (placed->dir_fd >= 0)
		close(placed->dir_fd);
	free(placed->temporary);
}

static char *temporary_name(const char *name)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) < 0)
		number = (uint64_t)clock_monotonic_ms();
	return xasprintf(".%s.%016llx", name, (unsigned long long)number);
}

static int write_temporary(struct placed *placed, const struct runtime_file *file, uid_t uid, gid_t gid)
{
	_cleanup_(freep) char *name = temporary_name(placed->name);
	_cleanup_(closep) int fd =
	    openat(placed->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	placed->temporary = TAKE_PTR(name);
	r = fs_write_all(fd, file->data, file->len);
	if (r == 0 && (fchown(fd, uid, gid) < 0 || fchmod(fd, file->mode & 07777) < 0))
		r = -errno;
	return r;
}

/* The node's users, read when the first owner asks for them. */
struct users {
	bool known;
	struct buf passwd, group;
};

static int find_owner(int root_fd, struct users *users, const char *owner, uid_t *uid, gid_t *gid, struct err *err)
{
	if (!users->known) {
		read_inside(root_fd, "/etc/passwd", &users->passwd);
		read_inside(root_fd, "/etc/group", &users->group);
		users->known = true;
	}
	return node_owner(owner, buf_text(&users->passwd), buf_text(&users->group), uid, gid, err);
}

static int prepare(int root_fd, struct users *users, const struct runtime_file *file, struct placed *placed,
		   struct err *err)
{
	uid_t uid = 0;
	gid_t gid = 0;
	int r;

	if (!node_path_is_sane(file->path))
		return err_set(err, EINVAL,
			       _("'%s' is no path for a file in a node: give an absolute one without '..'"),
			       file->path);
	r = file->owner ? find_owner(root_fd, users, file->owner, &uid, &gid, err) : 0;
	if (r < 0)
		return r;
	placed->name = strrchr(file->path, '/') + 1;
	placed->dir_fd = open_directory(root_fd, file->path, (size_t)(placed->name - 1 - file->path));
	r = placed->dir_fd < 0 ? placed->dir_fd : write_temporary(placed, file, uid, gid);
	return r < 0 ? err_errno(err, -r, _("Cannot write %s in the node"), file->path) : 0;
}

static int put_in_place(const struct runtime_file *file, struct placed *placed, struct err *err)
{
	if (renameat(placed->dir_fd, placed->temporary, placed->dir_fd, placed->name) < 0)
		return err_errno(err, errno, _("Cannot replace %s in the node"), file->path);
	free(TAKE_PTR(placed->temporary));
	return 0;
}

int node_root_put(int root_fd, const struct runtime_file *files, size_t n, struct err *err)
{
	struct placed *placed = xcalloc(n, sizeof(*placed));
	struct users users = { 0 };
	int r = 0;

	for (size_t i = 0; i < n; i++)
		placed[i].dir_fd = -1;
	for (size_t i = 0; i < n && r == 0; i++)
		r = prepare(root_fd, &users, &files[i], &placed[i], err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_in_place(&files[i], &placed[i], err);
	for (size_t i = 0; i < n; i++)
		placed_release(&placed[i]);
	free(placed);
	buf_release(&users.passwd);
	buf_release(&users.group);
	return r;
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int64_t deadline = clock_monotonic_ms() + DIAL_MS;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	while (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_monotonic_ms() >= deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 5);
	}
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int node_root_dial(int root_fd, const char *path, int *ret_fd, struct err *err)
{
	_cleanup_(closep) int place = open_inside(root_fd, path, O_PATH);
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) char *through = xasprintf("/proc/self/fd/%d", place);
	struct stat st;
	int r;

	if (place < 0)
		return err_errno(err, -place, _("Cannot open the socket %s in the node"), path);
	if (fstat(place, &st) < 0 || !S_ISSOCK(st.st_mode))
		return err_set(err, ENOTSOCK, _("%s in the node is not a socket"), path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, errno, _("Cannot make a socket"));
	r = connect_to(fd, through);
	if (r < 0)
		return err_errno(err, -r, _("Cannot connect to the socket %s in the node"), path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}
