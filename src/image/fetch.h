/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes layers, bundles and images from other hosts into the store. What comes is written to a partial file in the
 * store, gone on with after a broken link, whichever host gives the rest, also by another process; its hash is held
 * against its name before it becomes part of the store. A host that gave wrong bytes is not asked again.
 *
 * All calls block, for no longer than until the deadline. Errors: -ENOENT nobody has it; -EBADMSG all that came was
 * wrong; -ENOSPC, -EIO this host's own disk; -ETIMEDOUT; -ECANCELED it was told to stop; else what the last host that
 * was asked failed with.
 */
#ifndef TEPUY_IMAGE_FETCH_H
#define TEPUY_IMAGE_FETCH_H

#include <stdint.h>

#include "http/http.h"
#include "image/share.h"

struct fetch_peer {
	char *name; /* "srv1" */
	char *base; /* "https://192.0.2.11:8470" */
};

struct fetch {
	struct image_store *store;
	const struct http_tls *tls; /* NULL: for tests without */
	const struct fetch_peer *peers;
	size_t n_peers;
	int64_t deadline;             /* clock_monotonic_ms */
	const _Atomic bool *stopping; /* or NULL; looked at as bytes come and between tries */
	/* What is being done, a line for a person; `trouble`: it should be seen by whoever looks after the hosts. */
	void (*tell)(void *data, bool trouble, const char *line);
	void *tell_data;
};

/* `size` 0: not known, up to SHARE_MOST_LAYER. One that is in the store already is not asked for. */
int fetch_layer(const struct fetch *fetch, const char *sha256, uint64_t size, struct err *err);
int fetch_bundle(const struct fetch *fetch, const char *sha256, struct err *err);
/* The image of that name and id, for `recipe`, with all layers that the store lacks. */
int fetch_image(const struct fetch *fetch, const char *name, const char *id, const struct image_recipe *recipe,
		struct err *err);

#endif
