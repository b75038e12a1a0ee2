/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Debian package of tepuy that hosts are given: where it is on this machine, and what its control file says. */
#ifndef TEPUY_CLI_HOST_PACKAGE_H
#define TEPUY_CLI_HOST_PACKAGE_H

#include "base/err.h"
#include "base/strv.h"

struct deb {
	char *path, *package, *version, *architecture;
	char *build; /* Tepuy-Build: what is in it; NULL in other packages */
};

#define _cleanup_deb_ _cleanup_(deb_release)

/* Reads a .deb. -EINVAL for what is none. */
int deb_read(const char *path, struct deb *ret, struct err *err);
void deb_release(struct deb *deb);

struct debs {
	struct deb *v;
	size_t n, cap;
};

#define _cleanup_debs_ _cleanup_(debs_release)

/*
 * The packages of tepuy to install, at most one for an architecture: those `given`; without any, tepuy_*.deb beside
 * this program or up to three directories above it (where scripts/package puts it), then in /var/cache/tepuy, where a
 * host keeps the one that it was given: there, the one of this program's own version. -ENOENT says how to get one.
 */
int debs_find(const struct strv *given, struct debs *ret, struct err *err);
void debs_release(struct debs *debs);
const struct deb *debs_for(const struct debs *debs, const char *architecture);

#endif
