/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ssh/mux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "base/thread.h"
#include "ssh/sudo.h"

enum { PIECE = 32768, MOST_HELD = 1 << 18, MOST_STREAMS = 256, MOST_TAIL = 1024, STACK = 512 << 10 };

enum stream_state { STREAM_OPENING, STREAM_REQUESTING, STREAM_OPEN, STREAM_DONE };

/* Where someone waits for a stream to be open; guarded by the mux's lock. Freed by the one who leaves last. */
struct opened {
	bool done, abandoned;
	int result;
};

struct stream {
	struct stream *next;
	struct opened *opened; /* NULL: nobody waits */
	enum stream_state state;
	int fd;
	ssh_channel channel;
	char *host;    /* of a forward, or a socket's path; NULL: a command */
	uint16_t port; /* 0: a socket */
	char *line;
	bool sudo;
	struct sudo_gate gate;
	struct buf up, down, tail; /* to the host, from it; the end of its standard error */
	bool fd_ended, eof_sent, fd_shut, spoke;
};

struct mux {
	struct remote *remote;
	pthread_t thread;
	int wake;         /* eventfd */
	int listener;     /* -1: none */
	struct strv argv; /* what a connection runs */
	bool sudo;
	_Atomic bool stopping, dead;
	pthread_mutex_t lock; /* of `added`, `trouble` and what streams' openers wait for */
	pthread_cond_t opened;
	struct stream *added; /* from other threads, not taken up yet */
	char *trouble;
	struct stream *streams; /* the thread's own, as all below and the session */
	size_t n;
};

static void set_trouble(struct mux *mux, const char *text)
{
	char *copy = xstrdup(text);

	text_printable(copy, false);
	pthread_mutex_lock(&mux->lock);
	free(mux->trouble);
	mux->trouble = copy;
	pthread_mutex_unlock(&mux->lock);
}

static void stream_free(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	if (stream->channel)
		ssh_channel_free(stream->channel);
	free(stream->host);
	free(stream->line);
	sudo_gate_release(&stream->gate);
	buf_release(&stream->up);
	buf_release(&stream->down);
	buf_release(&stream->tail);
	free(stream);
}

static void tell_opener(struct mux *mux, struct stream *stream, int result)
{
	struct opened *opened = stream->opened;

	if (!opened)
		return;
	stream->opened = NULL;
	pthread_mutex_lock(&mux->lock);
	if (opened->abandoned)
		free(opened);
	else
		*opened = (struct opened){ .done = true, .result = result };
	pthread_cond_broadcast(&mux->opened);
	pthread_mutex_unlock(&mux->lock);
}

static void fail(struct mux *mux, struct stream *stream, const char *why)
{
	set_trouble(mux, why);
	stream->state = STREAM_DONE;
}

static struct stream *stream_new(int fd)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));

	stream->fd = fd;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return stream;
}

static void take_up(struct mux *mux, struct stream *stream)
{
	stream->channel = ssh_channel_new(mux->remote->ssh);
	stream->next = mux->streams;
	mux->streams = stream;
	mux->n++;
	if (!stream->channel)
		fail(mux, stream, ssh_get_error(mux->remote->ssh));
}

static void take_added(struct mux *mux)
{
	struct stream *list;

	pthread_mutex_lock(&mux->lock);
	list = TAKE_PTR(mux->added);
	pthread_mutex_unlock(&mux->lock);
	while (list) {
		struct stream *stream = list;

		list = stream->next;
		take_up(mux, stream);
	}
}

static void accept_one(struct mux *mux)
{
	int fd = accept4(mux->listener, NULL, NULL, SOCK_CLOEXEC);
	struct stream *stream;

	if (fd < 0)
		return;
	stream = stream_new(fd);
	stream->sudo = mux->sudo && sudo_needed(mux->remote);
	if (stream->sudo)
		sudo_gate_init(&stream->gate);
	stream->line = stream->sudo ? sudo_line(&stream->gate, &mux->argv) : remote_quote(&mux->argv);
	take_up(mux, stream);
}

static int begin(struct stream *stream)
{
	if (stream->state == STREAM_REQUESTING)
		return ssh_channel_request_exec(stream->channel, stream->line);
	if (stream->host && !stream->port)
		return ssh_channel_open_forward_unix(stream->channel, stream->host, "127.0.0.1", 0);
	if (stream->host)
		return ssh_channel_open_forward(stream->channel, stream->host, stream->port, "127.0.0.1", 0);
	return ssh_channel_open_session(stream->channel);
}

