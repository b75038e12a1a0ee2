/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets of a node: files of the host that are given to its machine in memory, anew at each start. */
#ifndef TEPUY_RUNTIME_XEN_COPIED_H
#define TEPUY_RUNTIME_XEN_COPIED_H

#include "runtime/xen-node.h"
#include "ssh/remote.h"

/* Packs the regular files and directories below `from` as a tar with their owners and modes; at most 16 MiB. */
int xen_pack_copied(const char *from, struct buf *to, struct err *err);
/* Gives the machine all of the node's copied mounts, each on a tmpfs. */
int xen_push_copied(struct remote *remote, const struct xen_node *node, struct err *err);

#endif
