/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fake-consul.h"

#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/strv.h"
#include "base/text.h"

#define MOST_KEYS 256

struct key {
	char *key, *value;
	uint64_t index;
};

struct fake_consul {
	struct MHD_Daemon *daemon;
	char *base;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	struct key keys[MOST_KEYS];
	size_t n_keys;
	uint64_t index;
	struct strv paths, answers;
	unsigned failures, requests, at_once, most_at_once, waiting;
	unsigned leaderless; /* 500s for want of a leader */
	bool held, deposed;
	struct strv writes;
};

static struct key *find(struct fake_consul *consul, const char *key)
{
	for (size_t i = 0; i < consul->n_keys; i++)
		if (!strcmp(consul->keys[i].key, key))
			return &consul->keys[i];
	return NULL;
}

static void set(struct fake_consul *consul, const char *key, const char *value)
{
	struct key *at = find(consul, key);

	if (!at) {
		if (consul->n_keys == MOST_KEYS)
			abort();
		at = &consul->keys[consul->n_keys++];
		*at = (struct key){ .key = xstrdup(key) };
	}
	free(at->value);
	at->value = xstrdup(value);
	at->index = ++consul->index;
}

static void forget(struct fake_consul *consul, const char *key, bool tree)
{
	for (size_t i = 0; i < consul->n_keys;) {
		struct key *at = &consul->keys[i];

		if (tree ? !text_starts(at->key, key) : strcmp(at->key, key) != 0) {
			i++;
			continue;
		}
		free(at->key);
		free(at->value);
		*at = consul->keys[--consul->n_keys];
		consul->index++;
	}
}

static bool condition(struct fake_consul *consul, const char *key, uint64_t index)
{
	const struct key *at = find(consul, key);

	return at ? at->index == index : index == 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct key *)a)->key, ((const struct key *)b)->key);
}

static unsigned get_keys(struct fake_consul *consul, const char *prefix, bool tree, struct buf *to)
{
	json_t *list = json_array();
	char *text;
	size_t n;

	if (consul->n_keys)
		qsort(consul->keys, consul->n_keys, sizeof(*consul->keys), by_key);
	for (size_t i = 0; i < consul->n_keys; i++) {
		const struct key *at = &consul->keys[i];
		_cleanup_buf_ struct buf value = { 0 };

		if (tree ? !text_starts(at->key, prefix) : strcmp(at->key, prefix) != 0)
			continue;
		base64_encode(&value, at->value, strlen(at->value));
		json_array_append_new(list,
				      json_pack("{ss ss sI sI sI si ss*}", "Key", at->key, "Value", buf_text(&value),
						"CreateIndex", (json_int_t)at->index, "ModifyIndex",
						(json_int_t)at->index, "LockIndex", (json_int_t)0, "Flags", 0,
						"Session", strcmp(at->key, "tepuy/leader") ? NULL : "session"));
	}
	n = json_array_size(list);
	text = json_dumps(list, 0);
	buf_adds(to, text);
	free(text);
	json_decref(list);
	return n ? 200 : 404;
}

/* Conditions first, then all changes or none. */
static unsigned transaction(struct fake_consul *consul, const struct buf *body, struct buf *to)
{
	json_t *list = json_loadb(buf_text(body), body->len, 0, NULL), *op;
	bool fine = true;
	size_t i;

	for (int round = 0; round < 2 && fine; round++)
		json_array_foreach(list, i, op)
		{
			const json_t *kv = json_object_get(op, "KV");
			const char *verb = json_string_value(json_object_get(kv, "Verb"));
			const char *key = json_string_value(json_object_get(kv, "Key"));
			const char *value = json_string_value(json_object_get(kv, "Value"));
			_cleanup_buf_ struct buf bytes = { 0 };

			if (!round)
				fine &=
				    !text_ends(verb, "cas") ||
				    condition(consul, key, (uint64_t)json_integer_value(json_object_get(kv, "Index")));
			else if (text_starts(verb, "delete"))
				forget(consul, key, text_ends(verb, "tree"));
			else if (value && base64_decode(&bytes, value, strlen(value)) == 0)
				set(consul, key, buf_text(&bytes));
		}
	json_decref(list);
	buf_adds(to, fine ? "{\"Results\":[],\"Errors\":null}"
			  : "{\"Results\":null,\"Errors\":[{\"OpIndex\":0,\"What\":\"index is stale\"}]}");
	return fine ? 200 : 409;
}

