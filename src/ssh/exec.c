/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/quote.h"
#include "base/text.h"
#include "ssh/sudo.h"

enum { COMMAND_MS = 600000, PIECE = 32768, MOST_OUTPUT = 1 << 20, MOST_TAIL = 4096 };

struct exec {
	struct remote *remote;
	const struct remote_command *command;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct sudo_gate gate;
	bool sudo, wants_password;
	struct buf waiting; /* input that the host has no room for yet */
	size_t given;       /* of command->input */
	bool input_ended, eof_sent;
	bool readable, stopped; /* input_fd, and what stop_fd says */
	int status;             /* -1: it has not been told */
	bool closed;            /* by the host */
	int failure;            /* what the sink ended it with */
};

char *remote_quote(const struct strv *argv)
{
	struct buf line = { 0 };

	for (size_t i = 0; i < argv->n; i++) {
		if (i)
			buf_addc(&line, ' ');
		quote_shell(&line, argv->v[i]);
	}
	return buf_take(&line);
}

static void give(struct exec *exec, bool is_stderr, const char *bytes, size_t len)
{
	int r;

	if (!len || exec->failure || !exec->command->sink)
		return;
	r = exec->command->sink(exec->command->data, is_stderr, bytes, len);
	if (r < 0)
		exec->failure = r;
	/* A sink that is slow is not the host's silence. */
	exec->remote->heard = clock_monotonic_ms();
}

static void through_gate(struct exec *exec, const char *bytes, size_t len)
{
	const char *rest;
	size_t n;

	switch (sudo_gate_feed(&exec->gate, bytes, len, &rest, &n)) {
	case SUDO_ASKS:
		exec->wants_password = true;
		break;
	case SUDO_OPEN:
		give(exec, true, rest, n);
		break;
	case SUDO_MORE:
		break;
	}
}

static int on_data(ssh_session ssh, ssh_channel channel, void *data, uint32_t len, int is_stderr, void *user)
{
	struct exec *exec = user;

	(void)ssh, (void)channel;
	if (exec->sudo && !exec->gate.open && is_stderr)
		through_gate(exec, data, len);
	else
		give(exec, is_stderr, data, len);
	return (int)len;
}

static void on_status(ssh_session ssh, ssh_channel channel, int status, void *user)
{
	struct exec *exec = user;

	(void)ssh, (void)channel;
	exec->status = status;
}

static int signal_number(const char *name)
{
	for (int i = 1; i < NSIG; i++)
		if (sigabbrev_np(i) && !strcmp(sigabbrev_np(i), name))
			return i;
	return 0;
}

static void on_signal(ssh_session ssh, ssh_channel channel, const char *name, int core, const char *text,
		      const char *language, void *user)
{
	struct exec *exec = user;

	(void)ssh, (void)channel, (void)core, (void)text, (void)language;
	exec->status = 128 + signal_number(name);
}

static void on_close(ssh_session ssh, ssh_channel channel, void *user)
{
	struct exec *exec = user;

	(void)ssh, (void)channel;
	exec->closed = true;
}

enum start_step { START_OPEN, START_TERMINAL, START_RUN, START_DONE };

static int start_step(struct exec *exec, enum start_step step, const char *line)
{
	const struct remote_command *command = exec->command;

	if (step == START_OPEN)
		return ssh_channel_open_session(exec->channel);
	if (step == START_TERMINAL && !command->tty)
		return SSH_OK;
	if (step == START_TERMINAL)
		return ssh_channel_request_pty_size(exec->channel, "xterm",
						    command->columns > 0 ? command->columns : 80,
						    command->rows > 0 ? command->rows : 24);
	return ssh_channel_request_exec(exec->channel, line);
}

