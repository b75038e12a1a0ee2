/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paragraphs of "Name: value" lines as in deb822(5): apt's .sources files and the answers of apt-get indextargets. */
#ifndef TEPUY_IMAGE_DEB822_H
#define TEPUY_IMAGE_DEB822_H

#include "base/strv.h"

struct deb822 {
	struct strv names, values; /* a value keeps its continuation lines, with their first blank */
};

/* Reads the next paragraph and moves `*text` behind it; false when there is none. Lines of another shape are skipped.
 */
bool deb822_next(const char **text, struct deb822 *ret);
const char *deb822_get(const struct deb822 *paragraph, const char *name); /* borrowed; NULL: absent */
void deb822_release(struct deb822 *paragraph);

#define _cleanup_deb822_ _cleanup_(deb822_release)

/* Appends the words of `text`, which blanks separate. */
void deb822_words(const char *text, struct strv *ret);

#endif
