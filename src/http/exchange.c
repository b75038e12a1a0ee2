/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/i18n.h"
#include "base/text.h"
#include "http/curl-setup.h"

#define DEFAULT_TIMEOUT_MS 30000
#define CONNECT_TIMEOUT_MS 5000
#define DEFAULT_MOST (64u << 20)
#define STALL_BYTES 64           /* a second: less is standing still */
#define MOST_HEADERS (64u << 10) /* bytes of a reply's headers together; libcurl has no such limit of its own */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

void http_init_once(void)
{
	pthread_once(&once, global_init);
}

void http_server_init(struct http_server *server, const char *base, const char *token)
{
	size_t len;

	*server = (struct http_server){ .base = xstrdup(base), .token = xstrdup(token) };
	if (text_starts(base, "unix:")) {
		server->unix_path = xstrdup(base + strlen("unix:"));
		server->url = xstrdup("http://localhost");
		return;
	}
	server->url = xstrdup(base);
	len = strlen(server->url);
	if (len && server->url[len - 1] == '/')
		server->url[len - 1] = '\0';
}

void http_server_set_tls(struct http_server *server, const struct http_tls *tls)
{
	free(server->ca_file);
	free(server->cert_file);
	free(server->key_file);
	server->ca_file = xstrdup(tls ? tls->ca_file : NULL);
	server->cert_file = xstrdup(tls ? tls->cert_file : NULL);
	server->key_file = xstrdup(tls ? tls->key_file : NULL);
}

void http_server_release(struct http_server *server)
{
	http_server_set_tls(server, NULL);
	free(server->base);
	free(server->url);
	free(server->unix_path);
	free(server->token);
	*server = (struct http_server){ 0 };
}

/* What comes is said before it comes. */
static int tell_head(struct http_exchange *x, int status)
{
	struct http_part part = x->part;
	curl_off_t length = -1;

	if (x->head_told || !x->request->head)
		return 0;
	x->head_told = true;
	if (status != 206) {
		curl_easy_getinfo(x->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		part.from = 0;
		part.len = part.total = length < 0 ? HTTP_TOTAL_UNKNOWN : (uint64_t)length;
	} else if (!part.len)
		return -EBADMSG; /* a part of what, nobody said */
	return x->request->head(x->request->sink_data, status, &part);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
	struct http_exchange *x = data;
	size_t len = size * n, most = x->request->most ? x->request->most : DEFAULT_MOST;
	long status = 0;

	if (x->failure)
		return CURL_WRITEFUNC_ERROR;
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (x->request->sink && status / 100 == 2) {
		int r = tell_head(x, (int)status);

		if (r == 0)
			r = x->request->sink(x->request->sink_data, bytes, len);
		/* The sink may have cancelled this very call: its verdict counts less than that. */
		if (r < 0 && !x->failure)
			x->failure = -r;
		return x->failure ? CURL_WRITEFUNC_ERROR : len;
	}
	if (len > most || x->reply.body.len > most - len) {
		x->failure = EFBIG;
		return CURL_WRITEFUNC_ERROR;
	}
	buf_add(&x->reply.body, bytes, len);
	return len;
}

static size_t on_source(char *to, size_t size, size_t n, void *data)
{
	struct http_exchange *x = data;
	ssize_t got;

	if (x->failure)
		return CURL_READFUNC_ABORT;
	got = x->request->source(x->request->source_data, to, size * n);
	if (got < 0 && !x->failure)
		x->failure = (int)-got;
	return x->failure ? CURL_READFUNC_ABORT : (size_t)got;
}

/* A body that comes from a source cannot be sent twice: on a connection that died while idle the request fails. */
static int on_rewind(void *data, curl_off_t offset, int origin)
{
	(void)data, (void)offset, (void)origin;
	return CURL_SEEKFUNC_CANTSEEK;
}

/* Reads "X-Consul-Index: 123"; a value that is no number counts as absent. */
static void take_index(struct http_reply *reply, const char *line, size_t len)
{
	static const char name[] = "X-Consul-Index:";
	uint64_t index = 0;

	if (len <= strlen(name) || strncasecmp(line, name, strlen(name)) != 0)
		return;
	for (const char *p = line + strlen(name), *end = line + len; p < end && !strchr("\r\n", *p); p++) {
		if (*p == ' ' || *p == '\t')
			continue;
		if (*p < '0' || *p > '9' || index > UINT64_MAX / 10 - 1)
			return;
		index = index * 10 + (uint64_t)(*p - '0');
	}
	reply->index = index;
}

static void take_range(struct http_exchange *x, const char *line, size_t len)
{
	static const char name[] = "Content-Range:";
	_cleanup_(freep) char *value = NULL;

	if (len >= 5 && !strncasecmp(line, "HTTP/", 5))
		x->part = (struct http_part){ 0 }; /* of an interim answer */
	if (len <= strlen(name) || strncasecmp(line, name, strlen(name)) != 0)
		return;
	value = xstrndup(line + strlen(name), len - strlen(name));
	if (!http_range_given(value, &x->part))
		x->part = (struct http_part){ 0 };
}

static size_t on_header(char *line, size_t size, size_t n, void *data)
{
	struct http_exchange *x = data;
	size_t len = size * n;

	if (x->failure)
		return 0;
	x->header_bytes += len;
	if (x->header_bytes > MOST_HEADERS) {
		x->failure = EFBIG;
		return 0;
	}
	take_index(&x->reply, line, len);
	take_range(x, line, len);
	return len;
}

static void append_line(struct http_exchange *x, const char *line)
{
	struct curl_slist *list = curl_slist_append(x->headers, line);

	if (!list)
		abort();
	x->headers = list;
}

static void add_header(struct http_exchange *x, const char *name, const char *value)
{
	_cleanup_(freep) char *line = xasprintf("%s: %s", name, value);

	append_line(x, line);
}

static bool has_body(const struct http_request *request)
{
	return request->body || request->source || !strcmp(request->method, "POST") || !strcmp(request->method, "PUT");
}

static void set_headers(struct http_exchange *x)
{
	const char *type = x->request->content_type ? x->request->content_type : "application/json";

	x->headers = curl_slist_append(NULL, "Expect:"); /* no wait for "100 Continue" */
	if (!x->headers)
		abort();
	if (has_body(x->request))
		add_header(x, "Content-Type", type);
	if (x->server->token)
		add_header(x, "X-Consul-Token", x->server->token);
	if (x->request->header)
		append_line(x, x->request->header);
	if (strpbrk(type, "\r\n") || (x->request->header && strpbrk(x->request->header, "\r\n")) ||
	    (x->server->token && strpbrk(x->server->token, "\r\n"))) {
		x->invalid = true;
		x->failure = EINVAL;
	}
	curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers);
}

