/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running a check once, as Consul would: to know that a new node is well without waiting for Consul's next turn. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/registration.h"
#include "base/clock.h"
#include "base/text.h"

#define MOST_OUTPUT 4096
#define MOST_TROUBLE 500 /* of a check's output, in the line about its node */

static void probe_http(const struct registration_check *check, struct probe *ret)
{
	const char *path = strchr(check->target + strlen("http://"), '/');
	_cleanup_(freep) char *base = xstrndup(check->target, (size_t)(path - check->target));
	_cleanup_(http_freep) struct http *http = http_new(base, NULL);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct http_request request = { .method = "GET",
					.path = path,
					.timeout_ms = check->check.timeout ? check->check.timeout : 1000,
					.most = 1 << 20 };

	ret->status = CONSUL_CRITICAL;
	if (http_request(http, &request, &reply, &err) < 0) {
		ret->output = xstrdup(err_text(&err));
		return;
	}
	if (reply.status / 100 == 2)
		ret->status = CONSUL_PASSING;
	else if (reply.status == 429)
		ret->status = CONSUL_WARNING;
	ret->output =
	    xasprintf("HTTP GET %s: %d: %.*s", check->target, reply.status, MOST_OUTPUT, buf_text(&reply.body));
}

/* 0, or -errno of the connection. */
static int connect_within(const struct addrinfo *to, int64_t timeout_ms)
{
	_cleanup_(closep) int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int error = 0, n;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	n = poll(&wait, 1, (int)timeout_ms);
	if (n <= 0)
		return n ? -errno : -ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return -error;
}

static void probe_tcp(const struct registration_check *check, struct probe *ret)
{
	_cleanup_(freep) char *host = xstrdup(check->target);
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV },
			*found = NULL;
	char *colon = strrchr(host, ':');
	int r = -EINVAL;

	*colon = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &found) == 0) {
		r = connect_within(found, check->check.timeout ? check->check.timeout : 1000);
		freeaddrinfo(found);
	}
	ret->status = r == 0 ? CONSUL_PASSING : CONSUL_CRITICAL;
	ret->output = xasprintf("TCP connect %s: %s", check->target, r == 0 ? "Success" : strerror(-r));
}

static void probe_exec(const struct node_env *env, const char *container, const struct registration_check *check,
		       struct probe *ret)
{
	struct runtime_exec exec = { .argv = &check->check.argv,
				     .timeout_ms = check->check.timeout,
				     .most_output = MOST_OUTPUT };
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = env->runtime->ops->exec(env->runtime, container, &exec, &output, &err);

	ret->status = r == 0 ? CONSUL_PASSING : r == 1 ? CONSUL_WARNING : CONSUL_CRITICAL;
	ret->output = r < 0 ? xstrdup(err_text(&err)) : buf_take(&output);
}

void probe_check(const struct node_env *env, const char *container, const struct registration_check *check,
		 struct probe *ret)
{
	*ret = (struct probe){ .status = CONSUL_UNKNOWN };
	switch (check->check.kind) {
	case CHECK_HTTP:
		probe_http(check, ret);
		break;
	case CHECK_TCP:
		probe_tcp(check, ret);
		break;
	case CHECK_EXEC:
		probe_exec(env, container, check, ret);
		break;
	case CHECK_TTL:
		break;
	}
	if (!ret->output)
		ret->output = xstrdup("");
	text_printable(ret->output, true);
}

void probe_release(struct probe *probe)
{
	free(probe->output);
	*probe = (struct probe){ 0 };
}

static bool healthy_now(const struct node_env *env, const char *container, const struct registration *registration)
{
	bool healthy = true;

	for (size_t i = 0; healthy && i < registration->n_checks; i++) {
		_cleanup_(probe_release) struct probe probe = { 0 };

		probe_check(env, container, &registration->checks[i], &probe);
		healthy = probe.status != CONSUL_CRITICAL;
	}
	return healthy;
}

/* Line breaks become spaces, the last ones go. */
static void make_one_line(char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	for (; *text; text++)
		if (*text == '\n')
			*text = ' ';
}

char *probe_trouble(const struct node_env *env, const char *container, const struct registration *registration)
{
	_cleanup_buf_ struct buf trouble = { 0 };

	for (size_t i = 0; i < registration->n_checks; i++) {
		const struct registration_check *check = &registration->checks[i];
		_cleanup_(probe_release) struct probe probe = { 0 };

		probe_check(env, container, check, &probe);
		if (probe.status != CONSUL_CRITICAL)
			continue;
		make_one_line(probe.output);
		buf_printf(&trouble, "%s%s: %.*s", trouble.len ? "; " : "", check->name, MOST_TROUBLE, probe.output);
	}
	return trouble.len ? buf_take(&trouble) : NULL;
}

/* Nothing tells when a program begins to listen: ask often at first, then less and less. */
bool probe_until_healthy(const struct node_env *env, const char *container, const struct registration *registration,
			 int64_t limit_ms)
{
	int64_t deadline = clock_monotonic_ms() + limit_ms;
	struct timespec pause = { .tv_nsec = 10 * 1000000L };

	while (!healthy_now(env, container, registration)) {
		if (clock_monotonic_ms() >= deadline)
			return false;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 200 * 1000000L)
			pause.tv_nsec += pause.tv_nsec / 2;
	}
	return true;
}
