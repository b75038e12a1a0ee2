/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API's routes about checks, and about taking nodes out of service and back. */
#include <errno.h>
#include <string.h>

#include "agent/api-call.h"
#include "agent/instance-id.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/canonical.h"
#include "model/check.h"

/* A node as the target's answer lists it. */
typedef void (*node_fn)(void *data, const json_t *node);

/* Calls `fn` for each node of the target; -ENOENT when there is none. */
static int each_node(const struct node_env *env, const struct api_target *target, node_fn fn, void *data,
		     struct err *err)
{
	_cleanup_json_ json_t *service = NULL;
	size_t i, found = 0;
	json_t *node;
	int r = api_service_json(env, target->service, &service, err);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(service, "nodes"), i, node)
	{
		_cleanup_(freep) char *name = xstrdup(json_string_value(json_object_get(node, "node")));
		char *slash = strchr(name, '/');
		uint64_t n = 0;

		if (!slash)
			continue;
		*slash = '\0';
		text_u64(slash + 1, &n);
		if (!api_target_matches(target, name, (unsigned)n))
			continue;
		found++;
		fn(data, node);
	}
	if (found)
		return 0;
	return err_set(err, ENOENT, _("No node of %s%s%s is there; 'tepuy ps %s' lists those that are"),
		       target->service, target->component ? "/" : "", target->component ? target->component : "",
		       target->service);
}

/* --- GET /v1/checks/TARGET --- */

struct listing {
	const struct node_env *env;
	const char *service;
	struct consul_kvs added;
	json_t *checks;
};

static bool is_added(const struct listing *listing, const char *id)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/service/%s/check/%s", listing->service, id);

	for (size_t i = 0; i < listing->added.n; i++)
		if (!strcmp(listing->added.v[i].key, key))
			return true;
	return false;
}

static void list_checks(void *data, const json_t *node)
{
	struct listing *listing = data;
	const char *desired = json_string_value(json_object_get(node, "desired"));
	json_t *checks = json_object_get(node, "checks"), *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		json_t *row = json_copy(check);
		const char *id = json_string_value(json_object_get(check, "id"));

		json_object_set(row, "node", json_object_get(node, "node"));
		json_object_set_new(row, "name", json_string(id));
		json_object_set_new(row, "added", json_boolean(is_added(listing, id)));
		json_array_append_new(listing->checks, row);
	}
	/* What is only being prepared has no checks to have; what should run and has none is worth a line. */
	if (json_array_size(checks) || (desired && strcmp(desired, "run")))
		return;
	json_array_append_new(listing->checks,
			      json_pack("{sO ss ss ss ss sI ss sb}", "node", json_object_get(node, "node"), "id",
					"registered", "name", "registered", "status", "unknown", "output",
					_("The node is not registered in Consul (yet)."), "since", (json_int_t)0,
					"kind", "ttl", "added", 0));
}

static int get_checks(struct api_call *call, struct err *err)
{
	struct listing listing = { .env = call->env };
	_cleanup_(api_target_release) struct api_target target = { 0 };
	_cleanup_(freep) char *prefix = NULL;
	int r = api_target_parse(call->rest, &target, err);

	if (r < 0)
		return r;
	prefix = xasprintf("tepuy/service/%s/check/", target.service);
	listing.service = target.service;
	r = consul_kv_list(call->env->consul, prefix, &listing.added, err);
	if (r == 0) {
		listing.checks = json_array();
		r = each_node(call->env, &target, list_checks, &listing, err);
	}
	if (r == 0)
		call->answer = json_pack("{sO}", "checks", listing.checks);
	json_decref(listing.checks);
	consul_kvs_release(&listing.added);
	return r;
}

/* --- adding and removing --- */

/* Is the id that is asked for one of the node's own checks? */
struct own {
	const struct listing *listing;
	const char *id; /* NULL: none is asked for */
	bool taken;
};

static void look_for_own(void *data, const json_t *node)
{
	struct own *own = data;
	json_t *checks = json_object_get(node, "checks"), *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		const char *id = json_string_value(json_object_get(check, "id"));

		own->taken |= own->id && !strcmp(id, own->id) && !is_added(own->listing, id);
	}
}