static void set_server(CURL *curl, const struct http_server *server)
{
	if (server->unix_path)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, server->unix_path);
	if (server->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, server->ca_file);
	if (server->cert_file)
		curl_easy_setopt(curl, CURLOPT_SSLCERT, server->cert_file);
	if (server->key_file)
		curl_easy_setopt(curl, CURLOPT_SSLKEY, server->key_file);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
}

static void set_body(struct http_exchange *x)
{
	const struct http_request *request = x->request;

	if (request->source) {
		curl_easy_setopt(x->curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(x->curl, CURLOPT_READFUNCTION, on_source);
		curl_easy_setopt(x->curl, CURLOPT_READDATA, x);
		curl_easy_setopt(x->curl, CURLOPT_SEEKFUNCTION, on_rewind);
	} else if (has_body(request)) {
		curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
		curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(request->body ? request->body_len : 0));
	} else if (!strcmp(request->method, "HEAD"))
		curl_easy_setopt(x->curl, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(x->curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_part(struct http_exchange *x)
{
	_cleanup_(freep) char *range = x->request->from ? xasprintf("%" PRIu64 "-", x->request->from) : NULL;

	/* Not CURLOPT_RESUME_FROM, which takes an answer with the whole body for an error. */
	if (range)
		curl_easy_setopt(x->curl, CURLOPT_RANGE, range);
	if (x->request->stall_ms > 0) {
		curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
		curl_easy_setopt(x->curl, CURLOPT_LOW_SPEED_TIME, (long)((x->request->stall_ms + 999) / 1000));
	}
}

static int on_send(void *data, char *from, char *to, int from_port, int to_port)
{
	struct http_exchange *x = data;

	(void)from, (void)to, (void)from_port, (void)to_port;
	if (x->sent && x->request->once) {
		x->failure = ECONNRESET;
		return CURL_PREREQFUNC_ABORT;
	}
	x->sent = true;
	return CURL_PREREQFUNC_OK;
}

void http_exchange_init(struct http_exchange *x, CURL *curl, const struct http_server *server,
			const struct http_request *request)
{
	_cleanup_(freep) char *url = xasprintf("%s%s", server->url, request->path);

	*x = (struct http_exchange){ .curl = curl, .server = server, .request = request };
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	set_server(curl, server);
	set_headers(x);
	set_body(x);
	set_part(x);
	if (request->timeout_ms >= 0)
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
				 (long)(request->timeout_ms ? request->timeout_ms : DEFAULT_TIMEOUT_MS));
	curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_send);
	curl_easy_setopt(curl, CURLOPT_PREREQDATA, x);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
}

static int connect_errno(CURL *curl)
{
	long code = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &code);
	/* For TCP libcurl may already have tried the next address and lost the number. */
	return code > 0 ? (int)code : ECONNREFUSED;
}

static int curl_errno(CURL *curl, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return connect_errno(curl);
	case CURLE_COULDNT_RESOLVE_HOST:
		return EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_PARTIAL_FILE:
		return ECONNRESET;
	case CURLE_URL_MALFORMAT:
		return EINVAL;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return EACCES;
	case CURLE_OUT_OF_MEMORY:
		return ENOMEM;
	default:
		return EPROTO;
	}
}

static int failed(const struct http_exchange *x, CURLcode code, struct err *err)
{
	const char *base = x->server->base, *method = x->request->method, *path = x->request->path;
	int why = x->failure ? x->failure : curl_errno(x->curl, code);

	if (x->failure == EFBIG)
		return err_set(err, EFBIG, _("The answer of %s to %s %s is larger than it may be"), base, method, path);
	if (x->failure)
		return err_errno(err, why, _("The request %s %s to %s was given up"), method, path, base);
	if (why == ECONNREFUSED || why == ENOENT)
		return err_set(err, why, _("Nothing answers at %s; is the program that serves it running?"), base);
	if (why == ETIMEDOUT)
		return err_set(err, why, _("%s did not answer %s %s in time"), base, method, path);
	return err_errno(err, why, _("The request %s %s to %s failed (%s)"), method, path, base,
			 curl_easy_strerror(code));
}

int http_exchange_end(struct http_exchange *x, CURLcode code, struct http_reply *ret, struct err *err)
{
	long status = 0;

	if (code != CURLE_OK || x->failure)
		return failed(x, code, err);
	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	x->reply.status = (int)status;
	*ret = x->reply;
	x->reply = (struct http_reply){ 0 };
	return 0;
}

void http_exchange_release(struct http_exchange *x)
{
	curl_slist_free_all(x->headers);
	x->headers = NULL;
	http_reply_release(&x->reply);
}
