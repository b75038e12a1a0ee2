/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API's routes that go to the runtime: logs and programs inside nodes of this host. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/api-call.h"
#include "agent/instance-id.h"
#include "agent/usage.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/relay.h"
#include "base/text.h"
#include "base/thread.h"
#include "model/canonical.h"

/* A node of the target that this host has. */
struct local_node {
	char *name; /* "web/1" */
	char *container;
	bool running;
};

struct local_nodes {
	struct local_node *list;
	size_t n;
};

static void local_nodes_release(struct local_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		free(nodes->list[i].name);
		free(nodes->list[i].container);
	}
	free(nodes->list);
}

static int not_here(struct api_call *call, const struct api_target *target, bool running_only, struct err *err)
{
	int r = api_elsewhere(call, target, err);

	if (r < 0)
		return r;
	return err_set(err, ENOENT,
		       running_only ? _("No node of %s runs on the host %s") : _("No node of %s is on the host %s"),
		       call->rest, call->env->host);
}

static int local_nodes(struct api_call *call, bool running_only, struct local_nodes *ret, struct err *err)
{
	_cleanup_(api_target_release) struct api_target target = { 0 };
	const struct node_env *env = call->env;
	struct runtime_node *all = NULL;
	size_t n_all = 0;
	int r = api_target_parse(call->rest, &target, err);

	if (r == 0)
		r = env->runtime->ops->list(env->runtime, &all, &n_all, err);
	if (r < 0)
		return r;
	ret->list = xcalloc(n_all, sizeof(*ret->list));
	for (size_t i = 0; i < n_all; i++) {
		const char *label = runtime_node_label(&all[i], RUNTIME_LABEL_INSTANCE);
		struct instance_id id;

		if (!label || instance_id_parse(label, &id, NULL) < 0)
			continue;
		if (!strcmp(id.service, target.service) && api_target_matches(&target, id.component, id.n) &&
		    (!running_only || all[i].state == RUNTIME_RUNNING))
			ret->list[ret->n++] = (struct local_node){ .name = xstrdup(id.node),
								   .container = xstrdup(all[i].id),
								   .running = all[i].state == RUNTIME_RUNNING };
		instance_id_release(&id);
	}
	runtime_nodes_free(all, n_all);
	return ret->n ? 0 : not_here(call, &target, running_only, err);
}

/* --- logs --- */

/* Threads, one a node, fill a pipe with lines; the stream's reader empties it. */
struct logs {
	const struct node_env *env;
	struct local_nodes nodes;
	int tail;
	bool follow, timestamps;
	int pipe[2], stop_fd;
	pthread_mutex_t lock;
	struct log_job *jobs;
	size_t n_started;
};

struct log_job {
	struct logs *logs;
	const struct local_node *node;
	pthread_t thread;
	struct buf rest[3]; /* unfinished lines by stream */
};

static int write_line(struct log_job *job, int stream, const char *line, size_t len)
{
	_cleanup_(freep) char *text = xstrndup(line, len), *row = NULL;
	_cleanup_json_ json_t *json = NULL;
	struct buf out = { 0 };
	int r;

	json = json_pack("{ss si ss}", "node", job->node->name, "stream", stream, "text", text);
	if (!json) {
		for (char *p = text; *p; p++) /* not UTF-8 */
			if (*p & 0x80)
				*p = '?';
		json = json_pack("{ss si ss}", "node", job->node->name, "stream", stream, "text", text);
	}
	row = json_canonical(json);
	buf_printf(&out, "%s\n", row);
	pthread_mutex_lock(&job->logs->lock);
	r = fs_write_all(job->logs->pipe[1], out.data, out.len);
	pthread_mutex_unlock(&job->logs->lock);
	buf_release(&out);
	return r;
}

