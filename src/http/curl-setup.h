/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by http.c and http-loop.c only: one request and its reply on a curl handle. */
#ifndef TEPUY_HTTP_CURL_SETUP_H
#define TEPUY_HTTP_CURL_SETUP_H

#include <curl/curl.h>

#include "http/http.h"

/* Where requests go. All strings are owned. */
struct http_server {
	char *base; /* as given, for messages */
	char *url;  /* scheme and authority */
	char *unix_path, *token;
	char *ca_file, *cert_file, *key_file;
};

struct http_exchange {
	CURL *curl;                         /* borrowed */
	const struct http_server *server;   /* borrowed */
	const struct http_request *request; /* borrowed */
	struct curl_slist *headers;
	size_t header_bytes;
	struct http_part part; /* of a Content-Range; `len` 0: there was none */
	bool head_told, sent;
	struct http_reply reply;
	int failure;  /* positive errno that a callback stopped the transfer with */
	bool invalid; /* the request itself cannot be sent: failure says why */
};

/* libcurl's global state, once in a process. */
void http_init_once(void);

void http_server_init(struct http_server *server, const char *base, const char *token);
void http_server_set_tls(struct http_server *server, const struct http_tls *tls);
void http_server_release(struct http_server *server);

/* Puts the request into the handle; `x` must stay where it is until http_exchange_release. */
void http_exchange_init(struct http_exchange *x, CURL *curl, const struct http_server *server,
			const struct http_request *request);
/* After the transfer: 0 and the reply, or its error. */
int http_exchange_end(struct http_exchange *x, CURLcode code, struct http_reply *ret, struct err *err);
void http_exchange_release(struct http_exchange *x);

#endif
