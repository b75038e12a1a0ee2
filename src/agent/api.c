/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/api.h"

#include <errno.h>
#include <grp.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/api-call.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

#define MOST_BODY (1u << 20)
/* A client that is silent for so long in the middle of its request, or between two, is sent away: it holds a thread. */
#define SILENCE_SECONDS 30

struct api {
	const struct node_env *env;
	const _Atomic bool *leading;
	_Atomic bool stopping;
	struct MHD_Daemon *daemon;
	char *path;
};

static const struct api_route *const tables[] = { api_service_routes, api_node_routes, api_check_routes,
						  api_stream_routes };

/* --- routes --- */

/* Does the pattern's one '*' (if any) cover the rest? `ret_rest` is owned by the caller. */
static bool matches(const char *pattern, const char *path, char **ret_rest)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : 0, after = star ? strlen(star + 1) : 0, len = strlen(path);

	if (!star)
		return !strcmp(pattern, path);
	if (len <= before + after || strncmp(path, pattern, before) || strcmp(path + len - after, star + 1))
		return false;
	free(*ret_rest);
	*ret_rest = xstrndup(path + before, len - before - after);
	return true;
}

/* The most specific pattern is the longest one. `ret_known`: the path is one of ours, whatever the method. */
static const struct api_route *find_route(const char *method, const char *path, char **ret_rest, bool *ret_known)
{
	const struct api_route *best = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct api_route *route = tables[i]; route->method; route++) {
			_cleanup_(freep) char *rest = NULL;

			if (!matches(route->pattern, path, &rest))
				continue;
			*ret_known = true;
			if (strcmp(route->method, method) || (best && strlen(best->pattern) >= strlen(route->pattern)))
				continue;
			best = route;
			free(*ret_rest);
			*ret_rest = TAKE_PTR(rest);
		}
	return best;
}

/* --- one request --- */

struct request {
	struct api *api;
	struct api_call call;
	char *rest;
	const struct api_route *route;
	bool known, too_large;
};

