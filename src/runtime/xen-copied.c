/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/xen-copied.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "image/beneath.h"
#include "runtime/tar.h"
#include "runtime/xen.h"

#define MOST_BYTES (16u << 20)
#define MOST_DEPTH 8
#define PUSH_MS 120000

/* $1 where, $2 "ro" or "rw". The tmpfs of an earlier start in the same boot is replaced. */
static const char push_script[] =
    "set -eu; umount -- \"$1\" 2>/dev/null || :; mkdir -p -- \"$1\"; "
    "mount -t tmpfs -o mode=0755,nosuid,nodev,noexec,size=32m tepuy-secrets \"$1\"; "
    "tar -x -p --same-owner --numeric-owner -f - -C \"$1\"; [ \"$2\" = rw ] || mount -o remount,ro -- \"$1\"";

static int pack_directory(int dir, const char *prefix, int depth, struct buf *to, struct err *err);

static int pack_file(int fd, const struct tar_entry *head, struct buf *to, struct err *err)
{
	uint64_t got = 0;
	ssize_t n = 1;

	if (to->len + head->size > MOST_BYTES)
		return err_set(err, EFBIG, _("The secrets of a node are more than 16 MiB"));
	tar_add_head(to, head);
	while (got < head->size && n > 0) {
		n = read(fd, buf_reserve(to, head->size - got), head->size - got);
		to->len += n > 0 ? (size_t)n : 0;
		got += n > 0 ? (uint64_t)n : 0;
	}
	if (got != head->size)
		return err_set(err, EIO, _("The file %s changed while it was read"), head->name);
	tar_add_padding(to, head->size);
	return 0;
}

static int pack_entry(int dir, const char *name, const char *prefix, int depth, struct buf *to, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("%s%s", prefix, name), *inner = xasprintf("%s/", path);
	_cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct tar_entry head = { .name = path, .type = '0' };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, _("Cannot read %s"), path);
	head.mode = st.st_mode & 07777;
	head.uid = st.st_uid;
	head.gid = st.st_gid;
	if (S_ISREG(st.st_mode)) {
		head.size = (uint64_t)st.st_size;
		return pack_file(fd, &head, to, err);
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, EINVAL, _("%s is neither a file nor a directory"), path);
	head.name = inner;
	head.type = '5';
	tar_add_head(to, &head);
	return pack_directory(fd, inner, depth + 1, to, err);
}

static int pack_directory(int dir, const char *prefix, int depth, struct buf *to, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = depth > MOST_DEPTH ? -ELOOP : beneath_list(dir, &names);

	if (r < 0)
		return err_errno(err, -r, _("Cannot read the directory of a node's secrets"));
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = pack_entry(dir, names.v[i], prefix, depth, to, err);
	return r;
}

int xen_pack_copied(const char *from, struct buf *to, struct err *err)
{
	_cleanup_(closep) int dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir < 0)
		return err_errno(err, errno, _("Cannot read %s"), from);
	r = pack_directory(dir, "", 0, to, err);
	tar_add_end(to);
	return r;
}

static int push(struct remote *remote, const struct runtime_mount *mount, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct buf tar = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = PUSH_MS };
	int r = xen_pack_copied(mount->from, &tar, err);

	strv_add_all(&argv, "/bin/sh", "-c", push_script, "tepuy", mount->to, mount->read_only ? "ro" : "rw", NULL);
	command.input = tar.data;
	command.input_len = tar.len;
	if (r == 0)
		r = xen_command(remote, &command, NULL, err);
	if (tar.data)
		explicit_bzero(tar.data, tar.cap);
	buf_release(&tar);
	return r < 0 && err ? err_wrap(err, _("The files for %s did not get into the machine"), mount->to) : r;
}

int xen_push_copied(struct remote *remote, const struct xen_node *node, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < node->n_mounts && r == 0; i++)
		if (node->mounts[i].copied)
			r = push(remote, &node->mounts[i], err);
	return r;
}