/* There are nodes, and none has a check of that name that was not added. */
static int check_id(const struct node_env *env, const struct api_target *target, const char *id, struct err *err)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/service/%s/check/", target->service);
	struct listing listing = { .env = env, .service = target->service };
	struct own own = { .listing = &listing, .id = id };
	int r = 0;

	if (id && (!text_is_name(id) || !strcmp(id, "running")))
		r = err_set(err, EINVAL, _("'%s' cannot be the name of a check; take small letters, digits and '-'"),
			    id);
	if (r == 0)
		r = consul_kv_list(env->consul, prefix, &listing.added, err);
	if (r == 0)
		r = each_node(env, target, look_for_own, &own, err);
	consul_kvs_release(&listing.added);
	if (r == 0 && own.taken)
		r = err_set(err, EEXIST, _("%s has a check %s of its own; give the new one another name"),
			    target->service, id);
	return r;
}

/* A new id: the kind and the first number that is free. */
static int free_id(struct consul *consul, const char *service, const char *kind, char **ret, struct err *err)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/service/%s/check/", service);
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r = consul_kv_list(consul, prefix, &kvs, err);

	if (r < 0)
		return r;
	for (unsigned i = 1; !*ret; i++) {
		_cleanup_(freep) char *id = xasprintf("added-%s-%u", kind, i);
		bool taken = false;

		for (size_t j = 0; j < kvs.n; j++)
			taken |= !strcmp(kvs.v[j].key + strlen(prefix), id);
		if (!taken)
			*ret = TAKE_PTR(id);
	}
	return 0;
}

static int put_check(struct api_call *call, struct err *err)
{
	_cleanup_(api_target_release) struct api_target target = { 0 };
	_cleanup_json_ json_t *value = NULL, *normal = NULL;
	_cleanup_(freep) char *id = xstrdup(json_string_value(json_object_get(call->json, "id")));
	_cleanup_(freep) char *key = NULL, *text = NULL, *part = NULL;
	_cleanup_(check_release) struct check check = { 0 };
	int r = api_target_parse(call->rest, &target, err);

	if (r == 0)
		r = check_from_json(json_object_get(call->json, "check"), &check, err);
	if (r == 0)
		r = check_id(call->env, &target, id, err);
	if (r == 0 && !id)
		r = free_id(call->env->consul, target.service, check_kind_name(check.kind), &id, err);
	if (r < 0)
		return r;
	normal = check_to_json(&check);
	part = !target.component ? xstrdup("")
	       : target.n        ? xasprintf("%s/%u", target.component, target.n)
				 : xstrdup(target.component);
	value = json_pack("{ss sO}", "target", part, "check", normal);
	key = xasprintf("tepuy/service/%s/check/%s", target.service, id);
	text = json_canonical(value);
	r = consul_kv_put(call->env->consul, key, text, strlen(text), err);
	if (r == 0)
		call->answer = json_pack("{ss}", "id", id);
	return r;
}

static int delete_check(struct api_call *call, struct err *err)
{
	_cleanup_(freep) char *key = NULL, *service = xstrdup(call->rest);
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	char *id = strrchr(service, '/');
	int r;

	if (!id)
		return err_set(err, EINVAL, _("Say which check of which service"));
	*id++ = '\0';
	service[strcspn(service, "/")] = '\0';
	key = xasprintf("tepuy/service/%s/check/%s", service, id);
	r = consul_kv_get(call->env->consul, key, &kv, err);
	if (r == -ENOENT)
		return err_set(err, ENOENT,
			       _("%s has no check %s that was added at run time; those of its recipe stay"), service,
			       id);
	return r < 0 ? r : consul_kv_delete(call->env->consul, key, err);
}

/* --- POST /v1/ttl/TARGET/<check id> --- */

struct report {
	const struct node_env *env;
	const char *service, *id, *output;
	enum consul_status status;
	bool local; /* a node is on this host: only its own Consul agent takes reports of its checks */
	int r;
	struct err err;
};

static void report_one(void *data, const json_t *node)
{
	struct report *report = data;
	_cleanup_(freep) char *name = xstrdup(json_string_value(json_object_get(node, "node")));
	_cleanup_(freep) char *id = NULL;
	char *slash = strchr(name, '/');

	if (report->r < 0 || !slash)
		return;
	if (strcmp(json_string_value(json_object_get(node, "host")), report->env->host) != 0)
		return;
	report->local = true;
	*slash = '-';
	id = xasprintf("%s-%s.%lld:%s", report->service, name,
		       (long long)json_integer_value(json_object_get(node, "gen")), report->id);
	report->r = consul_check_update(report->env->consul, id, report->status, report->output, &report->err);
}

