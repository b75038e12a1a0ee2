/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/docker-events.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "runtime/docker.h"

#define MOST_LINE (1u << 20)
#define SHORTEST_PAUSE 100
#define LONGEST_PAUSE 5000
#define KILLED 137 /* 128 + SIGKILL */

void docker_events_release(struct docker_events *events)
{
	buf_release(&events->line);
	for (size_t i = 0; i < DOCKER_OOM_KEPT; i++)
		free(events->killed[i]);
	*events = (struct docker_events){ 0 };
}

static bool forget_killed(struct docker_events *events, const char *id)
{
	bool found = false;

	for (size_t i = 0; i < DOCKER_OOM_KEPT; i++)
		if (events->killed[i] && !strcmp(events->killed[i], id)) {
			free(TAKE_PTR(events->killed[i]));
			found = true;
		}
	return found;
}

static void remember_killed(struct docker_events *events, const char *id)
{
	size_t i = events->next_killed++ % DOCKER_OOM_KEPT;

	forget_killed(events, id);
	free(events->killed[i]);
	events->killed[i] = xstrdup(id);
}

static int take_line(struct docker_events *events, const char *line, size_t len, runtime_event_fn fn, void *data)
{
	static const enum runtime_event_kind kinds[] = {
		[DOCKER_START] = RUNTIME_STARTED, [DOCKER_DIE] = RUNTIME_DIED, [DOCKER_DESTROY] = RUNTIME_REMOVED
	};
	_cleanup_(docker_event_release) struct docker_event got = { 0 };
	struct runtime_event event;
	int r = docker_decode_event(line, len, &got);

	if (r <= 0)
		return r;
	if (got.kind == DOCKER_OOM) {
		remember_killed(events, got.id);
		return 0;
	}
	event = (struct runtime_event){ .kind = kinds[got.kind], .instance = got.instance, .exit_code = got.exit_code };
	/* A child killed long ago says nothing about this death: each start and death forgets, and the code must fit.
	 */
	event.out_of_memory = forget_killed(events, got.id) && got.kind == DOCKER_DIE && got.exit_code == KILLED;
	fn(data, &event);
	return 0;
}

int docker_events_feed(struct docker_events *events, const char *bytes, size_t len, runtime_event_fn fn, void *data)
{
	while (len) {
		const char *end = memchr(bytes, '\n', len);
		size_t part = end ? (size_t)(end - bytes) : len;
		int r = 0;

		if (events->line.len + part > MOST_LINE)
			return -EBADMSG;
		buf_add(&events->line, bytes, part);
		if (!end)
			return 0;
		if (events->line.len)
			r = take_line(events, events->line.data, events->line.len, fn, data);
		buf_consume(&events->line, events->line.len);
		if (r < 0)
			return r;
		bytes += part + 1;
		len -= part + 1;
	}
	return 0;
}

/* The events from now on: asked for by time, so that none is lost between the request and the Engine's listening. */
static int open_stream(struct docker *docker, struct docker_stream *ret, struct err *err)
{
	_cleanup_(freep) char *filters = docker_encode_event_filters(), *path = NULL;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	path = xasprintf("/events?since=%lld.%09ld&filters=%s", (long long)now.tv_sec, now.tv_nsec, filters);
	return docker_stream_open(docker, "GET", path, NULL, false, ret, err);
}

/* One connection's life. 0: stop_fd says stop; negative: it broke. */
static int follow(struct docker_stream *stream, int stop_fd, runtime_event_fn fn, void *data)
{
	_cleanup_(docker_events_release) struct docker_events events = { 0 };

	for (;;) {
		_cleanup_buf_ struct buf got = { 0 };
		int more = docker_stream_take(stream, &got);
		int r = more < 0 ? more : docker_events_feed(&events, got.data, got.len, fn, data);

		if (r < 0)
			return r;
		if (!more)
			return -ECONNRESET;
		r = docker_wait(stream->fd, stop_fd, -1);
		if (r <= 0)
			return r;
	}
}

/* Whether to stop, after waiting so long at most. */
static bool stopped_within(int stop_fd, int ms)
{
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };

	return poll(&stop, 1, ms) > 0;
}

int docker_watch(struct runtime *rt, int stop_fd, runtime_event_fn fn, void *data, struct err *err)
{
	const struct runtime_event reconnected = { .kind = RUNTIME_RECONNECTED };
	int pause = SHORTEST_PAUSE;

	(void)err;
	for (;;) {
		_cleanup_(docker_stream_close) struct docker_stream stream = DOCKER_STREAM_INIT;
		_cleanup_err_ struct err why = ERR_INIT;

		if (open_stream(docker_of(rt), &stream, &why) == 0) {
			pause = SHORTEST_PAUSE;
			fn(data, &reconnected);
			if (follow(&stream, stop_fd, fn, data) == 0)
				return 0;
		} else
			log_debug("Docker's events: %s", err_text(&why));
		if (stopped_within(stop_fd, pause))
			return 0;
		pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
	}
}