static unsigned keys(struct fake_consul *consul, struct MHD_Connection *connection, const char *method, const char *key,
		     const struct buf *body, struct buf *to)
{
	const char *cas = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "cas");
	bool tree = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "recurse", 7, NULL, NULL);

	if (!strcmp(method, "GET"))
		return get_keys(consul, key, tree, to);
	if (cas && !condition(consul, key, strtoull(cas, NULL, 10))) {
		buf_adds(to, "false");
		return 200;
	}
	if (!strcmp(method, "PUT"))
		set(consul, key, buf_text(body));
	else
		forget(consul, key, tree);
	buf_adds(to, "true");
	return 200;
}

static unsigned respond(struct fake_consul *consul, struct MHD_Connection *connection, const char *method,
			const char *path, const struct buf *body, struct buf *to)
{
	bool stale = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "stale", strlen("stale"), NULL,
						   NULL) == MHD_YES;

	if (consul->failures || (consul->deposed && !stale)) {
		consul->leaderless += !consul->failures;
		consul->failures -= consul->failures != 0;
		buf_adds(to, "No cluster leader");
		return 500;
	}
	if (text_starts(path, "/v1/kv/"))
		return keys(consul, connection, method, path + strlen("/v1/kv/"), body, to);
	if (!strcmp(path, "/v1/txn"))
		return transaction(consul, body, to);
	for (size_t i = consul->paths.n; i-- > 0;)
		if (!strcmp(consul->paths.v[i], path)) {
			buf_adds(to, consul->answers.v[i]);
			return 200;
		}
	if (text_starts(path, "/v1/health/service/"))
		buf_adds(to, "[]");
	return 200;
}

static unsigned take(struct fake_consul *consul, struct MHD_Connection *connection, const char *method,
		     const char *path, const struct buf *body, struct buf *to)
{
	unsigned status;

	pthread_mutex_lock(&consul->lock);
	consul->requests++;
	if (++consul->at_once > consul->most_at_once)
		consul->most_at_once = consul->at_once;
	if (strcmp(method, "GET") != 0) {
		strv_addf(&consul->writes, "%s %s", method, path);
	}
	consul->waiting++;
	while (consul->held)
		pthread_cond_wait(&consul->changed, &consul->lock);
	consul->waiting--;
	status = respond(consul, connection, method, path, body, to);
	consul->at_once--;
	pthread_mutex_unlock(&consul->lock);
	return status;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *path, const char *method,
				  const char *version, const char *bytes, size_t *len, void **state)
{
	struct buf *body = *state, answer = { 0 };
	struct MHD_Response *response;
	enum MHD_Result result;
	unsigned status;

	(void)version;
	if (!body) {
		*state = xcalloc(1, sizeof(*body));
		return MHD_YES;
	}
	if (*len) {
		buf_add(body, bytes, *len);
		*len = 0;
		return MHD_YES;
	}
	status = take(data, connection, method, path, body, &answer);
	response = MHD_create_response_from_buffer(answer.len, (void *)buf_text(&answer), MHD_RESPMEM_MUST_COPY);
	MHD_add_response_header(response, "X-Consul-Index", "1");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	buf_release(&answer);
	return result;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	(void)data, (void)connection, (void)code;
	if (*state)
		buf_release(*state);
	free(*state);
	*state = NULL;
}

