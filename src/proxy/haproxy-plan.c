/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proxy/haproxy-plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/i18n.h"

void haproxy_server_release(struct haproxy_server *server)
{
	if (!server)
		return;
	free(server->name);
	free(server->address);
	strv_release(&server->options);
	*server = (struct haproxy_server){ 0 };
}

void haproxy_backend_release(struct haproxy_backend *backend)
{
	if (!backend)
		return;
	for (size_t i = 0; i < backend->n_servers; i++)
		haproxy_server_release(&backend->servers[i]);
	free(backend->servers);
	free(backend->name);
	*backend = (struct haproxy_backend){ 0 };
}

void haproxy_backends_free(struct haproxy_backend *backends, size_t n)
{
	for (size_t i = 0; i < n; i++)
		haproxy_backend_release(&backends[i]);
	free(backends);
}

void haproxy_plan_release(struct haproxy_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_steps; i++) {
		free(plan->steps[i].backend);
		free(plan->steps[i].server);
		free(plan->steps[i].line);
	}
	free(plan->steps);
	strv_release(&plan->pending);
	strv_release(&plan->held);
	strv_release(&plan->missing);
	*plan = (struct haproxy_plan){ 0 };
}

static bool is_address(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* "::1" and "0:0::1" are the same. */
static bool same_address(const char *a, const char *b)
{
	unsigned char x[sizeof(struct in6_addr)], y[sizeof(struct in6_addr)];

	if (!strcmp(a, b))
		return true;
	return inet_pton(AF_INET6, a, x) == 1 && inet_pton(AF_INET6, b, y) == 1 && !memcmp(x, y, sizeof(x));
}

static const struct haproxy_server *find_server(const struct haproxy_backend *backend, const char *name)
{
	for (size_t i = 0; i < backend->n_servers; i++)
		if (!strcmp(backend->servers[i].name, name))
			return &backend->servers[i];
	return NULL;
}

static int check_server(const struct haproxy_backend *backend, const struct haproxy_server *server, struct err *err)
{
	if (!haproxy_is_name(server->name))
		return err_set(err, EINVAL, _("A server of backend '%s' has a name that HAProxy does not take"),
			       backend->name);
	if (!is_address(server->address) || !server->port)
		return err_set(err, EINVAL, _("Server '%s/%s' needs a numeric address and a port"), backend->name,
			       server->name);
	if (server->weight > HAPROXY_MOST_WEIGHT)
		return err_set(err, EINVAL, _("Server '%s/%s' has weight %u; %d is the most"), backend->name,
			       server->name, server->weight, HAPROXY_MOST_WEIGHT);
	if (find_server(backend, server->name) != server)
		return err_set(err, EINVAL, _("Server '%s/%s' is there twice"), backend->name, server->name);
	return 0;
}

static int check_wanted(const struct haproxy_backend *wanted, size_t n, struct err *err)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		if (!haproxy_is_name(wanted[i].name))
			return err_set(err, EINVAL, _("A backend has a name that HAProxy does not take"));
		for (size_t j = 0; j < i; j++)
			if (!strcmp(wanted[i].name, wanted[j].name))
				return err_set(err, EINVAL, _("Backend '%s' is there twice"), wanted[i].name);
		for (size_t j = 0; j < wanted[i].n_servers; j++) {
			r = check_server(&wanted[i], &wanted[i].servers[j], err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Adds a step; `words` is its command line, whose words the caller has and keeps. */
static int add_step(struct haproxy_plan *plan, enum haproxy_verb verb, const char *backend, const char *server,
		    const struct strv *words, struct err *err)
{
	char *line;
	int r = haproxy_write(words, &line, err);

	if (r < 0)
		return r;
	plan->steps = grow_array(plan->steps, plan->n_steps, &plan->cap_steps, sizeof(*plan->steps));
	plan->steps[plan->n_steps++] = (struct haproxy_step){ verb, xstrdup(backend), xstrdup(server), line };
	return 0;
}

/* A step about a server that is there. */
static int change(struct haproxy_plan *plan, enum haproxy_verb verb, const char *backend,
		  const struct haproxy_server *server, const char *name, struct err *err)
{
	_cleanup_strv_ struct strv words = { 0 };

	strv_add(&words, verb == HAPROXY_CHECK ? "enable" : verb == HAPROXY_REMOVE ? "del" : "set");
	strv_add(&words, verb == HAPROXY_CHECK ? "health" : "server");
	strv_addf(&words, "%s/%s", backend, name);
	switch (verb) {
	case HAPROXY_ADDRESS:
		strv_add_all(&words, "addr", server->address, "port", NULL);
		strv_addf(&words, "%u", server->port);
		break;
	case HAPROXY_WEIGHT:
		strv_add(&words, "weight");
		strv_addf(&words, "%u", server->weight);
		break;
	case HAPROXY_READY:
		strv_add_all(&words, "state", "ready", NULL);
		break;
	case HAPROXY_DRAIN:
		strv_add_all(&words, "state", "drain", NULL);
		break;
	case HAPROXY_MAINT:
		strv_add_all(&words, "state", "maint", NULL);
		break;
	default:
		break;
	}
	return add_step(plan, verb, backend, name, &words, err);
}

/* A new server begins in maintenance and with its checks off. */
static int plan_new(struct haproxy_plan *plan, const char *backend, const struct haproxy_server *server,
		    struct err *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	bool v6 = strchr(server->address, ':');
	int r;

	strv_add_all(&words, "add", "server", NULL);
	strv_addf(&words, "%s/%s", backend, server->name);
	strv_addf(&words, v6 ? "[%s]:%u" : "%s:%u", server->address, server->port);
	strv_add(&words, "weight");
	strv_addf(&words, "%u", server->weight);
	if (server->check)
		strv_add(&words, "check");
	strv_copy(&words, &server->options);
	r = add_step(plan, HAPROXY_ADD, backend, server->name, &words, err);
	if (r == 0 && server->check)
		r = change(plan, HAPROXY_CHECK, backend, server, server->name, err);
	return r < 0 ? r : change(plan, HAPROXY_READY, backend, server, server->name, err);
}

static bool is_draining(const struct haproxy_row *row)
{
	return row->admin & HAPROXY_FORCED_DRAIN && !(row->admin & HAPROXY_FORCED_MAINT);
}

static enum haproxy_state state_of(const struct haproxy_row *row)
{
	if (row->admin & HAPROXY_FORCED_MAINT)
		return HAPROXY_STATE_MAINT;
	return is_draining(row) ? HAPROXY_STATE_DRAIN : HAPROXY_STATE_READY;
}

/* What a wanted server that is there needs before it takes sessions, and then to take them. */
static int plan_settings(struct haproxy_plan *plan, const char *backend, const struct haproxy_server *server,
			 const struct haproxy_row *row, struct err *err)
{
	bool checks_off = row->check & HAPROXY_CHECK_CONFIGURED && !(row->check & HAPROXY_CHECK_ENABLED);
	int r = 0;

	if (row->port != server->port || !same_address(row->address, server->address))
		r = change(plan, HAPROXY_ADDRESS, backend, server, server->name, err);
	if (r == 0 && row->weight != server->weight)
		r = change(plan, HAPROXY_WEIGHT, backend, server, server->name, err);
	if (r == 0 && server->check && checks_off)
		r = change(plan, HAPROXY_CHECK, backend, server, server->name, err);
	if (r == 0 && server->state == HAPROXY_STATE_READY && state_of(row) != HAPROXY_STATE_READY)
		r = change(plan, HAPROXY_READY, backend, server, server->name, err);
	return r;
}

/* First pass: all that brings sessions, so that there is never a moment with no server at all. */
static int plan_arrivals(struct haproxy_plan *plan, const struct haproxy_backend *backend,
			 const struct haproxy_table *seen, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < backend->n_servers; i++) {
		const struct haproxy_server *server = &backend->servers[i];
		const struct haproxy_row *row = haproxy_table_find(seen, backend->name, server->name);

		if (row)
			r = plan_settings(plan, backend->name, server, row, err);
		else if (server->state == HAPROXY_STATE_READY)
			r = plan_new(plan, backend->name, server, err);
	}
	return r;
}

/* Second pass: wanted in drain or maintenance, and those no longer wanted, which cannot be removed before. */
static int plan_departures(struct haproxy_plan *plan, const struct haproxy_backend *backend,
			   const struct haproxy_table *seen, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < seen->n; i++) {
		const struct haproxy_row *row = &seen->rows[i];
		const struct haproxy_server *server;
		enum haproxy_state state;

		if (strcmp(row->backend, backend->name))
			continue;
		server = find_server(backend, row->server);
		if (!server && (!haproxy_is_node_name(row->server) || strv_has(&plan->held, backend->name)))
			continue;
		state = server ? server->state : HAPROXY_STATE_MAINT;
		if (state != HAPROXY_STATE_READY && state != state_of(row))
			r = change(plan, state == HAPROXY_STATE_DRAIN ? HAPROXY_DRAIN : HAPROXY_MAINT, backend->name,
				   NULL, row->server, err);
	}
	return r;
}

/* Third pass: remove those that are not wanted and have no sessions. */
static int plan_removals(struct haproxy_plan *plan, const struct haproxy_backend *backend,
			 const struct haproxy_table *seen, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < seen->n; i++) {
		const struct haproxy_row *row = &seen->rows[i];

		if (strcmp(row->backend, backend->name) || !haproxy_is_node_name(row->server) ||
		    find_server(backend, row->server) || strv_has(&plan->held, backend->name))
			continue;
		if (row->sessions)
			strv_addf(&plan->pending, "%s/%s", backend->name, row->server);
		else
			r = change(plan, HAPROXY_REMOVE, backend->name, NULL, row->server, err);
	}
	return r;
}

