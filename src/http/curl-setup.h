/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by http.c and http-loop.c only: how a request is put into a curl handle. */
#ifndef TEPUY_HTTP_CURL_SETUP_H
#define TEPUY_HTTP_CURL_SETUP_H

#include <curl/curl.h>

#include "http/http.h"

int http_curl_errno(int code);
void http_setup(CURL *curl, const char *url, const char *unix_path, const struct http_request *request);
struct curl_slist *http_headers(const struct http_request *request, const char *token);
size_t http_take_header(char *line, size_t size, size_t n, void *data);

#endif
