/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/buf.h"

#define PIECE (64u << 10)
#define TURN_MS 1000   /* how often it is looked whether to stop */
#define FLUSH_MS 30000 /* longest wait for one that takes nothing, after the other has ended */

/* One direction. Nothing is read before all that was read is sent. */
struct way {
	int from, to;
	struct buf held;
	bool ended;
	bool refused; /* what is read from now on goes nowhere: the receiver's last bytes are still wanted */
};

static bool passing(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void take(struct way *way)
{
	ssize_t n = recv(way->from, buf_reserve(&way->held, PIECE), PIECE, MSG_DONTWAIT);

	if (n > 0)
		way->held.len += way->refused ? 0 : (size_t)n;
	else if (!passing(n))
		way->ended = true;
}

static void give(struct way *way)
{
	ssize_t n = send(way->to, way->held.data, way->held.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		buf_consume(&way->held, (size_t)n);
	else if (!passing(n)) {
		way->refused = true;
		buf_consume(&way->held, way->held.len);
	}
}

static void flush(struct way *way)
{
	struct pollfd out = { .fd = way->to, .events = POLLOUT };

	while (way->held.len) {
		int n = poll(&out, 1, FLUSH_MS);

		if (n > 0)
			give(way);
		else if (n == 0 || errno != EINTR)
			return;
	}
}

/* What to wait for on a socket; one of which nothing is wanted is left out, or its hang-up would wake us for ever. */
static struct pollfd wanted(const struct way *in, const struct way *out)
{
	short events = (short)((in->held.len ? 0 : POLLIN) | (out->held.len ? POLLOUT : 0));

	return (struct pollfd){ .fd = events ? in->from : -1, .events = events };
}

void relay(int a, int b, const void *early, size_t early_len, const _Atomic bool *stopping)
{
	struct way ab = { .from = a, .to = b }, ba = { .from = b, .to = a };

	buf_add(&ab.held, early, early_len);
	while (!ab.ended && !ba.ended && !(stopping && *stopping)) {
		struct pollfd fds[] = { wanted(&ab, &ba), wanted(&ba, &ab) };

		if (poll(fds, 2, stopping ? TURN_MS : -1) < 0) {
			if (errno != EINTR)
				break;
			continue;
		}
		if (fds[0].revents & POLLOUT)
			give(&ba);
		if (fds[1].revents & POLLOUT)
			give(&ab);
		/* An end is read, not guessed from a hang-up: bytes may lie before it. */
		if (fds[0].revents & ~POLLOUT && !ab.held.len)
			take(&ab);
		if (fds[1].revents & ~POLLOUT && !ba.held.len)
			take(&ba);
	}
	if (ab.ended || ba.ended)
		flush(ab.ended ? &ab : &ba);
	buf_release(&ab.held);
	buf_release(&ba.held);
}
