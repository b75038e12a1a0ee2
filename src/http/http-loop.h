/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HTTP requests that do not block, on an sd-event loop (libcurl's multi interface). One loop is used by one thread.
 * Connections are kept alive and shared by all calls of the loop; the only timers are those of timeouts.
 */
#ifndef TEPUY_HTTP_HTTP_LOOP_H
#define TEPUY_HTTP_HTTP_LOOP_H

#include <systemd/sd-event.h>

#include "http/http.h"

struct http_loop;
struct http_call;

/*
 * Called once when the call is over, from the event loop, never from within http_loop_start. `r` is 0 with a reply
 * (whatever its status) or a negative errno with `err`, as http_request gives them. Both are valid during the call
 * only; what the callee wants to keep of the reply's body it takes with buf_take. The call is gone when this returns.
 * Calls may be started and cancelled and the loop freed in here.
 */
typedef void (*http_done)(void *data, int r, struct http_reply *reply, struct err *err);

/* Takes a reference on `event`. */
int http_loop_new(sd_event *event, struct http_loop **ret, struct err *err);
/* Cancels all calls. NULL is fine. Allowed within http_done and sinks. */
void http_loop_free(struct http_loop *loop);
void http_loop_freep(struct http_loop **loop);
/* The event loop that it was made for; borrowed. */
sd_event *http_loop_event(struct http_loop *loop);

/* For every https call started from now on; the paths are copied, NULL puts the system's certificates back. */
void http_loop_set_tls(struct http_loop *loop, const struct http_tls *tls);

/*
 * Starts a request. `base`, `token` as in http_new. Strings and the body are copied; what `source_data` and `sink_data`
 * point to must live until `done` is called or the call cancelled. Never fails at once: whatever goes wrong is told to
 * `done`. The returned call is only for http_call_cancel.
 */
struct http_call *http_loop_start(struct http_loop *loop, const char *base, const char *token,
				  const struct http_request *request, http_done done, void *data);

/* Ends the call without calling `done`. NULL is fine, and so is a call whose `done` is running. */
void http_call_cancel(struct http_call *call);

#endif
