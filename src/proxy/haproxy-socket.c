/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proxy/haproxy-socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"

enum {
	DEFAULT_TIMEOUT_MS = 2000,
	MOST_ANSWER = 8 << 20,
	REMOVAL_TRIES = 20,  /* closing idle connections */
	REMOVAL_WAIT_MS = 1, /* takes HAProxy a moment */
};

/* What HAProxy writes behind each answer in interactive mode. */
static const char prompt[] = "\n> ";

struct haproxy {
	haproxy_dial_fn dial;
	void *data;
	int64_t timeout_ms;
};

/* A connection in interactive mode: one command and its answer at a time. */
struct session {
	int fd;
	int64_t deadline; /* monotonic */
	struct buf answer;
	struct err *err;
};

struct haproxy *haproxy_new(haproxy_dial_fn dial, void *data, int64_t timeout_ms)
{
	struct haproxy *h = xcalloc(1, sizeof(*h));

	h->dial = dial;
	h->data = data;
	h->timeout_ms = timeout_ms > 0 ? timeout_ms : DEFAULT_TIMEOUT_MS;
	return h;
}

void haproxy_free(struct haproxy *h)
{
	free(h);
}

void haproxy_freep(struct haproxy **h)
{
	haproxy_free(*h);
}

void haproxy_result_release(struct haproxy_result *result)
{
	if (!result)
		return;
	for (size_t i = 0; i < result->n_events; i++) {
		free(result->events[i].backend);
		free(result->events[i].server);
		free(result->events[i].problem);
	}
	for (size_t i = 0; i < result->n_leaving; i++) {
		free(result->leaving[i].backend);
		free(result->leaving[i].server);
	}
	free(result->events);
	free(result->leaving);
	strv_release(&result->held);
	strv_release(&result->missing);
	*result = (struct haproxy_result){ 0 };
}

static int failed(struct session *s, int code)
{
	return err_errno(s->err, code, _("HAProxy's runtime socket does not answer"));
}

static int wait_for(struct session *s, short events)
{
	struct pollfd pfd = { .fd = s->fd, .events = events };
	int64_t left;
	int r;

	do {
		left = s->deadline - clock_monotonic_ms();
		r = left > 0 ? poll(&pfd, 1, (int)left) : 0;
	} while (r < 0 && errno == EINTR);
	return r < 0 ? failed(s, errno) : r == 0 ? failed(s, ETIMEDOUT) : 0;
}

