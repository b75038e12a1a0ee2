/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /etc/tepuy/xen.json: what the Xen driver must know of its host. Written by `tepuy setup runtime`. */
#ifndef TEPUY_RUNTIME_XEN_CONFIG_H
#define TEPUY_RUNTIME_XEN_CONFIG_H

#include "runtime/runtime.h"

#define XEN_CONFIG "/etc/tepuy/xen.json"

enum xen_type { XEN_ANY, XEN_PV, XEN_PVH };

struct xen_config {
	char *directory;                  /* golden disks, nodes; "/var/lib/tepuy/xen" */
	struct runtime_network *networks; /* the first is the one of bridge, addresses, gateway and dns */
	size_t n_networks;
	char *volume_group; /* NULL: disks are files */
	char *kernel, *initrd;
	enum xen_type type;
	uint64_t memory;        /* bytes for a node that has no limit; 512 MiB */
	uint64_t system_memory; /* bytes beside a node's limit, for its kernel and services; 96 MiB */
	uint64_t room;          /* bytes that a node's own disk has free at first; 2 GiB */
	int64_t start_ms; /* from a machine's creation until its sshd answers; 3 minutes. More: it is slow in all */
};

/* Errors name the file and the key: -ENOENT there is no such file, -EINVAL it says nonsense, other -errno of reading.
 */
int xen_config_load(const char *file, struct xen_config *ret, struct err *err);
/* The same of a text; `file` is for messages. */
int xen_config_parse(const char *file, const char *text, size_t len, struct xen_config *ret, struct err *err);
void xen_config_release(struct xen_config *config);
/* A bound of time that is right where machines start in three minutes at most: longer where they may take longer. */
int64_t xen_patience(const struct xen_config *config, int64_t ms);

#endif
