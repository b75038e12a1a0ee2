/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a driver whose nodes are machines asks of src/ssh: one key and one host key, input that comes as it comes and is
 * decoded, commands that are told to stop, terminals, sockets on the host. `ssh-machine PORT KEY OTHER-KEY FINGERPRINT
 * SOCKET`, against a sshd at 127.0.0.1 that lets KEY in; an echo server listens at SOCKET.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "ssh/mux.h"
#include "ssh/remote.h"

#define BOUND_MS 60000
#define MUCH (1u << 20)

static unsigned int n_passed, n_failed;
static struct remote_host host = { .name = "machine", .address = "127.0.0.1", .user = "root" };
static struct remote_options options = { .connect_ms = BOUND_MS, .silence_ms = BOUND_MS };

static void expect(bool ok, const char *what, const struct err *err)
{
	n_passed += ok;
	n_failed += !ok;
	if (!ok)
		printf("FAILED: %s%s%s\n", what, err && err->code ? ": " : "", err && err->code ? err_text(err) : "");
	fflush(stdout);
}

static struct remote *open_one(void)
{
	struct remote *remote = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	expect(remote_open(&host, &options, &remote, &err) == 0, "the key opens the machine", &err);
	if (!remote)
		exit(1);
	return remote;
}

static void one_key(const char *other_key)
{
	const char *right = host.fingerprint, *key = options.identity;
	_cleanup_err_ struct err err = ERR_INIT;
	struct remote *remote = NULL;

	options.identity = other_key;
	expect(remote_open(&host, &options, &remote, &err) == -EACCES, "another key does not", &err);
	options.identity = "/nonexistent/key";
	expect(remote_open(&host, &options, &remote, &err) < 0, "nor one that is not there", &err);
	options.identity = key;
	host.fingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	expect(remote_open(&host, &options, &remote, &err) == -EKEYREJECTED, "another machine's key is refused", &err);
	host.fingerprint = right;
}

/* Upper case, so that it shows who saw the bytes; '.' is the end, '#' is an error. */
static int decode(void *data, const char *bytes, size_t len, struct remote_input *to)
{
	(void)data;
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '#')
			return -EBADMSG;
		to->ended |= bytes[i] == '.';
		buf_addc(to->bytes, (char)(bytes[i] >= 'a' && bytes[i] <= 'z' ? bytes[i] - 'a' + 'A' : bytes[i]));
	}
	return 0;
}

struct said {
	struct buf text;
	bool hold;
};

static int take(void *data, bool is_stderr, const char *bytes, size_t len)
{
	struct said *said = data;

	(void)is_stderr;
	buf_add(&said->text, bytes, len);
	said->hold = false;
	return 0;
}

static void input(struct remote *remote)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct said said = { .hold = true };
	struct remote_command command = {
		.argv = &argv, .sink = take, .data = &said, .decode = decode, .hold = &said.hold, .timeout_ms = BOUND_MS
	};
	_cleanup_err_ struct err err = ERR_INIT;
	int pair[2], status = -1, r;
	char rest[8];

	strv_add_all(&argv, "sh", "-c", "echo ready; cat", NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	command.input_fd = pair[1];
	fs_write_all(pair[0], "said.", 5);
	r = remote_exec(remote, &command, &status, &err);
	expect(r == 0 && status == 0 && !strcmp(buf_text(&said.text), "ready\nSAID."), "input is decoded, to its end",
	       &err);
	buf_consume(&said.text, said.text.len);
	fs_write_all(pair[0], "#", 1);
	expect(remote_exec(remote, &command, &status, NULL) == -EBADMSG, "what cannot be decoded ends the command",
	       NULL);
	/* Nothing is said, so nothing may be read. */
	argv.n = 0;
	strv_add_all(&argv, "sleep", "1", NULL);
	said.hold = true;
	fs_write_all(pair[0], "kept", 4);
	expect(remote_exec(remote, &command, &status, &err) == 0 &&
		   recv(pair[1], rest, sizeof(rest), MSG_DONTWAIT) == 4,
	       "input waits until the command has spoken", &err);
	shutdown(pair[0], SHUT_WR);
	strv_release(&argv);
	strv_add_all(&argv, "sh", "-c", "echo ready; exec sleep 1000", NULL);
	said.hold = true;
	expect(remote_exec(remote, &command, &status, NULL) == -EPIPE, "its user's end is the command's", NULL);
	close(pair[0]);
	close(pair[1]);
	buf_release(&said.text);
}

