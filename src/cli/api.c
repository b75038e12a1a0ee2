/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/api.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/protocol.h"
#include "cli/output.h"

enum { MOST_LINE = 8 << 20 };

struct api {
	char *socket, *shown; /* shown: NULL is the socket itself */
	struct http *http;
};

struct api *api_new(const char *socket)
{
	_cleanup_(freep) char *base = xasprintf("unix:%s", socket);
	struct api *api = xcalloc(1, sizeof(*api));

	api->socket = xstrdup(socket);
	api->http = http_new(base, NULL);
	return api;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	http_free(api->http);
	free(api->socket);
	free(api->shown);
	free(api);
}

void api_freep(struct api **api)
{
	api_free(*api);
}

void api_call_it(struct api *api, const char *name)
{
	free(api->shown);
	api->shown = xstrdup(name);
}

const char *api_socket(const struct api *api)
{
	return api->socket;
}

int api_away(const char *socket, int code, struct err *err)
{
	if (code == EACCES || code == EPERM || (access(socket, W_OK) < 0 && errno == EACCES))
		return err_set(err, EACCES,
			       _("You may not talk to the agent at %s; use sudo, or become a member of its group"),
			       socket);
	if (access(socket, F_OK) < 0)
		return err_set(
		    err, ECONNREFUSED,
		    _("There is no agent here: %s does not exist; start it with 'systemctl start tepuy-agent' or "
		      "'tepuy agent', or set TEPUY_SOCKET to where it listens"),
		    socket);
	return err_set(err, ECONNREFUSED,
		       _("The agent does not answer at %s; see 'systemctl status tepuy-agent' and start it again"),
		       socket);
}

/* The transport's error, said so that the operator knows what to do. */
static int no_reply(struct api *api, struct err *err)
{
	int code = err ? err->code : EIO;

	if (code == ECONNREFUSED || code == ENOENT || code == EACCES)
		return api_away(api->socket, code, err);
	if (code == ECONNRESET || code == EPROTO)
		return err_set(err, ECONNRESET,
			       _("The agent at %s closed the connection; it may have been restarted: try again"),
			       api->shown ? api->shown : api->socket);
	return -code;
}

static int status_errno(int status)
{
	switch (status) {
	case 400:
		return EINVAL;
	case 403:
		return EACCES;
	case 404:
		return ENOENT;
	case 409:
		return ESTALE;
	case 413:
		return EFBIG;
	case 421:
		return EREMOTE;
	case 426:
		return EPROTONOSUPPORT;
	case 503:
		return EAGAIN;
	default:
		return EPROTO;
	}
}

int api_reply_error(int status, const char *body, size_t len, struct err *err)
{
	json_t *json = len ? json_loadb(body, len, 0, NULL) : NULL;
	const char *text = json_text(json, "error");
	int code = status_errno(status), r;

	if (*text)
		r = err_set(err, code, "%s", text);
	else if (code == ENOENT)
		r = err_set(err, code, _("The agent knows nothing of that name"));
	else
		r = err_set(err, code, _("The agent answered with HTTP status %d and no reason"), status);
	json_decref(json);
	return r;
}

void api_reply_hosts(const char *body, size_t len, struct strv *ret)
{
	json_t *json = len ? json_loadb(body, len, 0, NULL) : NULL, *host;
	size_t i;

	json_array_foreach(json_object_get(json, "hosts"), i, host) if (json_is_string(host))
	    strv_add(ret, json_string_value(host));
	json_decref(json);
}

static int request(struct api *api, const struct http_request *given, struct http_reply *ret, struct err *err)
{
	_cleanup_err_ struct err own = ERR_INIT;
	struct http_request req = *given;
	int r;

	req.header = protocol_line;
	r = http_request(api->http, &req, ret, &own);

	if (r == 0)
		return 0;
	r = no_reply(api, &own);
	return err_set(err, -r, "%s", err_text(&own));
}

static int take_json(const struct buf *body, json_t **ret, struct err *err)
{
	json_error_t why;
	json_t *json = json_loadb(buf_text(body), body->len, 0, &why);

	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, EPROTO, _("The agent's answer is not what tepuy %s understands"), TEPUY_VERSION);
	}
	*ret = json;
	return 0;
}

