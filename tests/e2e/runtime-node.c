/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What runs inside the test nodes of runtime-contract, linked statically so that any image will do:
 *   main            says something on both streams, serves /run/node.sock, ends with 0 on SIGTERM
 *   watch FILE      reads FILE as fast as it can until `stop` comes on its input; exit status 1 if it ever was absent,
 *                   empty, or mixed (a file is whole when all its bytes are the same letter), else 0; prints the count
 *   eat MEGABYTES   uses so much memory
 * The socket takes one line a connection: "exit N" ends the node with N, "say TEXT" logs it, anything else is echoed.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "/run/node.sock"

static void on_term(int signal)
{
	static const char text[] = "node stops\n";

	(void)signal;
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(4);
	_exit(0);
}

static void serve(int fd)
{
	char line[4096] = "";
	ssize_t n = read(fd, line, sizeof(line) - 1);

	if (n <= 0)
		return;
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, "exit ", 5))
		exit(atoi(line + 5));
	if (!strncmp(line, "say ", 4))
		printf("%s\n", line + 4);
	dprintf(fd, "echo: %s\n", line);
}

static int run_main(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_term);
	signal(SIGPIPE, SIG_IGN);
	unlink(SOCKET);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 16) < 0)
		return 5;
	printf("node starts\n");
	fprintf(stderr, "node warns\n");
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return 6;
		serve(fd);
		close(fd);
	}
}

static int is_whole(const char *path)
{
	static char text[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	for (ssize_t i = 1; i < n; i++)
		if (text[i] != text[0])
			return 0;
	return 1;
}

static int run_watch(const char *path)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	unsigned long reads = 0;

	printf("watching\n");
	fflush(stdout);
	while (poll(&input, 1, 0) == 0) {
		if (!is_whole(path)) {
			printf("broken after %lu reads\n", reads);
			return 1;
		}
		reads++;
	}
	printf("%lu reads\n", reads);
	return 0;
}

static int run_eat(const char *megabytes)
{
	for (long i = atol(megabytes); i > 0; i--) {
		volatile char *p = malloc(1 << 20);

		if (!p)
			return 1;
		for (size_t j = 0; j < 1 << 20; j += 4096)
			p[j] = 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "watch"))
		return run_watch(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "eat"))
		return run_eat(argv[2]);
	return argc == 2 && !strcmp(argv[1], "main") ? run_main() : 2;
}
