/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is written into a machine's disk when it is made, as texts: nothing here touches anything. In the machine the
 * main process is tepuy-node.service, which the driver starts by SSH once it has brought the secrets. When it ends, the
 * machine ends: as with a container, the two are one.
 */
#ifndef TEPUY_RUNTIME_XEN_UNIT_H
#define TEPUY_RUNTIME_XEN_UNIT_H

#include "runtime/xen-node.h"

#define XEN_UNIT "tepuy-node.service"
/* In the machine: "RUN CODE STATUS RESULT OOMKILLS" of the last end of the main process (xen_decode_exit). */
#define XEN_EXIT_FILE "/var/lib/tepuy/exit"
/* The number of the run, which the driver writes before it starts the main process; gone with the machine. */
#define XEN_RUN_FILE "/run/tepuy-run"
#define XEN_ENDED_SCRIPT "/etc/tepuy/ended"

/* Where a volume is in the machine. */
struct xen_fstab_line {
	char *device; /* "UUID=…" */
	const char *to;
	bool read_only;
};

/* One word as systemd's unit files want it in a command line, in double quotes; nothing in it is expanded. */
void xen_quote_unit(struct buf *to, const char *word);
/* All texts are the caller's. -EINVAL: a line break where none can be written. */
int xen_unit_text(const struct xen_node *node, char **ret, struct err *err);
char *xen_network_unit(const struct xen_node *node);
char *xen_hosts(const struct xen_node *node);
char *xen_resolv(const struct xen_node *node);
char *xen_journal_conf(const struct xen_node *node);
int xen_fstab(const struct xen_fstab_line *lines, size_t n, char **ret, struct err *err);
/* The script that notes how the main process ended. */
extern const char xen_ended_script[];
extern const char xen_sshd_conf[];
extern const char xen_target_conf[];

#endif
