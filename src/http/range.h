/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of a body, as HTTP speaks of them (RFC 9110 section 14). Bytes, counted from 0. No input or output. */
#ifndef TEPUY_HTTP_RANGE_H
#define TEPUY_HTTP_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#define HTTP_TOTAL_UNKNOWN UINT64_MAX

/* `len` bytes from `from` on, of a body of `total`. */
struct http_part {
	uint64_t from, len, total;
};

enum http_range { HTTP_RANGE_WHOLE, HTTP_RANGE_PART, HTTP_RANGE_BEYOND };

/*
 * What a request's Range (NULL: it has none) asks of a body of `size` bytes. A server may ignore a Range, and this one
 * does so with what is malformed or asks for several parts: WHOLE. BEYOND is to be answered with 416. `ret` is set
 * but for BEYOND.
 */
enum http_range http_range_asked(const char *value, uint64_t size, struct http_part *ret);
/* A reply's Content-Range, "bytes 5-9/10" or with '*' for an unknown total. False: malformed, or it contradicts
 * itself. */
bool http_range_given(const char *value, struct http_part *ret);

#endif