static int send_line(struct session *s, const char *line)
{
	size_t left = strlen(line);

	while (left) {
		ssize_t sent = send(s->fd, line, left, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (sent >= 0) {
			line += sent;
			left -= (size_t)sent;
		} else if (errno == EAGAIN)
			r = wait_for(s, POLLOUT);
		else if (errno != EINTR)
			r = failed(s, errno == EPIPE ? ECONNRESET : errno);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Receives what is there, after waiting for it. */
static int receive(struct session *s)
{
	enum { STEP = 16384 };
	int r = wait_for(s, POLLIN);
	ssize_t got;

	if (r < 0)
		return r;
	got = recv(s->fd, buf_reserve(&s->answer, STEP), STEP, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		return failed(s, got < 0 ? errno : ECONNRESET);
	s->answer.len += (size_t)got;
	if (s->answer.len > MOST_ANSWER)
		return err_set(s->err, EFBIG, _("HAProxy's answer is larger than %d MiB"), MOST_ANSWER >> 20);
	return 0;
}

static bool at_prompt(const struct buf *answer)
{
	size_t len = strlen(prompt);

	return answer->len >= len && !memcmp(answer->data + answer->len - len, prompt, len);
}

/* Sends a line and takes its answer, without the prompt. Commands go one at a time, so the prompt can only be at the
 * end. */
static int ask(struct session *s, const char *line)
{
	int r;

	s->answer.len = 0;
	r = send_line(s, line);
	while (r == 0 && !at_prompt(&s->answer))
		r = receive(s);
	if (r < 0)
		return r;
	s->answer.len -= strlen(prompt);
	s->answer.data[s->answer.len] = '\0';
	if (memchr(s->answer.data, '\0', s->answer.len))
		return err_set(s->err, EBADMSG, _("HAProxy's answer has a zero byte in it"));
	return 0;
}

static int session_open(struct haproxy *h, struct session *s, struct err *err)
{
	int r;

	*s = (struct session){ .fd = -1, .deadline = clock_monotonic_ms() + h->timeout_ms, .err = err };
	r = h->dial(h->data, &s->fd, err);
	return r < 0 ? r : ask(s, "prompt\n");
}

static void session_close(struct session *s)
{
	closep(&s->fd);
	buf_release(&s->answer);
}

#define _cleanup_session_ _cleanup_(session_close)

static int read_table(struct session *s, struct haproxy_table *ret)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	int r = ask(s, "show servers state\n");

	if (r == 0)
		r = haproxy_read_state(buf_text(&s->answer), &table, s->err);
	if (r == 0)
		r = ask(s, "show stat -1 6 -1\n");
	if (r == 0)
		r = haproxy_read_stat(buf_text(&s->answer), &table, s->err);
	if (r < 0)
		return r;
	*ret = table;
	table = (struct haproxy_table){ 0 };
	return 0;
}

/* The first line of what HAProxy said, safe to show. */
static char *first_line(const struct buf *answer)
{
	const char *text = buf_text(answer);
	char *line;

	text += strspn(text, " \n");
	line = xstrndup(text, strcspn(text, "\n"));
	text_printable(line, false);
	return line;
}

static void add_event(struct haproxy_result *result, const struct haproxy_step *step, char *problem)
{
	result->events = grow_array(result->events, result->n_events, &result->cap_events, sizeof(*result->events));
	result->events[result->n_events++] =
	    (struct haproxy_event){ step->verb, xstrdup(step->backend), xstrdup(step->server), problem };
	result->reload = result->reload || problem;
}

/*
 * Idle connections that HAProxy keeps open to a server hold its removal up, for half a minute and more
 * (pool-purge-delay). Another address closes them at once; it is one for documentation (RFC 5737) that nobody answers
 * at, and a server that is wanted again gets its own back by the plan.
 */
static int close_idle(struct session *s, const struct haproxy_step *step)
{
	_cleanup_(freep) char *line =
	    xasprintf("set server %s/%s addr 192.0.2.1 port 1\n", step->backend, step->server);

	return ask(s, line);
}

/* Now that it is in maintenance no session can come to it: did one come just before? Returns 0, 1 or an error. */
static int has_sessions(struct session *s, const struct haproxy_step *step)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	const struct haproxy_row *row;
	int r = read_table(s, &table);

	if (r < 0)
		return r;
	row = haproxy_table_find(&table, step->backend, step->server);
	return row && row->sessions;
}

/* Removes a server, and again for as long as its idle connections are just being closed. */
static int remove_server(struct session *s, const struct haproxy_step *step, enum haproxy_answer *ret)
{
	int r = ask(s, step->line);

	for (int tries = 0; r == 0; tries++) {
		*ret = haproxy_read_answer(step->verb, buf_text(&s->answer));
		if (*ret != HAPROXY_BUSY || tries == REMOVAL_TRIES)
			return 0;
		if (tries == 0) {
			r = has_sessions(s, step);
			if (r != 0)
				return r < 0 ? r : 0;
			r = close_idle(s, step);
		} else
			poll(NULL, 0, REMOVAL_WAIT_MS);
		if (r == 0)
			r = ask(s, step->line);
	}
	return r;
}

static int apply_step(struct session *s, const struct haproxy_step *step, struct haproxy_result *result)
{
	enum haproxy_answer answer = HAPROXY_DONE;
	int r;

	if (step->verb == HAPROXY_REMOVE)
		r = remove_server(s, step, &answer);
	else {
		r = ask(s, step->line);
		if (r == 0)
			answer = haproxy_read_answer(step->verb, buf_text(&s->answer));
	}
	/* Still busy: a session came before maintenance did. It shows as leaving. */
	if (r == 0 && answer != HAPROXY_BUSY)
		add_event(result, step, answer == HAPROXY_REFUSED ? first_line(&s->answer) : NULL);
	return r;
}

static bool has_refused(const struct haproxy_result *result, const struct haproxy_step *step)
{
	for (size_t i = 0; i < result->n_events; i++)
		if (result->events[i].problem && !strcmp(result->events[i].server, step->server) &&
		    !strcmp(result->events[i].backend, step->backend))
			return true;
	return false;
}

/* A server whose `add server` was refused is not asked for its checks and state. */
static int apply(struct session *s, const struct haproxy_plan *plan, struct haproxy_result *result)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->n_steps; i++)
		if (!has_refused(result, &plan->steps[i]))
			r = apply_step(s, &plan->steps[i], result);
	return r;
}

