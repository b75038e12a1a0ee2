/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The frames of an exec session (docs/api.md), without any socket: bytes in, frames out. */
#ifndef TEPUY_CLI_FRAME_H
#define TEPUY_CLI_FRAME_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum frame_type {
	FRAME_INPUT = '0',
	FRAME_STDOUT = '1',
	FRAME_STDERR = '2',
	FRAME_RESIZE = '3',
	FRAME_EXIT = '4',
	FRAME_INPUT_END = '5',
};

struct frame {
	char type;
	const char *data; /* in the buffer it was read from, until that changes */
	uint32_t len;
};

/* Appends a frame. */
void frame_add(struct buf *to, enum frame_type type, const void *data, uint32_t len);
void frame_add_resize(struct buf *to, uint32_t rows, uint32_t columns);
/*
 * The frame at the start of `len` bytes: returns the bytes that it takes, 0 when it is not whole yet, -EPROTO when it
 * can be none (longer than 1 MiB).
 */
int frame_next(const char *bytes, size_t len, struct frame *ret, struct err *err);
/* The status of a FRAME_EXIT; -EPROTO when it has not four bytes. */
int frame_exit_status(const struct frame *frame);

#endif
