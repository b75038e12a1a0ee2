/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *index, struct buf *body)
{
	size_t len = body->len;
	struct MHD_Response *response = MHD_create_response_from_buffer(len, buf_take(body), MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (index)
		MHD_add_response_header(response, "X-Consul-Index", index);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static const char *header(struct MHD_Connection *connection, const char *name)
{
	const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

	return value ? value : "-";
}

static enum MHD_Result respond(struct server *server, struct MHD_Connection *connection, const char *url,
			       const char *method, struct buf *request)
{
	struct buf body = { 0 };

	if (text_starts(url, "/status/")) {
		buf_printf(&body, "status %s", url + 8);
		return answer(connection, (unsigned)atoi(url + 8), NULL, &body);
	}
	if (text_starts(url, "/drop/")) {
		if (!server->dropped) {
			server->dropped = true;
			return MHD_NO;
		}
		return answer(connection, (unsigned)atoi(url + 6), NULL, &body);
	}
	if (text_starts(url, "/bytes/")) {
		size_t n = (size_t)atol(url + 7);

		memset(buf_reserve(&body, n), 'x', n);
		body.len = n;
		return answer(connection, 200, NULL, &body);
	}
	if (text_starts(url, "/index/"))
		return answer(connection, 200, url + 7, &body);
	if (!strcmp(url, "/echo")) {
		buf_printf(&body, "%s %s %s\n%s", method, header(connection, "Content-Type"),
			   header(connection, "X-Consul-Token"), buf_text(request));
		return answer(connection, 200, NULL, &body);
	}
	poll(&(struct pollfd){ .fd = server->stop_fd, .events = POLLIN }, 1, 30000);
	return answer(connection, 503, NULL, &body);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *bytes, size_t *len, void **state)
{
	struct buf *request = *state;

	(void)version;
	if (!request) {
		*state = calloc(1, sizeof(*request));
		return MHD_YES;
	}
	if (*len) {
		buf_add(request, bytes, *len);
		*len = 0;
		return MHD_YES;
	}
	return respond(data, connection, url, method, request);
}

static void on_completed(void *data, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	(void)data, (void)connection, (void)code;
	buf_release(*state);
	free(*state);
	*state = NULL;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0)
		abort();
	return fd;
}

static int listen_tcp(char *base, size_t size)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(address);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 16) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		abort();
	snprintf(base, size, "http://127.0.0.1:%d", ntohs(address.sin_port));
	return fd;
}

void server_start(struct server *server, const char *unix_path)
{
	int fd;

	server->stop_fd = eventfd(0, 0);
	server->dropped = false;
	if (unix_path) {
		snprintf(server->base, sizeof(server->base), "unix:%s", unix_path);
		fd = listen_unix(unix_path);
	} else
		fd = listen_tcp(server->base, sizeof(server->base));
	server->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
					  NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
					  MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (!server->daemon)
		abort();
}

void server_stop(struct server *server)
{
	eventfd_write(server->stop_fd, 1);
	MHD_stop_daemon(server->daemon);
	close(server->stop_fd);
}

static void *raw_main(void *data)
{
	struct raw_server *server = data;
	int fd = accept(server->fd, NULL, NULL);
	char request[4096];

	if (fd >= 0 && read(fd, request, sizeof(request)) > 0)
		(void)!write(fd, server->reply, strlen(server->reply));
	if (fd >= 0)
		close(fd);
	return NULL;
}

void raw_server_start(struct raw_server *server, const char *reply)
{
	server->reply = reply;
	server->fd = listen_tcp(server->base, sizeof(server->base));
	pthread_create(&server->thread, NULL, raw_main, server);
}

void raw_server_stop(struct raw_server *server)
{
	shutdown(server->fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->fd);
}
