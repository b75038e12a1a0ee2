/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What Docker puts on a connection that libcurl cannot follow (hijacked and endless ones): HTTP heads, chunked bodies
 * (RFC 9112) and the multiplexed stream of Engine API 1.41 "Attach to a container". No I/O: bytes in, bytes out, split
 * anywhere.
 */
#ifndef TEPUY_RUNTIME_DOCKER_WIRE_H
#define TEPUY_RUNTIME_DOCKER_WIRE_H

#include <stdint.h>

#include "base/buf.h"
#include "runtime/runtime.h"

struct wire_head {
	int status; /* 101, 200 … */
	bool chunked;
	uint64_t length; /* Content-Length, UINT64_MAX: until the connection ends */
};

/* Takes a reply's head off the front of `in`. 1: done; 0: more bytes are needed; -EBADMSG: not HTTP or over 64 KiB. */
int wire_head(struct buf *in, struct wire_head *ret);

struct wire_chunks {   /* zero-initialised at the body's first byte */
	uint64_t left; /* of the present chunk */
	bool inside, ended;
};

/* Moves the chunks' content from `in` to `out`. 1: the body has ended; 0: more may come; -EBADMSG. */
int wire_chunks(struct wire_chunks *chunks, struct buf *in, struct buf *out);

struct wire_demux { /* zero-initialised at the stream's first byte */
	unsigned char head[8];
	size_t have;   /* bytes of the head */
	uint32_t left; /* bytes of the frame still to come */
};

/* Gives each piece of the streams to `fn` (which ends it by a negative errno). 0, that errno, or -EBADMSG. */
int wire_demux(struct wire_demux *demux, const char *bytes, size_t len, runtime_log_fn fn, void *data);

#endif
