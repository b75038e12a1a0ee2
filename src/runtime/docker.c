/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Docker driver: Engine API 1.41 on its Unix socket. Here are the table and a node's life; images, programs, files,
 * logs and events have files of their own. Every call by id first looks whether the container is tepuy's.
 */
#include "runtime/docker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "runtime/drivers.h"

#define DEFAULT_SOCKET "/run/docker.sock"
#define OTHER_SOCKET "/var/run/docker.sock"
#define START_MS 120000
#define REMOVE_MS 60000

static enum runtime_probe probe(struct runtime *rt, char **ret_version, struct err *err)
{
	struct docker *docker = docker_of(rt);

	if (access(docker->socket, F_OK) < 0 && errno != EACCES)
		return RUNTIME_NOT_MINE;
	return docker_hello(docker, ret_version, err) < 0 ? RUNTIME_BROKEN_HERE : RUNTIME_MINE;
}

static int list(struct runtime *rt, struct runtime_node **ret, size_t *ret_n, struct err *err)
{
	_cleanup_(freep) char *filters = docker_encode_list_filters();
	_cleanup_(freep) char *path = xasprintf("/containers/json?all=1&filters=%s", filters);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	int r = docker_call(docker_of(rt), "GET", path, NULL, 0, &reply, err);

	return r < 0 ? r : docker_decode_list(reply.body.data, reply.body.len, ret, ret_n, err);
}

/* Docker would say it too, but with -EINVAL and after having made an image lookup: say which mount it is. */
static int check_mounts(const struct runtime_spec *spec, struct err *err)
{
	for (size_t i = 0; i < spec->n_mounts; i++)
		if (access(spec->mounts[i].from, F_OK) < 0)
			return err_errno(err, errno, _("Cannot mount %s at %s in the node"), spec->mounts[i].from,
					 spec->mounts[i].to);
	return 0;
}

/* Whether Docker's init program is installed: it reaps orphans and passes signals on; nodes also run without. */
static int want_init(struct docker *docker, bool *ret, struct err *err)
{
	bool known;
	int r;

	pthread_mutex_lock(&docker->lock);
	known = docker->init != DOCKER_UNKNOWN;
	pthread_mutex_unlock(&docker->lock);
	r = known ? 0 : docker_hello(docker, NULL, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&docker->lock);
	*ret = docker->init == DOCKER_HAS_INIT;
	pthread_mutex_unlock(&docker->lock);
	return 0;
}

static int create(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_(freep) char *name = http_encode(spec->name), *path = NULL, *body = NULL;
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	bool init = false;
	int r;

	if (!runtime_has_instance(spec->labels))
		return err_set(err, EINVAL, _("The node %s has no label %s"), spec->name, RUNTIME_LABEL_INSTANCE);
	r = check_mounts(spec, err);
	if (r == 0)
		r = want_init(docker, &init, err);
	if (r < 0)
		return r;
	path = xasprintf("/containers/create?name=%s", name);
	body = docker_encode_create(spec, init);
	r = docker_call(docker, "POST", path, body, START_MS, &reply, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT, _("Docker does not have the image %s of the node %s; import it again"),
			       spec->image_ref, spec->name);
	return r < 0 ? r : docker_decode_id(reply.body.data, reply.body.len, ret_id, err);
}

static int set_restarts(struct docker *docker, const char *id, bool restarts, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/containers/%s/update", id);

	return docker_call(docker, "POST", path,
			   restarts ? "{\"RestartPolicy\":{\"Name\":\"unless-stopped\"}}"
				    : "{\"RestartPolicy\":{\"Name\":\"no\"}}",
			   0, NULL, err);
}

static int start(struct runtime *rt, const char *id, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(freep) char *path = NULL;
	int r = docker_find(docker, id, &container, err);

	if (r < 0)
		return r;
	path = xasprintf("/containers/%s/start", container.node.id);
	if (!container.restarts)
		r = set_restarts(docker, container.node.id, true, err);
	if (r == 0)
		r = docker_call(docker, "POST", path, NULL, START_MS, NULL, err);
	return r < 0 && err ? err_wrap(err, _("Cannot start the node %s"), container.node.name) : r;
}

/* Docker starts a container with a restart policy again when it restarts itself, unless a stop found it running. */
static int stay_stopped(struct docker *docker, const struct docker_container *container, struct err *err)
{
	int r = container->restarts ? set_restarts(docker, container->node.id, false, err) : 0;

	return r == -ENOENT ? 0 : r;
}

