/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What makes a Debian host a Xen host, as texts: functions of data. */
#ifndef TEPUY_HOST_XEN_CONFIG_H
#define TEPUY_HOST_XEN_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

/* What the step `runtime` is told of Xen, checked. All is borrowed from the input. */
struct xen_wish {
	const char *bridge, *addresses;
	const char *volume_group; /* NULL: none */
	uint64_t dom0_memory;     /* bytes */
	const json_t *input;
};

/* -EINVAL with a sentence that names the key. */
int xen_wish_read(const json_t *xen, struct xen_wish *ret, struct err *err);
/* /etc/tepuy/xen.json, as the driver reads it. `dns`: where the input names none. The caller owns it. */
char *xen_config_text(const struct xen_wish *wish, const struct strv *dns);
/* The name servers of resolv.conf that machines can ask too: those on the host itself are left out. */
void xen_name_servers(const char *resolv_conf, struct strv *ret);

/* The file below /etc/default/grub.d that gives dom0 its memory and makes Xen what boots. The caller owns it. */
char *xen_grub_defaults(uint64_t dom0_memory);
/* Does this grub.cfg boot Xen, and with that memory, when nobody chooses? */
bool xen_grub_boots(const char *grub_cfg, uint64_t dom0_memory);
/* Does the hypervisor's own command line give dom0 that memory, no more and no less? */
bool xen_command_line_gives(const char *command_line, uint64_t dom0_memory);
/* Is the kernel of this /boot/config-… one for dom0, and for guests? */
bool xen_kernel_fits(const char *config);

/* A file of /etc/default with NAME="value" in the place of what it said, or at its end. The caller owns it. */
char *defaults_with(const char *text, const char *name, const char *value);

#endif
