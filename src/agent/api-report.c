/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a service is now, from Consul's keys and catalog: GET /v1/service/<s>. */
#include <errno.h>
#include <string.h>

#include "agent/api-call.h"
#include "agent/instance-id.h"
#include "agent/members.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/canonical.h"
#include "model/check.h"

struct sources {
	const struct node_env *env;
	const char *service;
	enum consul_consistency *mode;
	struct consul_kvs keys, hosts;
	struct consul_services *catalogs; /* one a component */
	struct strv components;
};

static void sources_release(struct sources *sources)
{
	consul_kvs_release(&sources->keys);
	consul_kvs_release(&sources->hosts);
	for (size_t i = 0; i < sources->components.n; i++)
		consul_services_release(&sources->catalogs[i]);
	free(sources->catalogs);
	strv_release(&sources->components);
}

static json_t *key_json(const struct consul_kvs *kvs, const char *key, uint64_t *ret_index)
{
	for (size_t i = 0; i < kvs->n; i++)
		if (!strcmp(kvs->v[i].key, key)) {
			if (ret_index)
				*ret_index = kvs->v[i].modify_index;
			return json_loadb(kvs->v[i].value, kvs->v[i].len, 0, NULL);
		}
	return NULL;
}

/* tepuy/host/<host>/node/<service>/…: host and instance; false for other keys. */
static bool is_assignment(const char *key, const char *service, char **ret_host, struct instance_id *ret_id)
{
	const char *host = key + strlen("tepuy/host/"), *kind = strchr(host, '/');

	if (!kind || !text_starts(kind, "/node/") || instance_id_parse(kind + strlen("/node/"), ret_id, NULL) < 0)
		return false;
	if (strcmp(ret_id->service, service)) {
		instance_id_release(ret_id);
		return false;
	}
	*ret_host = xstrndup(host, (size_t)(kind - host));
	return true;
}

static void name_components(struct sources *sources)
{
	for (size_t i = 0; i < sources->hosts.n; i++) {
		_cleanup_(freep) char *host = NULL;
		struct instance_id id;

		if (!is_assignment(sources->hosts.v[i].key, sources->service, &host, &id))
			continue;
		if (!strv_has(&sources->components, id.component))
			strv_add(&sources->components, id.component);
		instance_id_release(&id);
	}
}

static int read_sources(struct sources *sources, struct err *err)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/service/%s/", sources->service);
	struct consul *consul = sources->env->consul;
	int r = consul_kv_list_as(consul, sources->mode, prefix, &sources->keys, err);

	if (r == 0)
		r = consul_kv_list_as(consul, sources->mode, "tepuy/host/", &sources->hosts, err);
	if (r < 0)
		return r;
	name_components(sources);
	sources->catalogs = xcalloc(sources->components.n, sizeof(*sources->catalogs));
	for (size_t i = 0; r == 0 && i < sources->components.n; i++) {
		_cleanup_(freep) char *name = xasprintf("%s-%s", sources->service, sources->components.v[i]);

		r = consul_health_service_as(consul, sources->mode, name, &sources->catalogs[i], err);
	}
	return r;
}

static const struct consul_service *in_catalog(const struct sources *sources, const char *host,
					       const struct instance_id *id)
{
	for (size_t i = 0; i < sources->components.n; i++)
		for (size_t j = 0; j < sources->catalogs[i].n; j++) {
			const struct consul_service *entry = &sources->catalogs[i].v[j];

			if (!strcmp(entry->id, id->catalog_id) && entry->node && !strcmp(entry->node, host))
				return entry;
		}
	return NULL;
}

/* Of the assignment's list, else of what was added at run time; what the agent or Consul says itself is a ttl. */
static const char *kind_of(const struct sources *sources, const json_t *assigned, const char *id)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/service/%s/check/%s", sources->service, id);
	_cleanup_json_ json_t *added = key_json(&sources->keys, key, NULL);
	const char *kind = json_string_value(json_object_get(json_object_get(added, "check"), "kind"));
	json_t *check;
	size_t i;

	json_array_foreach((json_t *)assigned, i, check)
	{
		const char *name = json_string_value(json_object_get(check, "id"));

		if (name && !strcmp(name, id))
			kind = json_string_value(json_object_get(check, "kind"));
	}
	for (enum check_kind known = CHECK_HTTP; kind && known < CHECK_TTL; known++)
		if (!strcmp(check_kind_name(known), kind))
			return check_kind_name(known);
	return check_kind_name(CHECK_TTL);
}

static json_t *check_json(const struct sources *sources, const struct consul_service *entry,
			  const struct consul_check *check, const json_t *assigned)
{
	const char *id = check->name ? check->name : check->id;
	int64_t since = check_times_since(sources->env->times, entry->node, check->id, check->status);

	return json_pack("{ss ss ss sI ss}", "id", id, "status", consul_status_name(check->status), "output",
			 check->output ? check->output : "", "since", (json_int_t)since, "kind",
			 kind_of(sources, assigned, id));
}

/* `entry` NULL: it is not in the catalog. */
static json_t *checks_json(const struct sources *sources, const struct consul_service *entry, const json_t *assigned)
{
	json_t *checks = json_array();

	for (size_t i = 0; entry && i < entry->checks.n; i++)
		if (entry->checks.v[i].service_id)
			json_array_append_new(checks, check_json(sources, entry, &entry->checks.v[i], assigned));
	return checks;
}