static int on_log(void *data, int stream, const char *bytes, size_t len)
{
	struct log_job *job = data;
	struct buf *rest = &job->rest[stream == 2 ? 2 : 1];
	char *newline;
	int r = 0;

	buf_add(rest, bytes, len);
	while (r == 0 && rest->len && (newline = memchr(rest->data, '\n', rest->len))) {
		size_t n = (size_t)(newline - rest->data);

		r = write_line(job, stream, rest->data, n && rest->data[n - 1] == '\r' ? n - 1 : n);
		buf_consume(rest, n + 1);
	}
	if (r == 0 && rest->len > 65536) {
		r = write_line(job, stream, rest->data, rest->len);
		buf_consume(rest, rest->len);
	}
	return r;
}

static void *log_main(void *data)
{
	struct log_job *job = data;
	struct logs *logs = job->logs;
	struct runtime *rt = logs->env->runtime;

	rt->ops->logs(rt, job->node->container, logs->tail, logs->follow, logs->timestamps, logs->stop_fd, on_log, job,
		      NULL);
	for (int i = 1; i <= 2; i++)
		if (job->rest[i].len)
			write_line(job, i, job->rest[i].data, job->rest[i].len);
	buf_release(&job->rest[1]);
	buf_release(&job->rest[2]);
	return NULL;
}

/* Joins all writers, then closes the pipe's end: the reader sees the end of it. */
static void *log_closer(void *data)
{
	struct logs *logs = data;

	for (size_t i = 0; i < logs->n_started; i++)
		pthread_join(logs->jobs[i].thread, NULL);
	closep(&logs->pipe[1]);
	return NULL;
}

struct log_stream {
	struct logs logs;
	pthread_t closer;
	bool closing;
	const _Atomic bool *stopping;
};

static ssize_t log_read(void *data, char *to, size_t size)
{
	struct log_stream *stream = data;
	struct pollfd wait = { .fd = stream->logs.pipe[0], .events = POLLIN };
	ssize_t n;

	for (;;) {
		if (*stream->stopping)
			return -ENODATA;
		if (poll(&wait, 1, 1000) <= 0)
			continue;
		n = read(stream->logs.pipe[0], to, size);
		if (n < 0 && errno == EINTR)
			continue;
		return n == 0 ? -ENODATA : n < 0 ? -errno : n;
	}
}

/* Also for one that could not be started whole. */
static void log_free(void *data)
{
	struct log_stream *stream = data;
	struct logs *logs = &stream->logs;
	uint64_t one = 1;

	if (logs->stop_fd >= 0)
		(void)!write(logs->stop_fd, &one, sizeof(one));
	closep(&logs->pipe[0]); /* a writer that waits gets EPIPE */
	if (stream->closing)
		pthread_join(stream->closer, NULL);
	else
		log_closer(logs);
	closep(&logs->stop_fd);
	local_nodes_release(&logs->nodes);
	pthread_mutex_destroy(&logs->lock);
	free(logs->jobs);
	free(stream);
}

static int start_logs(struct log_stream *stream, struct err *err)
{
	struct logs *logs = &stream->logs;

	logs->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (logs->stop_fd < 0 || pipe2(logs->pipe, O_CLOEXEC) < 0)
		return err_errno(err, errno, _("Cannot follow the logs"));
	logs->jobs = xcalloc(logs->nodes.n, sizeof(*logs->jobs));
	for (size_t i = 0; i < logs->nodes.n; i++) {
		logs->jobs[logs->n_started].logs = logs;
		logs->jobs[logs->n_started].node = &logs->nodes.list[i];
		if (thread_create(&logs->jobs[logs->n_started].thread, NULL, log_main, &logs->jobs[logs->n_started]) ==
		    0)
			logs->n_started++;
	}
	stream->closing = thread_create(&stream->closer, NULL, log_closer, logs) == 0;
	return stream->closing ? 0 : err_set(err, EAGAIN, _("Cannot follow the logs: no more threads"));
}

