/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/peer-server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/peer-tls.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "http/range.h"

#define MOST_CONNECTIONS 64
#define MOST_OF_ONE 16 /* connections of one address */
#define SILENCE_SECONDS 15
#define MOST_PEM ((size_t)1 << 20)

struct peer_server {
	struct image_store *store;
	struct peer_tls *tls;
	struct MHD_Daemon *daemon;
	pthread_mutex_t packing; /* of one bundle at a time: it is done in memory */
	unsigned port;
	char *(*_Atomic usage)(void *data);
	void *usage_data;
};

static const struct {
	const char *prefix, *what;
	enum share_kind kind;
} things[] = {
	{ "/v1/layer/", "layer", SHARE_LAYER },
	{ "/v1/bundle/", "bundle", SHARE_BUNDLE },
	{ "/v1/image/", "image", SHARE_IMAGE },
};

static gnutls_session_t session_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

	return info ? info->tls_session : NULL;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *sentence)
{
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(strlen(sentence), (void *)sentence, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse_range(struct MHD_Connection *connection, uint64_t size)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	_cleanup_(freep) char *range = xasprintf("bytes */%" PRIu64, size);
	enum MHD_Result result;

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, range);
	result = MHD_queue_response(connection, MHD_HTTP_RANGE_NOT_SATISFIABLE, response);
	MHD_destroy_response(response);
	return result;
}

/* Takes `fd`. */
static enum MHD_Result give(struct MHD_Connection *connection, int fd, const struct http_part *part, bool whole)
{
	struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(part->len, fd, part->from);
	enum MHD_Result result;

	if (!response) {
		close(fd);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
	MHD_add_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	if (!whole) {
		_cleanup_(freep) char *range = xasprintf("bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, part->from,
							 part->from + part->len - 1, part->total);

		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, range);
	}
	result = MHD_queue_response(connection, whole ? MHD_HTTP_OK : MHD_HTTP_PARTIAL_CONTENT, response);
	MHD_destroy_response(response);
	return result;
}

static int open_thing(struct peer_server *server, enum share_kind kind, const char *name, int *ret_fd,
		      uint64_t *ret_size, struct err *err)
{
	int r;

	if (kind != SHARE_BUNDLE)
		return share_open(server->store, kind, name, ret_fd, ret_size, err);
	pthread_mutex_lock(&server->packing);
	r = share_open(server->store, kind, name, ret_fd, ret_size, err);
	pthread_mutex_unlock(&server->packing);
	return r;
}

static enum MHD_Result answer_thing(struct peer_server *server, struct MHD_Connection *connection, size_t which,
				    const char *name, const char *method)
{
	const char *asked = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_RANGE);
	_cleanup_(freep) char *peer = peer_tls_name(session_of(connection));
	_cleanup_err_ struct err err = ERR_INIT;
	struct http_part part;
	enum http_range range;
	uint64_t size;
	int fd, r;

	r = open_thing(server, things[which].kind, name, &fd, &size, &err);
	if (r < 0) {
		log_debug("%s asks for the %s %.12s: %s", peer, things[which].what, name, err_text(&err));
		if (r == -EINVAL)
			return refuse(connection, MHD_HTTP_BAD_REQUEST, "no sha256\n");
		return refuse(connection, r == -ENOENT ? MHD_HTTP_NOT_FOUND : MHD_HTTP_INTERNAL_SERVER_ERROR,
			      r == -ENOENT ? "not here\n" : "it cannot be read\n");
	}
	range = http_range_asked(asked, size, &part);
	if (range == HTTP_RANGE_BEYOND) {
		close(fd);
		return refuse_range(connection, size);
	}
	if (!strcmp(method, MHD_HTTP_METHOD_GET))
		log_info("%s takes the %s %.12s from byte %" PRIu64 " on, %" PRIu64 " bytes.", peer, things[which].what,
			 name, part.from, part.len);
	return give(connection, fd, &part, range == HTTP_RANGE_WHOLE);
}

static enum MHD_Result answer_usage(struct peer_server *server, struct MHD_Connection *connection, const char *method)
{
	char *(*usage)(void *data) = server->usage;
	struct MHD_Response *response;
	enum MHD_Result result;
	char *text;

	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET\n");
	text = usage ? usage(server->usage_data) : NULL;
	if (!text)
		return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "it cannot be said now\n");
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer(struct peer_server *server, struct MHD_Connection *connection, const char *path,
			      const char *method)
{
	gnutls_session_t session = session_of(connection);

	/* The handshake saw to it already; this is for the day on which it does not. */
	if (!session || !peer_tls_shown(session))
		return refuse(connection, MHD_HTTP_FORBIDDEN, "no certificate of the cluster\n");
	for (size_t i = 0; i < ARRAY_SIZE(things); i++) {
		if (!text_starts(path, things[i].prefix))
			continue;
		if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
			return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
		return answer_thing(server, connection, i, path + strlen(things[i].prefix), method);
	}
	if (!strcmp(path, "/v1/usage"))
		return answer_usage(server, connection, method);
	return refuse(connection, MHD_HTTP_NOT_FOUND, "no such path\n");
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
				  const char *version, const char *upload, size_t *upload_size, void **state)
{
	static int seen;

	(void)version, (void)upload;
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size)
		return MHD_NO; /* nobody has anything to send here */
	return answer(data, connection, path, method);
}

