/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/i18n.h"

enum { HEADER = 5, MOST_FRAME = 1 << 20 };

static void add_u32(struct buf *to, uint32_t value)
{
	value = htobe32(value);
	buf_add(to, &value, sizeof(value));
}

static uint32_t read_u32(const char *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}

void frame_add(struct buf *to, enum frame_type type, const void *data, uint32_t len)
{
	buf_addc(to, (char)type);
	add_u32(to, len);
	buf_add(to, data, len);
}

void frame_add_resize(struct buf *to, uint32_t rows, uint32_t columns)
{
	uint32_t size[2] = { htobe32(rows), htobe32(columns) };

	frame_add(to, FRAME_RESIZE, size, sizeof(size));
}

int frame_next(const char *bytes, size_t len, struct frame *ret, struct err *err)
{
	uint32_t size;

	if (len < HEADER)
		return 0;
	size = read_u32(bytes + 1);
	if (size > MOST_FRAME)
		return err_set(err, EPROTO, _("The agent sent a frame of %u bytes, which cannot be right"), size);
	if (len - HEADER < size)
		return 0;
	*ret = (struct frame){ .type = bytes[0], .data = bytes + HEADER, .len = size };
	return (int)(HEADER + size);
}

int frame_exit_status(const struct frame *frame)
{
	return frame->len == 4 ? (int)(read_u32(frame->data) & 0xff) : -EPROTO;
}
