/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/docker-wire.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define MOST_HEAD (64u << 10)
#define MOST_CHUNK_LINE 256

/* The value of a header line when its name is this one, else NULL. */
static const char *header_value(const char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " \t");
}

static int take_header(const char *line, struct wire_head *head)
{
	const char *value;

	if ((value = header_value(line, "Transfer-Encoding")))
		head->chunked = !strcasecmp(value, "chunked");
	else if ((value = header_value(line, "Content-Length")) && text_u64(value, &head->length) < 0)
		return -EBADMSG;
	return 0;
}

/* "HTTP/1.1 200 OK" */
static int take_status(const char *line, int *ret)
{
	const char *p = line + strlen("HTTP/1.x");

	if (!text_starts(line, "HTTP/1.") || strlen(line) < strlen("HTTP/1.x 200") || p[0] != ' ')
		return -EBADMSG;
	for (int i = 1; i <= 3; i++)
		if (!isdigit((unsigned char)p[i]))
			return -EBADMSG;
	if (p[4] && p[4] != ' ')
		return -EBADMSG;
	*ret = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
	return 0;
}

static int parse_head(char *text, struct wire_head *head)
{
	char *rest = NULL, *line = strtok_r(text, "\r\n", &rest);
	int r = line ? take_status(line, &head->status) : -EBADMSG;

	while (r == 0 && (line = strtok_r(NULL, "\r\n", &rest)))
		r = take_header(line, head);
	return r;
}

int wire_head(struct buf *in, struct wire_head *ret)
{
	struct wire_head head = { .length = UINT64_MAX };
	const char *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
	_cleanup_(freep) char *text = NULL;
	int r;

	if (!end)
		return in->len > MOST_HEAD ? -EBADMSG : 0;
	if ((size_t)(end - in->data) > MOST_HEAD)
		return -EBADMSG;
	text = xstrndup(in->data, (size_t)(end - in->data));
	r = parse_head(text, &head);
	if (r < 0)
		return r;
	buf_consume(in, (size_t)(end - in->data) + 4);
	*ret = head;
	return 1;
}

/* Reads the line before a chunk: its size in hexadecimal, perhaps an extension behind ';'. */
static int chunk_line(struct buf *in, uint64_t *ret)
{
	const char *end = in->len ? memmem(in->data, in->len, "\r\n", 2) : NULL;
	uint64_t size = 0;
	const char *p;

	if (!end)
		return in->len > MOST_CHUNK_LINE ? -EBADMSG : 0;
	for (p = in->data; p < end && isxdigit((unsigned char)*p); p++) {
		if (size >> 58)
			return -EBADMSG;
		size = size * 16 + (uint64_t)(isdigit((unsigned char)*p) ? *p - '0' : tolower(*p) - 'a' + 10);
	}
	if (p == in->data || (p < end && *p != ';'))
		return -EBADMSG;
	buf_consume(in, (size_t)(end - in->data) + 2);
	*ret = size;
	return 1;
}

/* Inside a chunk: its bytes, then the line's end that follows them. 1 when the chunk is done. */
static int chunk_content(struct wire_chunks *chunks, struct buf *in, struct buf *out)
{
	size_t part = in->len < chunks->left ? in->len : (size_t)chunks->left;

	if (part) {
		buf_add(out, in->data, part);
		buf_consume(in, part);
		chunks->left -= part;
	}
	if (chunks->left || in->len < 2)
		return 0;
	if (memcmp(in->data, "\r\n", 2))
		return -EBADMSG;
	buf_consume(in, 2);
	chunks->inside = false;
	return 1;
}

int wire_chunks(struct wire_chunks *chunks, struct buf *in, struct buf *out)
{
	int r = 1;

	while (!chunks->ended && r > 0) {
		if (chunks->inside) {
			r = chunk_content(chunks, in, out);
			continue;
		}
		r = chunk_line(in, &chunks->left);
		if (r > 0) {
			/* Trailers may follow the last chunk; nothing here needs them, nor the connection afterwards.
			 */
			chunks->ended = chunks->left == 0;
			chunks->inside = !chunks->ended;
		}
	}
	return r < 0 ? r : chunks->ended;
}

/* The frame's head is whole: 0 and the length is known, or -EBADMSG. */
static int demux_head(struct wire_demux *demux)
{
	uint32_t big;

	if (demux->head[0] > 3 || demux->head[1] || demux->head[2] || demux->head[3])
		return -EBADMSG;
	memcpy(&big, demux->head + 4, sizeof(big));
	demux->left = be32toh(big);
	if (!demux->left)
		demux->have = 0;
	return 0;
}

int wire_demux(struct wire_demux *demux, const char *bytes, size_t len, runtime_log_fn fn, void *data)
{
	int r = 0;

	while (len && r == 0) {
		size_t part;

		if (demux->have < sizeof(demux->head)) {
			demux->head[demux->have++] = (unsigned char)*bytes;
			bytes++;
			len--;
			if (demux->have == sizeof(demux->head))
				r = demux_head(demux);
			continue;
		}
		part = len < demux->left ? len : demux->left;
		r = fn(data, demux->head[0] >= 2 ? 2 : 1, bytes, part);
		bytes += part;
		len -= part;
		demux->left -= (uint32_t)part;
		if (!demux->left)
			demux->have = 0;
	}
	return r < 0 ? r : 0;
}
