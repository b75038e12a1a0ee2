/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A web server on loopback or a Unix socket for the tests of the HTTP client:
 *   /status/<n>   answers with that status and the text "status <n>"
 *   /echo         answers with the request's method, content type, token, a newline and its body
 *   /bytes/<n>    answers with n times 'x'
 *   /index/<text> answers with that X-Consul-Index
 *   /drop/<n>     closes the connection instead of an answer to the first of these; then as /status/<n>
 *   /slow         does not answer until server_stop
 */
#ifndef TEPUY_TESTS_HTTP_SERVER_H
#define TEPUY_TESTS_HTTP_SERVER_H

#include <pthread.h>
#include <stdbool.h>

struct server {
	struct MHD_Daemon *daemon;
	int stop_fd;
	bool dropped;
	char base[128];
};

void server_start(struct server *server, const char *unix_path); /* NULL: TCP */
void server_stop(struct server *server);

/* Accepts one connection, waits for a request, sends `reply` as it is and closes. */
struct raw_server {
	pthread_t thread;
	int fd;
	const char *reply;
	char base[128];
};

void raw_server_start(struct raw_server *server, const char *reply);
void raw_server_stop(struct raw_server *server);

#endif