static const struct haproxy_backend *find_backend(const struct haproxy_backend *backends, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(backends[i].name, name))
			return &backends[i];
	return NULL;
}

static bool is_wanted(const struct haproxy_backend *backend, const char *server)
{
	for (size_t i = 0; i < backend->n_servers; i++)
		if (!strcmp(backend->servers[i].name, server))
			return true;
	return false;
}

/* Lists the managed servers that take no new sessions by our doing. */
static void note_leaving(const struct haproxy_table *table, const struct haproxy_backend *backends, size_t n,
			 struct haproxy_result *result)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct haproxy_row *row = &table->rows[i];
		const struct haproxy_backend *backend = find_backend(backends, n, row->backend);
		bool wanted = backend && is_wanted(backend, row->server);

		if (!backend || !(row->admin & (HAPROXY_FORCED_MAINT | HAPROXY_FORCED_DRAIN)))
			continue;
		if (!wanted && !haproxy_is_node_name(row->server))
			continue;
		result->leaving =
		    grow_array(result->leaving, result->n_leaving, &result->cap_leaving, sizeof(*result->leaving));
		result->leaving[result->n_leaving++] =
		    (struct haproxy_leaving){ xstrdup(row->backend), xstrdup(row->server), row->sessions, !wanted };
	}
}

/* Settled is what needs no more steps, but to remove what was busy a moment ago. */
static bool is_settled(const struct haproxy_plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		if (plan->steps[i].verb != HAPROXY_REMOVE)
			return false;
	return !plan->missing.n;
}

/* Replaces `table` and `plan` by what is there now and what it needs. */
static int read_and_plan(struct session *s, const struct haproxy_backend *backends, size_t n, bool consul_unwell,
			 struct haproxy_table *table, struct haproxy_plan *plan)
{
	int r;

	haproxy_table_release(table);
	haproxy_plan_release(plan);
	r = read_table(s, table);
	return r < 0 ? r : haproxy_plan(backends, n, table, consul_unwell, plan, s->err);
}

static int sync_session(struct session *s, const struct haproxy_backend *backends, size_t n, bool consul_unwell,
			struct haproxy_result *result)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	_cleanup_haproxy_plan_ struct haproxy_plan plan = { 0 };
	int r = read_and_plan(s, backends, n, consul_unwell, &table, &plan);

	if (r == 0 && plan.n_steps) {
		r = apply(s, &plan, result);
		if (r == 0)
			r = read_and_plan(s, backends, n, consul_unwell, &table, &plan);
	}
	if (r < 0)
		return r;
	note_leaving(&table, backends, n, result);
	strv_copy(&result->held, &plan.held);
	strv_copy(&result->missing, &plan.missing);
	result->settled = is_settled(&plan);
	result->reload = result->reload || plan.missing.n;
	return 0;
}

int haproxy_sync(struct haproxy *h, const struct haproxy_backend *backends, size_t n, bool consul_unwell,
		 struct haproxy_result *ret, struct err *err)
{
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };
	_cleanup_session_ struct session s = { .fd = -1 };
	int r = session_open(h, &s, err);

	if (r == 0)
		r = sync_session(&s, backends, n, consul_unwell, &result);
	if (r < 0)
		return r;
	*ret = result;
	result = (struct haproxy_result){ 0 };
	return 0;
}

int haproxy_read(struct haproxy *h, struct haproxy_table *ret, struct err *err)
{
	_cleanup_session_ struct session s = { .fd = -1 };
	int r = session_open(h, &s, err);

	return r < 0 ? r : read_table(&s, ret);
}

int haproxy_get_info(struct haproxy *h, struct haproxy_info *ret, struct err *err)
{
	_cleanup_session_ struct session s = { .fd = -1 };
	int r = session_open(h, &s, err);

	if (r == 0)
		r = ask(&s, "show info\n");
	return r < 0 ? r : haproxy_read_info(buf_text(&s.answer), ret, err);
}
