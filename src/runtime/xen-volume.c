/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Volumes: disks that outlive the machines that they are attached to. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "image/digest.h"
#include "runtime/xen-unit.h"
#include "runtime/xen.h"

#define DEFAULT_SIZE ((uint64_t)10 << 30)
#define MOST_NAME 256

int xen_volume_disk(const struct runtime_mount *mount, char **ret, bool *ret_is_device, struct err *err)
{
	struct stat st;

	if (stat(mount->from, &st) < 0)
		return err_errno(err, errno, _("Cannot mount %s at %s in the node"), mount->from, mount->to);
	*ret_is_device = S_ISBLK(st.st_mode);
	if (!S_ISBLK(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_set(err, EINVAL,
			       _("Cannot mount %s at %s in the node: a machine's volume is a block device, or a "
				 "directory in which its disk is made"),
			       mount->from, mount->to);
	*ret = S_ISBLK(st.st_mode) ? xstrdup(mount->from) : fs_join(mount->from, "disk.img");
	return 0;
}

/* "tepuy-" and ten digits of a hash over where it lies: 16 bytes at most. The caller owns it. */
static char *label_of(const char *disk)
{
	_cleanup_(freep) char *hash = digest_of(disk, strlen(disk));

	return xasprintf("tepuy-%.10s", hash);
}

/* Made under another name first: half a disk never has the name that is attached. */
static int make_disk(const char *disk, uint64_t size, struct err *err)
{
	_cleanup_(freep) char *new = xasprintf("%s.new", disk), *label = label_of(disk);
	int r;

	unlink(new);
	r = xen_make_sparse(new, size ? size : DEFAULT_SIZE, err);
	r = r < 0 ? r : xen_make_ext4(new, label, err);
	if (r == 0 && rename(new, disk) < 0)
		r = err_errno(err, errno, _("Cannot make the disk %s"), disk);
	if (r < 0)
		unlink(new);
	return r;
}

static int make_volume(const struct runtime_mount *mount, struct err *err)
{
	_cleanup_(freep) char *disk = NULL, *uuid = NULL, *ours = NULL;
	enum xen_content content;
	bool device;
	int r = xen_volume_disk(mount, &disk, &device, err);

	if (r < 0 || !disk) /* never 0 without a disk: for the analyzer, which takes errno for 0 */
		return r;
	/* A link that leads nowhere now is somebody's disk, too. */
	if (!device && faccessat(AT_FDCWD, disk, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return make_disk(disk, mount->size, err);
	r = xen_look_at_disk(disk, &content, &uuid, err);
	if (r < 0 || content == XEN_EXT4)
		return r;
	if (content == XEN_OTHER || !device)
		return err_set(err, EINVAL,
			       _("The disk %s has something else on it than an ext4 file system; it is left as it is. "
				 "Give another one, or make that file system yourself if nothing of it is needed: "
				 "'wipefs -a %s', then 'mkfs.ext4 %s'"),
			       disk, disk, disk);
	ours = label_of(disk);
	return xen_make_ext4(disk, ours, err);
}

static int find_uuid(const char *disk, char **ret, struct err *err)
{
	enum xen_content content;
	int r = xen_look_at_disk(disk, &content, ret, err);

	if (r == 0 && !*ret)
		return err_set(err, EINVAL,
			       _("The file system on the disk %s has no UUID; give it one with 'tune2fs -U random %s'"),
			       disk, disk);
	return r;
}

/* A copy of a disk has the UUID of what it was copied from: which of both is mounted would be left to chance. */
static int refuse_same(const struct xen_fstab_line *lines, size_t n, const struct strv *disks, struct err *err)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (!strcmp(lines[i].device, lines[n - 1].device))
			return err_set(err, EINVAL,
				       _("The file systems on the disks %s and %s have the same UUID; give one of them "
					 "another with 'tune2fs -U random'"),
				       disks->v[i], disks->v[n - 1]);
	return 0;
}

int xen_volumes_fstab(const struct xen_node *node, char **ret, struct err *err)
{
	struct xen_fstab_line *lines = xcalloc(node->n_mounts, sizeof(*lines));
	_cleanup_strv_ struct strv disks = { 0 };
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < node->n_mounts && r == 0; i++) {
		const struct runtime_mount *mount = &node->mounts[i];
		_cleanup_(freep) char *uuid = NULL;
		char *disk = NULL;
		bool device;

		if (mount->copied)
			continue;
		r = xen_volume_disk(mount, &disk, &device, err);
		if (r < 0)
			break;
		strv_take(&disks, disk);
		r = find_uuid(disk, &uuid, err);
		if (r < 0)
			break;
		lines[n++] = (struct xen_fstab_line){ xasprintf("UUID=%s", uuid), mount->to, mount->read_only };
		r = refuse_same(lines, n, &disks, err);
	}
	r = r < 0 ? r : xen_fstab(lines, n, ret, err);
	while (n)
		free(lines[--n].device);
	free(lines);
	return r;
}

static int lock_volumes(const struct xen_config *config, struct err *err)
{
	_cleanup_(freep) char *dir = fs_join(config->directory, "volumes"), *path = fs_join(dir, "lock");
	int r = fs_mkdirs(dir, 0700, err);

	return r < 0 ? r : fs_lock(path, err);
}

int xen_make_volumes(const struct xen_config *config, const struct xen_node *node, struct err *err)
{
	_cleanup_(closep) int lock = lock_volumes(config, err);
	int r = lock < 0 ? lock : 0;

	for (size_t i = 0; i < node->n_mounts && r == 0; i++)
		if (!node->mounts[i].copied)
			r = make_volume(&node->mounts[i], err);
	return r;
}

/* Who used it last; nobody: "". */
static void read_user(const char *path, struct buf *to)
{
	if (fs_read(path, MOST_NAME, to, NULL) < 0)
		buf_consume(to, to->len);
	if (to->len)
		to->data[strcspn(to->data, "\n")] = '\0';
}

/* Whether that is a volume of the node now. What cannot be told counts as one. */
static bool has_volume(const struct xen_node *node, const char *real)
{
	for (size_t i = 0; i < node->n_mounts; i++) {
		_cleanup_(freep) char *disk = NULL, *one = NULL;
		bool device;

		if (node->mounts[i].copied)
			continue;
		if (xen_volume_disk(&node->mounts[i], &disk, &device, NULL) == 0)
			one = realpath(disk, NULL);
		if (!one || !strcmp(one, real))
			return true;
	}
	return false;
}

/* Its machine is there, or will be in a moment: who starts it has its lock, and noted that before it took the volume.
 * In this order, as one that is no more being started is there. The note is of the disk's name, which may have been
 * another's before the host was booted (/dev/dm-3): then it says nothing. */
static int uses_disk(struct xen *xen, const struct xen_config *config, const char *user, const char *real, bool *ret,
		     struct err *err)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	struct xen_record record = { 0 };
	bool has_record = false;
	int lock = xen_lock_node(config, user, 0, NULL), loaded;

	if (lock >= 0)
		close(lock);
	loaded = xen_load_node(xen, user, &node, &record, &has_record, NULL);
	*ret = false;
	if (loaded == 0 && !has_volume(&node, real))
		return 0;
	*ret = lock == -EBUSY && loaded == 0 && has_record && record.phase == XEN_STARTING;
	return *ret ? 0 : xen_domain_present(xen, user, ret, err);
}

static int take_volume(struct xen *xen, const struct xen_config *config, const struct xen_node *node,
		       const struct runtime_mount *mount, struct err *err)
{
	_cleanup_(freep) char *disk = NULL, *real = NULL, *hash = NULL, *path = NULL, *text = NULL;
	_cleanup_buf_ struct buf user = { 0 };
	bool device, used = false;
	int r = xen_volume_disk(mount, &disk, &device, err);

	if (r < 0)
		return r;
	real = realpath(disk, NULL);
	if (!real)
		return err_errno(err, errno, _("Cannot find the disk %s of the node %s"), disk, node->name);
	hash = digest_of(real, strlen(real));
	path = xasprintf("%s/volumes/%s.lock", config->directory, hash);
	read_user(path, &user);
	if (user.len && strcmp(user.data, node->name))
		r = uses_disk(xen, config, user.data, real, &used, err);
	if (r < 0)
		return r;
	if (used)
		return err_set(err, EBUSY, _("The disk %s is in use by the machine %s; stop that one first"), disk,
			       user.data);
	text = xasprintf("%s\n", node->name);
	return fs_write(path, text, strlen(text), 0600, err);
}

int xen_take_volumes(struct xen *xen, const struct xen_node *node, struct err *err)
{
	const struct xen_config *config;
	_cleanup_(closep) int lock = -1;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	lock = lock_volumes(config, err);
	r = lock < 0 ? lock : 0;
	for (size_t i = 0; i < node->n_mounts && r == 0; i++)
		if (!node->mounts[i].copied)
			r = take_volume(xen, config, node, &node->mounts[i], err);
	return r;
}
