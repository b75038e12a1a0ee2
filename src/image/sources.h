/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The apt sources that images are made from: those of the host itself, as no mirror is known here. `apt-get
 * indextargets` says what apt uses; the files that it names say with which keys.
 */
#ifndef TEPUY_IMAGE_SOURCES_H
#define TEPUY_IMAGE_SOURCES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct source {
	char *uri, *release;               /* "bookworm-updates" */
	struct strv components;            /* empty for a flat repository */
	char *signed_by;                   /* path of a key, a fingerprint, a key in armour, or NULL */
	char *trusted, *check_valid_until; /* "yes" … as in the file, or NULL */
};

struct sources {
	struct source *v;
	size_t n, cap;
};

void sources_release(struct sources *sources);

#define _cleanup_sources_ _cleanup_(sources_release)

/* The sources of a Debian suite (itself, -updates, -security) that this host uses. -ENOENT: it has none. */
int sources_of_host(const char *suite, const char *architecture, struct sources *ret, struct err *err);
/* The same out of a .sources text that was given. */
int sources_of_text(const char *text, const char *suite, struct sources *ret, struct err *err);
/* Appends a .sources text; a key that is a path is written as `keys`/<number>, its file's place in `sources`. */
void sources_write(const struct sources *sources, const char *keys, struct buf *to);

/* For tests: pure parts of sources_of_host. */
void sources_pick(const char *indextargets, const char *suite, const char *architecture, struct sources *ret,
		  struct strv *ret_files);
void sources_parse_file(const char *text, bool deb822, struct sources *ret);
void sources_take_options(struct sources *to, const struct sources *from);

#endif
