/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections that libcurl cannot serve: the Engine takes over an HTTP/1.1 connection after 101 (exec), which curl's
 * easy interface of Debian 12 does not hand out, and endless replies (logs, events) must end when another descriptor
 * says so.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "runtime/docker.h"

#define OPEN_MS 30000
#define READ_SIZE 32768
#define MOST_ERROR (64u << 10)

int docker_wait(int fd, int stop_fd, int64_t timeout_ms)
{
	struct pollfd fds[] = { { .fd = stop_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	int64_t deadline = clock_monotonic_ms() + timeout_ms;

	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : deadline - clock_monotonic_ms();
		int n = poll(fds, 2, timeout_ms < 0 ? -1 : (int)(left > 0 ? left : 0));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0)
			return fds[0].revents ? 0 : 1;
	}
}

/* A Unix socket's connect never waits: it answers EAGAIN while the listener's queue is full. */
static int connect_until(int fd, const char *path, int64_t deadline)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	while (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == ENOENT ? -ECONNREFUSED : -errno;
		if (clock_monotonic_ms() >= deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 5);
	}
	return 0;
}

static int send_until(int fd, const char *data, size_t len, int64_t deadline)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		struct pollfd out = { .fd = fd, .events = POLLOUT };

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_monotonic_ms() >= deadline)
			return -ETIMEDOUT;
		poll(&out, 1, 100);
	}
	return 0;
}

/* Receives what is there. 1: something came; 0: the peer closed; -EAGAIN. */
static int receive(int fd, struct buf *to)
{
	ssize_t n;

	do
		n = recv(fd, buf_reserve(to, READ_SIZE), READ_SIZE, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	to->len += (size_t)n;
	to->data[to->len] = '\0';
	return n > 0;
}

static int receive_until(int fd, struct buf *to, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - clock_monotonic_ms();
		int r = receive(fd, to);

		if (r != -EAGAIN)
			return r;
		r = docker_wait(fd, -1, left > 0 ? left : 0);
		if (r < 0)
			return r;
	}
}

static int send_request(struct docker *docker, struct docker_stream *stream, const char *method, const char *path,
			const char *body, bool hijack, int64_t deadline)
{
	_cleanup_(freep) char *versioned = docker_path(docker, path);
	_cleanup_buf_ struct buf request = { 0 };

	buf_printf(&request, "%s %s HTTP/1.1\r\nHost: docker\r\n", method, versioned);
	buf_adds(&request, hijack ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "Connection: close\r\n");
	if (body)
		buf_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	buf_printf(&request, "\r\n%s", body ? body : "");
	return send_until(stream->fd, request.data, request.len, deadline);
}

static int read_head(struct docker_stream *stream, int64_t deadline)
{
	int r;

	while ((r = wire_head(&stream->raw, &stream->head)) == 0) {
		r = receive_until(stream->fd, &stream->raw, deadline);
		if (r <= 0)
			return r < 0 ? r : -ECONNRESET;
	}
	return r < 0 ? r : 0;
}

/* The reply is an error: its body says why. */
static int refused(struct docker_stream *stream, int64_t deadline, struct err *err)
{
	_cleanup_buf_ struct buf body = { 0 };

	while (body.len < MOST_ERROR && docker_stream_take(stream, &body) > 0) {
		int64_t left = deadline - clock_monotonic_ms();

		if (docker_wait(stream->fd, -1, left > 0 ? left : 0) <= 0)
			break;
	}
	return docker_error(stream->head.status, body.data, body.len, err);
}

int docker_stream_open(struct docker *docker, const char *method, const char *path, const char *body, bool hijack,
		       struct docker_stream *ret, struct err *err)
{
	_cleanup_(docker_stream_close) struct docker_stream stream = DOCKER_STREAM_INIT;
	int64_t deadline = clock_monotonic_ms() + OPEN_MS;
	int r;

	stream.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (stream.fd < 0)
		return err_errno(err, errno, _("Cannot make a socket"));
	r = connect_until(stream.fd, docker->socket, deadline);
	if (r == 0)
		r = send_request(docker, &stream, method, path, body, hijack, deadline);
	if (r == 0)
		r = read_head(&stream, deadline);
	if (r == -ECONNREFUSED || r == -EACCES)
		return docker_away(docker, r, err);
	if (r < 0)
		return err_errno(err, -r, _("The request %s %s to Docker at %s failed"), method, path, docker->socket);
	if (stream.head.status != 101 && stream.head.status / 100 != 2)
		return refused(&stream, deadline, err);
	*ret = stream;
	stream = DOCKER_STREAM_INIT;
	return 0;
}

/* Moves what has been received, decoded, to `to`; sets stream->ended when the body says so. */
static int decode(struct docker_stream *stream, struct buf *to)
{
	size_t part = stream->raw.len;
	int r;

	if (stream->head.chunked) {
		r = wire_chunks(&stream->chunks, &stream->raw, to);
		stream->ended = r > 0;
		return r < 0 ? r : 0;
	}
	if (part > stream->head.length)
		part = (size_t)stream->head.length;
	if (part) {
		buf_add(to, stream->raw.data, part);
		buf_consume(&stream->raw, part);
	}
	if (stream->head.length != UINT64_MAX)
		stream->head.length -= part;
	stream->ended = stream->head.length == 0;
	return 0;
}

int docker_stream_take(struct docker_stream *stream, struct buf *to)
{
	size_t had = to->len;
	int r = decode(stream, to); /* bytes that came with the head wake no poll */

	if (r < 0 || stream->ended || to->len > had)
		return r < 0 ? r : !stream->ended;
	r = receive(stream->fd, &stream->raw);
	if (r == -EAGAIN)
		return 1;
	if (r < 0)
		return r;
	if (r == 0) {
		stream->ended = true;
		return 0;
	}
	r = decode(stream, to);
	return r < 0 ? r : !stream->ended;
}

void docker_stream_close(struct docker_stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	buf_release(&stream->raw);
	*stream = DOCKER_STREAM_INIT;
}
