/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/protocol.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "runtime/frame.h"

enum { CHUNK = 16384, MOST_HEAD = 65536, MOST_WAITING = 1 << 18 };

struct link {
	int fd, signals;
	struct buf in, out; /* received and not taken apart; to be sent */
	bool input_open;
};

static int dial(const char *socket_path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(socket_path) >= sizeof(address.sun_path))
		return err_set(err, ENAMETOOLONG, _("The agent's socket has too long a path: %s"), socket_path);
	strcpy(address.sun_path, socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, errno, _("Cannot open a socket"));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = api_away(socket_path, errno, err);
		close(fd);
		return r;
	}
	return fd;
}

static char *request_body(const struct session *session)
{
	int rows, columns;
	json_t *body;
	char *text;

	terminal_size(&rows, &columns);
	body = json_pack("{s:O, s:b, s:i, s:i}", "argv", session->argv, "tty", session->tty, "rows", rows, "columns",
			 columns);
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

static int send_all(int fd, struct buf *out)
{
	while (out->len) {
		ssize_t n = send(fd, out->data, out->len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf_consume(out, (size_t)n);
	}
	return 0;
}

static int ask(const struct session *session, struct link *link, struct err *err)
{
	_cleanup_(freep) char *body = request_body(session);
	int r;

	buf_printf(&link->out,
		   "POST /v1/exec/%s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
		   "Upgrade: tepuy-exec\r\n%s\r\n"
		   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		   session->target, protocol_line, strlen(body), body);
	r = send_all(link->fd, &link->out);
	return r < 0 ? err_errno(err, -r, _("The request could not be sent to the agent")) : 0;
}

/* 1 bytes came, 0 the agent closed, or -errno. */
static int receive(struct link *link)
{
	ssize_t n = recv(link->fd, buf_reserve(&link->in, CHUNK), CHUNK, 0);

	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	link->in.len += (size_t)n;
	if (link->in.data)
		link->in.data[link->in.len] = '\0';
	return n > 0;
}

static size_t content_length(const char *head)
{
	static const char name[] = "\r\nContent-Length:";
	const char *at = strcasestr(head, name);

	return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Reads the answer to the request; frames that came with it stay in link->in. */
static int take_answer(const struct session *session, struct link *link, struct err *err)
{
	_cleanup_(freep) char *head = NULL;
	int status = 0, r = 1;
	size_t length;
	char *end;

	while (!(end = link->in.len ? strstr(link->in.data, "\r\n\r\n") : NULL) && link->in.len < MOST_HEAD && r > 0)
		r = receive(link);
	if (!end || sscanf(link->in.data, "HTTP/1.1 %d", &status) != 1)
		return err_set(err, EPROTO,
			       _("The agent closed the connection; it may have been restarted: try again"));
	head = xstrndup(link->in.data, (size_t)(end - link->in.data));
	buf_consume(&link->in, (size_t)(end - link->in.data) + 4);
	if (status == 101)
		return 0;
	length = content_length(head);
	while (link->in.len < length && link->in.len < MOST_HEAD && r > 0)
		r = receive(link);
	length = link->in.len < length ? link->in.len : length;
	if (status == 421)
		api_reply_hosts(buf_text(&link->in), length, session->elsewhere);
	return api_reply_error(status, buf_text(&link->in), length, err);
}

static int open_signals(void)
{
	static const int wanted[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* A new size of the window goes to the node; the other signals end us with 128+n. */
static int take_signal(struct link *link)
{
	struct signalfd_siginfo info;
	int rows, columns;

	if (read(link->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGWINCH)
		return 128 + (int)info.ssi_signo;
	terminal_size(&rows, &columns);
	frame_add_resize(&link->out, (uint32_t)rows, (uint32_t)columns);
	return 0;
}

static void take_input(struct link *link)
{
	char chunk[CHUNK];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		frame_add(&link->out, FRAME_INPUT, chunk, (size_t)n);
		return;
	}
	link->input_open = false;
	frame_add(&link->out, FRAME_END_OF_INPUT, NULL, 0);
}

/* -EAGAIN: goes on; otherwise the end of the session. */
static int take_frame(const struct frame *frame, struct err *err)
{
	int r = 0;

	if (frame->type == FRAME_STDOUT || frame->type == FRAME_STDERR)
		r = fs_write_all(frame->type == FRAME_STDOUT ? STDOUT_FILENO : STDERR_FILENO, frame->bytes, frame->len);
	if (r < 0)
		return err_errno(err, -r, _("Cannot write the output"));
	if (frame->type != FRAME_EXIT)
		return -EAGAIN;
	return (int)frame_exit(frame);
}

static int take_frames(struct link *link, struct err *err)
{
	struct frame frame;
	int r;

	while ((r = frame_peek(&link->in, &frame)) > 0) {
		r = take_frame(&frame, err);
		frame_drop(&link->in, &frame);
		if (r != -EAGAIN)
			return r;
	}
	return r < 0 ? err_set(err, EPROTO, _("The agent sent what is no frame of a session")) : -EAGAIN;
}

static void flush(struct link *link)
{
	ssize_t n = send(link->fd, link->out.data, link->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		buf_consume(&link->out, (size_t)n);
	/* A command that has ended reads no more; its last frames are still to come. */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		buf_consume(&link->out, link->out.len);
}

/* Moves bytes both ways until the command's exit status comes. */
static int exchange(struct link *link, struct err *err)
{
	int r = take_frames(link, err);

	while (r == -EAGAIN) {
		struct pollfd fds[] = {
			{ .fd = link->fd, .events = (short)(POLLIN | (link->out.len ? POLLOUT : 0)) },
			{ .fd = link->signals, .events = POLLIN },
			{ .fd = link->input_open && link->out.len < MOST_WAITING ? STDIN_FILENO : -1,
			  .events = POLLIN },
		};
		int n = 0;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return err_errno(err, errno, _("Cannot wait for the node"));
		if (fds[1].revents && (n = take_signal(link)) > 0)
			return n;
		if (fds[2].revents)
			take_input(link);
		if (fds[0].revents & POLLOUT)
			flush(link);
		if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
			n = receive(link);
			r = take_frames(link, err);
			if (r == -EAGAIN && n <= 0)
				return err_set(err, ECONNRESET,
					       _("The agent closed the session before the command had ended"));
		}
	}
	return r;
}

static int converse(const struct session *session, struct link *link, struct err *err)
{
	int r = 0;

	link->input_open = session->interactive;
	if (!session->interactive)
		frame_add(&link->out, FRAME_END_OF_INPUT, NULL, 0);
	if (session->tty && session->interactive && isatty(STDIN_FILENO))
		r = terminal_set(TERMINAL_RAW, err);
	link->signals = open_signals();
	if (r == 0)
		r = exchange(link, err);
	terminal_restore();
	return r;
}

int session_run(const struct session *session, struct err *err)
{
	struct link link = { .fd = dial(session->socket, err), .signals = -1 };
	int r = link.fd;

	if (r >= 0)
		r = ask(session, &link, err);
	if (r >= 0)
		r = take_answer(session, &link, err);
	if (r >= 0)
		r = converse(session, &link, err);
	closep(&link.fd);
	closep(&link.signals);
	buf_release(&link.in);
	buf_release(&link.out);
	return r;
}
