/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests to the Engine: a small pool of connections, since slots are called from several threads. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "runtime/docker.h"

#define API_SPOKEN 41 /* Debian 12's Engine; newer ones take it, or name the least that they take */
#define MOST_REPLY (32u << 20)

struct docker *docker_of(struct runtime *rt)
{
	return rt->priv;
}

static struct http *take_http(struct docker *docker)
{
	struct http *http = NULL;

	pthread_mutex_lock(&docker->lock);
	if (docker->n_idle)
		http = docker->idle[--docker->n_idle];
	pthread_mutex_unlock(&docker->lock);
	return http ? http : http_new(docker->base, NULL);
}

static void give_http(struct docker *docker, struct http *http)
{
	pthread_mutex_lock(&docker->lock);
	if (docker->n_idle < DOCKER_IDLE)
		docker->idle[docker->n_idle++] = TAKE_PTR(http);
	pthread_mutex_unlock(&docker->lock);
	http_free(http);
}

char *docker_path(struct docker *docker, const char *path)
{
	int api;

	pthread_mutex_lock(&docker->lock);
	api = docker->api ? docker->api : API_SPOKEN;
	pthread_mutex_unlock(&docker->lock);
	return xasprintf("/v1.%d%s", api, path);
}

int docker_away(const struct docker *docker, int code, struct err *err)
{
	/* No socket at all must not look like a container that is absent, which is fine to stop or to remove. */
	if (code == -ECONNREFUSED || code == -EACCES || code == -ENOENT) {
		if (access(docker->socket, F_OK) == 0 && access(docker->socket, W_OK) < 0)
			return err_set(err, EACCES,
				       _("Docker's socket %s may not be used by this user; be root or in group docker"),
				       docker->socket);
		return err_set(err, ECONNREFUSED, _("Docker does not answer at %s; is dockerd running?"),
			       docker->socket);
	}
	return code;
}

int docker_request(struct docker *docker, const struct http_request *request, struct http_reply *ret, struct err *err)
{
	_cleanup_(freep) char *path = docker_path(docker, request->path);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request versioned = *request;
	struct http *http = take_http(docker);
	int r;

	versioned.path = path;
	if (!versioned.most)
		versioned.most = MOST_REPLY;
	r = http_request(http, &versioned, &reply, err);
	give_http(docker, http);
	if (r < 0)
		return docker_away(docker, r, err);
	if (reply.status / 100 != 2 && reply.status != 304)
		return docker_error(reply.status, reply.body.data, reply.body.len, err);
	if (ret) {
		*ret = reply;
		reply = (struct http_reply){ 0 };
	}
	return 0;
}

int docker_call(struct docker *docker, const char *method, const char *path, const char *body, int64_t timeout_ms,
		struct http_reply *ret, struct err *err)
{
	struct http_request request = { .method = method,
					.path = path,
					.body = body,
					.body_len = body ? strlen(body) : 0,
					.timeout_ms = timeout_ms };

	return docker_request(docker, &request, ret, err);
}

int docker_hello(struct docker *docker, char **ret_version, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_(docker_version_release) struct docker_version version = { 0 };
	struct http_request request = { .method = "GET", .path = "/version", .timeout_ms = 10000, .most = MOST_REPLY };
	struct http *http = take_http(docker);
	int r = http_request(http, &request, &reply, err);

	give_http(docker, http);
	if (r < 0)
		return docker_away(docker, r, err);
	r = docker_decode_version(reply.body.data, reply.body.len, &version, err);
	if (r < 0)
		return r;
	if (version.minor < API_SPOKEN)
		return err_set(err, EPROTONOSUPPORT,
			       _("Docker %s is too old: Engine API 1.%d is needed, it speaks 1.%d"), version.version,
			       API_SPOKEN, version.minor);
	pthread_mutex_lock(&docker->lock);
	docker->api = version.least > API_SPOKEN ? version.least : API_SPOKEN;
	docker->init = version.init ? DOCKER_HAS_INIT : DOCKER_NO_INIT;
	pthread_mutex_unlock(&docker->lock);
	if (ret_version)
		*ret_version = TAKE_PTR(version.version);
	return 0;
}

/* An id or name becomes part of a path: anything else than Docker's own alphabet cannot exist. */
static bool is_id(const char *id)
{
	return *id && strlen(id) <= 256 &&
	       !id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")] && *id != '.';
}

int docker_find(struct docker *docker, const char *id, struct docker_container *ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/containers/%s/json", id);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_container_ struct docker_container container = { 0 };
	int r;

	if (!is_id(id))
		return err_set(err, ENOENT, _("There is no node '%s'"), id);
	r = docker_call(docker, "GET", path, NULL, 0, &reply, err);
	if (r < 0)
		return r;
	r = docker_decode_container(reply.body.data, reply.body.len, &container, err);
	if (r < 0)
		return r;
	if (!container.ours)
		return err_set(err, EPERM, _("The container %s was not made by tepuy, which leaves it alone"),
			       container.node.name);
	*ret = container;
	container = (struct docker_container){ 0 };
	return 0;
}

int docker_find_running(struct docker *docker, const char *id, struct docker_container *ret, struct err *err)
{
	_cleanup_container_ struct docker_container container = { 0 };
	int r = docker_find(docker, id, &container, err);

	if (r < 0)
		return r;
	if (container.node.state != RUNTIME_RUNNING || !container.node.pid)
		return err_set(err, ESRCH, _("The node %s does not run"), container.node.name);
	*ret = container;
	container = (struct docker_container){ 0 };
	return 0;
}
