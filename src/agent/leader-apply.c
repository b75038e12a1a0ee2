/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/leader-apply.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/log.h"
#include "model/canonical.h"
#include "plan/plan-json.h"

/* Events of a service that are kept. */
#define MOST_EVENTS 200

/* Operations that own their strings. */
struct txn {
	char *service;
	struct consul_op *ops;
	size_t n, cap;
	bool touches_hosts, ends; /* ends: its status is final, time to trim events */
};

struct job {
	struct node_env *env;
	struct txn *txns;
	size_t n;
	struct leader_applied applied;
	leader_applied_fn done;
	void *data;
};

static void add_op(struct txn *txn, enum consul_verb verb, char *key, char *value, uint64_t index, const char *session)
{
	txn->ops = grow_array(txn->ops, txn->n, &txn->cap, sizeof(*txn->ops));
	txn->ops[txn->n++] = (struct consul_op){ .verb = verb,
						 .key = key,
						 .value = value,
						 .len = value ? strlen(value) : 0,
						 .index = index,
						 .session = xstrdup(session) };
}

static void txn_release(struct txn *txn)
{
	for (size_t i = 0; i < txn->n; i++) {
		free((char *)txn->ops[i].key);
		free((void *)txn->ops[i].value);
		free((char *)txn->ops[i].session);
	}
	free(txn->ops);
	free(txn->service);
}

static char *key_of(const struct txn *txn, const char *kind, const struct plan_action *action)
{
	return plan_instance_key(kind, action->host, txn->service, action->component, action->n, action->gen);
}

/* What plans are made from and written with. */
struct material {
	const struct spec_cache *specs;
	const struct consul_kvs *hosts;
	const char *host;
};

/* The assignment as it is, or as its agent found it, with what the action changes. */
static json_t *changed_assignment(const struct plan_action *action, const char *key, const struct consul_kvs *hosts)
{
	json_t *json = NULL;

	for (size_t i = 0; !json && i < hosts->n; i++)
		if (!strcmp(hosts->v[i].key, key))
			json = json_loadb(hosts->v[i].value, hosts->v[i].len, 0, NULL);
	if (!json)
		return NULL;
	json_object_set_new(json, "desired", json_string(plan_desired_name(action->desired)));
	json_object_set_new(json, "since", json_integer(action->since_ms));
	json_object_set_new(json, "proven", json_boolean(action->proven));
	json_object_set_new(json, "revision", json_integer((json_int_t)action->revision));
	return json;
}

static int add_assignment(struct txn *txn, const struct plan_action *action, const struct material *material,
			  struct err *err)
{
	const json_t *spec = spec_cache_get(material->specs, txn->service, action->revision);
	_cleanup_(freep) char *key = key_of(txn, "node", action);
	_cleanup_json_ json_t *json = NULL;
	int r;

	if (action->found) {
		_cleanup_(freep) char *found = key_of(txn, "found", action);

		json = changed_assignment(action, found, material->hosts);
	} else if (json_is_object(spec)) {
		r = plan_assignment_to_json(action, spec, &json, err);
		if (r < 0)
			return r;
	} else if (action->kind == PLAN_DESIRE)
		json = changed_assignment(action, key, material->hosts);
	if (!json && action->found)
		return err_set(err, ENOENT, _("%s/%u is not there any more"), action->component, action->n);
	if (!json)
		return err_set(err, ENOENT, _("Revision %llu is not there any more"),
			       (unsigned long long)action->revision);
	add_op(txn, CONSUL_CAS, TAKE_PTR(key), json_canonical(json), action->kind == PLAN_ASSIGN ? 0 : action->index,
	       NULL);
	return 0;
}

/* Acks lie below the hosts of those who wrote them. */
static void drop_acks(struct txn *txn, const struct plan_action *action)
{
	for (size_t i = 0; i < action->drop_acks.n; i++) {
		_cleanup_(freep) char *ack = plan_instance_key("ack", action->drop_acks.v[i], txn->service,
							       action->component, action->n, action->gen);

		add_op(txn, CONSUL_DELETE_TREE, xasprintf("%s/", ack), NULL, 0, NULL);
	}
}

static void add_status(struct txn *txn, const struct plan_action *action)
{
	_cleanup_json_ json_t *json = plan_status_to_json(&action->status);

	add_op(txn, CONSUL_CAS, xasprintf("tepuy/service/%s/status", txn->service), json_canonical(json), action->index,
	       NULL);
	txn->ends = plan_phase_is_final(action->status.phase);
}

