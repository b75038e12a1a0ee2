/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libcurl says which sockets and which time it waits for, sd-event watches them, and every event goes back through
 * curl_multi_socket_action. libcurl forbids adding and removing handles from within its own callbacks (sinks and
 * sources run in there), so calls are started from a deferred event and a call that is cancelled in there is only
 * marked, and removed once libcurl has returned.
 */
#include "http/http-loop.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/i18n.h"
#include "http/curl-setup.h"

#define RECEIVE_BUFFER 8192L /* bytes a running call; most of them are blocking queries that wait for minutes */

enum call_state { CALL_QUEUED, CALL_RUNNING, CALL_OVER };

struct http_call {
	struct http_loop *loop;
	struct http_call *next, *previous;
	enum call_state state;
	bool cancelled;
	struct http_server server;
	struct http_request request; /* its strings and body are owned */
	struct http_exchange exchange;
	CURL *curl;
	http_done done;
	void *data;
};

struct http_loop {
	sd_event *event;
	sd_event_source *timer;   /* libcurl's */
	sd_event_source *starter; /* deferred: starts what is queued */
	CURLM *multi;
	struct http_call *calls; /* all of them, newest first */
	struct http_tls tls;     /* owned strings */
	bool in_curl;            /* libcurl is on the stack */
	unsigned settling;       /* a `done` is on the stack */
	bool freed;              /* destroy as soon as neither is */
};

static void call_free(struct http_call *call)
{
	struct http_loop *loop = call->loop;

	if (call->state == CALL_RUNNING)
		curl_multi_remove_handle(loop->multi, call->curl);
	if (call->previous)
		call->previous->next = call->next;
	else
		loop->calls = call->next;
	if (call->next)
		call->next->previous = call->previous;
	if (call->curl)
		curl_easy_cleanup(call->curl);
	http_exchange_release(&call->exchange);
	http_server_release(&call->server);
	free((char *)call->request.method);
	free((char *)call->request.path);
	free((char *)call->request.content_type);
	free((char *)call->request.header);
	free((void *)call->request.body);
	free(call);
}

static void tls_release(struct http_tls *tls)
{
	free((char *)tls->ca_file);
	free((char *)tls->cert_file);
	free((char *)tls->key_file);
	*tls = (struct http_tls){ 0 };
}

static void loop_destroy(struct http_loop *loop)
{
	while (loop->calls)
		call_free(loop->calls);
	if (loop->multi)
		curl_multi_cleanup(loop->multi); /* closes the idle connections: their sources go through on_socket */
	sd_event_source_disable_unref(loop->timer);
	sd_event_source_disable_unref(loop->starter);
	sd_event_unref(loop->event);
	tls_release(&loop->tls);
	free(loop);
}

/* Takes the call out of libcurl and tells its owner. */
static void call_finish(struct http_call *call, CURLcode code)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = http_exchange_end(&call->exchange, code, &reply, &err);

	if (call->state == CALL_RUNNING)
		curl_multi_remove_handle(call->loop->multi, call->curl);
	call->state = CALL_OVER;
	call->done(call->data, r, &reply, &err);
	call_free(call);
}

static void reap_cancelled(struct http_loop *loop)
{
	struct http_call *next;

	for (struct http_call *call = loop->calls; call; call = next) {
		next = call->next;
		if (call->cancelled && call->state != CALL_OVER)
			call_free(call);
	}
}

/* The next call that libcurl is done with, or NULL. */
static struct http_call *next_over(struct http_loop *loop, CURLcode *ret_code)
{
	struct http_call *call = NULL;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(loop->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		*ret_code = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		return call;
	}
	return NULL;
}

static void settle(struct http_loop *loop)
{
	struct http_call *call;
	CURLcode code;

	loop->settling++;
	while (!loop->freed) {
		reap_cancelled(loop);
		call = next_over(loop, &code);
		if (!call)
			break;
		call_finish(call, code);
	}
	loop->settling--;
	if (loop->freed && !loop->settling)
		loop_destroy(loop);
}

static void advance(struct http_loop *loop, curl_socket_t fd, int events)
{
	int running;

	loop->in_curl = true;
	curl_multi_socket_action(loop->multi, fd, events, &running);
	loop->in_curl = false;
	settle(loop);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	int events = 0;

	(void)source;
	if (revents & (EPOLLIN | EPOLLHUP))
		events |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		events |= CURL_CSELECT_OUT;
	if (revents & EPOLLERR)
		events |= CURL_CSELECT_ERR;
	advance(data, fd, events);
	return 0;
}

static int on_time(sd_event_source *source, uint64_t now, void *data)
{
	(void)source, (void)now;
	advance(data, CURL_SOCKET_TIMEOUT, 0);
	return 0;
}