struct fake_consul *fake_consul_start(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct fake_consul *consul = xcalloc(1, sizeof(*consul));

	pthread_mutex_init(&consul->lock, NULL);
	pthread_cond_init(&consul->changed, NULL);
	consul->daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
					  NULL, on_request, consul, MHD_OPTION_SOCK_ADDR, &address,
					  MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	if (!consul->daemon)
		abort();
	consul->base =
	    xasprintf("http://127.0.0.1:%u", MHD_get_daemon_info(consul->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	return consul;
}

void fake_consul_stop(struct fake_consul *consul)
{
	fake_consul_hold(consul, false);
	MHD_stop_daemon(consul->daemon);
	forget(consul, "", true);
	strv_release(&consul->paths);
	strv_release(&consul->answers);
	pthread_cond_destroy(&consul->changed);
	pthread_mutex_destroy(&consul->lock);
	strv_release(&consul->writes);
	free(consul->base);
	free(consul);
}

const char *fake_consul_base(const struct fake_consul *consul)
{
	return consul->base;
}

void fake_consul_set(struct fake_consul *consul, const char *key, const char *value)
{
	pthread_mutex_lock(&consul->lock);
	set(consul, key, value);
	pthread_mutex_unlock(&consul->lock);
}

char *fake_consul_get(struct fake_consul *consul, const char *key)
{
	const struct key *at;
	char *value;

	pthread_mutex_lock(&consul->lock);
	at = find(consul, key);
	value = at ? xstrdup(at->value) : NULL;
	pthread_mutex_unlock(&consul->lock);
	return value;
}

void fake_consul_answer(struct fake_consul *consul, const char *path, const char *json)
{
	pthread_mutex_lock(&consul->lock);
	strv_add(&consul->paths, path);
	strv_add(&consul->answers, json);
	pthread_mutex_unlock(&consul->lock);
}

void fake_consul_fail(struct fake_consul *consul, unsigned n)
{
	pthread_mutex_lock(&consul->lock);
	consul->failures = n;
	pthread_mutex_unlock(&consul->lock);
}

void fake_consul_depose(struct fake_consul *consul)
{
	pthread_mutex_lock(&consul->lock);
	consul->deposed = true;
	pthread_mutex_unlock(&consul->lock);
}

unsigned fake_consul_leaderless(struct fake_consul *consul)
{
	unsigned n;

	pthread_mutex_lock(&consul->lock);
	n = consul->leaderless;
	pthread_mutex_unlock(&consul->lock);
	return n;
}

void fake_consul_hold(struct fake_consul *consul, bool held)
{
	pthread_mutex_lock(&consul->lock);
	consul->held = held;
	pthread_cond_broadcast(&consul->changed);
	pthread_mutex_unlock(&consul->lock);
}

static unsigned read_number(struct fake_consul *consul, const unsigned *number)
{
	unsigned value;

	pthread_mutex_lock(&consul->lock);
	value = *number;
	pthread_mutex_unlock(&consul->lock);
	return value;
}

unsigned fake_consul_requests(struct fake_consul *consul)
{
	return read_number(consul, &consul->requests);
}

unsigned fake_consul_most_at_once(struct fake_consul *consul)
{
	return read_number(consul, &consul->most_at_once);
}

unsigned fake_consul_waiting(struct fake_consul *consul)
{
	return read_number(consul, &consul->waiting);
}

unsigned fake_consul_writes(struct fake_consul *consul, const char *what)
{
	unsigned n = 0;

	pthread_mutex_lock(&consul->lock);
	for (size_t i = 0; i < consul->writes.n; i++)
		n += !strcmp(consul->writes.v[i], what);
	pthread_mutex_unlock(&consul->lock);
	return n;
}

char *fake_consul_last_write(struct fake_consul *consul)
{
	char *text;

	pthread_mutex_lock(&consul->lock);
	text = consul->writes.n ? xstrdup(consul->writes.v[consul->writes.n - 1]) : NULL;
	pthread_mutex_unlock(&consul->lock);
	return text;
}
