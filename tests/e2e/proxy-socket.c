/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests/e2e/proxy-socket.sh needs beside a real HAProxy:
 *   proxy-e2e serve PORT NAME RELEASE
 *       a web server on loopback: every path answers NAME; /hold ends when there is a file RELEASE
 *   proxy-e2e sync SOCKET [--unwell] BACKEND [NAME=ADDRESS:PORT[,ready|drain|maint][,weight=N][,check]]…
 *   proxy-e2e bench SOCKET BACKEND NAME=…
 *       toggles the server's drain 400 times; prints median and p99 in microseconds
 *   proxy-e2e info SOCKET
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "proxy/haproxy-socket.h"

static const char *server_name, *release;

/* 20 bytes, of which the last one comes when it is released. */
static int hold(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nxxxxxxxxxxxxxxxxxxx";
	int r = fs_write_all(fd, head, strlen(head));

	while (r == 0 && access(release, F_OK) < 0)
		poll(NULL, 0, 20);
	return r < 0 ? r : fs_write_all(fd, "x", 1);
}

static void *serve_connection(void *data)
{
	int fd = (int)(intptr_t)data, r = 0;
	struct buf request = { 0 }, answer = { 0 };

	buf_printf(&answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(server_name), server_name);
	while (r == 0) {
		const char *end;
		ssize_t got = read(fd, buf_reserve(&request, 4096), 4096);

		if (got <= 0)
			break;
		request.len += (size_t)got;
		request.data[request.len] = '\0';
		while (r == 0 && (end = strstr(buf_text(&request), "\r\n\r\n"))) {
			if (!strncmp(request.data, "GET /hold ", 10))
				r = hold(fd);
			else
				r = fs_write_all(fd, answer.data, answer.len);
			buf_consume(&request, (size_t)(end - request.data) + 4);
		}
	}
	buf_release(&request);
	buf_release(&answer);
	close(fd);
	return NULL;
}

static int serve(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(port)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 128) < 0) {
		perror("listen");
		return 1;
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0 || pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd))
			return 1;
		pthread_detach(thread);
	}
}

static int dial(void *data, int *ret_fd, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", (const char *)data);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = err_errno(err, errno, "%s", address.sun_path);

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static void parse_server(char *spec, struct haproxy_server *ret)
{
	char *at = strchr(spec, '='), *colon, *word;

	*ret = (struct haproxy_server){ .weight = 1 };
	ret->name = xstrndup(spec, at ? (size_t)(at - spec) : 0);
	at = strtok(at ? at + 1 : NULL, ",");
	colon = at ? strrchr(at, ':') : NULL;
	ret->address = xstrndup(at ? at : "", colon ? (size_t)(colon - at) : 0);
	ret->port = colon ? (uint16_t)atoi(colon + 1) : 0;
	while ((word = strtok(NULL, ","))) {
		if (!strcmp(word, "drain"))
			ret->state = HAPROXY_STATE_DRAIN;
		else if (!strcmp(word, "maint"))
			ret->state = HAPROXY_STATE_MAINT;
		else if (!strcmp(word, "check"))
			ret->check = true;
		else if (text_starts(word, "weight="))
			ret->weight = (unsigned int)atoi(word + strlen("weight="));
	}
}

static void show(const struct haproxy_result *result)
{
	static const char *const verbs[] = { "add", "check", "address", "weight", "ready", "drain", "maint", "remove" };

	for (size_t i = 0; i < result->n_events; i++)
		printf("%s %s/%s%s%s\n", verbs[result->events[i].verb], result->events[i].backend,
		       result->events[i].server, result->events[i].problem ? " refused: " : "",
		       result->events[i].problem ? result->events[i].problem : "");
	for (size_t i = 0; i < result->n_leaving; i++)
		printf("leaving %s/%s sessions=%u%s\n", result->leaving[i].backend, result->leaving[i].server,
		       result->leaving[i].sessions, result->leaving[i].removing ? " removing" : "");
	for (size_t i = 0; i < result->held.n; i++)
		printf("held %s\n", result->held.v[i]);
	for (size_t i = 0; i < result->missing.n; i++)
		printf("missing %s\n", result->missing.v[i]);
	printf("reload=%d settled=%d\n", result->reload, result->settled);
}

static int fail(const struct err *err)
{
	fprintf(stderr, "%s\n", err_text(err));
	return 1;
}

static int sync_once(struct haproxy *h, bool unwell, char **args)
{
	struct haproxy_backend backend = { .name = xstrdup(args[0]) };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	for (char **spec = args + 1; *spec; spec++) {
		backend.servers =
		    grow_array(backend.servers, backend.n_servers, &backend.cap_servers, sizeof(*backend.servers));
		parse_server(*spec, &backend.servers[backend.n_servers++]);
	}
	r = haproxy_sync(h, &backend, 1, unwell, &result, &err);
	haproxy_backend_release(&backend);
	if (r < 0)
		return fail(&err);
	show(&result);
	return 0;
}

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int bench(struct haproxy *h, char **args)
{
	enum { ROUNDS = 400 };
	double times[ROUNDS];
	struct haproxy_server server;
	struct haproxy_backend backend = { .name = args[0], .servers = &server, .n_servers = 1 };
	_cleanup_err_ struct err err = ERR_INIT;

	parse_server(args[1], &server);
	for (int i = 0; i < ROUNDS; i++) {
		_cleanup_haproxy_result_ struct haproxy_result result = { 0 };
		struct timespec from, to;

		server.state = i % 2 ? HAPROXY_STATE_READY : HAPROXY_STATE_DRAIN;
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (haproxy_sync(h, &backend, 1, false, &result, &err) < 0)
			return fail(&err);
		clock_gettime(CLOCK_MONOTONIC, &to);
		if (result.n_events != 1 || !result.settled) {
			fprintf(stderr, "round %d changed %zu\n", i, result.n_events);
			return 1;
		}
		times[i] = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
	}
	haproxy_server_release(&server);
	qsort(times, ROUNDS, sizeof(*times), compare_times);
	printf("median=%.0f p99=%.0f\n", times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
	return 0;
}

static int info(struct haproxy *h)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct haproxy_info info;

	if (haproxy_get_info(h, &info, &err) < 0)
		return fail(&err);
	printf("version=%s pid=%llu stopping=%d\n", info.version, (unsigned long long)info.pid, info.stopping);
	haproxy_info_release(&info);
	return 0;
}

static int state(struct haproxy *h, const char *backend, const char *server)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	const struct haproxy_row *row;

	if (haproxy_read(h, &table, &err) < 0)
		return fail(&err);
	row = haproxy_table_find(&table, backend, server);
	if (row)
		printf("%s:%u\n", row->address, row->port);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(haproxy_freep) struct haproxy *h = NULL;
	bool unwell = argc > 3 && !strcmp(argv[3], "--unwell");

	if (argc == 5 && !strcmp(argv[1], "serve")) {
		server_name = argv[3];
		release = argv[4];
		return serve(argv[2]);
	}
	if (argc < 3)
		return 2;
	h = haproxy_new(dial, argv[2], 0);
	if (!strcmp(argv[1], "info"))
		return info(h);
	if (!strcmp(argv[1], "state") && argc == 5)
		return state(h, argv[3], argv[4]);
	if (!strcmp(argv[1], "sync") && argc > 3 + unwell)
		return sync_once(h, unwell, argv + 3 + unwell);
	if (!strcmp(argv[1], "bench") && argc == 5)
		return bench(h, argv + 3);
	return 2;
}
