/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Images as golden disks: made once from an image's layers, then copied for each node. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "image/untar.h"
#include "runtime/xen.h"

#define MIB ((uint64_t)1 << 20)
#define LABEL "tepuy-root"
#define GOLDEN_PREFIX "tepuy-golden-"

/* Held while an image's disk is made or removed; waits for the other who does it. The caller closes it, or -errno. */
static int lock_golden(const struct xen_config *config, const char *id, struct err *err)
{
	_cleanup_(freep) char *dir = fs_join(config->directory, "golden"), *path = xasprintf("%s/%s.lock", dir, id);
	int r = fs_mkdirs(dir, 0700, err);

	return r < 0 ? r : fs_lock(path, err);
}

static bool golden_present(const struct xen_config *config, const char *id)
{
	_cleanup_(freep) char *path = xen_golden(config, id), *name = xasprintf(GOLDEN_PREFIX "%s", id);

	return config->volume_group ? xen_volume_present(config->volume_group, name) : access(path, F_OK) == 0;
}

/* The layers' bytes, what a file system adds to many small files, and the room that was asked for. */
static int disk_size(const struct xen_config *config, const struct image *image, uint64_t *ret, struct err *err)
{
	uint64_t size = 0;
	struct stat st;

	for (size_t i = 0; i < image->n_layers; i++) {
		if (stat(image->layers[i].path, &st) < 0)
			return err_errno(err, errno, _("Cannot read the layer %s"), image->layers[i].path);
		size += (uint64_t)st.st_size;
	}
	size += size / 4 + 64 * MIB + config->room;
	*ret = (size + 4 * MIB - 1) / (4 * MIB) * (4 * MIB);
	return 0;
}