static void on_connection(void *data, struct MHD_Connection *connection, void **identity,
			  enum MHD_ConnectionNotificationCode code)
{
	struct peer_server *server = data;
	gnutls_session_t session = session_of(connection);

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		peer_identity_unref(*identity);
		*identity = NULL;
	} else if (session)
		*identity = peer_tls_demand(server->tls, session);
}

static void log_mhd(void *data, const char *format, va_list ap)
{
	_cleanup_(freep) char *text = xvasprintf(format, ap);

	(void)data;
	text[strcspn(text, "\n")] = '\0';
	log_debug("peers: %s", text);
}

static int bind_to(const struct addrinfo *address, unsigned *port, struct err *err)
{
	_cleanup_(closep) int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	int r, yes = 1;

	if (fd < 0)
		return err_errno(err, errno, _("Cannot make a socket"));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	/* The network may come up after the agent. */
	if (address->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof(yes));
	else
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes));
	if (bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
		return -errno;
	*port = ntohs(address->ai_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
						     : ((struct sockaddr_in *)&bound)->sin_port);
	r = fd;
	fd = -1;
	return r;
}

static int listen_on(const char *address, unsigned port, unsigned *ret_port, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	_cleanup_(freep) char *service = xasprintf("%u", port);
	struct addrinfo *found = NULL;
	int r;

	if (getaddrinfo(address, service, &hints, &found) != 0)
		return err_set(err, EINVAL, _("'%s' is no address to listen on"), address);
	r = bind_to(found, ret_port, err);
	freeaddrinfo(found);
	if (r < 0 && err && !err->code)
		return err_errno(err, -r, _("Cannot listen for other hosts on %s port %u"), address, port);
	return r;
}

static int read_pem(const char *dir, const char *name, struct buf *to, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(dir, name);

	return fs_read(path, MOST_PEM, to, err);
}

static int start_daemon(struct peer_server *server, int fd, const char *tls_dir, struct err *err)
{
	_cleanup_buf_ struct buf cert = { 0 }, key = { 0 };
	int r = read_pem(tls_dir, PEER_CERT_FILE, &cert, err);

	if (r == 0)
		r = read_pem(tls_dir, PEER_KEY_FILE, &key, err);
	if (r < 0)
		return r;
	/* libmicrohttpd wants a certificate to begin with; each connection gets the present one. */
	server->daemon = MHD_start_daemon(
	    MHD_USE_TLS | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
		MHD_USE_ERROR_LOG,
	    0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_HTTPS_MEM_CERT, buf_text(&cert),
	    MHD_OPTION_HTTPS_MEM_KEY, buf_text(&key), MHD_OPTION_HTTPS_PRIORITIES,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", MHD_OPTION_CONNECTION_LIMIT, (unsigned)MOST_CONNECTIONS,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)MOST_OF_ONE, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)SILENCE_SECONDS, MHD_OPTION_THREAD_STACK_SIZE, (size_t)(512 * 1024), MHD_OPTION_END);
	explicit_bzero(key.data, key.len);
	if (!server->daemon)
		return err_set(err, EIO, _("Cannot start the HTTPS server for other hosts"));
	return 0;
}

int peer_server_start(struct image_store *store, const char *address, unsigned port, const char *tls_dir,
		      struct peer_server **ret, struct err *err)
{
	struct peer_server *server = xcalloc(1, sizeof(*server));
	int fd = -1, r;

	server->store = store;
	pthread_mutex_init(&server->packing, NULL);
	r = peer_tls_new(tls_dir, &server->tls, err);
	if (r == 0)
		r = fd = listen_on(address, port, &server->port, err);
	if (r >= 0)
		r = start_daemon(server, fd, tls_dir, err);
	if (r < 0) {
		closep(&fd);
		peer_server_stop(server);
		return r;
	}
	*ret = server;
	return 0;
}

void peer_server_stop(struct peer_server *server)
{
	if (!server)
		return;
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
	peer_tls_free(server->tls);
	pthread_mutex_destroy(&server->packing);
	free(server);
}

void peer_server_set_usage(struct peer_server *server, char *(*fn)(void *data), void *data)
{
	server->usage_data = data;
	server->usage = fn;
}

unsigned peer_server_port(const struct peer_server *server)
{
	return server->port;
}

char *peer_server_url(const char *address, unsigned port)
{
	return strchr(address, ':') ? xasprintf("https://[%s]:%u", address, port)
				    : xasprintf("https://%s:%u", address, port);
}