static bool has_others(const struct haproxy_table *seen, const struct haproxy_backend *backend)
{
	for (size_t i = 0; i < seen->n; i++)
		if (!strcmp(seen->rows[i].backend, backend->name) && haproxy_is_node_name(seen->rows[i].server) &&
		    !find_server(backend, seen->rows[i].server))
			return true;
	return false;
}

/* Whether the backend is to be left alone; and notes why, or that some of its servers are. */
static bool skip(struct haproxy_plan *plan, const struct haproxy_backend *backend, const struct haproxy_table *seen,
		 bool consul_unwell)
{
	if (!strv_has(&seen->backends, backend->name)) {
		strv_add(&plan->missing, backend->name);
		return true;
	}
	if (consul_unwell && has_others(seen, backend))
		strv_add(&plan->held, backend->name);
	return false;
}

typedef int (*pass_fn)(struct haproxy_plan *plan, const struct haproxy_backend *backend,
		       const struct haproxy_table *seen, struct err *err);

int haproxy_plan(const struct haproxy_backend *wanted, size_t n, const struct haproxy_table *seen, bool consul_unwell,
		 struct haproxy_plan *ret, struct err *err)
{
	static const pass_fn passes[] = { plan_arrivals, plan_departures, plan_removals };
	_cleanup_haproxy_plan_ struct haproxy_plan plan = { 0 };
	_cleanup_(freep) bool *skipped = xcalloc(n, sizeof(*skipped));
	int r = check_wanted(wanted, n, err);

	for (size_t i = 0; r == 0 && i < n; i++)
		skipped[i] = skip(&plan, &wanted[i], seen, consul_unwell);
	for (size_t pass = 0; pass < ARRAY_SIZE(passes); pass++)
		for (size_t i = 0; r == 0 && i < n; i++)
			if (!skipped[i])
				r = passes[pass](&plan, &wanted[i], seen, err);
	if (r < 0)
		return r;
	*ret = plan;
	plan = (struct haproxy_plan){ 0 };
	return 0;
}
