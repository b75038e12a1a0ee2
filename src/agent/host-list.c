/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/host-list.h"

#include <errno.h>
#include <string.h>

#include "agent/instance-id.h"
#include "base/text.h"
#include "model/canonical.h"

#define HOSTS "tepuy/host/"

int host_list_read(const struct node_env *env, struct host_list *ret, struct err *err)
{
	_cleanup_host_list_ struct host_list list = { 0 };
	_cleanup_consul_kv_ struct consul_kv leader = { 0 };
	int r = consul_kv_list(env->consul, HOSTS, &list.keys, err);

	if (r == 0)
		r = consul_health_hosts(env->consul, &list.alive, err);
	if (r < 0)
		return r;
	r = consul_kv_get(env->consul, "tepuy/leader", &leader, err);
	if (r < 0 && r != -ENOENT)
		return r;
	err_release(err);
	if (leader.session)
		list.leader = xstrdup(leader.value);
	*ret = list;
	list = (struct host_list){ 0 };
	return 0;
}

void host_list_release(struct host_list *list)
{
	consul_kvs_release(&list->keys);
	consul_checks_release(&list->alive);
	free(list->leader);
	*list = (struct host_list){ 0 };
}

static const struct consul_check *serf_health(const struct host_list *list, const char *host)
{
	for (size_t i = 0; i < list->alive.n; i++)
		if (list->alive.v[i].node && !strcmp(list->alive.v[i].node, host) &&
		    !strcmp(list->alive.v[i].id, "serfHealth"))
			return &list->alive.v[i];
	return NULL;
}

bool host_list_alive(const struct host_list *list, const char *host)
{
	const struct consul_check *check = serf_health(list, host);

	return check && check->status == CONSUL_PASSING;
}

/* The first key that is not before `key`. */
static size_t find(const struct host_list *list, const char *key)
{
	size_t low = 0, high = list->keys.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(list->keys.v[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static json_t *value_of(const struct host_list *list, const char *host, const char *kind)
{
	_cleanup_(freep) char *key = xasprintf(HOSTS "%s/%s", host, kind);
	size_t i = find(list, key);

	if (i == list->keys.n || strcmp(list->keys.v[i].key, key) != 0)
		return NULL;
	return json_loadb(list->keys.v[i].value, list->keys.v[i].len, 0, NULL);
}

size_t host_list_nodes(const struct host_list *list, const char *host)
{
	_cleanup_(freep) char *prefix = xasprintf(HOSTS "%s/node/", host);
	size_t n = 0;

	for (size_t i = find(list, prefix); i < list->keys.n && text_starts(list->keys.v[i].key, prefix); i++)
		n++;
	return n;
}

static void copy(json_t *to, const json_t *from, const char *key, json_t *otherwise)
{
	json_t *value = json_object_get(from, key);

	if (value)
		json_object_set(to, key, value);
	else
		json_object_set(to, key, otherwise);
	json_decref(otherwise);
}

static void add_admin(json_t *row, const json_t *admin)
{
	copy(row, admin, "cordoned", json_false());
	copy(row, admin, "drained", json_false());
	copy(row, admin, "removed", json_false());
	if (!admin)
		return;
	copy(row, admin, "by", json_string(""));
	copy(row, admin, "since", json_integer(0));
}

json_t *host_list_row(const struct host_list *list, const struct node_env *env, const char *host)
{
	_cleanup_json_ json_t *info = value_of(list, host, "info"), *admin = value_of(list, host, "admin");
	const struct consul_check *serf = serf_health(list, host);
	json_t *row;

	if (!json_is_object(info))
		return NULL;
	row = json_pack(
	    "{ss sb sI sI sb}", "name", host, "alive", (int)host_list_alive(list, host), "alive_since",
	    (json_int_t)check_times_since(env->times, host, "serfHealth", serf ? serf->status : CONSUL_CRITICAL),
	    "nodes", (json_int_t)host_list_nodes(list, host), "leader",
	    (int)(list->leader && !strcmp(list->leader, host)));
	copy(row, info, "address", json_string(""));
	copy(row, info, "runtime", json_string(""));
	copy(row, info, "version", json_string(""));
	copy(row, info, "agent", json_string(""));
	copy(row, info, "api", json_integer(0));
	copy(row, info, "labels", json_object());
	copy(row, info, "cpus", json_integer(0));
	copy(row, info, "memory", json_integer(0));
	copy(row, info, "reschedule_after", json_integer(0));
	add_admin(row, admin);
	return row;
}

json_t *host_list_rows(const struct host_list *list, const struct node_env *env)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < list->keys.n; i++) {
		const char *key = list->keys.v[i].key;
		_cleanup_(freep) char *host = NULL;
		json_t *row;

		if (!text_starts(key, HOSTS) || !text_ends(key, "/info"))
			continue;
		host = xstrndup(key + strlen(HOSTS), strlen(key) - strlen(HOSTS) - strlen("/info"));
		row = strchr(host, '/') ? NULL : host_list_row(list, env, host);
		if (row)
			json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *assignment_json(const struct host_list *list, const char *host, const struct instance_id *id,
			       const json_t *assignment)
{
	_cleanup_(freep) char *kind = xasprintf("state/%s", id->text);
	_cleanup_json_ json_t *state = value_of(list, host, kind);
	_cleanup_(freep) char *node = xasprintf("%s/%s", id->service, id->node);
	const json_t *volumes = json_object_get(json_object_get(assignment, "body"), "volumes");
	json_t *row = json_pack("{ss sI sb}", "node", node, "gen", (json_int_t)id->gen, "volumes",
				(int)(json_object_size(volumes) > 0));

	copy(row, assignment, "desired", json_string(""));
	copy(row, assignment, "revision", json_integer(0));
	copy(row, state, "state", json_string("none"));
	if (json_object_get(state, "why"))
		copy(row, state, "why", json_string(""));
	copy(row, state, "since", json_integer(0));
	return row;
}

json_t *host_list_assignments(const struct host_list *list, const char *host)
{
	_cleanup_(freep) char *prefix = xasprintf(HOSTS "%s/node/", host);
	json_t *rows = json_array();

	for (size_t i = find(list, prefix); i < list->keys.n && text_starts(list->keys.v[i].key, prefix); i++) {
		const struct consul_kv *kv = &list->keys.v[i];
		_cleanup_json_ json_t *assignment = json_loadb(kv->value, kv->len, 0, NULL);
		struct instance_id id;

		if (instance_id_parse(kv->key + strlen(prefix), &id, NULL) < 0)
			continue;
		json_array_append_new(rows, assignment_json(list, host, &id, assignment));
		instance_id_release(&id);
	}
	return rows;
}
