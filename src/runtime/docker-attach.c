/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Interactive programs: a thread for each carries bytes between Docker's connection and a socket pair whose other end,
 * with the neutral frames of runtime/frame.h, is the caller's. It owns all that it uses: the runtime may be freed
 * first.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/thread.h"
#include "runtime/docker.h"
#include "runtime/drivers.h"
#include "runtime/frame.h"

#define MOST_SESSIONS 64
#define MOST_WAITING (256u << 10) /* bytes held for a side that is slow, before the other is no longer read */
#define HANGUP_MS 2000
#define RESULT_MS 10000
#define FLUSH_MS 30000
#define STATUS_UNKNOWN 255
#define END_OF_TRANSMISSION 4 /* ^D */

static atomic_int n_sessions;

struct session {
	struct runtime *rt; /* its own */
	char *id, *exec_id;
	bool tty;
	int rows, columns;
	struct docker_stream stream;
	struct wire_demux demux;
	int peer;
	struct buf from_peer, to_peer, to_docker, said;
	bool input_ended, input_closed;
};

static void session_free(struct session *session)
{
	docker_stream_close(&session->stream);
	if (session->peer >= 0)
		close(session->peer);
	buf_release(&session->from_peer);
	buf_release(&session->to_peer);
	buf_release(&session->to_docker);
	buf_release(&session->said);
	free(session->id);
	free(session->exec_id);
	runtime_free(session->rt);
	free(session);
	atomic_fetch_sub(&n_sessions, 1);
}

static void session_freep(struct session **session)
{
	if (*session)
		session_free(*session);
}

static int resize(struct session *session, int rows, int columns)
{
	_cleanup_(freep) char *path = xasprintf("/exec/%s/resize?h=%d&w=%d", session->exec_id, rows, columns);

	return docker_call(docker_of(session->rt), "POST", path, NULL, 0, NULL, NULL);
}

/* The Engine answers before the program runs, and refuses a size until it does. */
static void set_first_size(struct session *session)
{
	for (int i = 0; session->tty && session->rows > 0 && session->columns > 0 && i < 30; i++) {
		if (resize(session, session->rows, session->columns) == 0)
			return;
		poll(NULL, 0, 10);
	}
}

static int add_output(void *data, int stream, const char *bytes, size_t len)
{
	struct session *session = data;

	docker_keep_said(&session->said, bytes, len);
	if (len)
		frame_add(&session->to_peer, stream == 2 ? FRAME_STDERR : FRAME_STDOUT, bytes, len);
	return 0;
}

/* 1: go on; 0: the program's output has ended. */
static int take_output(struct session *session)
{
	_cleanup_buf_ struct buf got = { 0 };
	int more = docker_stream_take(&session->stream, &got), r = more;

	if (more >= 0 && session->tty)
		r = add_output(session, 1, got.data, got.len);
	else if (more >= 0)
		r = wire_demux(&session->demux, got.data, got.len, add_output, session);
	return r < 0 ? r : more;
}

