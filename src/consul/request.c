/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests of the blocking client: a few kept-alive connections, shared by threads, and what Consul's errors mean. */
#include "consul/request.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "consul/consul-decode.h"

#define DEFAULT_BASE "http://127.0.0.1:8500"
#define MOST_IDLE 4
#define TIMEOUT_MS 15000 /* a server without a leader answers after 7 s */

struct consul {
	char *base;
	char *_Atomic token;
	struct strv tokens; /* all that were set: some request may still be reading an earlier one; under the lock */
	char *ca_file, *cert_file, *key_file;
	pthread_mutex_t lock;
	struct http *idle[MOST_IDLE]; /* with the present token; under the lock */
	size_t n_idle;
	consul_refusal_fn refused; /* under the lock */
	void *refused_data;
};

struct consul *consul_new(const char *base, const char *token, const struct http_tls *tls)
{
	struct consul *consul = xcalloc(1, sizeof(*consul));

	consul->base = xstrdup(base ? base : DEFAULT_BASE);
	pthread_mutex_init(&consul->lock, NULL);
	consul_set_token(consul, token);
	if (tls) {
		consul->ca_file = xstrdup(tls->ca_file);
		consul->cert_file = xstrdup(tls->cert_file);
		consul->key_file = xstrdup(tls->key_file);
	}
	return consul;
}

static void drop_idle(struct consul *consul)
{
	while (consul->n_idle)
		http_free(consul->idle[--consul->n_idle]);
}

void consul_set_token(struct consul *consul, const char *token)
{
	pthread_mutex_lock(&consul->lock);
	drop_idle(consul);
	if (token)
		strv_add(&consul->tokens, token);
	consul->token = token ? consul->tokens.v[consul->tokens.n - 1] : NULL;
	pthread_mutex_unlock(&consul->lock);
}

void consul_on_refusal(struct consul *consul, consul_refusal_fn fn, void *data)
{
	pthread_mutex_lock(&consul->lock);
	consul->refused = fn;
	consul->refused_data = data;
	pthread_mutex_unlock(&consul->lock);
}

void consul_free(struct consul *consul)
{
	if (!consul)
		return;
	drop_idle(consul);
	pthread_mutex_destroy(&consul->lock);
	for (size_t i = 0; i < consul->tokens.n; i++)
		explicit_bzero(consul->tokens.v[i], strlen(consul->tokens.v[i]));
	strv_release(&consul->tokens);
	free(consul->base);
	free(consul->ca_file);
	free(consul->cert_file);
	free(consul->key_file);
	free(consul);
}

void consul_freep(struct consul **consul)
{
	consul_free(*consul);
}

const char *consul_base(const struct consul *consul)
{
	return consul->base;
}

const char *consul_token(const struct consul *consul)
{
	return consul->token;
}

/* `ret_token` is the one that it sends. */
static struct http *take_handle(struct consul *consul, const char **ret_token)
{
	struct http_tls tls = { consul->ca_file, consul->cert_file, consul->key_file };
	struct http *http = NULL;

	pthread_mutex_lock(&consul->lock);
	*ret_token = consul->token;
	if (consul->n_idle)
		http = consul->idle[--consul->n_idle];
	pthread_mutex_unlock(&consul->lock);
	if (!http) {
		http = http_new(consul->base, *ret_token);
		http_set_tls(http, &tls);
	}
	return http;
}

static void give_handle(struct consul *consul, struct http *http, const char *token)
{
	pthread_mutex_lock(&consul->lock);
	if (consul->n_idle < MOST_IDLE && consul->token == token)
		consul->idle[consul->n_idle++] = TAKE_PTR(http);
	pthread_mutex_unlock(&consul->lock);
	http_free(http);
}

/* Consul says most with 500 and a sentence; these are its own, of versions 1.8 to 1.11. */
static const struct {
	const char *text;
	int code;
} server_errors[] = {
	{ "ermission denied", EACCES },
	{ "ACL not found", EACCES },
	{ "No cluster leader", EAGAIN },
	{ "leadership lost", EAGAIN },
	{ "not leader", EAGAIN },
	{ "not ready for consistent reads", EAGAIN },
	{ "No known Consul servers", EAGAIN },
	{ "rpc error getting client", EAGAIN },
	{ "rpc error making call: EOF", EAGAIN },
	{ "does not have associated TTL", ENOENT },
	{ "does not exist", ENOENT },
	{ "invalid session", ENOENT },
	{ "Unknown check", ENOENT },
	{ "Unknown service", ENOENT },
	{ "UUID must be", EINVAL },
	{ "Invalid Session TTL", EINVAL },
	{ "boolean expression evaluator", EINVAL },
};