/* Sessions that consumers still have with a draining instance; -1 while none has answered. */
static json_int_t sessions_of(const struct sources *sources, const struct instance_id *id)
{
	_cleanup_(freep) char *part = xasprintf("/ack/%s/", id->text);
	json_int_t sessions = -1;

	for (size_t i = 0; i < sources->hosts.n; i++) {
		_cleanup_json_ json_t *ack = NULL;

		if (!strstr(sources->hosts.v[i].key, part))
			continue;
		ack = json_loadb(sources->hosts.v[i].value, sources->hosts.v[i].len, 0, NULL);
		sessions = (sessions < 0 ? 0 : sessions) + json_integer_value(json_object_get(ack, "sessions"));
	}
	return sessions;
}

static json_t *ports_json(const struct consul_service *entry, const json_t *assigned)
{
	json_t *ports = json_object(), *port;
	const char *name;

	json_object_foreach((json_t *)assigned, name, port)
	{
		_cleanup_(freep) char *key = xasprintf("port_%s", name);
		const char *host_port = entry ? consul_meta(&entry->meta, key) : NULL;
		uint64_t number = 0;

		if (host_port)
			text_u64(host_port, &number);
		json_object_set_new(
		    ports, name,
		    json_pack("{sO sI}", "port", json_object_get(port, "port"), "host_port", (json_int_t)number));
	}
	return ports;
}

static const char *health_name(const struct consul_service *entry)
{
	static const char *const names[] = { [MEMBER_CRITICAL] = "critical",
					     [MEMBER_MAINTENANCE] = "maintenance",
					     [MEMBER_WARNING] = "warning",
					     [MEMBER_PASSING] = "passing" };

	return entry ? names[members_health(&entry->checks, NULL)] : "unknown";
}

static bool is_disconnected(const struct sources *sources, const struct instance_id *id)
{
	_cleanup_(freep) char *component = xasprintf("tepuy/service/%s/disconnect/%s", id->service, id->component);
	_cleanup_(freep) char *node = xasprintf("%s/%u", component, id->n);
	_cleanup_json_ json_t *all = key_json(&sources->keys, component, NULL),
			      *one = key_json(&sources->keys, node, NULL);

	return all || one;
}

static json_t *node_json(const struct sources *sources, const struct consul_kv *kv, const char *host,
			 const struct instance_id *id)
{
	_cleanup_(freep) char *state_key = xasprintf("tepuy/host/%s/state/%s", host, id->text);
	_cleanup_json_ json_t *assignment = json_loadb(kv->value, kv->len, 0, NULL);
	_cleanup_json_ json_t *state = key_json(&sources->hosts, state_key, NULL);
	_cleanup_(freep) char *info_key = xasprintf("tepuy/host/%s/info", host);
	_cleanup_json_ json_t *info = key_json(&sources->hosts, info_key, NULL);
	const struct consul_service *entry = in_catalog(sources, host, id);
	const json_t *body = json_object_get(assignment, "body");
	json_t *node = json_pack("{ss sI ss ss ss so so sb}", "node", id->node, "gen", (json_int_t)id->gen, "host",
				 host, "health", health_name(entry), "address",
				 entry && consul_service_address(entry) ? consul_service_address(entry) : "", "ports",
				 ports_json(entry, json_object_get(body, "ports")), "checks",
				 checks_json(sources, entry, json_object_get(assignment, "checks")), "connected",
				 (int)!is_disconnected(sources, id));
	static const char *const of_assignment[] = { "desired", "revision", "fingerprint" };
	static const char *const of_state[] = { "state", "why", "log", "since" };

	for (size_t i = 0; i < ARRAY_SIZE(of_assignment); i++)
		json_object_set(node, of_assignment[i], json_object_get(assignment, of_assignment[i]));
	for (size_t i = 0; i < ARRAY_SIZE(of_state); i++)
		if (json_object_get(state, of_state[i]))
			json_object_set(node, of_state[i], json_object_get(state, of_state[i]));
	if (sessions_of(sources, id) >= 0)
		json_object_set_new(node, "sessions", json_integer(sessions_of(sources, id)));
	if (!json_object_get(node, "state"))
		json_object_set_new(node, "state", json_string("none"));
	json_object_set(node, "recipe", json_object_get(body, "recipe"));
	if (json_object_get(info, "runtime"))
		json_object_set(node, "runtime", json_object_get(info, "runtime"));
	return node;
}

static json_t *nodes_json(const struct sources *sources)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < sources->hosts.n; i++) {
		_cleanup_(freep) char *host = NULL;
		struct instance_id id;

		if (!is_assignment(sources->hosts.v[i].key, sources->service, &host, &id))
			continue;
		json_array_append_new(nodes, node_json(sources, &sources->hosts.v[i], host, &id));
		instance_id_release(&id);
	}
	return nodes;
}

int api_service_json(const struct node_env *env, const char *service, json_t **ret, struct err *err)
{
	enum consul_consistency mode = CONSUL_DEFAULT;

	return api_service_json_as(env, &mode, service, ret, err);
}

int api_service_json_as(const struct node_env *env, enum consul_consistency *mode, const char *service, json_t **ret,
			struct err *err)
{
	_cleanup_(sources_release) struct sources sources = { .env = env, .service = service, .mode = mode };
	_cleanup_(freep) char *spec_key = xasprintf("tepuy/service/%s/spec", service);
	_cleanup_(freep) char *status_key = xasprintf("tepuy/service/%s/status", service);
	json_t *spec, *status, *answer;
	uint64_t index = 0;
	int r = read_sources(&sources, err);

	if (r < 0)
		return r;
	spec = key_json(&sources.keys, spec_key, &index);
	status = key_json(&sources.keys, status_key, NULL);
	answer = json_pack("{ss sI so}", "service", service, "index", (json_int_t)index, "nodes", nodes_json(&sources));
	if (spec)
		json_object_set_new(answer, "spec", spec);
	if (status)
		json_object_set_new(answer, "status", status);
	if (*mode == CONSUL_STALE)
		json_object_set_new(answer, "stale", json_true());
	*ret = answer;
	return 0;
}
