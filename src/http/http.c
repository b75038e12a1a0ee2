/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/http.h"

#include <string.h>

#include "http/curl-setup.h"

struct http {
	CURL *curl;
	struct http_server server;
};

struct http *http_new(const char *base, const char *token)
{
	struct http *http = xcalloc(1, sizeof(*http));

	http_init_once();
	http->curl = curl_easy_init();
	if (!http->curl)
		abort();
	http_server_init(&http->server, base, token);
	return http;
}

void http_set_tls(struct http *http, const struct http_tls *tls)
{
	http_server_set_tls(&http->server, tls);
}

void http_free(struct http *http)
{
	if (!http)
		return;
	curl_easy_cleanup(http->curl);
	http_server_release(&http->server);
	free(http);
}

void http_freep(struct http **http)
{
	http_free(*http);
}

void http_reply_release(struct http_reply *reply)
{
	if (!reply)
		return;
	buf_release(&reply->body);
	*reply = (struct http_reply){ 0 };
}

/* RFC 3986 section 2.3; not isalnum(), which depends on the locale. */
static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~", c);
}

char *http_encode(const char *text)
{
	struct buf buf = { 0 };

	for (const char *p = text; *p; p++)
		if (is_unreserved(*p))
			buf_addc(&buf, *p);
		else
			buf_printf(&buf, "%%%02X", (unsigned char)*p);
	return buf_take(&buf);
}

int http_request(struct http *http, const struct http_request *request, struct http_reply *ret, struct err *err)
{
	_cleanup_(http_exchange_release) struct http_exchange x;
	CURLcode code;

	http_exchange_init(&x, http->curl, &http->server, request);
	code = x.invalid ? CURLE_BAD_FUNCTION_ARGUMENT : curl_easy_perform(http->curl);
	return http_exchange_end(&x, code, ret, err);
}