static int status_code(int status, const char *text)
{
	for (size_t i = 0; status / 100 == 5 && i < ARRAY_SIZE(server_errors); i++)
		if (strstr(text, server_errors[i].text))
			return server_errors[i].code;
	switch (status) {
	case 400:
	case 405:
		return EINVAL;
	case 401:
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 409:
		return ESTALE;
	case 413:
		return EFBIG;
	case 429:
	case 503:
		return EAGAIN;
	default:
		return EIO;
	}
}

void consul_note(const struct consul *consul, const struct http_reply *reply)
{
	struct consul *own = (struct consul *)consul; /* only its lock */

	if (reply->status / 100 == 2 || status_code(reply->status, buf_text(&reply->body)) != EACCES)
		return;
	pthread_mutex_lock(&own->lock);
	if (own->refused)
		own->refused(own->refused_data);
	pthread_mutex_unlock(&own->lock);
}

int consul_reply_error(const struct http_reply *reply, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	int code;

	if (reply->status / 100 == 2)
		return 0;
	text = xstrndup(buf_text(&reply->body), 300);
	text[strcspn(text, "\r\n")] = '\0';
	text_printable(text, false);
	code = status_code(reply->status, text);
	if (code == EAGAIN)
		return err_set(err, code, _("Consul's cluster has no leader at present; try again (%d: %s)"),
			       reply->status, text);
	if (code == EACCES)
		return err_set(err, code, _("Consul does not allow it; check the token and its policy (%d: %s)"),
			       reply->status, text);
	if (*text)
		return err_set(err, code, _("Consul answers %d: %s"), reply->status, text);
	return err_set(err, code, _("Consul answers %d"), reply->status);
}

int consul_exchange(struct consul *consul, struct http_request *request, struct http_reply *ret, struct err *err)
{
	const char *token;
	struct http *http = take_handle(consul, &token);
	int r;

	if (!request->timeout_ms)
		request->timeout_ms = TIMEOUT_MS;
	request->most = CONSUL_MOST_REPLY;
	r = http_request(http, request, ret, err);
	give_handle(consul, http, token);
	if (r == 0)
		consul_note(consul, ret);
	/* A Unix socket that is not there must not read as a key that is not there. */
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_set(err, ECONNREFUSED,
			       _("Consul does not answer at %s; start it, or look into its log for why it ended"),
			       consul->base);
	return r;
}

int consul_send(struct consul *consul, const char *method, const char *path, const void *body, size_t len,
		struct http_reply *ret, struct err *err)
{
	struct http_request request = { .method = method, .path = path, .body = body, .body_len = len };
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = consul_exchange(consul, &request, &reply, err);

	if (r == 0)
		r = consul_reply_error(&reply, err);
	if (r < 0)
		return r;
	*ret = reply;
	reply = (struct http_reply){ 0 };
	return 0;
}

int consul_send_json(struct consul *consul, const char *method, const char *path, const void *body, size_t len,
		     json_t **ret, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = consul_send(consul, method, path, body, len, &reply, err);

	return r < 0 ? r : consul_json(buf_text(&reply.body), reply.body.len, ret, err);
}

int consul_put(struct consul *consul, const char *path, const char *body, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };

	return consul_send(consul, "PUT", path, body, body ? strlen(body) : 0, &reply, err);
}

bool consul_go_stale(int r, enum consul_consistency *mode, struct err *err)
{
	if (r != -EAGAIN || *mode == CONSUL_STALE)
		return false;
	err_release(err);
	*mode = CONSUL_STALE;
	return true;
}

int consul_wrap(int r, struct err *err, const char *format, const char *name)
{
	if (r < 0 && err)
		err_wrap(err, format, name);
	return r;
}

void consul_json_freep(json_t **json)
{
	json_decref(*json);
}
