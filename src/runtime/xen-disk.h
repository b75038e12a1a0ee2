/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disks of machines: ext4 on the whole of a file or a block device. They are mounted without a place in any directory
 * (fsmount) and through loop devices that free themselves, so that a program that is killed leaves neither behind.
 */
#ifndef TEPUY_RUNTIME_XEN_DISK_H
#define TEPUY_RUNTIME_XEN_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct xen_mount {
	int root;   /* its root directory (O_PATH); -1: not mounted */
	char *disk; /* file or block device */
	char *loop; /* "loop3", or NULL */
	bool read_only;
};

#define XEN_MOUNT_INIT ((struct xen_mount){ .root = -1 })

/* Mounts; read only also without replaying its journal. Unmount with xen_unmount, also when something failed. */
int xen_mount(const char *disk, bool read_only, struct xen_mount *ret, struct err *err);
/* All is written and the disk is nobody's when it returns 0; -EBUSY when something still holds it after 20 s. */
int xen_unmount(struct xen_mount *mount, struct err *err);
/* For _cleanup_: as xen_unmount, without an answer. */
void xen_unmountp(struct xen_mount *mount);

/* Copies a file with its holes, or shares its blocks where the file system can. `to` is made. -ENOSPC. */
int xen_copy_sparse(const char *from, const char *to, struct err *err);
/* Copies a file onto a block device that is as large. */
int xen_copy_onto(const char *from, const char *device, struct err *err);
/* Makes a sparse file of that size. */
int xen_make_sparse(const char *path, uint64_t size, struct err *err);
/* Makes an ext4 in a file or on a device, with that label (at most 16 bytes). */
int xen_make_ext4(const char *path, const char *label, struct err *err);

enum xen_content { XEN_EMPTY, XEN_EXT4, XEN_OTHER };
/* What is on it: empty is what can be read and has nothing but zeros in its first 4 MiB and its last one; -errno when
 * it cannot be read, -ENOSPC when it has no bytes at all. `ret_uuid` (owned, NULL: none) of a file system. */
int xen_look_at_disk(const char *path, enum xen_content *ret, char **ret_uuid, struct err *err);

/* Logical volumes. */
int xen_volume_make(const char *group, const char *name, uint64_t size, struct err *err);
int xen_volume_snapshot(const char *group, const char *of, const char *name, struct err *err);
int xen_volume_remove(const char *group, const char *name, struct err *err); /* absent: 0 */
bool xen_volume_present(const char *group, const char *name);

#endif
