/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packages for hosts whose mirror does not answer: a tar with every .deb that a bare Debian 12 needs to become a host
 * and an index of them, which the host unpacks and uses as its only apt source until it is prepared without it again.
 */
#ifndef TEPUY_CLI_HOST_BUNDLE_H
#define TEPUY_CLI_HOST_BUNDLE_H

#include "base/strv.h"
#include "cli/cluster.h"
#include "cli/host-package.h"

/* Images of recipes in the bundle, and where they are on a host (image/carry.h). */
#define OFFLINE_IMAGES "images"
#define OFFLINE_IMAGES_PATH "/var/lib/tepuy/offline/" OFFLINE_IMAGES

/*
 * Makes `file` on this machine, which must be a Debian with a mirror: `deb`, Docker, Consul, what they depend on down
 * to the base system, and `more`. Takes minutes; `say` is told what it is at.
 */
struct bundle_wish {
	const struct deb *deb;
	const struct strv *more; /* Debian packages; NULL: none */
	/* Puts more into a directory of the bundle's, OFFLINE_IMAGES, with `work` for what it needs meanwhile; may be
	 * NULL. */
	int (*fill)(void *data, const char *directory, const char *work, struct err *err);
	void (*say)(void *data, const char *text);
	void *data; /* of both */
};

int bundle_make(const char *file, const struct bundle_wish *wish, struct err *err);

/* Puts it onto the host, as its apt source; nothing when it is there. `sha256` is that of the bundle. */
int bundle_give(struct cluster *cluster, struct member *host, const char *bundle, const char *sha256, struct err *err);
/* Gives the host its own apt sources back. */
int bundle_take_back(struct member *host, struct err *err);

#endif