/* libssh gives the reason's number (RFC 4254, 5.1) in its text only. */
static void not_begun(struct mux *mux, struct stream *stream)
{
	const char *why = ssh_get_error(mux->remote->ssh);
	_cleanup_(freep) char *text = NULL;

	if (stream->host && strstr(why, "error (1)"))
		text = xasprintf(_("%s does not let us go on from there to %s:%u: its sshd forwards nothing "
				   "(AllowTcpForwarding)"),
				 mux->remote->name, stream->host, stream->port);
	else if (stream->host && strstr(why, "error (2)"))
		text = xasprintf(_("%s cannot connect to %s:%u"), mux->remote->name, stream->host, stream->port);
	fail(mux, stream, text ? text : why);
}

static void step_begin(struct mux *mux, struct stream *stream)
{
	int rc = begin(stream);

	if (rc == SSH_AGAIN)
		return;
	if (rc != SSH_OK) {
		not_begun(mux, stream);
		return;
	}
	if (stream->state == STREAM_OPENING && !stream->host) {
		stream->state = STREAM_REQUESTING;
		step_begin(mux, stream);
		return;
	}
	stream->state = STREAM_OPEN;
	tell_opener(mux, stream, 0);
}

static void read_fd(struct stream *stream)
{
	ssize_t n;

	if (stream->fd_ended || stream->up.len >= MOST_HELD)
		return;
	n = recv(stream->fd, buf_reserve(&stream->up, PIECE), PIECE, MSG_DONTWAIT);
	if (n > 0)
		stream->up.len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		stream->fd_ended = true;
}

static void write_fd(struct stream *stream)
{
	ssize_t n =
	    stream->down.len ? send(stream->fd, stream->down.data, stream->down.len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n > 0)
		buf_consume(&stream->down, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		stream->state = STREAM_DONE; /* nobody reads any more */
}

static void gate_event(struct mux *mux, struct stream *stream, const char *bytes, size_t len)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf password = { 0 };
	const char *rest = NULL;
	size_t n = 0;

	if (sudo_gate_feed(&stream->gate, bytes, len, &rest, &n) != SUDO_ASKS)
		return;
	if (sudo_password(mux->remote, &stream->gate, &password, &err) < 0)
		fail(mux, stream, err_text(&err));
	else
		ssh_channel_write(stream->channel, password.data, (uint32_t)password.len);
	mux->remote->heard = clock_monotonic_ms();
	if (password.data)
		explicit_bzero(password.data, password.cap);
}

static void read_errors(struct mux *mux, struct stream *stream)
{
	char piece[2048];
	int n;

	while ((n = ssh_channel_read_nonblocking(stream->channel, piece, sizeof(piece), 1)) > 0) {
		if (stream->sudo && !stream->gate.open)
			gate_event(mux, stream, piece, (size_t)n);
		else
			buf_add(&stream->tail, piece, (size_t)n);
		if (stream->tail.len > MOST_TAIL)
			buf_consume(&stream->tail, stream->tail.len - MOST_TAIL);
	}
}

static void read_channel(struct stream *stream)
{
	while (stream->down.len < MOST_HELD) {
		int n = ssh_channel_read_nonblocking(stream->channel, buf_reserve(&stream->down, PIECE), PIECE, 0);

		if (n <= 0)
			return;
		stream->down.len += (size_t)n;
		stream->spoke = true;
	}
}

static void write_channel(struct stream *stream)
{
	uint32_t room = ssh_channel_window_size(stream->channel);
	int n;

	if (stream->sudo && !stream->gate.open)
		return;
	if (stream->up.len && room) {
		n = ssh_channel_write(stream->channel, stream->up.data,
				      (uint32_t)(stream->up.len < room ? stream->up.len : room));
		if (n > 0)
			buf_consume(&stream->up, (size_t)n);
		else if (n < 0)
			buf_consume(&stream->up, stream->up.len);
	}
	if (stream->fd_ended && !stream->up.len && !stream->eof_sent) {
		stream->eof_sent = true;
		ssh_channel_send_eof(stream->channel);
	}
}

