/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The apt configuration of a build, in a directory of its own that APT_CONFIG points at, so that neither the host's
 * sources, keys, proxies and passwords nor apt's lists and caches ever lie in the image.
 */
#ifndef TEPUY_IMAGE_APT_H
#define TEPUY_IMAGE_APT_H

#include "base/err.h"
#include "image/sources.h"

/* Where the directory is seen inside a build. */
#define APT_INSIDE "/run/tepuy-apt"

/* Fills the empty directory `dir`, which the programs that use it will see as `seen_as`. */
int apt_prepare(const struct sources *sources, const char *dir, const char *seen_as, struct err *err);

/* What went wrong, from apt's and dpkg's output: a whole sentence for a person, set in `err`; returns -errno. */
int apt_explain(const char *output, const char *recipe, const char *suite, struct err *err);

#endif
