/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/i18n.h"
#include "base/text.h"
#include "http/curl-setup.h"

struct http {
	CURL *curl;
	char *base;  /* as given, for messages */
	char *url;   /* scheme and authority */
	char *unix_path;
	char *token;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http *http_new(const char *base, const char *token)
{
	struct http *http = xcalloc(1, sizeof(*http));

	pthread_once(&once, global_init);
	http->curl = curl_easy_init();
	if (!http->curl)
		abort();
	http->base = xstrdup(base);
	http->token = xstrdup(token);
	if (text_starts(base, "unix:")) {
		http->unix_path = xstrdup(base + strlen("unix:"));
		http->url = xstrdup("http://localhost");
	} else
		http->url = xstrdup(base);
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->curl);
	free(http->base);
	free(http->url);
	free(http->unix_path);
	free(http->token);
	free(http);
}

void http_freep(struct http **http)
{
	http_free(*http);
}

void http_reply_release(struct http_reply *reply)
{
	buf_release(&reply->body);
	*reply = (struct http_reply){ 0 };
}

char *http_encode(const char *text)
{
	struct buf buf = { 0 };

	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (isalnum(*p) || strchr("-_.~", *p))
			buf_addc(&buf, (char)*p);
		else
			buf_printf(&buf, "%%%02X", *p);
	return buf_take(&buf);
}

int http_curl_errno(int code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return ETIMEDOUT;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return ENOMEM;
	default:
		return EPROTO;
	}
}

struct exchange {
	const struct http_request *request;
	struct http_reply *reply;
	CURL *curl;
	int failure; /* positive errno of the sink or source */
};

static size_t on_body(char *bytes, size_t size, size_t n, void *data)
{
	struct exchange *x = data;
	size_t len = size * n, most = x->request->most ? x->request->most : 64u << 20;
	long status = 0;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	if (x->request->sink && status / 100 == 2) {
		int r = x->request->sink(x->request->sink_data, bytes, len);

		x->failure = r < 0 ? -r : 0;
		return r < 0 ? 0 : len;
	}
	if (x->reply->body.len + len > most) {
		x->failure = EFBIG;
		return 0;
	}
	buf_add(&x->reply->body, bytes, len);
	return len;
}

static size_t on_source(char *to, size_t size, size_t n, void *data)
{
	struct exchange *x = data;
	ssize_t got = x->request->source(x->request->source_data, to, size * n);

	if (got < 0) {
		x->failure = (int)-got;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

size_t http_take_header(char *line, size_t size, size_t n, void *data)
{
	static const char name[] = "X-Consul-Index:";
	struct http_reply *reply = data;
	size_t len = size * n;

	if (len > strlen(name) && !strncasecmp(line, name, strlen(name))) {
		_cleanup_(freep) char *value = xstrndup(line + strlen(name), len - strlen(name));

		reply->index = strtoull(value, NULL, 10);
	}
	return len;
}

void http_setup(CURL *curl, const char *url, const char *unix_path, const struct http_request *request)
{
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	if (unix_path)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, unix_path);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
	if (request->timeout_ms >= 0)
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(request->timeout_ms ? request->timeout_ms : 30000));
	if (!strcmp(request->method, "HEAD"))
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	if (request->source)
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	else if (request->body || !strcmp(request->method, "POST") || !strcmp(request->method, "PUT")) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

struct curl_slist *http_headers(const struct http_request *request, const char *token)
{
	_cleanup_(freep) char *type = NULL, *secret = NULL;
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");

	type = xasprintf("Content-Type: %s", request->content_type ? request->content_type : "application/json");
	if (request->body || request->source)
		list = curl_slist_append(list, type);
	if (token) {
		secret = xasprintf("X-Consul-Token: %s", token);
		list = curl_slist_append(list, secret);
	}
	return list;
}

static int failed(struct http *http, struct exchange *x, CURLcode code, struct err *err)
{
	int why = x->failure ? x->failure : http_curl_errno((int)code);

	if (why == ECONNREFUSED)
		return err_set(err, ECONNREFUSED, _("Nothing answers at %s"), http->base);
	if (why == ETIMEDOUT)
		return err_set(err, ETIMEDOUT, _("%s did not answer in time"), http->base);
	return err_errno(err, why, _("The request %s %s to %s failed (%s)"), x->request->method, x->request->path,
	                 http->base, curl_easy_strerror(code));
}

int http_request(struct http *http, const struct http_request *request, struct http_reply *ret, struct err *err)
{
	_cleanup_(freep) char *url = xasprintf("%s%s", http->url, request->path);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct exchange x = { .request = request, .reply = &reply, .curl = http->curl };
	struct curl_slist *headers = http_headers(request, http->token);
	long status = 0;
	CURLcode code;

	http_setup(http->curl, url, http->unix_path, request);
	curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, &x);
	curl_easy_setopt(http->curl, CURLOPT_HEADERFUNCTION, http_take_header);
	curl_easy_setopt(http->curl, CURLOPT_HEADERDATA, &reply);
	if (request->source) {
		curl_easy_setopt(http->curl, CURLOPT_READFUNCTION, on_source);
		curl_easy_setopt(http->curl, CURLOPT_READDATA, &x);
	}
	code = curl_easy_perform(http->curl);
	curl_slist_free_all(headers);
	if (code != CURLE_OK)
		return failed(http, &x, code, err);
	curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	reply.status = (int)status;
	*ret = reply;
	reply = (struct http_reply){ 0 };
	return 0;
}