/* A command that ended badly said why on standard error. */
static void note_end(struct mux *mux, struct stream *stream)
{
	_cleanup_err_ struct err err = ERR_INIT;
	const char *last;

	stream->state = STREAM_DONE;
	if (stream->host)
		return;
	if (stream->sudo && !stream->gate.open) {
		sudo_refused(mux->remote, &stream->gate, &err);
		set_trouble(mux, err_text(&err));
		return;
	}
	while (stream->tail.len && strchr("\r\n ", stream->tail.data[stream->tail.len - 1]))
		stream->tail.data[--stream->tail.len] = '\0';
	last = stream->tail.len ? strrchr(stream->tail.data, '\n') : NULL;
	if (stream->tail.len)
		set_trouble(mux, last ? last + 1 : stream->tail.data);
}

static void step_open(struct mux *mux, struct stream *stream)
{
	read_errors(mux, stream);
	read_fd(stream);
	write_channel(stream);
	read_channel(stream);
	write_fd(stream);
	if (stream->state == STREAM_DONE || stream->down.len)
		return;
	/* A command that ends without a word has failed: why is known when the channel is closed, and must be told
	 * first. */
	if (ssh_channel_is_eof(stream->channel) && !stream->fd_shut && (stream->spoke || stream->host) &&
	    ssh_channel_poll(stream->channel, 0) <= 0) {
		stream->fd_shut = true;
		shutdown(stream->fd, SHUT_WR);
	}
	if (ssh_channel_is_closed(stream->channel))
		note_end(mux, stream);
}

static void step(struct mux *mux)
{
	struct stream **at = &mux->streams;

	for (struct stream *stream = mux->streams; stream; stream = stream->next) {
		if (stream->state == STREAM_OPENING || stream->state == STREAM_REQUESTING)
			step_begin(mux, stream);
		if (stream->state == STREAM_OPEN)
			step_open(mux, stream);
	}
	while (*at) {
		struct stream *stream = *at;

		if (stream->state != STREAM_DONE) {
			at = &stream->next;
			continue;
		}
		*at = stream->next;
		mux->n--;
		tell_opener(mux, stream, -ECONNREFUSED);
		stream_free(stream);
	}
}

static struct pollfd wanted(const struct stream *stream)
{
	short events = 0;

	if (!stream->fd_ended && stream->up.len < MOST_HELD)
		events |= POLLIN;
	if (stream->down.len)
		events |= POLLOUT;
	/* One of which nothing is wanted is left out, or its hang-up would wake us for ever. */
	return (struct pollfd){ .fd = events ? stream->fd : -1, .events = events };
}

/* Sleeps until something happens; 0 or -errno of a session that is gone. */
static int wait_events(struct mux *mux, struct err *err)
{
	struct pollfd fds[MOST_STREAMS + 3];
	struct remote *remote = mux->remote;
	int next = session_pulse(remote, err);
	size_t n = 3;
	uint64_t count;

	if (next < 0)
		return next;
	if (!ssh_is_connected(remote->ssh))
		return session_lost(remote, err);
	fds[0] = (struct pollfd){ .fd = ssh_get_fd(remote->ssh), .events = POLLIN };
	if (ssh_get_poll_flags(remote->ssh) & SSH_WRITE_PENDING)
		fds[0].events |= POLLOUT;
	fds[1] = (struct pollfd){ .fd = mux->wake, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = mux->n < MOST_STREAMS ? mux->listener : -1, .events = POLLIN };
	for (struct stream *stream = mux->streams; stream && n < ARRAY_SIZE(fds); stream = stream->next)
		fds[n++] = wanted(stream);
	if (poll(fds, n, next) < 0 && errno != EINTR)
		return err_errno(err, errno, _("Cannot wait for %s"), remote->name);
	if (fds[1].revents && read(mux->wake, &count, sizeof(count)) > 0)
		take_added(mux);
	if (fds[2].revents & POLLIN)
		accept_one(mux);
	ssh_event_dopoll(remote->event, 0);
	return 0;
}

static void *serve(void *data)
{
	struct mux *mux = data;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = 0;

	mux->remote->heard = mux->remote->asked = clock_monotonic_ms();
	take_added(mux);
	while (r == 0 && !mux->stopping) {
		r = wait_events(mux, &err);
		step(mux);
	}
	if (r < 0)
		set_trouble(mux, err_text(&err));
	mux->dead = true;
	if (mux->listener >= 0) /* who still waits to be accepted is told */
		shutdown(mux->listener, SHUT_RDWR);
	for (struct stream *stream = mux->streams; stream; stream = stream->next)
		stream->state = STREAM_DONE;
	take_added(mux);
	for (struct stream *stream = mux->streams; stream; stream = stream->next)
		stream->state = STREAM_DONE;
	step(mux);
	return NULL;
}

