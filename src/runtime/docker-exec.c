/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs in a node, run to their end. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "runtime/docker.h"
#include "runtime/node-root.h"

#define DEFAULT_MS 60000
#define DEFAULT_MOST (64u << 10)
#define PIECE 65536

int docker_exec_make(struct docker *docker, const char *id, const struct strv *argv, const char *user, bool input,
		     bool tty, char **ret_exec_id, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/containers/%s/exec", id);
	_cleanup_(freep) char *body = docker_encode_exec(argv, user, input, tty);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = docker_call(docker, "POST", path, body, 0, &reply, err);

	return r < 0 ? r : docker_decode_id(reply.body.data, reply.body.len, ret_exec_id, err);
}

int docker_exec_start(struct docker *docker, const char *exec_id, bool tty, struct docker_stream *ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/exec/%s/start", exec_id);

	return docker_stream_open(docker, "POST", path, tty ? "{\"Detach\":false,\"Tty\":true}" : "{\"Detach\":false}",
				  true, ret, err);
}

static int exec_state(struct docker *docker, const char *exec_id, struct docker_exec_state *ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/exec/%s/json", exec_id);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = docker_call(docker, "GET", path, NULL, 0, &reply, err);

	return r < 0 ? r : docker_decode_exec(reply.body.data, reply.body.len, ret, err);
}

/* Docker has no event for an exec's end that can be waited for: the stream's end comes just before, mostly. */
int docker_exec_result(struct docker *docker, const char *exec_id, int64_t deadline, struct err *err)
{
	for (int pause = 1;; pause = pause < 50 ? pause * 2 : 50) {
		struct docker_exec_state state;
		int r = exec_state(docker, exec_id, &state, err);

		if (r < 0)
			return r;
		if (!state.running)
			return state.exit_code;
		if (clock_monotonic_ms() >= deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, pause);
	}
}

void docker_keep_said(struct buf *said, const char *bytes, size_t len)
{
	size_t room = DOCKER_SAID - said->len;

	if (room)
		buf_add(said, bytes, len < room ? len : room);
}

void docker_exec_signal(struct docker *docker, const char *exec_id, const char *id, int signal)
{
	struct docker_exec_state state;

	if (exec_state(docker, exec_id, &state, NULL) < 0 || !state.running || state.pid <= 1)
		return;
	if (!node_has_process(state.pid, id))
		return;
	/* runc makes what it executes the leader of a session, so its children are reached too. */
	if (getpgid(state.pid) == state.pid)
		kill(-state.pid, signal);
	else
		kill(state.pid, signal);
}

/* One program that runs: what goes in, what comes out, until when. */
struct pump {
	const struct runtime_exec *exec;
	struct docker_stream stream;
	struct wire_demux demux;
	struct buf in;     /* read from input_fd, not yet sent */
	const char *input; /* what is still to be sent */
	size_t input_len;
	bool input_ended;  /* nothing more will come to `in` */
	bool input_closed; /* and Docker was told so */
	size_t most;
	struct buf *output;
	struct buf said; /* the beginning of its output */
	int64_t deadline;
};

static int keep_output(void *data, int stream, const char *bytes, size_t len)
{
	struct pump *pump = data;

	docker_keep_said(&pump->said, bytes, len);
	if (stream == 1 && pump->exec->output_fd > 0)
		return fs_write_until(pump->exec->output_fd, bytes, len, pump->deadline);
	if (!pump->output)
		return 0;
	buf_add(pump->output, bytes, len);
	if (pump->output->len > 2 * pump->most)
		buf_consume(pump->output, pump->output->len - pump->most);
	return 0;
}

/* Reads more input once all that was read has been sent. */
static int read_input(struct pump *pump)
{
	ssize_t n;

	buf_consume(&pump->in, pump->in.len);
	do
		n = read(pump->exec->input_fd, buf_reserve(&pump->in, PIECE), PIECE);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	pump->input_ended = n == 0;
	pump->in.len = (size_t)n;
	pump->input = pump->in.data;
	pump->input_len = (size_t)n;
	return 0;
}