static bool is_on(const struct api_call *call, const char *name)
{
	const char *value = call->query(call, name);

	return value && !strcmp(value, "1");
}

static int get_logs(struct api_call *call, struct err *err)
{
	struct log_stream *stream = xcalloc(1, sizeof(*stream));
	const char *tail = call->query(call, "tail");
	uint64_t lines = 0;
	int r;

	stream->stopping = call->stopping;
	stream->logs = (struct logs){ .lock = PTHREAD_MUTEX_INITIALIZER,
				      .env = call->env,
				      .tail = -1,
				      .follow = is_on(call, "follow"),
				      .timestamps = is_on(call, "timestamps"),
				      .pipe = { -1, -1 },
				      .stop_fd = -1 };
	if (tail && text_u64(tail, &lines) == 0 && lines < 1000000)
		stream->logs.tail = (int)lines;
	r = local_nodes(call, false, &stream->logs.nodes, err);
	if (r == 0)
		r = start_logs(stream, err);
	if (r < 0) {
		log_free(stream);
		return r;
	}
	call->stream = (struct api_stream){ .read = log_read, .free = log_free, .data = stream };
	return 0;
}

/* --- exec --- */

struct exec {
	int fd; /* of the runtime: the same frames */
	const _Atomic bool *stopping;
};

static void exec_run(void *data, int fd, const void *early, size_t early_len)
{
	struct exec *exec = data;

	/* When the caller goes away, closing the runtime's end hangs the program up. */
	relay(fd, exec->fd, early, early_len, exec->stopping);
}

static void exec_free(void *data)
{
	struct exec *exec = data;

	closep(&exec->fd);
	free(exec);
}

static int read_argv(const json_t *json, struct strv *ret, struct err *err)
{
	const json_t *argv = json_object_get(json, "argv"), *word;
	size_t i;

	json_array_foreach((json_t *)argv, i, word)
	{
		if (!json_is_string(word))
			return err_set(err, EINVAL, _("The command must be a list of words"));
		strv_add(ret, json_string_value(word));
	}
	return ret->n ? 0 : err_set(err, EINVAL, _("The request has no command"));
}

static int post_exec(struct api_call *call, struct err *err)
{
	_cleanup_(local_nodes_release) struct local_nodes nodes = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };
	struct runtime *rt = call->env->runtime;
	bool tty = json_is_true(json_object_get(call->json, "tty"));
	int rows = (int)json_integer_value(json_object_get(call->json, "rows"));
	int columns = (int)json_integer_value(json_object_get(call->json, "columns"));
	struct exec *exec;
	int fd, r = read_argv(call->json, &argv, err);

	if (r == 0)
		r = local_nodes(call, true, &nodes, err);
	if (r == 0 && !rt->ops->attach)
		r = err_set(err, EOPNOTSUPP, _("The runtime %s cannot run commands in its nodes"), rt->ops->name);
	if (r == 0)
		r = rt->ops->attach(rt, nodes.list[0].container, &argv, tty, rows, columns, &fd, err);
	if (r < 0)
		return r;
	exec = xcalloc(1, sizeof(*exec));
	*exec = (struct exec){ .fd = fd, .stopping = call->stopping };
	call->upgrade =
	    (struct api_upgrade){ .protocol = "tepuy-exec", .run = exec_run, .free = exec_free, .data = exec };
	return 0;
}

/* --- usage --- */

static int get_usage(struct api_call *call, struct err *err)
{
	json_t *rows, *silent;
	int r = usage_everywhere(call->env, &rows, &silent, err);

	if (r == 0)
		call->answer = json_pack("{so so}", "nodes", rows, "silent", silent);
	return r;
}

const struct api_route api_node_routes[] = {
	{ "GET", "/v1/usage", get_usage },
	{ "GET", "/v1/logs/*", get_logs },
	{ "POST", "/v1/exec/*", post_exec, .json = true },
	{ 0 },
};