static int on_socket(CURL *curl, curl_socket_t fd, int what, void *data, void *socket_data)
{
	struct http_loop *loop = data;
	sd_event_source *source = socket_data;
	uint32_t events = 0;

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		sd_event_source_disable_unref(source);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	if (sd_event_add_io(loop->event, &source, fd, events, on_io, loop) < 0)
		return -1;
	curl_multi_assign(loop->multi, fd, source);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *data)
{
	struct http_loop *loop = data;

	(void)multi;
	if (timeout_ms < 0)
		return sd_event_source_set_enabled(loop->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(loop->timer, (uint64_t)timeout_ms * 1000) < 0)
		return -1;
	return sd_event_source_set_enabled(loop->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

static void call_begin(struct http_call *call)
{
	CURLMcode code = CURLM_BAD_EASY_HANDLE;

	call->curl = curl_easy_init();
	if (!call->curl)
		abort();
	http_exchange_init(&call->exchange, call->curl, &call->server, &call->request);
	curl_easy_setopt(call->curl, CURLOPT_PRIVATE, call);
	curl_easy_setopt(call->curl, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	if (!call->exchange.invalid)
		code = curl_multi_add_handle(call->loop->multi, call->curl);
	if (code == CURLM_OK)
		call->state = CALL_RUNNING;
	else
		call_finish(call, CURLE_FAILED_INIT);
}

/* The oldest one that waits to be started. */
static struct http_call *next_queued(struct http_loop *loop)
{
	struct http_call *oldest = NULL;

	for (struct http_call *call = loop->calls; call; call = call->next)
		if (call->state == CALL_QUEUED)
			oldest = call;
	return oldest;
}

static int on_start(sd_event_source *source, void *data)
{
	struct http_loop *loop = data;
	struct http_call *call;

	(void)source;
	loop->settling++;
	while (!loop->freed && (call = next_queued(loop)))
		call_begin(call);
	loop->settling--;
	settle(loop);
	return 0;
}

static int loop_sources(struct http_loop *loop)
{
	int r = sd_event_add_time(loop->event, &loop->timer, CLOCK_MONOTONIC, 0, 1, on_time, loop);

	if (r >= 0)
		r = sd_event_source_set_enabled(loop->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(loop->event, &loop->starter, on_start, loop);
	if (r >= 0)
		r = sd_event_source_set_enabled(loop->starter, SD_EVENT_OFF);
	return r;
}

int http_loop_new(sd_event *event, struct http_loop **ret, struct err *err)
{
	struct http_loop *loop = xcalloc(1, sizeof(*loop));
	int r;

	http_init_once();
	loop->event = sd_event_ref(event);
	loop->multi = curl_multi_init();
	if (!loop->multi)
		abort();
	r = loop_sources(loop);
	if (r < 0) {
		loop_destroy(loop);
		return err_errno(err, -r, _("Cannot add HTTP requests to the event loop"));
	}
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
	*ret = loop;
	return 0;
}

void http_loop_free(struct http_loop *loop)
{
	if (!loop)
		return;
	loop->freed = true;
	for (struct http_call *call = loop->calls, *next; call; call = next) {
		next = call->next;
		http_call_cancel(call);
	}
	if (!loop->in_curl && !loop->settling)
		loop_destroy(loop);
}

void http_loop_freep(struct http_loop **loop)
{
	http_loop_free(*loop);
}

sd_event *http_loop_event(struct http_loop *loop)
{
	return loop->event;
}

void http_loop_set_tls(struct http_loop *loop, const struct http_tls *tls)
{
	tls_release(&loop->tls);
	if (!tls)
		return;
	loop->tls = (struct http_tls){ .ca_file = xstrdup(tls->ca_file),
				       .cert_file = xstrdup(tls->cert_file),
				       .key_file = xstrdup(tls->key_file) };
}

static void *copy_body(const void *body, size_t len)
{
	void *copy = xmalloc(len + 1);

	if (len)
		memcpy(copy, body, len);
	return copy;
}

struct http_call *http_loop_start(struct http_loop *loop, const char *base, const char *token,
				  const struct http_request *request, http_done done, void *data)
{
	struct http_call *call = xcalloc(1, sizeof(*call));

	*call =
	    (struct http_call){ .loop = loop, .next = loop->calls, .request = *request, .done = done, .data = data };
	if (call->next)
		call->next->previous = call;
	loop->calls = call;
	http_server_init(&call->server, base, token);
	http_server_set_tls(&call->server, &loop->tls);
	call->request.method = xstrdup(request->method);
	call->request.path = xstrdup(request->path);
	call->request.content_type = xstrdup(request->content_type);
	call->request.header = xstrdup(request->header);
	if (request->body)
		call->request.body = copy_body(request->body, request->body_len);
	sd_event_source_set_enabled(loop->starter, SD_EVENT_ONESHOT);
	return call;
}

void http_call_cancel(struct http_call *call)
{
	if (!call || call->state == CALL_OVER)
		return;
	call->cancelled = true;
	call->exchange.failure = ECANCELED;
	if (!call->loop->in_curl && !call->loop->freed)
		call_free(call);
}