static int stop(struct runtime *rt, const char *id, int64_t timeout_ms, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(freep) char *path = NULL;
	int64_t seconds = timeout_ms > 0 ? (timeout_ms + 999) / 1000 : 0;
	int r = docker_find(docker, id, &container, &why);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	path = xasprintf("/containers/%s/stop?t=%lld", container.node.id, (long long)seconds);
	r = docker_call(docker, "POST", path, NULL, seconds * 1000 + START_MS, &reply, &why);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, _("Cannot stop the node %s: %s"), container.node.name, err_text(&why));
	return reply.status == 304 ? stay_stopped(docker, &container, err) : 0;
}

/* Someone else is removing it: wait until it is gone. */
static int wait_gone(struct docker *docker, const char *id, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + REMOVE_MS;

	while (clock_monotonic_ms() < deadline) {
		_cleanup_container_ struct docker_container container = { 0 };
		int r = docker_find(docker, id, &container, NULL);

		if (r == -ENOENT)
			return 0;
		if (r < 0)
			return err_set(err, -r, _("Cannot see whether the node %s is removed"), id);
		poll(NULL, 0, 50);
	}
	return err_set(err, ETIMEDOUT, _("The node %s is being removed, but is still there after a minute"), id);
}

static int remove_node(struct runtime *rt, const char *id, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(freep) char *path = NULL;
	int r = docker_find(docker, id, &container, &why);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	path = xasprintf("/containers/%s?force=1", container.node.id);
	r = docker_call(docker, "DELETE", path, NULL, REMOVE_MS, NULL, &why);
	if (r == -EBUSY && strstr(err_text(&why), "already in progress"))
		return wait_gone(docker, container.node.id, err);
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, _("Cannot remove the node %s: %s"), container.node.name, err_text(&why));
	return 0;
}

static int resize(struct runtime *rt, const char *id, const struct runtime_limits *limits, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(freep) char *path = NULL, *body = docker_encode_limits(limits);
	int r = docker_find(docker, id, &container, err);

	if (r < 0)
		return r;
	path = xasprintf("/containers/%s/update", container.node.id);
	r = docker_call(docker, "POST", path, body, 0, NULL, err);
	return r < 0 && err ? err_wrap(err, _("Cannot change the limits of the node %s"), container.node.name) : r;
}

static int inspect(struct runtime *rt, const char *id, struct runtime_node *ret, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	int r = docker_find(docker, id, &container, err);

	if (r < 0)
		return r;
	*ret = container.node;
	container.node = (struct runtime_node){ 0 };
	return 0;
}

static void docker_free(void *priv)
{
	struct docker *docker = priv;

	while (docker->n_idle)
		http_free(docker->idle[--docker->n_idle]);
	pthread_mutex_destroy(&docker->lock);
	free(docker->socket);
	free(docker->base);
	free(docker);
}

static const struct runtime_ops docker_ops = {
	.name = "docker",
	.quick = true,
	.probe = probe,
	.list = list,
	.import = docker_import,
	.prune = docker_prune,
	.create = create,
	.start = start,
	.stop = stop,
	.remove = remove_node,
	.inspect = inspect,
	.exec = docker_exec,
	.attach = docker_attach,
	.put = docker_put,
	.logs = docker_logs,
	.watch = docker_watch,
	.usage = docker_usage,
	.resize = resize,
	.dial = docker_dial,
	.free = docker_free,
};

struct runtime *docker_runtime_new(const char *endpoint)
{
	struct runtime *rt = xcalloc(1, sizeof(*rt));
	struct docker *docker = xcalloc(1, sizeof(*docker));

	if (endpoint && text_starts(endpoint, "unix:"))
		endpoint += strlen("unix:");
	if (!endpoint)
		endpoint =
		    access(DEFAULT_SOCKET, F_OK) < 0 && access(OTHER_SOCKET, F_OK) == 0 ? OTHER_SOCKET : DEFAULT_SOCKET;
	docker->socket = xstrdup(endpoint);
	docker->base = xasprintf("unix:%s", endpoint);
	pthread_mutex_init(&docker->lock, NULL);
	*rt = (struct runtime){ &docker_ops, docker };
	return rt;
}
