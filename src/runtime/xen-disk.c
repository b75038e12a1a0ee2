/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/xen-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"

#define TRIES 64
#define FREE_MS 20000
#define PIECE (1u << 20)
/* Where what people put on disks begins or ends. */
#define FRONT ((off_t)4 << 20)
#define BACK ((off_t)1 << 20)

/* A loop device of ours on the file; it is freed when the last who has it open closes it. */
static int attach_loop(const char *file, bool read_only, int *ret_fd, char **ret_name, struct err *err)
{
	_cleanup_(closep) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	_cleanup_(closep) int fd = open(file, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, _("Cannot open the disk %s"), file);
	if (control < 0)
		return err_errno(err, errno, _("This host cannot mount disk files: /dev/loop-control"));
	for (int i = 0; i < TRIES; i++) {
		struct loop_config config = { .fd = (unsigned)fd,
					      .info.lo_flags =
						  LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0u) };
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		_cleanup_(freep) char *name = xasprintf("loop%d", number), *path = xasprintf("/dev/%s", name);
		_cleanup_(closep) int loop = -1;

		if (number < 0)
			return err_errno(err, errno, _("There is no free loop device for the disk %s"), file);
		loop = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (loop < 0)
			return err_errno(err, errno, _("Cannot open %s"), path);
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
			*ret_fd = loop;
			loop = -1;
			*ret_name = TAKE_PTR(name);
			return 0;
		}
		if (errno != EBUSY)
			return err_errno(err, errno, _("Cannot use the disk %s"), file);
	}
	return err_set(err, EBUSY, _("There is no free loop device for the disk %s"), file);
}

static int mount_device(const char *device, bool read_only, int *ret)
{
	_cleanup_(closep) int context = fsopen("ext4", FSOPEN_CLOEXEC);
	int r = context < 0 ? -1 : fsconfig(context, FSCONFIG_SET_STRING, "source", device, 0);

	if (r == 0 && read_only)
		r = fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0);
	if (r == 0 && read_only)
		r = fsconfig(context, FSCONFIG_SET_FLAG, "noload", NULL, 0);
	if (r == 0)
		r = fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	if (r == 0)
		r = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (r < 0)
		return -errno;
	*ret = r;
	return 0;
}

int xen_mount(const char *disk, bool read_only, struct xen_mount *ret, struct err *err)
{
	_cleanup_(closep) int loop = -1;
	_cleanup_(freep) char *device = NULL;
	struct stat st;
	int r;

	*ret = XEN_MOUNT_INIT;
	if (stat(disk, &st) < 0)
		return err_errno(err, errno, _("Cannot open the disk %s"), disk);
	if (!S_ISBLK(st.st_mode)) {
		r = attach_loop(disk, read_only, &loop, &ret->loop, err);
		if (r < 0)
			return r;
		device = xasprintf("/dev/%s", ret->loop);
	}
	ret->disk = xstrdup(disk);
	ret->read_only = read_only;
	r = mount_device(device ? device : disk, read_only, &ret->root);
	return r < 0 ? err_errno(err, -r, _("Cannot mount the disk %s"), disk) : 0;
}

/* Whether nobody has it any more: a program that is just being started may hold the mount for a moment. */
static bool is_free(const struct xen_mount *mount)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_(closep) int fd = -1;

	if (!mount->loop) {
		fd = open(mount->disk, O_RDONLY | O_EXCL | O_CLOEXEC);
		return fd >= 0;
	}
	path = xasprintf("/sys/block/%s/loop/backing_file", mount->loop);
	if (fs_read(path, 8192, &text, NULL) < 0)
		return true;
	return strncmp(text.data, mount->disk, strlen(mount->disk)) != 0;
}

