/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unpacks archives that others made. libarchive reads them; the files are written here with openat2(2), so that it is
 * the kernel that keeps every path inside the directory, whatever links the archive brings.
 */
#ifndef TEPUY_IMAGE_UNTAR_H
#define TEPUY_IMAGE_UNTAR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define UNTAR_MOST_BYTES ((size_t)64 << 20) /* of a bundle, packed and unpacked */
#define UNTAR_MOST_ENTRIES 16384            /* of a bundle */
#define UNTAR_MOST_PATH 1024                /* bytes of a path in a bundle */

/*
 * A bundle: regular files, directories and symbolic links that stay inside, owned by whoever runs this, modes 0644 or
 * 0755, nothing twice. Anything else is -EBADMSG with a sentence. `dir` -1 only looks at it.
 */
int untar_bundle(const void *tar, size_t len, int dir, struct err *err);

/*
 * An image's layer, any compression, as the lower directory of an overlay: owners, modes, times, hard links and
 * extended attributes kept; ".wh." entries become overlay whiteouts; devices are left out, as every runtime makes its
 * own /dev. Links are followed inside `dir` only. Needs root.
 */
int untar_layer(const char *path, int dir, struct err *err);

/*
 * As untar_layer, but onto the layers below it, in one tree without an overlay, as a machine's disk has them: what its
 * ".wh." entries hide is removed first.
 */
int untar_onto(const char *path, int dir, struct err *err);

/* Whether a symbolic link that lies `depth` directories deep (0: at the top) can only lead to places in the tree. */
bool untar_link_stays(const char *target, size_t depth);

#endif