static int take_frame(struct session *session, const struct frame *frame)
{
	uint32_t rows, columns;

	switch (frame->type) {
	case FRAME_INPUT:
		if (!session->input_ended)
			buf_add(&session->to_docker, frame->bytes, frame->len);
		return 0;
	case FRAME_END_OF_INPUT:
		/* A terminal is never closed from outside: its user says ^D. */
		if (session->tty && !session->input_ended)
			buf_addc(&session->to_docker, END_OF_TRANSMISSION);
		session->input_ended = true;
		return 0;
	case FRAME_RESIZE:
		frame_resize(frame, &rows, &columns);
		if (session->tty && rows && columns && rows <= UINT16_MAX && columns <= UINT16_MAX)
			resize(session, (int)rows, (int)columns);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Takes what the caller sent. 0, or -EPIPE when it went away. */
static int take_input(struct session *session)
{
	struct frame frame;
	ssize_t n;
	int r;

	n = recv(session->peer, buf_reserve(&session->from_peer, FRAME_MOST), FRAME_MOST, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	session->from_peer.len += (size_t)n;
	while ((r = frame_peek(&session->from_peer, &frame)) > 0) {
		r = take_frame(session, &frame);
		if (r < 0)
			break;
		frame_drop(&session->from_peer, &frame);
	}
	return r;
}

static int send_some(int fd, struct buf *from)
{
	ssize_t n = from->len ? send(fd, from->data, from->len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	buf_consume(from, (size_t)n);
	return 0;
}

static int send_input(struct session *session)
{
	int r = send_some(session->stream.fd, &session->to_docker);

	if (r < 0) {
		/* It reads no more; its output is still wanted. */
		session->input_ended = session->input_closed = true;
		buf_consume(&session->to_docker, session->to_docker.len);
		return 0;
	}
	/* With a terminal the Engine would take this as the end of the output, too. */
	if (session->input_ended && !session->to_docker.len && !session->input_closed) {
		if (!session->tty)
			shutdown(session->stream.fd, SHUT_WR);
		session->input_closed = true;
	}
	return 0;
}

/* One round. 1: go on; 0: the program's output has ended; negative: the caller went away or a connection broke. */
static int carry_once(struct session *session)
{
	bool peer_in = session->to_docker.len < MOST_WAITING, docker_in = session->to_peer.len < MOST_WAITING;
	struct pollfd fds[] = {
		{ .fd = session->peer,
		  .events = (short)((peer_in ? POLLIN : 0) | (session->to_peer.len ? POLLOUT : 0)) },
		{ .fd = docker_in || session->to_docker.len ? session->stream.fd : -1,
		  .events = (short)((docker_in ? POLLIN : 0) | (session->to_docker.len ? POLLOUT : 0)) },
	};
	int r = 0;

	if (poll(fds, 2, -1) < 0)
		return errno == EINTR ? 1 : -errno;
	if (fds[0].revents & ~POLLOUT)
		r = take_input(session);
	if (r == 0)
		r = send_input(session);
	if (r == 0 && fds[0].revents & POLLOUT)
		r = send_some(session->peer, &session->to_peer);
	if (r < 0)
		return r;
	return fds[1].revents & ~POLLOUT && docker_in ? take_output(session) : 1;
}

/* The program outlived its user: as when a terminal is closed, and by force if it does not go. */
static void hang_up(struct session *session)
{
	struct docker *docker = docker_of(session->rt);

	docker_exec_signal(docker, session->exec_id, session->id, SIGHUP);
	if (docker_exec_result(docker, session->exec_id, clock_monotonic_ms() + HANGUP_MS, NULL) == -ETIMEDOUT)
		docker_exec_signal(docker, session->exec_id, session->id, SIGKILL);
}

static void say_status(struct session *session)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int status =
	    docker_exec_result(docker_of(session->rt), session->exec_id, clock_monotonic_ms() + RESULT_MS, &err);
	int64_t deadline = clock_monotonic_ms() + FLUSH_MS;

	status = status < 0 ? STATUS_UNKNOWN : docker_exec_code(status, buf_text(&session->said));
	frame_add_exit(&session->to_peer, (uint32_t)status);
	while (session->to_peer.len && clock_monotonic_ms() < deadline) {
		struct pollfd out = { .fd = session->peer, .events = POLLOUT };

		if (poll(&out, 1, 1000) > 0 && send_some(session->peer, &session->to_peer) < 0)
			return;
	}
}

static void *carry(void *data)
{
	_cleanup_(session_freep) struct session *session = data;
	int r;

	set_first_size(session);
	r = take_output(session);
	while (r > 0)
		r = carry_once(session);
	if (r < 0)
		hang_up(session);
	else
		say_status(session);
	return NULL;
}

static int start_thread(struct session *session, struct err *err)
{
	int code = thread_detach(carry, session);

	return code ? err_errno(err, code, _("Cannot make a thread for a program in the node")) : 0;
}

static int begin(struct session *session, const struct strv *argv, int *ret_fd, struct err *err)
{
	struct docker *docker = docker_of(session->rt);
	int pair[2], r;

	r = docker_exec_make(docker, session->id, argv, NULL, true, session->tty, &session->exec_id, err);
	if (r == 0)
		r = docker_exec_start(docker, session->exec_id, session->tty, &session->stream, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, _("Cannot make a socket"));
	session->peer = pair[1];
	*ret_fd = pair[0];
	return 0;
}

static struct session *session_new(struct docker *docker, const char *id, bool tty, int rows, int columns)
{
	struct session *session = xcalloc(1, sizeof(*session));

	session->rt = docker_runtime_new(docker->socket);
	pthread_mutex_lock(&docker->lock);
	docker_of(session->rt)->api = docker->api;
	pthread_mutex_unlock(&docker->lock);
	session->id = xstrdup(id);
	session->tty = tty;
	session->rows = rows;
	session->columns = columns;
	session->stream = DOCKER_STREAM_INIT;
	session->peer = -1;
	return session;
}

int docker_attach(struct runtime *rt, const char *id, const struct strv *argv, bool tty, int rows, int columns,
		  int *ret_fd, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(session_freep) struct session *session = NULL;
	_cleanup_(closep) int fd = -1;
	int r = docker_find_running(docker, id, &container, err);

	if (r < 0)
		return r;
	if (atomic_fetch_add(&n_sessions, 1) >= MOST_SESSIONS) {
		atomic_fetch_sub(&n_sessions, 1);
		return err_set(err, EAGAIN, _("%d programs run interactively on this host already; end one first"),
			       MOST_SESSIONS);
	}
	session = session_new(docker, container.node.id, tty, rows, columns);
	r = begin(session, argv, &fd, err);
	if (r == 0)
		r = start_thread(session, err);
	if (r < 0)
		return r;
	session = NULL; /* the thread's now */
	*ret_fd = fd;
	fd = -1;
	return 0;
}
