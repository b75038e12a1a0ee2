/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The way to a host's sshd: over TCP, or through a jump host. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "ssh/jump.h"
#include "ssh/session.h"

static int wait_connected(int fd, int64_t ms)
{
	int64_t end = clock_monotonic_ms() + ms;
	struct pollfd out = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int code = 0, n;

	do {
		int64_t left = end - clock_monotonic_ms();

		n = poll(&out, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		return -errno;
	return -code;
}

/* libssh wants the socket blocking at first, and sets it as it needs it. */
static int connect_one(const struct addrinfo *address, int64_t ms)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address->ai_protocol), r;

	if (fd < 0)
		return -errno;
	r = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : -errno;
	if (r == -EINPROGRESS)
		r = wait_connected(fd, ms);
	if (r < 0) {
		close(fd);
		return r;
	}
	fcntl(fd, F_SETFL, 0);
	return fd;
}

static int resolve(const struct opening *opening, struct addrinfo **ret, struct err *err)
{
	const struct ssh_settings *settings = &opening->settings;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	_cleanup_(freep) char *port = xasprintf("%u", settings->port);
	int r = getaddrinfo(settings->hostname, port, &hints, ret);

	if (r == 0)
		return 0;
	return err_set(err, EHOSTUNREACH, _("The address of %s cannot be found: %s: %s"), opening->remote->name,
		       settings->hostname, gai_strerror(r));
}

static int unreachable(const struct opening *opening, int code, struct err *err)
{
	const struct ssh_settings *settings = &opening->settings;

	if (code == ECONNREFUSED)
		return err_set(err, code, _("%s refuses connections at %s:%u; is sshd running there, at that port?"),
			       opening->remote->name, settings->hostname, settings->port);
	if (code == ETIMEDOUT)
		return err_set(err, code, _("%s cannot be reached at %s:%u in time; is it on, and the way to it open?"),
			       opening->remote->name, settings->hostname, settings->port);
	return err_errno(err, code == EMFILE || code == ENFILE || code == ENOBUFS ? code : EHOSTUNREACH,
			 _("%s cannot be reached at %s:%u"), opening->remote->name, settings->hostname, settings->port);
}

static int connect_direct(struct opening *opening, struct err *err)
{
	struct addrinfo *list, *one;
	int r = resolve(opening, &list, err), left = 0;

	if (r < 0)
		return r;
	for (one = list; one; one = one->ai_next)
		left++;
	r = -EHOSTUNREACH;
	for (one = list; one && r < 0; one = one->ai_next, left--)
		r = connect_one(one, session_left_ms(opening) / left);
	freeaddrinfo(list);
	return r < 0 ? unreachable(opening, -r, err) : r;
}

int session_connect(struct opening *opening, struct err *err)
{
	const struct ssh_settings *settings = &opening->settings;
	int64_t start = clock_monotonic_ms();
	int r;

	if (opening->options->through && !opening->depth)
		return session_through(opening->options->through, settings->hostname, settings->port, err);
	if (!settings->proxy_jump)
		return connect_direct(opening, err);
	jump_release(opening->remote->jump);
	opening->remote->jump = NULL;
	r = jump_acquire(settings->proxy_jump, opening->options, opening->depth, &opening->remote->jump, err);
	if (r < 0)
		return err ? err_wrap(err, _("%s cannot be reached"), opening->remote->name) : r;
	/* The jump host had a bound of its own, and may have asked the operator. */
	opening->deadline += clock_monotonic_ms() - start;
	return jump_connect(opening->remote->jump, settings->hostname, settings->port, err);
}