static int send_input(struct pump *pump)
{
	ssize_t n = pump->input_len ? send(pump->stream.fd, pump->input, pump->input_len, MSG_NOSIGNAL) : 0;

	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		/* It does not read its input, as `true` does not: that is no error of ours. */
		pump->input_len = 0;
		pump->input_ended = true;
	} else if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	else {
		pump->input += n;
		pump->input_len -= (size_t)n;
	}
	if (pump->input_ended && !pump->input_len && !pump->input_closed) {
		shutdown(pump->stream.fd, SHUT_WR);
		pump->input_closed = true;
	}
	return 0;
}

/* 1: go on; 0: the output has ended. */
static int take_output(struct pump *pump)
{
	_cleanup_buf_ struct buf got = { 0 };
	int more = docker_stream_take(&pump->stream, &got);
	int r = more < 0 ? more : wire_demux(&pump->demux, got.data, got.len, keep_output, pump);

	return r < 0 ? r : more;
}

static int pump_once(struct pump *pump)
{
	bool send = !pump->input_closed && (pump->input_len || pump->input_ended);
	bool read = !pump->input_closed && !send;
	struct pollfd fds[] = {
		{ .fd = pump->stream.fd, .events = (short)(POLLIN | (send ? POLLOUT : 0)) },
		{ .fd = read ? pump->exec->input_fd : -1, .events = POLLIN },
	};
	int64_t left = pump->deadline - clock_monotonic_ms();
	int r = left > 0 ? poll(fds, 2, (int)(left < 1 << 30 ? left : 1 << 30)) : 0;

	if (r < 0)
		return errno == EINTR ? 1 : -errno;
	if (r == 0)
		return left > 1 << 30 ? 1 : -ETIMEDOUT;
	r = fds[1].revents ? read_input(pump) : 0;
	if (r == 0 && fds[0].revents & POLLOUT)
		r = send_input(pump);
	return r == 0 && fds[0].revents & ~POLLOUT ? take_output(pump) : r < 0 ? r : 1;
}

static int pump_all(struct pump *pump)
{
	int r = take_output(pump);

	while (r > 0)
		r = pump_once(pump);
	if (pump->output && pump->output->len > pump->most)
		buf_consume(pump->output, pump->output->len - pump->most);
	return r;
}

static int exec_failed(struct docker *docker, const struct runtime_exec *exec, const char *exec_id, const char *id,
		       int r, struct err *err)
{
	docker_exec_signal(docker, exec_id, id, SIGKILL);
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, _("%s did not end in time in the node and was killed"),
			       exec->argv->v[0]);
	return err_errno(err, -r, _("The connection to %s in the node broke"), exec->argv->v[0]);
}

int docker_exec(struct runtime *rt, const char *id, const struct runtime_exec *exec, struct buf *output,
		struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(freep) char *exec_id = NULL;
	bool has_input = exec->input || exec->input_fd > 0;
	struct pump pump = { .exec = exec,
			     .stream = DOCKER_STREAM_INIT,
			     .input = exec->input,
			     .input_len = exec->input ? exec->input_len : 0,
			     .input_ended = exec->input_fd <= 0,
			     .input_closed = !has_input,
			     .most = exec->most_output ? exec->most_output : DEFAULT_MOST,
			     .output = output,
			     .deadline = clock_monotonic_ms() + (exec->timeout_ms ? exec->timeout_ms : DEFAULT_MS) };
	int r = docker_find_running(docker, id, &container, err);

	if (r == 0)
		r = docker_exec_make(docker, container.node.id, exec->argv, exec->user, has_input, false, &exec_id,
				     err);
	if (r == 0)
		r = docker_exec_start(docker, exec_id, false, &pump.stream, err);
	if (r < 0)
		return r;
	r = pump_all(&pump);
	docker_stream_close(&pump.stream);
	if (r == 0)
		r = docker_exec_code(docker_exec_result(docker, exec_id, pump.deadline, NULL), buf_text(&pump.said));
	buf_release(&pump.in);
	buf_release(&pump.said);
	return r < 0 ? exec_failed(docker, exec, exec_id, container.node.id, r, err) : r;
}