static int check_room(const struct xen_config *config, const struct image *image, struct err *err)
{
	struct statvfs st;
	uint64_t content = 0;
	struct stat layer;

	for (size_t i = 0; i < image->n_layers; i++)
		content += stat(image->layers[i].path, &layer) == 0 ? (uint64_t)layer.st_size : 0;
	if (statvfs(config->directory, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < content + content / 4)
		return err_set(err, ENOSPC, _("%s has %llu MiB free; the disk of the image needs %llu"),
			       config->directory, (unsigned long long)((uint64_t)st.f_bavail * st.f_frsize / MIB),
			       (unsigned long long)((content + content / 4) / MIB));
	return 0;
}

static int unpack(const char *disk, const struct image *image, struct err *err)
{
	_cleanup_(xen_unmountp) struct xen_mount mount = XEN_MOUNT_INIT;
	int r = xen_mount(disk, false, &mount, err);

	for (size_t i = 0; i < image->n_layers && r == 0; i++) {
		_cleanup_(closep) int root = openat(mount.root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		r = root < 0 ? err_errno(err, errno, _("Cannot open the disk %s"), disk)
			     : untar_onto(image->layers[i].path, root, err);
	}
	return r < 0 ? r : xen_unmount(&mount, err);
}

/* `base` NULL: an empty file system. */
static int make_file(const struct xen_config *config, const struct image *image, const char *base, const char *path,
		     struct err *err)
{
	_cleanup_(freep) char *new = xasprintf("%s.new", path);
	uint64_t size;
	int r = disk_size(config, image, &size, err);

	r = r < 0 ? r : check_room(config, image, err);
	unlink(new);
	if (r == 0 && base)
		r = xen_copy_sparse(base, new, err);
	else if (r == 0) {
		r = xen_make_sparse(new, size, err);
		r = r < 0 ? r : xen_make_ext4(new, LABEL, err);
	}
	r = r < 0 ? r : unpack(new, image, err);
	if (r == 0 && rename(new, path) < 0)
		r = err_errno(err, errno, _("Cannot make the disk %s"), path);
	if (r < 0)
		unlink(new);
	return r;
}

/* A volume appears with its name before it has its content, so it bears another one until it is complete. */
static int make_volume(const struct xen_config *config, const struct image *image, const char *base, struct err *err)
{
	const char *group = config->volume_group;
	_cleanup_(freep) char *name = xasprintf(GOLDEN_PREFIX "%s", image->id), *new = xasprintf("%s.new", name);
	_cleanup_(freep) char *path = xasprintf("/dev/%s/%s", group, new);
	_cleanup_run_ struct run run = { 0 };
	uint64_t size;
	int r = disk_size(config, image, &size, err);

	r = r < 0 ? r : xen_volume_remove(group, new, err);
	r = r < 0 ? r : xen_volume_make(group, new, size, err);
	if (r == 0)
		r = base ? xen_copy_onto(base, path, err) : xen_make_ext4(path, LABEL, err);
	r = r < 0 ? r : unpack(path, image, err);
	strv_add_all(&run.argv, "lvrename", "-q", group, new, name, NULL);
	r = r < 0 ? r : run_checked(&run, NULL, err);
	if (r < 0)
		xen_volume_remove(group, new, NULL);
	return r;
}

static int make_golden(const struct xen_config *config, const struct image *image, struct err *err)
{
	_cleanup_(freep) char *path = xen_golden(config, image->id), *base = NULL;

	if (image->external) {
		if (!xen_name_is_sane(image->external) || !golden_present(config, image->external))
			return err_set(err, ENOENT,
				       _("This host has no disk of the image %s; a machine's image is one that tepuy "
					 "built: use 'base: {suite:}' in its recipe"),
				       image->external);
		base = xen_golden(config, image->external);
	}
	if (config->volume_group)
		return make_volume(config, image, base, err);
	return make_file(config, image, base, path, err);
}

int xen_import(struct runtime *rt, const struct image *image, char **ret_ref, struct err *err)
{
	const struct xen_config *config;
	_cleanup_(closep) int lock = -1;
	int r = xen_config_of(xen_of(rt), &config, err);

	if (r < 0)
		return r;
	if (!xen_name_is_sane(image->id))
		return err_set(err, EINVAL, _("'%s' is no id of an image"), image->id);
	lock = lock_golden(config, image->id, err);
	if (lock < 0)
		return lock;
	if (!golden_present(config, image->id)) {
		r = make_golden(config, image, err);
		if (r < 0)
			return err ? err_wrap(err, _("Cannot make the disk of the image %s"), image->id) : r;
	}
	*ret_ref = xstrdup(image->id);
	return 0;
}

/* Images that nodes are made from: with a volume group their disks stand on the image's. */
static int images_in_use(const struct xen_config *config, struct strv *ret, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = xen_node_names(config, &names, err);

	for (size_t i = 0; i < names.n && r == 0; i++) {
		_cleanup_(freep) char *path = xen_node_path(config, names.v[i], "node.json");
		_cleanup_xen_node_ struct xen_node node = { 0 };
		_cleanup_buf_ struct buf text = { 0 };

		if (fs_read(path, 4u << 20, &text, NULL) == 0 &&
		    xen_node_decode(buf_text(&text), text.len, &node, NULL) == 0)
			strv_add(ret, node.image);
	}
	return r;
}

/* Ids that have a lock file: there is one for each image that was ever imported. */
static int known_images(const struct xen_config *config, struct strv *ret)
{
	_cleanup_(freep) char *path = fs_join(config->directory, "golden");
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir)))
		if (text_ends(entry->d_name, ".lock"))
			strv_take(ret, xstrndup(entry->d_name, strlen(entry->d_name) - strlen(".lock")));
	closedir(dir);
	return 0;
}

static int forget_image(const struct xen_config *config, const char *id, struct err *err)
{
	_cleanup_(freep) char *name = xasprintf(GOLDEN_PREFIX "%s", id), *path = xen_golden(config, id);
	_cleanup_(freep) char *lock_path = xasprintf("%s/golden/%s.lock", config->directory, id);
	_cleanup_(freep) char *new = xasprintf("%s/golden/%s.img.new", config->directory, id);
	_cleanup_(closep) int lock = open(lock_path, O_RDWR | O_CLOEXEC);
	int r = 0;

	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return 0; /* it is being made: somebody wants it */
	if (config->volume_group)
		r = xen_volume_remove(config->volume_group, name, err);
	else if (unlink(path) < 0 && errno != ENOENT)
		r = err_errno(err, errno, _("Cannot remove %s"), path);
	unlink(new);
	if (r == 0)
		unlink(lock_path);
	return r;
}

int xen_prune(struct runtime *rt, const struct strv *images, struct err *err)
{
	const struct xen_config *config;
	_cleanup_strv_ struct strv used = { 0 }, known = { 0 };
	int r = xen_config_of(xen_of(rt), &config, err);

	r = r < 0 ? r : images_in_use(config, &used, err);
	if (r == 0)
		r = known_images(config, &known);
	for (size_t i = 0; i < known.n && r == 0; i++)
		if (!strv_has(images, known.v[i]) && !strv_has(&used, known.v[i]))
			r = forget_image(config, known.v[i], err);
	return r;
}
