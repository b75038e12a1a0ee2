/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The frames of an interactive program (docs/api.md, POST /v1/exec), as runtime_ops.attach speaks them: a type byte (an
 * ASCII digit), the length as 32 bits big-endian, that many bytes. No I/O here: bytes are appended to a buffer as they
 * come, frames are taken off its front. Neither side sends more than FRAME_MOST bytes in one frame.
 */
#ifndef TEPUY_RUNTIME_FRAME_H
#define TEPUY_RUNTIME_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum frame_type {
	FRAME_INPUT = '0',
	FRAME_STDOUT = '1',
	FRAME_STDERR = '2',
	FRAME_RESIZE = '3',       /* rows, columns: 32 bits big-endian each */
	FRAME_EXIT = '4',         /* exit status, 32 bits big-endian */
	FRAME_END_OF_INPUT = '5', /* empty */
};

#define FRAME_HEADER 5
#define FRAME_MOST (64u << 10)

struct frame {
	enum frame_type type;
	uint32_t len;
	const char *bytes; /* borrowed from the buffer until frame_drop */
};

/* Appends as many frames as `len` bytes need; one when `len` is 0. */
void frame_add(struct buf *to, enum frame_type type, const void *bytes, size_t len);
void frame_add_resize(struct buf *to, uint32_t rows, uint32_t columns);
void frame_add_exit(struct buf *to, uint32_t status);

/* 1: `ret` is the frame at the front; 0: more bytes are needed; -EBADMSG: unknown type, too long, or of a wrong size.
 */
int frame_peek(const struct buf *from, struct frame *ret);
void frame_drop(struct buf *from, const struct frame *frame);
/* Of a frame of that type, as frame_peek gave it. */
void frame_resize(const struct frame *frame, uint32_t *ret_rows, uint32_t *ret_columns);
uint32_t frame_exit(const struct frame *frame);

#endif