static void stopped(struct remote *remote)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = BOUND_MS };
	int64_t began = clock_monotonic_ms();
	int fds[2], status;

	strv_add_all(&argv, "sleep", "1000", NULL);
	if (pipe(fds) < 0)
		abort();
	fs_write_all(fds[1], "x", 1);
	command.stop_fd = fds[0];
	expect(remote_exec(remote, &command, &status, NULL) == -ECANCELED, "a command is told to stop", NULL);
	expect(clock_monotonic_ms() - began < BOUND_MS / 2, "at once", NULL);
	close(fds[0]);
	close(fds[1]);
}

static void terminal(struct remote *remote)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct said said = { 0 };
	struct remote_command command = { .argv = &argv,
					  .sink = take,
					  .data = &said,
					  .tty = true,
					  .rows = 31,
					  .columns = 77,
					  .timeout_ms = BOUND_MS };
	_cleanup_err_ struct err err = ERR_INIT;
	int status = -1;

	strv_add_all(&argv, "sh", "-c", "stty size; exit 7", NULL);
	expect(remote_exec(remote, &command, &status, &err) == 0 && status == 7 &&
		   !strcmp(buf_text(&said.text), "31 77\r\n"),
	       "a terminal has its size", &err);
	buf_release(&said.text);
}

static int join(struct mux *mux, const char *path, int *ret)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	r = mux_add_socket(mux, pair[1], path, BOUND_MS, NULL);
	if (r < 0)
		close(pair[0]);
	else
		*ret = pair[0];
	return r;
}

static void *send_much(void *data)
{
	_cleanup_(freep) char *much = xmalloc(MUCH);

	memset(much, 'x', MUCH);
	fs_write_all(*(int *)data, much, MUCH);
	shutdown(*(int *)data, SHUT_WR);
	return NULL;
}

static size_t read_all(int fd)
{
	char piece[65536];
	size_t all = 0;
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0)
		all += (size_t)n;
	return all;
}

static void sockets(const char *path)
{
	struct mux *mux = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *absent = xasprintf("%s.absent", path);
	int one = -1, two = -1, three = -1;
	pthread_t thread;
	char said[6] = "";

	expect(mux_new(open_one(), &mux, &err) == 0, "a session carries sockets", &err);
	if (!mux)
		return;
	expect(join(mux, absent, &three) == -ECONNREFUSED, "a socket that is not there is refused", NULL);
	if (join(mux, path, &one) < 0 || join(mux, path, &two) < 0) {
		expect(false, "two sockets are open at once", NULL);
		return;
	}
	if (pthread_create(&thread, NULL, send_much, &one))
		abort();
	fs_write_all(two, "hello", 5);
	expect(recv(two, said, 5, MSG_WAITALL) == 5 && !strcmp(said, "hello"), "one answers while the other is busy",
	       NULL);
	expect(read_all(one) == MUCH, "all bytes come back, to the end", NULL);
	pthread_join(thread, NULL);
	expect(mux_is_alive(mux), "the session goes on", NULL);
	mux_free(mux);
	expect(read(two, said, 1) == 0, "its end is its sockets' end", NULL);
	close(one);
	close(two);
}

int main(int argc, char **argv)
{
	struct remote *remote;

	if (argc < 6)
		return 254;
	host.port = (uint16_t)atoi(argv[1]);
	options.identity = argv[2];
	host.fingerprint = argv[4];
	one_key(argv[3]);
	remote = open_one();
	input(remote);
	stopped(remote);
	terminal(remote);
	remote_close(remote);
	sockets(argv[5]);
	printf("%u passed, %u failed\n", n_passed, n_failed);
	return n_failed || !n_passed;
}
