/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "base/i18n.h"
#include "runtime/docker.h"

#define QUIET_MS 30000 /* without `follow`, Docker never waits: more silence than this is a fault */

/* Reads the stream to its end. What the sink answers ends it as that error, told apart by `sunk`. */
struct log_sink {
	runtime_log_fn fn;
	void *data;
	int failure;
};

static int give(void *data, int stream, const char *bytes, size_t len)
{
	struct log_sink *sink = data;

	sink->failure = sink->fn(sink->data, stream, bytes, len);
	return sink->failure < 0 ? sink->failure : 0;
}

static int read_all(struct docker_stream *stream, bool tty, bool follow, int stop_fd, struct log_sink *sink)
{
	struct wire_demux demux = { 0 };

	for (;;) {
		_cleanup_buf_ struct buf got = { 0 };
		int more = docker_stream_take(stream, &got), r = more < 0 ? more : 0;

		if (r == 0 && got.len)
			r = tty ? give(sink, 1, got.data, got.len) : wire_demux(&demux, got.data, got.len, give, sink);
		if (r < 0 || !more)
			return r;
		r = docker_wait(stream->fd, stop_fd, follow ? -1 : QUIET_MS);
		if (r <= 0)
			return r;
	}
}

int docker_logs(struct runtime *rt, const char *id, int tail, bool follow, bool timestamps, int stop_fd,
		runtime_log_fn fn, void *data, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(docker_stream_close) struct docker_stream stream = DOCKER_STREAM_INIT;
	_cleanup_(freep) char *path = NULL, *lines = tail < 0 ? xstrdup("all") : xasprintf("%d", tail);
	struct log_sink sink = { fn, data, 0 };
	int r = docker_find(docker, id, &container, err);

	if (r < 0)
		return r;
	path = xasprintf("/containers/%s/logs?stdout=1&stderr=1&tail=%s&follow=%d&timestamps=%d", container.node.id,
			 lines, follow, timestamps);
	r = docker_stream_open(docker, "GET", path, NULL, false, &stream, err);
	if (r < 0)
		return r;
	r = read_all(&stream, container.tty, follow, stop_fd, &sink);
	if (r < 0 && sink.failure < 0)
		return err_errno(err, -r, _("The reader of the log of %s ended it"), container.node.name);
	return r < 0 ? err_errno(err, -r, _("Cannot read the log of %s"), container.node.name) : 0;
}
