/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/i18n.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"

enum { PIECE = 65536, MOST_HELD = 1 << 18 };

struct ends {
	int agent;
	struct buf up, down; /* to the agent, from it */
	bool input_ended, shut, agent_ended;
};

static int dial(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int own;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot open a socket"));
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ENAMETOOLONG, _("The agent's socket has too long a path: %s"), path);
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return api_away(path, errno, err);
	own = fd;
	fd = -1;
	return own;
}

static bool passing(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void read_some(int fd, struct buf *to, bool *ended)
{
	ssize_t n = read(fd, buf_reserve(to, PIECE), PIECE);

	if (n > 0)
		to->len += (size_t)n;
	else if (!passing(n))
		*ended = true;
}

static int write_some(int fd, struct buf *from)
{
	ssize_t n = write(fd, from->data, from->len);

	if (n > 0)
		buf_consume(from, (size_t)n);
	return n >= 0 || passing(n) ? 0 : -errno;
}

/* Until the agent has ended and all that it said is through; our own end of input is only told to it. */
static int carry(struct ends *ends)
{
	int r = 0;

	while (r == 0 && (!ends->agent_ended || ends->down.len)) {
		bool take = !ends->input_ended && ends->up.len < MOST_HELD;
		struct pollfd fds[] = {
			{ .fd = take ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = STDOUT_FILENO, .events = ends->down.len ? POLLOUT : 0 },
			{ .fd = ends->agent,
			  .events = (short)((ends->up.len ? POLLOUT : 0) |
					    (!ends->agent_ended && ends->down.len < MOST_HELD ? POLLIN : 0)) },
		};

		if (ends->agent_ended || !fds[2].events)
			fds[2].fd = -1;
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) /* nobody reads us any more; a socket hangs up */
			return -EPIPE;
		if (fds[0].revents)
			read_some(STDIN_FILENO, &ends->up, &ends->input_ended);
		if (fds[2].revents & ~POLLOUT)
			read_some(ends->agent, &ends->down, &ends->agent_ended);
		if (ends->up.len && write_some(ends->agent, &ends->up) < 0)
			buf_consume(&ends->up, ends->up.len); /* its last words are still wanted */
		if (ends->down.len)
			r = write_some(STDOUT_FILENO, &ends->down);
		if (ends->input_ended && !ends->up.len && !ends->shut) {
			ends->shut = true;
			shutdown(ends->agent, SHUT_WR);
		}
	}
	return r;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct ends ends = { .agent = dial(cli->socket, &err) };
	int r;

	(void)args;
	if (ends.agent < 0)
		return cli_failed(cli, &err);
	fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
	r = carry(&ends);
	close(ends.agent);
	buf_release(&ends.up);
	buf_release(&ends.down);
	return r < 0 ? STATUS_FAILED : STATUS_DONE;
}

const struct command cmd_dial_stdio = {
	.name = "dial-stdio",
	.group = GROUP_OTHER,
	.flags = COMMAND_HIDDEN,
	.summary = N_("Join standard input and output with the agent's socket"),
	.details = N_("'tepuy --host' runs it on the other side of an SSH connection."),
	.exec = run,
};