/* Repeats what libssh says to repeat, until the time is over. */
static int start(struct exec *exec, const char *line, int64_t deadline, struct err *err)
{
	struct remote *remote = exec->remote;
	enum start_step step = START_OPEN;

	while (step != START_DONE) {
		int rc = start_step(exec, step, line), r;

		if (rc == SSH_OK) {
			step++;
			continue;
		}
		if (rc != SSH_AGAIN && !ssh_is_connected(remote->ssh))
			return session_lost(remote, err);
		if (rc != SSH_AGAIN)
			return err_set(err, EIO, _("%s began no command: %s"), remote->name,
				       ssh_get_error(remote->ssh));
		if (deadline && clock_monotonic_ms() >= deadline)
			return err_set(err, ETIMEDOUT, _("%s did not begin the command in time"), remote->name);
		r = session_wait(remote, 1000, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What input_fd has now. */
static int read_input(struct exec *exec)
{
	const struct remote_command *command = exec->command;
	_cleanup_(freep) char *piece = xmalloc(PIECE);
	struct remote_input input = { .bytes = &exec->waiting };
	ssize_t n = read(command->input_fd, piece, PIECE);
	int r;

	exec->readable = false;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0 && command->decode)
		return -EPIPE;
	if (n == 0) {
		exec->input_ended = true;
		return 0;
	}
	if (!command->decode) {
		buf_add(&exec->waiting, piece, (size_t)n);
		return 0;
	}
	r = command->decode(command->data, piece, (size_t)n, &input);
	exec->input_ended = input.ended;
	if (r == 0 && command->tty && input.rows > 0 && input.columns > 0)
		ssh_channel_change_pty_size(exec->channel, input.columns, input.rows);
	return r;
}

static int take_input(struct exec *exec, struct err *err)
{
	const struct remote_command *command = exec->command;
	ssize_t n;

	if (command->input_fd > 0) {
		int r = exec->readable ? read_input(exec) : 0;

		return r < 0 ? err_errno(err, -r, _("The input for %s cannot be read"), exec->remote->name) : 0;
	}
	if (command->source) {
		n = command->source(command->data, buf_reserve(&exec->waiting, PIECE), PIECE);
		if (n < 0)
			return err_errno(err, (int)-n, _("The input for %s cannot be read"), exec->remote->name);
		exec->waiting.len += (size_t)n;
		exec->input_ended = n == 0;
		return 0;
	}
	n = (ssize_t)(command->input_len - exec->given);
	n = n < PIECE ? n : PIECE;
	if (n)
		buf_add(&exec->waiting, (const char *)command->input + exec->given, (size_t)n);
	exec->given += (size_t)n;
	exec->input_ended = exec->given == command->input_len;
	return 0;
}

/* Sends what the host has room for. 1: there is more that could go now. */
static int feed(struct exec *exec, struct err *err)
{
	uint32_t room = ssh_channel_window_size(exec->channel);
	bool open = (!exec->sudo || exec->gate.open) && !(exec->command->hold && *exec->command->hold);
	int n;

	if (!exec->waiting.len && open && !exec->input_ended && room) {
		int r = take_input(exec, err);

		if (r < 0)
			return r;
	}
	if (exec->waiting.len && room) {
		n = ssh_channel_write(exec->channel, exec->waiting.data,
				      (uint32_t)(exec->waiting.len < room ? exec->waiting.len : room));
		if (n < 0) /* it reads no more, or is gone: its end will be told */
			n = (int)exec->waiting.len;
		explicit_bzero(exec->waiting.data, (size_t)n);
		buf_consume(&exec->waiting, (size_t)n);
		return n > 0 && !exec->waiting.len && open && !exec->input_ended;
	}
	if (!exec->waiting.len && open && exec->input_ended && !exec->eof_sent) {
		exec->eof_sent = true;
		ssh_channel_send_eof(exec->channel);
	}
	return 0;
}

static int answer_sudo(struct exec *exec, struct err *err)
{
	int r;

	if (!exec->wants_password)
		return 0;
	exec->wants_password = false;
	r = sudo_password(exec->remote, &exec->gate, &exec->waiting, err);
	exec->remote->heard = clock_monotonic_ms();
	if (r == 0)
		through_gate(exec, "", 0);
	return r;
}

static int too_late(struct exec *exec, struct err *err)
{
	ssh_channel_request_send_signal(exec->channel, "KILL");
	return err_set(err, ETIMEDOUT, _("The command on %s did not end in its time and was given up"),
		       exec->remote->name);
}

/* As session_wait, also for the command's own descriptors. */
static int wait_any(struct exec *exec, int64_t ms, struct err *err)
{
	const struct remote_command *command = exec->command;
	struct remote *remote = exec->remote;
	bool wants = command->input_fd > 0 && !exec->input_ended && !exec->waiting.len && !exec->readable &&
		     !(command->hold && *command->hold);
	struct pollfd fds[] = { { .fd = ssh_get_fd(remote->ssh), .events = POLLIN },
				{ .fd = wants ? command->input_fd : -1, .events = POLLIN },
				{ .fd = command->stop_fd > 0 ? command->stop_fd : -1, .events = POLLIN } };
	int next;

	if (command->input_fd <= 0 && command->stop_fd <= 0)
		return session_wait(remote, ms, err);
	next = session_pulse(remote, err);
	if (next < 0)
		return next;
	if (ssh_get_poll_flags(remote->ssh) & SSH_WRITE_PENDING)
		fds[0].events |= POLLOUT;
	if (poll(fds, ARRAY_SIZE(fds), (int)(ms < next ? (ms > 0 ? ms : 0) : next)) < 0)
		return errno == EINTR ? 0 : err_errno(err, errno, _("Cannot wait for %s"), remote->name);
	exec->readable |= fds[1].revents != 0;
	exec->stopped |= fds[2].revents != 0;
	return session_wait(remote, 0, err);
}

static int carry(struct exec *exec, int64_t deadline, struct err *err)
{
	while (!exec->closed) {
		int64_t left = deadline ? deadline - clock_monotonic_ms() : 1000;
		int r = answer_sudo(exec, err);

		if (r >= 0)
			r = feed(exec, err);
		if (r < 0)
			return r;
		if (exec->failure)
			return err_errno(err, -exec->failure, _("The output of %s could not be taken"),
					 exec->remote->name);
		if (left <= 0)
			return too_late(exec, err);
		if (exec->stopped)
			return err_set(err, ECANCELED, _("The command on %s was given up"), exec->remote->name);
		r = wait_any(exec, r ? 0 : left, err);
		if (r < 0)
			return exec->closed ? 0 : r;
	}
	return exec->failure
		   ? err_errno(err, -exec->failure, _("The output of %s could not be taken"), exec->remote->name)
		   : 0;
}

static int run(struct exec *exec, const char *line, int *ret_status, struct err *err)
{
	int64_t timeout = exec->command->timeout_ms, now = clock_monotonic_ms();
	int64_t deadline = timeout < 0 ? 0 : now + (timeout ? timeout : COMMAND_MS);
	int r;

	exec->remote->heard = exec->remote->asked = now;
	r = start(exec, line, deadline, err);
	if (r == 0)
		r = carry(exec, deadline, err);
	if (r < 0)
		return r;
	if (exec->sudo && !exec->gate.open)
		return sudo_refused(exec->remote, &exec->gate, err);
	if (exec->status < 0)
		return err_set(err, EHOSTUNREACH, _("%s did not say how the command ended"), exec->remote->name);
	*ret_status = exec->status;
	return 0;
}

static void finish(struct exec *exec)
{
	if (exec->channel) {
		ssh_remove_channel_callbacks(exec->channel, &exec->callbacks);
		ssh_channel_free(exec->channel);
	}
	if (exec->waiting.data)
		explicit_bzero(exec->waiting.data, exec->waiting.cap);
	buf_release(&exec->waiting);
	sudo_gate_release(&exec->gate);
}

int remote_exec(struct remote *remote, const struct remote_command *command, int *ret_status, struct err *err)
{
	struct exec exec = { .remote = remote, .command = command, .status = -1 };
	_cleanup_(freep) char *line = NULL;
	_cleanup_err_ struct err own = ERR_INIT;
	int r;

	exec.sudo = command->sudo && sudo_needed(remote);
	if (exec.sudo)
		sudo_gate_init(&exec.gate);
	line = exec.sudo ? sudo_line(&exec.gate, command->argv) : remote_quote(command->argv);
	exec.callbacks = (struct ssh_channel_callbacks_struct){ .userdata = &exec,
								.channel_data_function = on_data,
								.channel_close_function = on_close,
								.channel_exit_status_function = on_status,
								.channel_exit_signal_function = on_signal };
	ssh_callbacks_init(&exec.callbacks);
	exec.channel = ssh_channel_new(remote->ssh);
	if (!exec.channel)
		r = session_lost(remote, &own);
	else {
		ssh_set_channel_callbacks(exec.channel, &exec.callbacks);
		r = run(&exec, line, ret_status, &own);
	}
	finish(&exec);
	return r < 0 ? err_set(err, -r, "%s", err_text(&own)) : 0;
}

struct capture {
	const struct remote_command *command;
	struct buf *output;
	struct buf tail; /* of standard error */
};

static int keep(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct capture *capture = data;
	const struct remote_command *command = capture->command;

	if (is_stderr) {
		buf_add(&capture->tail, bytes, len);
		if (capture->tail.len > MOST_TAIL)
			buf_consume(&capture->tail, capture->tail.len - MOST_TAIL);
	} else if (capture->output) {
		if (capture->output->len + len > MOST_OUTPUT)
			return -EFBIG;
		buf_add(capture->output, bytes, len);
	}
	return command->sink ? command->sink(command->data, is_stderr, bytes, len) : 0;
}

static ssize_t pass_source(void *data, char *to, size_t size)
{
	const struct capture *capture = data;

	return capture->command->source(capture->command->data, to, size);
}

static const char *last_line(struct buf *tail)
{
	char *newline;

	while (tail->len && strchr("\r\n \t", tail->data[tail->len - 1]))
		tail->data[--tail->len] = '\0';
	if (!tail->len)
		return "";
	newline = strrchr(tail->data, '\n');
	text_printable(newline ? newline + 1 : tail->data, false);
	return newline ? newline + 1 : tail->data;
}

int remote_checked(struct remote *remote, const struct remote_command *command, struct buf *output, struct err *err)
{
	struct capture capture = { .command = command, .output = output };
	struct remote_command wrapped = *command;
	int status, r;

	wrapped.sink = keep;
	wrapped.source = command->source ? pass_source : NULL;
	wrapped.data = &capture;
	r = remote_exec(remote, &wrapped, &status, err);
	if (r == 0 && status)
		r = err_set(err, EIO, _("%s: '%s' ended with status %d: %s"), remote->name, command->argv->v[0], status,
			    last_line(&capture.tail));
	buf_release(&capture.tail);
	return r;
}