static int post_ttl(struct api_call *call, struct err *err)
{
	_cleanup_(api_target_release) struct api_target target = { 0 };
	_cleanup_(freep) char *text = xstrdup(call->rest);
	const char *status = json_string_value(json_object_get(call->json, "status"));
	const char *output = json_string_value(json_object_get(call->json, "output"));
	struct report report = { .env = call->env, .output = output ? output : "" };
	char *id = strrchr(text, '/');
	int r;

	if (!id)
		return err_set(err, EINVAL, _("Say which check of which node"));
	*id++ = '\0';
	report.id = id;
	report.status = status ? consul_status_of(status) : CONSUL_UNKNOWN;
	if (report.status == CONSUL_UNKNOWN)
		return err_set(err, EINVAL, _("A check is reported as passing, warning or critical"));
	r = api_target_parse(text, &target, err);
	if (r < 0)
		return r;
	report.service = target.service;
	r = each_node(call->env, &target, report_one, &report, err);
	if (r == 0 && !report.local) {
		call->rest = text; /* without the check, for the sentence */
		r = api_elsewhere(call, &target, err);
	}
	if (r == 0 && report.r < 0)
		r = err_set(err, -report.r, _("The check %s of %s cannot be reported: %s"), id, text,
			    err_text(&report.err));
	err_release(&report.err);
	return r;
}

/* --- disconnect and connect --- */

static char *disconnect_key(const struct api_target *target)
{
	if (target->n)
		return xasprintf("tepuy/service/%s/disconnect/%s/%u", target->service, target->component, target->n);
	return xasprintf("tepuy/service/%s/disconnect/%s", target->service, target->component);
}

static void add_name(void *data, const json_t *node)
{
	json_array_append(data, json_object_get(node, "node"));
}

static int need_component(const struct api_target *target, struct err *err)
{
	if (target->component)
		return 0;
	return err_set(err, EINVAL, _("Say which component or node of %s, such as %s/web or %s/web/1"), target->service,
		       target->service, target->service);
}

static int post_disconnect(struct api_call *call, struct err *err)
{
	_cleanup_(api_target_release) struct api_target target = { 0 };
	_cleanup_json_ json_t *value = NULL, *nodes = json_array();
	_cleanup_(freep) char *key = NULL, *text = NULL;
	int r = api_target_parse(call->rest, &target, err);

	if (r == 0)
		r = need_component(&target, err);
	if (r == 0)
		r = each_node(call->env, &target, add_name, nodes, err);
	if (r < 0)
		return r;
	value = json_pack("{sb sI ss sI}", "stop", json_is_true(json_object_get(call->json, "stop")), "deadline",
			  json_integer_value(json_object_get(call->json, "deadline")), "by", call->env->host, "since",
			  (json_int_t)clock_realtime_ms());
	key = disconnect_key(&target);
	text = json_canonical(value);
	r = consul_kv_put(call->env->consul, key, text, strlen(text), err);
	if (r == 0)
		call->answer = json_pack("{sO}", "nodes", nodes);
	return r;
}

/* Connecting a component connects all its nodes, also those that were disconnected one by one. */
static int post_connect(struct api_call *call, struct err *err)
{
	_cleanup_(api_target_release) struct api_target target = { 0 };
	_cleanup_json_ json_t *nodes = json_array();
	_cleanup_(freep) char *key = NULL, *below = NULL;
	int r = api_target_parse(call->rest, &target, err);

	if (r == 0)
		r = need_component(&target, err);
	if (r == 0)
		r = each_node(call->env, &target, add_name, nodes, err);
	if (r < 0)
		return r;
	key = disconnect_key(&target);
	below = xasprintf("%s/", key);
	r = consul_kv_delete(call->env->consul, key, err);
	if (r == 0)
		r = consul_kv_delete_tree(call->env->consul, below, err);
	if (r == 0)
		call->answer = json_pack("{sO}", "nodes", nodes);
	return r;
}

const struct api_route api_check_routes[] = {
	{ "GET", "/v1/checks/*", get_checks },
	{ "PUT", "/v1/check/*", put_check, .writes = true, .json = true },
	{ "DELETE", "/v1/check/*", delete_check, .writes = true },
	{ "POST", "/v1/ttl/*", post_ttl, .json = true },
	{ "POST", "/v1/disconnect/*", post_disconnect, .writes = true, .json = true },
	{ "POST", "/v1/connect/*", post_connect, .writes = true },
	{ 0 },
};
