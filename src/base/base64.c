/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *to, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)p[i] << 16;

		if (left > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			bits |= p[i + 2];
		buf_addc(to, alphabet[bits >> 18 & 63]);
		buf_addc(to, alphabet[bits >> 12 & 63]);
		buf_addc(to, left > 1 ? alphabet[bits >> 6 & 63] : '=');
		buf_addc(to, left > 2 ? alphabet[bits & 63] : '=');
	}
}

/* 0 to 63, or -1. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Four digits, the last `padding` of which are '='. Returns the number of bytes, or -EINVAL. */
static int decode_group(const char *text, int padding, uint8_t bytes[3])
{
	uint32_t bits = 0;

	for (int i = 0; i < 4; i++) {
		int value = i < 4 - padding ? digit_value(text[i]) : 0;

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
	}
	bytes[0] = (uint8_t)(bits >> 16);
	bytes[1] = (uint8_t)(bits >> 8);
	bytes[2] = (uint8_t)bits;
	/* Bits that encode no byte must be zero, or two texts would mean the same. */
	if ((padding == 1 && bytes[2]) || (padding == 2 && bytes[1]))
		return -EINVAL;
	return 3 - padding;
}

int base64_decode(struct buf *to, const char *text, size_t len)
{
	size_t before = to->len;

	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		int padding = 0, n;
		uint8_t bytes[3];

		if (i + 4 == len)
			padding = text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
		n = decode_group(text + i, padding, bytes);
		if (n < 0) {
			to->len = before;
			if (to->data)
				to->data[before] = '\0';
			return n;
		}
		buf_add(to, bytes, (size_t)n);
	}
	return 0;
}
