/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The calls of src/ssh one by one, for the scripts beside it:
 *   ssh-tool exec|sudo HOST COMMAND…      put|get HOST LOCAL REMOTE      dial HOST COMMAND… (standard input and output)
 * SSH_CONFIG, KNOWN_HOSTS, FINGERPRINT, PORT, USER_NAME, ANSWER_KEY, ANSWER_PASSWORD, ANSWER_PASSPHRASE, ANSWER_SUDO,
 * SILENCE_MS, CONNECT_MS say how. Prints `error CODE: sentence` on standard error; exit status of the command, or 255.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "ssh/remote.h"

static char *answer(void *data, enum remote_question question, const char *host, const char *prompt)
{
	static const char *const names[] = { "ANSWER_KEY", "ANSWER_PASSWORD", "ANSWER_PASSPHRASE", "ANSWER_SUDO" };
	const char *text = getenv(names[question]);

	(void)data;
	fprintf(stderr, "asked %s: %s\n", host, prompt);
	return text ? xstrdup(text) : NULL;
}

static int64_t number(const char *name)
{
	const char *text = getenv(name);

	return text ? atoll(text) : 0;
}

static int sink(void *data, bool is_stderr, const char *bytes, size_t len)
{
	(void)data;
	return fs_write_all(is_stderr ? 2 : 1, bytes, len);
}

static ssize_t source(void *data, char *to, size_t size)
{
	ssize_t n = read(0, to, size);

	(void)data;
	return n < 0 ? -errno : n;
}

static int run(struct remote *remote, const struct strv *argv, bool sudo, int *status, struct err *err)
{
	struct remote_command command = {
		.argv = argv, .sudo = sudo, .source = source, .sink = sink, .timeout_ms = number("TIMEOUT_MS")
	};

	return remote_exec(remote, &command, status, err);
}

static int copy(struct remote *remote, bool put, char **argv, struct err *err)
{
	bool sudo = getenv("SUDO") != NULL;
	_cleanup_(closep) int fd = open(argv[0], put ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return err_errno(err, errno, "%s", argv[0]);
	return put ? remote_put(remote, fd, argv[1], 0640, sudo, err) : remote_get(remote, argv[1], fd, sudo, err);
}

static int dial(const struct remote_host *host, const struct remote_options *options, const struct strv *argv,
		struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;
	struct remote_dial *started;
	_cleanup_(freep) char *trouble = NULL;
	char piece[65536];
	const char *path;
	ssize_t n;

	r = remote_dial_start(host, options, argv, getenv("SUDO") != NULL, &started, &path, err);
	if (r < 0)
		return r;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_errno(err, errno, "connect");
	/* In a process of its own, as what comes back must be read meanwhile. */
	if (fork() == 0) {
		while ((n = read(0, piece, sizeof(piece))) > 0)
			fs_write_all(fd, piece, (size_t)n);
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		fs_write_all(1, piece, (size_t)n);
	trouble = remote_dial_trouble(started);
	remote_dial_stop(started);
	return trouble ? err_set(err, EIO, "%s", trouble) : 0;
}

int main(int argc, char **argv)
{
	struct remote_host host = { .fingerprint = getenv("FINGERPRINT"),
				    .user = getenv("USER_NAME"),
				    .port = (uint16_t)number("PORT"),
				    .address = getenv("ADDRESS") };
	struct remote_options options = { .config = getenv("SSH_CONFIG"),
					  .known_hosts = getenv("KNOWN_HOSTS"),
					  .connect_ms = number("CONNECT_MS"),
					  .silence_ms = number("SILENCE_MS"),
					  .ask = getenv("NOBODY") ? NULL : answer };
	_cleanup_(remote_closep) struct remote *remote = NULL;
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int status = 0, r;

	if (argc < 4)
		return 254;
	host.name = argv[2];
	for (int i = 3; i < argc; i++)
		strv_add(&words, argv[i]);
	if (!strcmp(argv[1], "dial"))
		r = dial(&host, &options, &words, &err);
	else {
		r = remote_open(&host, &options, &remote, &err);
		if (r == 0 && (!strcmp(argv[1], "put") || !strcmp(argv[1], "get")))
			r = argc < 5 ? -EINVAL : copy(remote, !strcmp(argv[1], "put"), argv + 3, &err);
		else if (r == 0)
			r = run(remote, &words, !strcmp(argv[1], "sudo"), &status, &err);
	}
	if (r < 0)
		fprintf(stderr, "error %s: %s\n", strerrorname_np(-r), err_text(&err));
	return r < 0 ? 255 : status;
}
