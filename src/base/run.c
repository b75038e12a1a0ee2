/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"

struct child {
	pid_t pid;
	int in, out; /* our ends; -1 once closed */
};

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* Only async-signal-safe calls and the caller's in_child between fork and exec. Reports errno on `report`. */
static void child_main(struct run *run, int in, int out, int report)
{
	int r = 0;

	setpgid(0, 0);
	reset_signals();
	/* Libraries open descriptors without close-on-exec; in_child may still mark what it wants to hand on. */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < run->env.n; i++)
		putenv(run->env.v[i]);
	if (r == 0 && run->in_child)
		r = run->in_child(run->child_data);
	if (r == 0) {
		execvp(run->argv.v[0], run->argv.v);
		r = -errno;
	}
	r = -r;
	(void)!write(report, &r, sizeof(r));
	_exit(127);
}

static int start(struct run *run, struct child *child, struct err *err)
{
	_cleanup_(closep) int in_r = -1, out_w = -1, report_r = -1, report_w = -1;
	int in[2], out[2], report[2], failure = 0;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, errno, _("Cannot start %s"), run->argv.v[0]);
	in_r = in[0], child->in = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(err, errno, _("Cannot start %s"), run->argv.v[0]);
	child->out = out[0], out_w = out[1];
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(err, errno, _("Cannot start %s"), run->argv.v[0]);
	report_r = report[0], report_w = report[1];
	child->pid = fork();
	if (child->pid < 0)
		return err_errno(err, errno, _("Cannot start %s"), run->argv.v[0]);
	if (child->pid == 0)
		child_main(run, in_r, out_w, report_w);
	setpgid(child->pid, child->pid);
	close(report_w);
	report_w = -1;
	if (read(report_r, &failure, sizeof(failure)) == sizeof(failure)) {
		waitpid(child->pid, NULL, 0);
		child->pid = 0;
		return err_errno(err, failure, _("Cannot run %s"), run->argv.v[0]);
	}
	fcntl(child->in, F_SETFL, O_NONBLOCK);
	return 0;
}

static void keep_tail(struct buf *output, size_t most)
{
	if (output->len > most + most / 2)
		buf_consume(output, output->len - most);
}

static void feed_input(struct run *run, struct child *child, size_t *sent)
{
	ssize_t n = write(child->in, run->input + *sent, run->input_len - *sent);

	if (n > 0)
		*sent += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || *sent == run->input_len) {
		close(child->in);
		child->in = -1;
	}
}

/* 1: more to come, 0: end of output. */
static int take_output(struct run *run, struct child *child, struct buf *output)
{
	char chunk[8192];
	ssize_t n = read(child->out, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return 0;
	buf_add(output, chunk, (size_t)n);
	keep_tail(output, run->most_output ? run->most_output : 65536);
	if (run->output_fd > 0)
		fs_write_all(run->output_fd, chunk, (size_t)n);
	return 1;
}

/* Milliseconds for poll(2), -1: it is over. */
static int left_until(int64_t deadline)
{
	int64_t left = deadline - clock_monotonic_ms();

	return left <= 0 ? -1 : (int)(left > 60000 ? 60000 : left);
}

/* Moves bytes until the output ends; -ETIMEDOUT at the deadline, -ECANCELED when told to stop. */
static int exchange(struct run *run, struct child *child, int64_t deadline, struct buf *output)
{
	size_t sent = 0;

	for (;;) {
		struct pollfd fds[3] = { { .fd = child->out, .events = POLLIN },
					 { .fd = child->in, .events = POLLOUT },
					 { .fd = run->stop_fd > 0 ? run->stop_fd : -1, .events = POLLIN } };
		int left = left_until(deadline);

		if (child->in >= 0 && sent == run->input_len) {
			close(child->in);
			child->in = fds[1].fd = -1;
		}
		if (left < 0)
			return -ETIMEDOUT;
		if (poll(fds, 3, left) < 0 && errno != EINTR)
			return -errno;
		if (fds[2].revents)
			return -ECANCELED;
		if (fds[1].fd >= 0 && fds[1].revents)
			feed_input(run, child, &sent);
		if (fds[0].revents && !take_output(run, child, output))
			return 0;
	}
}

/* One that has closed its output may go on for as long as it likes: it is waited for as before. */
static int wait_for_end(struct run *run, struct child *child, int64_t deadline)
{
	_cleanup_(closep) int fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = run->stop_fd > 0 ? run->stop_fd : -1, .events = POLLIN } };

	closep(&child->in);
	child->in = -1;
	if (fd < 0)
		return 0; /* not allowed here: then without a bound */
	while (!fds[0].revents) {
		int left = left_until(deadline);

		if (left < 0)
			return -ETIMEDOUT;
		if (poll(fds, 2, left) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
	}
	return 0;
}

int run_program(struct run *run, struct buf *output, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + (run->timeout_ms ? run->timeout_ms : 600000);
	_cleanup_buf_ struct buf own = { 0 };
	struct child child = { .in = -1, .out = -1 };
	int status = 0, r;

	r = start(run, &child, err);
	if (r == 0) {
		r = exchange(run, &child, deadline, output ? output : &own);
		if (r == 0)
			r = wait_for_end(run, &child, deadline);
		if (r < 0)
			kill(-child.pid, SIGKILL);
		while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
			;
		if (r == -ETIMEDOUT)
			r = err_set(err, ETIMEDOUT, _("%s did not end within its time and was stopped"),
				    run->argv.v[0]);
		else if (r < 0)
			r = err_errno(err, -r, _("Cannot run %s"), run->argv.v[0]);
		else
			r = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
	closep(&child.in);
	closep(&child.out);
	return r;
}

static const char *last_line(struct buf *output)
{
	char *end;

	while (output->len && strchr("\r\n \t", output->data[output->len - 1]))
		output->data[--output->len] = '\0';
	end = output->len ? strrchr(output->data, '\n') : NULL;
	return end ? end + 1 : buf_text(output);
}

int run_checked(struct run *run, struct buf *output, struct err *err)
{
	_cleanup_buf_ struct buf own = { 0 };
	struct buf *to = output ? output : &own;
	int r = run_program(run, to, err);

	if (r <= 0)
		return r;
	return err_set(err, EIO, _("%s failed with exit status %d: %s"), run->argv.v[0], r, last_line(to));
}

void run_release(struct run *run)
{
	if (!run)
		return;
	strv_release(&run->argv);
	strv_release(&run->env);
}
