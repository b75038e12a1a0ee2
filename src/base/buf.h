/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A growing run of bytes, always followed by a NUL that is not counted. Zero-initialised is empty. */
#ifndef TEPUY_BASE_BUF_H
#define TEPUY_BASE_BUF_H

#include "base/mem.h"

struct buf {
	char *data; /* owned; NULL while empty */
	size_t len, cap;
};

#define _cleanup_buf_ _cleanup_(buf_release)

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_adds(struct buf *buf, const char *s);
void buf_addc(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) _printf_(2, 3);
/* Makes room for `len` more bytes and returns where they go; the caller then raises `len` itself. */
char *buf_reserve(struct buf *buf, size_t len);
void buf_consume(struct buf *buf, size_t len); /* drops `len` bytes from the front */
const char *buf_text(const struct buf *buf);   /* "" while empty */
char *buf_take(struct buf *buf);               /* the caller owns the string; never NULL; the buffer is empty after */
void buf_release(struct buf *buf);

#endif
