/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Interactive programs: a thread for each has a session of its own, and speaks the frames of runtime/frame.h on a
 * socket pair whose other end is the caller's. It owns all that it uses: the runtime may be freed first.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/thread.h"
#include "runtime/drivers.h"
#include "runtime/frame.h"
#include "runtime/xen.h"

#define MOST_SESSIONS 64
#define CONNECT_MS 30000
#define FLUSH_MS 30000
#define HANGUP_MS 2000
#define STATUS_UNKNOWN 255
#define END_OF_TRANSMISSION 4 /* ^D */

static atomic_int n_sessions;

struct session {
	struct runtime *rt; /* its own */
	struct xen_node node;
	struct xen_record record;
	struct xen_program program;
	struct remote *remote;
	bool tty, input_ended;
	int rows, columns;
	int peer;
	struct buf from_peer;
};

static void session_free(struct session *session)
{
	remote_close(session->remote);
	if (session->peer >= 0)
		close(session->peer);
	buf_release(&session->from_peer);
	xen_program_release(&session->program);
	xen_node_release(&session->node);
	runtime_free(session->rt);
	free(session);
	atomic_fetch_sub(&n_sessions, 1);
}

static void session_freep(struct session **session)
{
	if (*session)
		session_free(*session);
}

static int send_all(struct session *session, const struct buf *frames)
{
	size_t done = 0;

	while (done < frames->len) {
		struct pollfd out = { .fd = session->peer, .events = POLLOUT };
		ssize_t n = send(session->peer, frames->data + done, frames->len - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0 && poll(&out, 1, FLUSH_MS) == 0)
			return -ETIMEDOUT; /* nobody reads */
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int take_output(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct session *session = data;
	_cleanup_buf_ struct buf frames = { 0 };
	int r = 0;

	/* With a terminal all comes on one stream. */
	if (is_stderr != session->tty)
		r = xen_program_feed(&session->program, bytes, len, &bytes, &len);
	if (r < 0 || !len)
		return r;
	frame_add(&frames, is_stderr ? FRAME_STDERR : FRAME_STDOUT, bytes, len);
	return send_all(session, &frames);
}

static int take_frame(struct session *session, const struct frame *frame, struct remote_input *to)
{
	uint32_t rows, columns;

	switch (frame->type) {
	case FRAME_INPUT:
		if (!session->input_ended && frame->len)
			buf_add(to->bytes, frame->bytes, frame->len);
		return 0;
	case FRAME_END_OF_INPUT:
		/* A terminal is never closed from outside: its user says ^D. */
		if (session->tty && !session->input_ended)
			buf_addc(to->bytes, END_OF_TRANSMISSION);
		session->input_ended = true;
		return 0;
	case FRAME_RESIZE:
		frame_resize(frame, &rows, &columns);
		if (rows && columns && rows <= UINT16_MAX && columns <= UINT16_MAX) {
			to->rows = (int)rows;
			to->columns = (int)columns;
		}
		return 0;
	default:
		return -EBADMSG;
	}
}

static int take_input(void *data, const char *bytes, size_t len, struct remote_input *to)
{
	struct session *session = data;
	struct frame frame;
	int r;

	buf_add(&session->from_peer, bytes, len);
	while ((r = frame_peek(&session->from_peer, &frame)) > 0) {
		r = take_frame(session, &frame, to);
		if (r < 0)
			break;
		frame_drop(&session->from_peer, &frame);
	}
	to->ended = session->input_ended && !session->tty;
	return r;
}

/* The program outlived its user: as when a terminal is closed, and by force if it does not go. */
static void hang_up(struct session *session)
{
	struct xen *xen = xen_of(session->rt);

	remote_close(TAKE_PTR(session->remote));
	xen_program_signal(xen, &session->node, session->record.run, &session->program, "HUP");
	poll(NULL, 0, HANGUP_MS);
	xen_program_signal(xen, &session->node, session->record.run, &session->program, "KILL");
}

static void *carry(void *data)
{
	_cleanup_(session_freep) struct session *session = data;
	_cleanup_buf_ struct buf last = { 0 };
	struct remote_command command = { .argv = &session->program.argv,
					  .input_fd = session->peer,
					  .decode = take_input,
					  .hold = &session->program.hold,
					  .tty = session->tty,
					  .rows = session->rows,
					  .columns = session->columns,
					  .sink = take_output,
					  .data = session,
					  .timeout_ms = -1 };
	int status = STATUS_UNKNOWN, r = remote_exec(session->remote, &command, &status, NULL);

	if (r == -EPIPE || r == -ECONNRESET || r == -EBADMSG || r == -ETIMEDOUT)
		hang_up(session);
	frame_add_exit(&last, (uint32_t)(r < 0 ? STATUS_UNKNOWN : status));
	send_all(session, &last);
	return NULL;
}

static int start_thread(struct session *session, struct err *err)
{
	int code = thread_detach(carry, session);

	return code ? err_errno(err, code, _("Cannot make a thread for a program in the node")) : 0;
}

static int begin(struct session *session, const struct strv *argv, int *ret_fd, struct err *err)
{
	bool kept;
	int pair[2], r;

	xen_program_init(&session->program, &session->node, NULL, argv);
	r = xen_session(xen_of(session->rt), &session->node, session->record.run, true, CONNECT_MS, &session->remote,
			&kept, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, _("Cannot make a socket"));
	session->peer = pair[1];
	*ret_fd = pair[0];
	return 0;
}

int xen_attach(struct runtime *rt, const char *id, const struct strv *argv, bool tty, int rows, int columns,
	       int *ret_fd, struct err *err)
{
	_cleanup_(session_freep) struct session *session = NULL;
	_cleanup_(closep) int fd = -1;
	int r;

	if (atomic_fetch_add(&n_sessions, 1) >= MOST_SESSIONS) {
		atomic_fetch_sub(&n_sessions, 1);
		return err_set(err, EAGAIN, _("%d programs run interactively on this host already; end one first"),
			       MOST_SESSIONS);
	}
	session = xcalloc(1, sizeof(*session));
	session->rt = xen_runtime_new(xen_of(rt)->file);
	session->peer = -1;
	session->tty = tty;
	session->rows = rows;
	session->columns = columns;
	r = xen_find_running(xen_of(rt), id, &session->node, &session->record, err);
	r = r < 0 ? r : begin(session, argv, &fd, err);
	r = r < 0 ? r : start_thread(session, err);
	if (r < 0)
		return r;
	session = NULL; /* the thread's now */
	*ret_fd = fd;
	fd = -1;
	return 0;
}