/* Sends `req` and takes the answer as JSON where `ret` wants one. */
static int exchange(struct api *api, const struct http_request *req, json_t **ret, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = request(api, req, &reply, err);

	if (r < 0)
		return r;
	if (reply.status / 100 != 2)
		return api_reply_error(reply.status, buf_text(&reply.body), reply.body.len, err);
	return ret ? take_json(&reply.body, ret, err) : 0;
}

int api_call(struct api *api, const char *method, const char *path, const json_t *body, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_request req = { .method = method, .path = path, .body = text, .body_len = text ? strlen(text) : 0 };

	return exchange(api, &req, ret, err);
}

int api_get(struct api *api, const char *path, json_t **ret, struct err *err)
{
	return api_call(api, "GET", path, NULL, ret, err);
}

int api_service(struct api *api, const char *service, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/v1/service/%s", service);

	return api_get(api, path, ret, err);
}

int api_head(struct api *api, const char *path, struct err *err)
{
	struct http_request req = { .method = "HEAD", .path = path };
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = request(api, &req, &reply, err);

	if (r < 0)
		return r;
	if (reply.status == 404)
		return 0;
	return reply.status / 100 == 2 ? 1 : api_reply_error(reply.status, NULL, 0, err);
}

int api_put_bytes(struct api *api, const char *path, const void *bytes, size_t len, struct err *err)
{
	struct http_request req = { .method = "PUT",
				    .path = path,
				    .content_type = "application/x-tar",
				    .body = bytes,
				    .body_len = len,
				    .timeout_ms = 300000 };

	return exchange(api, &req, NULL, err);
}

struct stream {
	struct buf rest; /* the line that has not ended yet */
	api_line_fn fn;
	void *data;
	struct err *err;
	int result; /* what fn ended it with */
};

static int take_line(struct stream *stream, const char *line, size_t len)
{
	json_t *json;
	int r;

	if (len == 0)
		return 0;
	json = json_loadb(line, len, 0, NULL);
	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(stream->err, EPROTO, _("The agent sent a line that is not what tepuy %s understands"),
			       TEPUY_VERSION);
	}
	r = stream->fn(stream->data, json, stream->err);
	json_decref(json);
	return r;
}

/* Cuts what arrived into lines. Ends the transfer with -ECANCELED once `fn` had enough. */
static int on_bytes(void *data, const char *bytes, size_t len)
{
	struct stream *stream = data;
	size_t from = 0;
	char *end;

	buf_add(&stream->rest, bytes, len);
	while (stream->result == 0 && (end = memchr(stream->rest.data + from, '\n', stream->rest.len - from))) {
		size_t at = (size_t)(end - stream->rest.data);

		stream->result = take_line(stream, stream->rest.data + from, at - from);
		from = at + 1;
	}
	buf_consume(&stream->rest, from);
	if (stream->result == 0 && stream->rest.len > MOST_LINE)
		stream->result = err_set(stream->err, EFBIG, _("The agent sent a line that does not end"));
	return stream->result ? -ECANCELED : 0;
}

int api_stream(struct api *api, const char *path, int64_t timeout_ms, api_line_fn fn, void *data, struct err *err)
{
	struct stream stream = { .fn = fn, .data = data, .err = err };
	struct http_request req = { .method = "GET",
				    .path = path,
				    .timeout_ms = timeout_ms ? timeout_ms : -1,
				    .sink = on_bytes,
				    .sink_data = &stream };
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_err_ struct err own = ERR_INIT;
	int r = request(api, &req, &reply, &own);

	if (r == 0 && reply.status / 100 != 2)
		r = api_reply_error(reply.status, buf_text(&reply.body), reply.body.len, &own);
	if (r == 0 && stream.rest.len)
		stream.result = take_line(&stream, stream.rest.data, stream.rest.len);
	buf_release(&stream.rest);
	if (stream.result)
		return stream.result; /* `err` is set by whoever ended it */
	return r < 0 ? err_set(err, -r, "%s", err_text(&own)) : 0;
}
