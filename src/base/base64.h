/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Base64 with the standard alphabet and padding: RFC 4648 section 4. */
#ifndef TEPUY_BASE_BASE64_H
#define TEPUY_BASE_BASE64_H

#include "base/buf.h"

/* Appends the text of `len` bytes. */
void base64_encode(struct buf *to, const void *data, size_t len);
/* Appends the bytes; -EINVAL and nothing appended for text that is not canonical base64 (no spaces, no line breaks). */
int base64_decode(struct buf *to, const char *text, size_t len);

#endif