static const char *query(const struct api_call *call, const char *name)
{
	return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void request_free(struct request *request)
{
	struct api_call *call = &request->call;

	if (call->stream.free)
		call->stream.free(call->stream.data);
	if (call->upgrade.free)
		call->upgrade.free(call->upgrade.data);
	json_decref(call->json);
	json_decref(call->answer);
	free(call->text);
	buf_release(&call->body);
	free(request->rest);
	free(request);
}

static int status_of(int code)
{
	switch (code) {
	case EINVAL:
	case EBADMSG:
	case E2BIG:
		return MHD_HTTP_BAD_REQUEST;
	case EACCES:
	case EPERM:
		return MHD_HTTP_FORBIDDEN;
	case ENOENT:
		return MHD_HTTP_NOT_FOUND;
	case ESTALE:
	case EEXIST:
	case EBUSY:
		return MHD_HTTP_CONFLICT;
	case EFBIG:
		return MHD_HTTP_CONTENT_TOO_LARGE;
	case EAGAIN:
	case ECONNREFUSED:
	case ETIMEDOUT:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	default:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

static enum MHD_Result send_response(struct request *request, int status, struct MHD_Response *response,
				     const char *type)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	if (type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = MHD_queue_response(request->call.connection, (unsigned)status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_text(struct request *request, int status, const char *text, const char *type)
{
	return send_response(request, status,
			     MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY), type);
}

static enum MHD_Result send_error(struct request *request, int code, const char *sentence)
{
	_cleanup_json_ json_t *json = json_pack("{ss ss}", "error", sentence, "code", strerrorname_np(code));
	_cleanup_(freep) char *text = json ? json_canonical(json) : xstrdup("{\"error\":\"\",\"code\":\"EIO\"}");

	return send_text(request, status_of(code), text, "application/json");
}

static ssize_t on_stream(void *data, uint64_t position, char *to, size_t size)
{
	struct api_stream *stream = data;
	ssize_t n;

	(void)position;
	n = stream->read(stream->data, to, size);
	if (n == -ENODATA)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}

static void on_stream_end(void *data)
{
	struct api_stream *stream = data;

	if (stream->free)
		stream->free(stream->data);
	free(stream);
}

static enum MHD_Result send_stream(struct request *request)
{
	struct api_stream *stream = xcalloc(1, sizeof(*stream));

	*stream = request->call.stream;
	request->call.stream = (struct api_stream){ 0 };
	return send_response(
	    request, MHD_HTTP_OK,
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, on_stream, stream, on_stream_end),
	    "application/x-ndjson");
}

static void on_upgrade(void *data, struct MHD_Connection *connection, void *state, const char *early, size_t early_len,
		       MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
	struct api_upgrade *upgrade = data;

	(void)connection, (void)state;
	upgrade->run(upgrade->data, fd, early, early_len);
	if (upgrade->free)
		upgrade->free(upgrade->data);
	free(upgrade);
	MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

static enum MHD_Result send_upgrade(struct request *request)
{
	struct api_upgrade *upgrade = xcalloc(1, sizeof(*upgrade));
	struct MHD_Response *response;

	*upgrade = request->call.upgrade;
	request->call.upgrade = (struct api_upgrade){ 0 };
	response = MHD_create_response_for_upgrade(on_upgrade, upgrade);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE, upgrade->protocol);
	return send_response(request, MHD_HTTP_SWITCHING_PROTOCOLS, response, NULL);
}

static enum MHD_Result send_answer(struct request *request)
{
	struct api_call *call = &request->call;
	_cleanup_(freep) char *text = NULL;

	if (call->stream.read)
		return send_stream(request);
	if (call->upgrade.run)
		return send_upgrade(request);
	if (call->text)
		return send_text(request, call->status ? call->status : MHD_HTTP_OK, call->text,
				 "text/plain; charset=utf-8");
	if (!call->answer)
		return send_text(request, call->status ? call->status : MHD_HTTP_NO_CONTENT, "", NULL);
	text = json_canonical(call->answer);
	return send_text(request, call->status ? call->status : MHD_HTTP_OK, text, "application/json");
}

static enum MHD_Result answer(struct request *request)
{
	struct api_call *call = &request->call;
	_cleanup_err_ struct err err = ERR_INIT;
	json_error_t where;
	int r;

	if (!request->route)
		return request->known ? send_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "", NULL)
				      : send_error(request, ENOENT, _("The agent's API has no such path."));
	if (request->too_large)
		return send_error(request, EFBIG, _("The request is larger than the agent accepts."));
	if (request->route->json) {
		call->json = json_loadb(buf_text(&call->body), call->body.len, JSON_REJECT_DUPLICATES, &where);
		if (!json_is_object(call->json))
			return send_error(request, EINVAL, _("The request's body must be a JSON object."));
	}
	r = request->route->handler(call, &err);
	if (r < 0)
		return send_error(request, err.code ? err.code : -r, err_text(&err));
	return send_answer(request);
}

static void limit_silence(struct MHD_Connection *connection, unsigned seconds)
{
	MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static struct request *request_new(struct api *api, struct MHD_Connection *connection, const char *path,
				   const char *method)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->api = api;
	request->route = find_route(method, path, &request->rest, &request->known);
	request->call = (struct api_call){
		.env = api->env,
		.leading = api->leading,
		.stopping = &api->stopping,
		.method = method,
		.path = path,
		.rest = request->rest,
		.query = query,
		.connection = connection,
	};
	return request;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
				  const char *version, const char *upload, size_t *upload_size, void **state)
{
	struct request *request = *state;
	size_t most;

	(void)version;
	if (!request) {
		*state = request_new(data, connection, path, method);
		limit_silence(connection, SILENCE_SECONDS);
		return MHD_YES;
	}
	request->call.path = path;
	request->call.method = method;
	if (!*upload_size) {
		limit_silence(connection, 0); /* from here on it is we who may take long */
		return answer(request);
	}
	most = request->route && request->route->most_body ? request->route->most_body : MOST_BODY;
	if (request->call.body.len + *upload_size > most)
		request->too_large = true;
	else
		buf_add(&request->call.body, upload, *upload_size);
	*upload_size = 0;
	return MHD_YES;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	(void)data, (void)code;
	if (*state)
		request_free(*state);
	*state = NULL;
	limit_silence(connection, SILENCE_SECONDS);
}

/* --- the socket --- */

static int listen_on(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct group *group = getgrnam("tepuy");
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ENAMETOOLONG, _("The socket's path %s is too long"), path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, errno, _("Cannot make the socket %s"), path);
	unlink(path);
	/* Nobody else may connect before owner and mode are right. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chown(path, 0, group ? group->gr_gid : 0) < 0 || chmod(path, 0660) < 0 || listen(fd, 64) < 0) {
		int code = errno;

		close(fd);
		return err_errno(err, code, _("Cannot listen on %s"), path);
	}
	return fd;
}

static void log_mhd(void *data, const char *format, va_list ap)
{
	_cleanup_(freep) char *text = xvasprintf(format, ap);

	(void)data;
	log_debug("API: %s", text);
}

int api_start(const struct node_env *env, const char *path, const _Atomic bool *leading, struct api **ret,
	      struct err *err)
{
	struct api *api = xcalloc(1, sizeof(*api));
	int fd = listen_on(path, err);

	if (fd < 0) {
		free(api);
		return fd;
	}
	*api = (struct api){ .env = env, .leading = leading, .path = xstrdup(path) };
	api->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
					   MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG,
				       0, NULL, NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL,
				       MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				       MHD_OPTION_CONNECTION_LIMIT, (unsigned)API_MOST, MHD_OPTION_CONNECTION_TIMEOUT,
				       (unsigned)SILENCE_SECONDS, MHD_OPTION_THREAD_STACK_SIZE, (size_t)(512 * 1024),
				       MHD_OPTION_END);
	if (!api->daemon) {
		close(fd);
		free(api->path);
		free(api);
		return err_set(err, EIO, _("Cannot start the HTTP server on %s"), path);
	}
	*ret = api;
	return 0;
}

void api_stop(struct api *api)
{
	if (!api)
		return;
	api->stopping = true;
	MHD_stop_daemon(api->daemon);
	unlink(api->path);
	free(api->path);
	free(api);
}
