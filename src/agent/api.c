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
#include "base/protocol.h"
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
	json_decref(call->elsewhere);
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
	case ESRCH:
		return MHD_HTTP_CONFLICT;
	case EREMOTE:
		return MHD_HTTP_MISDIRECTED_REQUEST;
	case EPROTONOSUPPORT:
		return MHD_HTTP_UPGRADE_REQUIRED;
	case EFBIG:
		return MHD_HTTP_CONTENT_TOO_LARGE;
	case EAGAIN:
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
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

static enum MHD_Result send_error(struct request *request, int status, int code, const char *sentence)
{
	const char *name = strerrorname_np(code);
	_cleanup_(freep) char *safe = xstrdup(sentence), *text = NULL;
	_cleanup_json_ json_t *json = NULL;

	text_printable(safe, true); /* it may quote what was asked for, in whatever bytes */
	json = json_pack("{ss ss sO*}", "error", safe, "code", name ? name : "EIO", "hosts", request->call.elsewhere);
	text = json_canonical(json);
	return send_text(request, status, text, "application/json");
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

/* No body at all is an empty object. */
static int read_json(struct api_call *call, struct err *err)
{
	json_error_t where;

	call->json = call->body.len ? json_loadb(buf_text(&call->body), call->body.len, JSON_REJECT_DUPLICATES, &where)
				    : json_object();
	if (!call->json)
		return err_set(err, EINVAL, _("The request's body is no JSON, line %d column %d: %s"), where.line,
			       where.column, where.text);
	if (!json_is_object(call->json))
		return err_set(err, EINVAL, _("The request's body must be a JSON object"));
	return 0;
}

/* A command line that speaks another version of the API is told so before anything is done for it. */
static int check_protocol(const struct request *request, struct err *err)
{
	const char *line = MHD_lookup_connection_value(request->call.connection, MHD_HEADER_KIND, PROTOCOL_HEADER);
	_cleanup_(freep) char *number = line ? xstrndup(line, strcspn(line, " ")) : NULL;
	const char *version = line && strchr(line, ' ') ? strchr(line, ' ') + 1 : "?";
	const struct node_env *env = request->call.env;
	const char *host = env->waits ? _("this host") : env->host;
	uint64_t theirs = 0;

	if (!line)
		return 0;
	if (text_u64(number, &theirs) < 0)
		return err_set(err, EINVAL, _("The header %s is no number and version"), PROTOCOL_HEADER);
	if (theirs == (uint64_t)protocol_api)
		return 0;
	return err_set(
	    err, EPROTONOSUPPORT,
	    theirs > (uint64_t)protocol_api
		? _("This tepuy is %s (protocol %llu), the agent of %s is the older %s (protocol %d): upgrade "
		    "tepuy on %s, as with 'tepuy host upgrade'")
		: _("This tepuy is %s (protocol %llu), the agent of %s is the newer %s (protocol %d): upgrade "
		    "tepuy where you work, not on %s"),
	    version, (unsigned long long)theirs, host, protocol_program, protocol_api, host);
}

static int handle(struct request *request, struct err *err)
{
	const char *trouble = api_trouble(request->call.env);
	int r = check_protocol(request, err);

	if (r < 0)
		return r;
	if (!request->route)
		return err_set(err, ENOENT, _("The agent's API has no path %s; docs/api.md lists those that it has"),
			       request->call.path);
	if (request->call.env->waits && trouble && !request->route->always)
		return err_set(err, EAGAIN, "%s", trouble);
	if (request->route->writes && request->call.env->other_schema)
		return err_set(
		    err, EPROTONOSUPPORT,
		    request->call.env->old_schema
			? _("The keys in Consul have a layout older than that of the agent of %s, tepuy %s, so that "
			    "it changes none: install the tepuy that the other hosts have on %s")
			: _("The keys in Consul have a layout that the agent of %s, tepuy %s, does not know, so that "
			    "it changes none: upgrade tepuy on %s"),
		    request->call.env->host, protocol_program, request->call.env->host);
	if (request->too_large)
		return err_set(err, EFBIG, _("The request is larger than the agent accepts"));
	if (request->route->json)
		r = read_json(&request->call, err);
	return r < 0 ? r : request->route->handler(&request->call, err);
}

static enum MHD_Result answer(struct request *request)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (!request->route && request->known)
		return send_error(request, MHD_HTTP_METHOD_NOT_ALLOWED, EOPNOTSUPP,
				  _("The agent's API does not have that method on this path; see docs/api.md"));
	r = handle(request, &err);
	if (r == 0)
		return send_answer(request);
	if (err.code == EACCES && request->call.env->token_refused) {
		err_release(&err);
		err_set(&err, EACCES, "%s", api_trouble(request->call.env));
	}
	if (!err.code)
		err_errno(&err, -r, _("The request cannot be answered"));
	return send_error(request, status_of(err.code), err.code, err_text(&err));
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
	request->route = api_route_find(method, path, &request->rest, &request->known);
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

/* Two agents of one host would undo each other's work. */
static bool somebody_listens(const struct sockaddr_un *address)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

static int listen_on(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct group *group = getgrnam("tepuy");
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ENAMETOOLONG, _("The socket's path %s is too long"), path);
	strcpy(address.sun_path, path);
	if (somebody_listens(&address))
		return err_set(err, EADDRINUSE, _("Another agent is at work on %s; stop it first"), path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, errno, _("Cannot make the socket %s"), path);
	unlink(path);
	/* Nobody else may connect before owner and mode are right. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chown(path, 0, group ? group->gr_gid : 0) < 0 || chmod(path, 0660) < 0 || listen(fd, SOMAXCONN) < 0) {
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
