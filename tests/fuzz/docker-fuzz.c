/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What Docker, or what sits in its place, may send: the first byte chooses the decoder, the second how it is split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/docker-events.h"
#include "runtime/docker-json.h"
#include "runtime/docker-wire.h"
#include "runtime/frame.h"
#include "runtime/node-root.h"
#include "runtime/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take_piece(void *data, int stream, const char *bytes, size_t len)
{
	buf_add(data, bytes, len);
	return stream == 1 || stream == 2 ? 0 : -1;
}

static void take_event(void *data, const struct runtime_event *event)
{
	if (event->instance)
		buf_adds(data, event->instance);
}

static void fuzz_documents(const char *text, size_t len)
{
	struct docker_container container = { 0 };
	struct docker_version version = { 0 };
	struct docker_image image = { 0 };
	struct docker_exec_state exec;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_strv_ struct strv ids = { 0 };
	_cleanup_(freep) char *id = NULL;
	struct runtime_node *nodes = NULL;
	size_t n = 0;

	docker_decode_container(text, len, &container, &err);
	docker_container_release(&container);
	docker_decode_list(text, len, &nodes, &n, &err);
	runtime_nodes_free(nodes, n);
	docker_decode_version(text, len, &version, &err);
	docker_version_release(&version);
	docker_decode_image(text, len, &image, &err);
	docker_image_release(&image);
	docker_decode_images(text, len, &ids, &err);
	docker_decode_exec(text, len, &exec, &err);
	docker_decode_id(text, len, &id, &err);
	docker_decode_load(text, len, &err);
	docker_error(len & 1 ? 409 : 500, text, len, &err);
}

static void fuzz_reply(const char *bytes, size_t len, size_t step)
{
	_cleanup_buf_ struct buf in = { 0 }, out = { 0 };
	struct wire_head head = { 0 };
	struct wire_chunks chunks = { 0 };
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += step) {
		buf_add(&in, bytes + i, len - i < step ? len - i : step);
		if (!head.status)
			r = wire_head(&in, &head) < 0;
		if (head.status && head.chunked)
			r = wire_chunks(&chunks, &in, &out);
	}
}

static void fuzz_stream(const char *bytes, size_t len, size_t step)
{
	_cleanup_buf_ struct buf out = { 0 };
	struct wire_demux demux = { 0 };
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += step)
		r = wire_demux(&demux, bytes + i, len - i < step ? len - i : step, take_piece, &out);
}

static void fuzz_events(const char *bytes, size_t len, size_t step)
{
	_cleanup_(docker_events_release) struct docker_events events = { 0 };
	_cleanup_buf_ struct buf out = { 0 };
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += step)
		r = docker_events_feed(&events, bytes + i, len - i < step ? len - i : step, take_event, &out);
}

static void fuzz_frames(const char *bytes, size_t len)
{
	_cleanup_buf_ struct buf in = { 0 };
	struct frame frame;
	uint32_t rows, columns;

	buf_add(&in, bytes, len);
	while (frame_peek(&in, &frame) > 0) {
		if (frame.type == FRAME_RESIZE)
			frame_resize(&frame, &rows, &columns);
		if (frame.type == FRAME_EXIT)
			frame_exit(&frame);
		frame_drop(&in, &frame);
	}
}

static void fuzz_files(const char *bytes, size_t len)
{
	_cleanup_(freep) char *text = xstrndup(bytes, len);
	const char *content;
	size_t content_len;
	uid_t uid;
	gid_t gid;

	if (tar_first_file(bytes, len, &content, &content_len) == 0 && content_len > len)
		abort();
	node_owner("web:adm", text, text, &uid, &gid, NULL);
	node_owner(text, "web:x:1:2", "adm:x:3:", &uid, &gid, NULL);
	node_path_is_sane(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data + 2;
	size_t len = size - 2, step;

	if (size < 2)
		return 0;
	step = data[1] ? data[1] : 4096;
	switch (data[0]) {
	case 'r':
		fuzz_reply(bytes, len, step);
		break;
	case 's':
		fuzz_stream(bytes, len, step);
		break;
	case 'e':
		fuzz_events(bytes, len, step);
		break;
	case 'f':
		fuzz_frames(bytes, len);
		break;
	case 't':
		fuzz_files(bytes, len);
		break;
	default:
		fuzz_documents(bytes, len);
	}
	return 0;
}