int xen_unmount(struct xen_mount *mount, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + FREE_MS;
	int r = 0;

	if (mount->root >= 0) {
		_cleanup_(closep) int fd =
		    mount->read_only ? -1 : openat(mount->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && syncfs(fd) < 0)
			r = err_errno(err, errno, _("Cannot write the disk %s"), mount->disk);
		closep(&fd);
		fd = -1;
		close(mount->root);
		mount->root = -1;
		while (!is_free(mount) && clock_monotonic_ms() < deadline)
			poll(NULL, 0, 10);
		if (r == 0 && !is_free(mount))
			r = err_set(err, EBUSY, _("The disk %s is still in use"), mount->disk);
	}
	free(TAKE_PTR(mount->disk));
	free(TAKE_PTR(mount->loop));
	return r;
}

void xen_unmountp(struct xen_mount *mount)
{
	xen_unmount(mount, NULL);
}

/* Copies one run of bytes between holes. */
static int copy_run(int in, int out, off_t at, off_t end)
{
	_cleanup_(freep) char *piece = xmalloc(PIECE);

	while (at < end) {
		size_t most = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;
		ssize_t n = pread(in, piece, most, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (ssize_t done = 0; done < n;) {
			ssize_t written = pwrite(out, piece + done, (size_t)(n - done), at + done);

			if (written < 0 && errno != EINTR)
				return -errno;
			done += written > 0 ? written : 0;
		}
		at += n;
	}
	return 0;
}

static int copy_runs(int in, int out, off_t size)
{
	int r = 0;

	for (off_t at = 0; at < size && r == 0;) {
		off_t data = lseek(in, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(in, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		r = copy_run(in, out, data, hole);
		at = hole;
	}
	return r;
}

int xen_copy_sparse(const char *from, const char *to, struct err *err)
{
	_cleanup_(closep) int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_(closep) int out = in < 0 ? -1 : open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;
	int r = 0;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		return err_errno(err, errno, _("Cannot copy the disk %s to %s"), from, to);
	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	if (ftruncate(out, st.st_size) < 0)
		r = -errno;
	if (r == 0)
		r = copy_runs(in, out, st.st_size);
	if (r < 0) {
		unlink(to);
		return err_errno(err, -r, _("Cannot copy the disk %s to %s"), from, to);
	}
	return 0;
}

int xen_copy_onto(const char *from, const char *device, struct err *err)
{
	_cleanup_(closep) int in = open(from, O_RDONLY | O_CLOEXEC), out = open(device, O_WRONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (in < 0 || out < 0 || fstat(in, &st) < 0)
		return err_errno(err, errno, _("Cannot copy the disk %s to %s"), from, device);
	r = copy_run(in, out, 0, st.st_size);
	if (r == 0 && fsync(out) < 0)
		r = -errno;
	return r < 0 ? err_errno(err, -r, _("Cannot copy the disk %s to %s"), from, device) : 0;
}

int xen_make_sparse(const char *path, uint64_t size, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_errno(err, errno, _("Cannot make the disk %s"), path);
	return 0;
}

int xen_make_ext4(const char *path, const char *label, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };
	int r;

	/* Nothing is left to be initialised later by the machine: in a file what is zero stays a hole. */
	strv_add_all(&run.argv, "mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-E",
		     "lazy_itable_init=0,lazy_journal_init=0", "-L", label, path, NULL);
	r = run_checked(&run, NULL, err);
	return r < 0 && err ? err_wrap(err, _("Cannot make a file system on %s"), path) : r;
}

/* One value of blkid's "export" format, in which blanks and the like of a label are escaped: not for those. */
static char *exported(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (!strncmp(line, key, len) && line[len] == '=')
			return xstrndup(line + len + 1, strcspn(line + len + 1, "\n"));
	return NULL;
}

static int only_zeros(int fd, off_t at, off_t end, bool *ret)
{
	_cleanup_(freep) char *piece = xmalloc(PIECE);

	*ret = true;
	while (at < end && *ret) {
		ssize_t n = pread(fd, piece, end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*ret = !*piece && !memcmp(piece, piece + 1, (size_t)n - 1);
		at += n;
	}
	return 0;
}

/* blkid finds nothing also on a disk that it cannot read, and on one whose content bears no mark, as an encrypted one
 * or a database's. */
static int look_for_content(const char *path, enum xen_content *ret, struct err *err)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	bool zeros = false;
	int r = size < 0 ? -errno : size == 0 ? -ENOSPC : only_zeros(fd, 0, size < FRONT ? size : FRONT, &zeros);

	if (r == 0 && zeros && size > FRONT)
		r = only_zeros(fd, size - BACK > FRONT ? size - BACK : FRONT, size, &zeros);
	if (r < 0)
		return err_errno(err, -r, _("Cannot see what is on the disk %s; it is left as it is"), path);
	*ret = zeros ? XEN_EMPTY : XEN_OTHER;
	return 0;
}

int xen_look_at_disk(const char *path, enum xen_content *ret, char **ret_uuid, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_(freep) char *type = NULL, *table = NULL;
	int r;

	strv_add_all(&run.argv, "blkid", "-p", "-o", "export", "--", path, NULL);
	r = run_program(&run, &output, err);
	if (r < 0)
		return r;
	if (r != 0 && r != 2)
		return err_set(err, EIO, _("blkid cannot tell what is on the disk %s; it is left as it is"), path);
	type = exported(buf_text(&output), "TYPE");
	table = exported(buf_text(&output), "PTTYPE");
	if (!type && !table) {
		r = look_for_content(path, ret, err);
		if (r < 0)
			return r;
	} else {
		*ret = type && !strcmp(type, "ext4") ? XEN_EXT4 : XEN_OTHER;
	}
	*ret_uuid = exported(buf_text(&output), "UUID");
	return 0;
}

bool xen_volume_present(const char *group, const char *name)
{
	_cleanup_run_ struct run run = { 0 };

	strv_add_all(&run.argv, "lvs", "--noheadings", "-o", "lv_name", NULL);
	strv_addf(&run.argv, "%s/%s", group, name);
	return run_program(&run, NULL, NULL) == 0;
}

/* LVM says that in words only. */
static int lvm_failed(const char *group, const char *name, int r, struct err *err)
{
	if (r == -EIO && err && err->message &&
	    (strstr(err->message, "insufficient free space") || strstr(err->message, "insufficient suitable")))
		return err_set(err, ENOSPC,
			       _("The volume group %s has no room for %s; extend it with 'vgextend', or remove what is "
				 "not needed"),
			       group, name);
	return r;
}

int xen_volume_make(const char *group, const char *name, uint64_t size, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r;

	strv_add_all(&run.argv, "lvcreate", "-q", "-y", "-W", "y", "-n", name, "-L", NULL);
	strv_addf(&run.argv, "%lluk", (unsigned long long)((size + 1023) / 1024));
	strv_add(&run.argv, group);
	r = run_checked(&run, NULL, &why);
	r = r < 0 ? lvm_failed(group, name, r, &why) : r;
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

int xen_volume_snapshot(const char *group, const char *of, const char *name, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r;

	/* As large as its origin: a snapshot that is full is broken. */
	strv_add_all(&run.argv, "lvcreate", "-q", "-y", "-s", "-n", name, "-l", "100%ORIGIN", NULL);
	strv_addf(&run.argv, "%s/%s", group, of);
	r = run_checked(&run, NULL, &why);
	r = r < 0 ? lvm_failed(group, name, r, &why) : r;
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

int xen_volume_remove(const char *group, const char *name, struct err *err)
{
	_cleanup_run_ struct run run = { 0 };

	if (!xen_volume_present(group, name))
		return 0;
	strv_add_all(&run.argv, "lvremove", "-q", "-f", NULL);
	strv_addf(&run.argv, "%s/%s", group, name);
	return run_checked(&run, NULL, err);
}
