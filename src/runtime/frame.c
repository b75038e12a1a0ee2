/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static void add_u32(struct buf *to, uint32_t value)
{
	uint32_t big = htobe32(value);

	buf_add(to, &big, sizeof(big));
}

static uint32_t get_u32(const char *from)
{
	uint32_t big;

	memcpy(&big, from, sizeof(big));
	return be32toh(big);
}

void frame_add(struct buf *to, enum frame_type type, const void *bytes, size_t len)
{
	const char *p = bytes;

	do {
		size_t part = len < FRAME_MOST ? len : FRAME_MOST;

		buf_addc(to, (char)type);
		add_u32(to, (uint32_t)part);
		if (part)
			buf_add(to, p, part);
		p = part ? p + part : p;
		len -= part;
	} while (len);
}

void frame_add_resize(struct buf *to, uint32_t rows, uint32_t columns)
{
	buf_addc(to, FRAME_RESIZE);
	add_u32(to, 2 * sizeof(uint32_t));
	add_u32(to, rows);
	add_u32(to, columns);
}

void frame_add_exit(struct buf *to, uint32_t status)
{
	buf_addc(to, FRAME_EXIT);
	add_u32(to, sizeof(uint32_t));
	add_u32(to, status);
}

/* Whether a frame of this type may have this length. */
static bool fits(char type, uint32_t len)
{
	switch (type) {
	case FRAME_INPUT:
	case FRAME_STDOUT:
	case FRAME_STDERR:
		return len <= FRAME_MOST;
	case FRAME_RESIZE:
		return len == 2 * sizeof(uint32_t);
	case FRAME_EXIT:
		return len == sizeof(uint32_t);
	case FRAME_END_OF_INPUT:
		return len == 0;
	default:
		return false;
	}
}

int frame_peek(const struct buf *from, struct frame *ret)
{
	uint32_t len;

	if (from->len < FRAME_HEADER)
		return 0;
	len = get_u32(from->data + 1);
	if (!fits(from->data[0], len))
		return -EBADMSG;
	if (from->len - FRAME_HEADER < len)
		return 0;
	*ret = (struct frame){ (enum frame_type)from->data[0], len, from->data + FRAME_HEADER };
	return 1;
}

void frame_drop(struct buf *from, const struct frame *frame)
{
	buf_consume(from, FRAME_HEADER + (size_t)frame->len);
}

void frame_resize(const struct frame *frame, uint32_t *ret_rows, uint32_t *ret_columns)
{
	*ret_rows = get_u32(frame->bytes);
	*ret_columns = get_u32(frame->bytes + sizeof(uint32_t));
}

uint32_t frame_exit(const struct frame *frame)
{
	return get_u32(frame->bytes);
}