static int start(struct mux *mux, struct mux **ret, struct err *err)
{
	pthread_condattr_t monotonic;
	pthread_attr_t attributes;
	int r;

	pthread_mutex_init(&mux->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&mux->opened, &monotonic);
	pthread_condattr_destroy(&monotonic);
	mux->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	r = mux->wake < 0 ? errno : thread_create(&mux->thread, &attributes, serve, mux);
	pthread_attr_destroy(&attributes);
	if (r) {
		mux->dead = true;
		err_errno(err, r, _("No thread can be started for %s"), mux->remote->name);
		remote_close(mux->remote);
		if (mux->listener >= 0)
			close(mux->listener);
		closep(&mux->wake);
		strv_release(&mux->argv);
		free(mux);
		return -r;
	}
	*ret = mux;
	return 0;
}

int mux_new(struct remote *remote, struct mux **ret, struct err *err)
{
	struct mux *mux = xcalloc(1, sizeof(*mux));

	mux->remote = remote;
	mux->listener = -1;
	return start(mux, ret, err);
}

int mux_listen(struct remote *remote, int listener, const struct strv *argv, bool sudo, struct mux **ret,
	       struct err *err)
{
	struct mux *mux = xcalloc(1, sizeof(*mux));

	mux->remote = remote;
	mux->listener = listener;
	mux->sudo = sudo;
	strv_copy(&mux->argv, argv);
	return start(mux, ret, err);
}

void mux_free(struct mux *mux)
{
	uint64_t one = 1;

	if (!mux)
		return;
	mux->stopping = true;
	(void)!write(mux->wake, &one, sizeof(one));
	pthread_join(mux->thread, NULL);
	while (mux->added) {
		struct stream *stream = mux->added;

		mux->added = stream->next;
		tell_opener(mux, stream, -ECONNREFUSED);
		stream_free(stream);
	}
	remote_close(mux->remote);
	if (mux->listener >= 0)
		close(mux->listener);
	close(mux->wake);
	pthread_mutex_destroy(&mux->lock);
	pthread_cond_destroy(&mux->opened);
	free(mux->trouble);
	strv_release(&mux->argv);
	free(mux);
}

static void add(struct mux *mux, struct stream *stream)
{
	uint64_t one = 1;

	pthread_mutex_lock(&mux->lock);
	stream->next = mux->added;
	mux->added = stream;
	pthread_mutex_unlock(&mux->lock);
	(void)!write(mux->wake, &one, sizeof(one));
}

int mux_forward(struct mux *mux, const char *host, uint16_t port, struct err *err)
{
	struct stream *stream;
	int pair[2];

	if (mux->dead)
		return session_lost(mux->remote, err);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, _("Cannot open a socket"));
	stream = stream_new(pair[1]);
	stream->host = xstrdup(host);
	stream->port = port;
	add(mux, stream);
	return pair[0];
}

int mux_add_socket(struct mux *mux, int fd, const char *path, int64_t timeout_ms, struct err *err)
{
	struct stream *stream = stream_new(fd);
	struct opened *opened;
	struct timespec until;
	int r;

	if (mux->dead) {
		stream_free(stream);
		return session_lost(mux->remote, err);
	}
	opened = xcalloc(1, sizeof(*opened));
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000 + 1;
	stream->host = xstrdup(path);
	stream->opened = opened;
	add(mux, stream);
	pthread_mutex_lock(&mux->lock);
	while (!opened->done && pthread_cond_timedwait(&mux->opened, &mux->lock, &until) != ETIMEDOUT)
		;
	r = opened->done ? opened->result : -ETIMEDOUT;
	opened->abandoned = true;
	if (opened->done)
		free(opened);
	pthread_mutex_unlock(&mux->lock);
	if (r < 0)
		return err_errno(err, -r, _("The socket %s on %s cannot be opened"), path, mux->remote->name);
	return 0;
}

bool mux_is_alive(struct mux *mux)
{
	return !mux->dead;
}

char *mux_trouble(struct mux *mux)
{
	char *copy;

	pthread_mutex_lock(&mux->lock);
	copy = xstrdup(mux->trouble);
	pthread_mutex_unlock(&mux->lock);
	return copy;
}