static void add_event(struct txn *txn, const struct plan_action *action, const char *host, int64_t now_ms, size_t i)
{
	_cleanup_(freep) char *node = action->component ? xasprintf("%s/%u", action->component, action->n) : NULL;
	_cleanup_json_ json_t *json =
	    json_pack("{sI ss ss ss ss* sI}", "time", (json_int_t)now_ms, "host", host, "kind", action->event, "text",
		      action->text, "node", node, "revision", (json_int_t)action->revision);

	add_op(txn, CONSUL_SET, xasprintf("tepuy/event/%s/%013lld-%04zu", txn->service, (long long)now_ms, i),
	       json_canonical(json), 0, NULL);
}

static int build(struct txn *txn, const struct plan_txn *from, const struct material *material, int64_t now_ms,
		 struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->n; i++) {
		const struct plan_action *action = &from->actions[i];

		switch (action->kind) {
		case PLAN_STATUS:
			add_status(txn, action);
			continue;
		case PLAN_EVENT:
			add_event(txn, action, material->host, now_ms, i);
			continue;
		case PLAN_ASSIGN:
		case PLAN_DESIRE:
			r = add_assignment(txn, action, material, err);
			break;
		case PLAN_UNASSIGN:
			add_op(txn, CONSUL_DELETE_CAS, key_of(txn, "node", action), NULL, action->index, NULL);
			break;
		}
		drop_acks(txn, action);
		txn->touches_hosts = true;
	}
	return r;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct consul_kv *)a)->key, ((const struct consul_kv *)b)->key);
}

/* Old events go when a deployment ends: the list stays short without a timer. */
static void trim_events(struct consul *consul, const char *service)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/event/%s/", service);
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	if (consul_kv_list(consul, prefix, &kvs, NULL) < 0 || kvs.n <= MOST_EVENTS)
		return;
	qsort(kvs.v, kvs.n, sizeof(*kvs.v), by_key);
	for (size_t i = 0; i < kvs.n - MOST_EVENTS; i++)
		consul_kv_delete(consul, kvs.v[i].key, NULL);
}

/* The index at which a transaction was applied: that of its status key. */
static uint64_t index_of(struct consul *consul, const char *service)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/service/%s/status", service);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };

	return consul_kv_get(consul, key, &kv, NULL) < 0 ? 0 : kv.modify_index;
}

static void work(void *data)
{
	struct job *job = data;

	for (size_t i = 0; i < job->n; i++) {
		struct txn *txn = &job->txns[i];
		_cleanup_err_ struct err err = ERR_INIT;
		uint64_t index;

		if (!txn->n)
			continue;
		if (consul_txn(job->env->consul, txn->ops, txn->n, false, NULL, NULL, &err) < 0) {
			log_info("A step of %s was not taken: %s", txn->service, err_text(&err));
			job->applied.refused = true;
			continue;
		}
		index = index_of(job->env->consul, txn->service);
		if (index > job->applied.services_index)
			job->applied.services_index = index;
		if (txn->touches_hosts && index > job->applied.hosts_index)
			job->applied.hosts_index = index;
		if (txn->ends)
			trim_events(job->env->consul, txn->service);
	}
}

static void done(void *data, bool dropped)
{
	struct job *job = data;

	if (!dropped)
		job->done(job->data, &job->applied);
	for (size_t i = 0; i < job->n; i++)
		txn_release(&job->txns[i]);
	free(job->txns);
	free(job);
}

void leader_apply(struct agent *agent, const struct plan_actions *actions, const struct spec_cache *specs,
		  const struct consul_kvs *hosts, const char *session, leader_applied_fn fn, void *data)
{
	const struct material material = { .specs = specs, .hosts = hosts, .host = agent->env.host };
	struct job *job = xcalloc(1, sizeof(*job));

	*job = (struct job){ .env = &agent->env, .n = actions->n, .done = fn, .data = data };
	job->txns = xcalloc(actions->n, sizeof(*job->txns));
	for (size_t i = 0; i < actions->n; i++) {
		struct txn *txn = &job->txns[i];
		_cleanup_err_ struct err err = ERR_INIT;

		txn->service = xstrdup(actions->txns[i].service);
		add_op(txn, CONSUL_CHECK_SESSION, xstrdup("tepuy/leader"), NULL, 0, session);
		if (build(txn, &actions->txns[i], &material, clock_realtime_ms(), &err) < 0) {
			log_error("A step of %s cannot be written: %s", txn->service, err_text(&err));
			job->applied.refused = true;
			txn_release(txn);
			*txn = (struct txn){ .service = xstrdup(actions->txns[i].service) };
		}
	}
	pool_submit(agent->pool, work, done, job);
}
