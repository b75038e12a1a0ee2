/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/usage.h"

#include <pthread.h>
#include <string.h>

#include "agent/instance-id.h"
#include "agent/peers.h"
#include "base/text.h"
#include "base/thread.h"
#include "model/canonical.h"

#define HOSTS "tepuy/host/"
#define ANSWER_MS 3000
#define MOST_ANSWER (4u << 20)
#define MOST_THREADS 32

static void add_row(const struct node_env *env, const struct runtime_node *node, json_t *rows)
{
	const char *label = runtime_node_label(node, RUNTIME_LABEL_INSTANCE);
	struct runtime *rt = env->runtime;
	struct runtime_usage usage = { 0 };
	struct instance_id id;

	if (!label || node->state != RUNTIME_RUNNING || instance_id_parse(label, &id, NULL) < 0)
		return;
	if (rt->ops->usage(rt, node->id, &usage, NULL) == 0)
		json_array_append_new(rows, json_pack("{ss ss ss sI sI sI si}", "instance", id.text, "host", env->host,
						      "runtime", rt->ops->name, "memory", (json_int_t)usage.memory,
						      "memory_max", (json_int_t)usage.memory_max, "cpu_ms",
						      (json_int_t)usage.cpu_ms, "cpus", (int)usage.cpus));
	instance_id_release(&id);
}

int usage_here(const struct node_env *env, json_t **ret, struct err *err)
{
	struct runtime *rt = env->runtime;
	struct runtime_node *nodes = NULL;
	json_t *rows;
	size_t n = 0;
	int r = rt->ops->usage ? rt->ops->list(rt, &nodes, &n, err) : 0;

	if (r < 0)
		return r;
	rows = json_array();
	for (size_t i = 0; i < n; i++)
		add_row(env, &nodes[i], rows);
	runtime_nodes_free(nodes, n);
	*ret = rows;
	return 0;
}

/* --- the others --- */

struct question {
	const struct http_tls *tls;
	char *host, *base;
	json_t *rows; /* NULL: no answer */
};

struct questions {
	struct question *list;
	size_t n, cap;
	_Atomic size_t next;
};

static void ask(struct question *question)
{
	struct http_request request = {
		.method = "GET", .path = "/v1/usage", .timeout_ms = ANSWER_MS, .most = MOST_ANSWER
	};
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_(http_freep) struct http *http = http_new(question->base, NULL);
	json_t *rows;

	http_set_tls(http, question->tls);
	if (http_request(http, &request, &reply, NULL) < 0 || reply.status != 200)
		return;
	rows = json_loadb(buf_text(&reply.body), reply.body.len, 0, NULL);
	if (json_is_array(rows))
		question->rows = rows;
	else
		json_decref(rows);
}

static void *ask_some(void *data)
{
	struct questions *questions = data;

	for (size_t i = questions->next++; i < questions->n; i = questions->next++)
		if (questions->list[i].base)
			ask(&questions->list[i]);
	return NULL;
}

static void ask_all(struct questions *questions)
{
	pthread_t threads[MOST_THREADS];
	size_t n = 0;

	while (n < MOST_THREADS && n + 1 < questions->n && thread_create(&threads[n], NULL, ask_some, questions) == 0)
		n++;
	ask_some(questions);
	while (n)
		pthread_join(threads[--n], NULL);
}

static void add_question(struct questions *questions, const struct node_env *env, const struct consul_kv *kv)
{
	_cleanup_(freep) char *host = NULL;
	_cleanup_json_ json_t *info = NULL;
	const char *base;

	if (!text_starts(kv->key, HOSTS) || !text_ends(kv->key, "/info"))
		return;
	host = xstrndup(kv->key + strlen(HOSTS), strlen(kv->key) - strlen(HOSTS) - strlen("/info"));
	if (strchr(host, '/') || !strcmp(host, env->host))
		return;
	info = json_loadb(kv->value, kv->len, 0, NULL);
	base = env->peers ? json_string_value(json_object_get(info, "peer")) : NULL;
	if (base && !text_starts(base, "https://"))
		base = NULL;
	questions->list = grow_array(questions->list, questions->n, &questions->cap, sizeof(*questions->list));
	questions->list[questions->n++] = (struct question){ .tls = env->peers ? peers_tls(env->peers) : NULL,
							     .host = TAKE_PTR(host),
							     .base = xstrdup(base) };
}

/* What a host says of itself only: another one's word on it counts for nothing. */
static void take_answer(struct question *question, json_t *rows, json_t *silent)
{
	json_t *row;
	size_t i;

	if (!question->rows)
		json_array_append_new(silent, json_string(question->host));
	json_array_foreach(question->rows, i, row)
	{
		const char *host = json_string_value(json_object_get(row, "host"));

		if (host && !strcmp(host, question->host))
			json_array_append(rows, row);
	}
	json_decref(question->rows);
	free(question->host);
	free(question->base);
}

int usage_everywhere(const struct node_env *env, json_t **ret, json_t **ret_silent, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	struct questions questions = { 0 };
	json_t *rows, *silent;
	int r = usage_here(env, &rows, err);

	if (r < 0)
		return r;
	silent = json_array();
	if (consul_kv_list(env->consul, HOSTS, &kvs, NULL) == 0) /* without Consul: what is here */
		for (size_t i = 0; i < kvs.n; i++)
			add_question(&questions, env, &kvs.v[i]);
	ask_all(&questions);
	for (size_t i = 0; i < questions.n; i++)
		take_answer(&questions.list[i], rows, silent);
	free(questions.list);
	*ret = rows;
	*ret_silent = silent;
	return 0;
}
