/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API's routes about services as wanted: specs, revisions, bundles. */
#include <errno.h>
#include <string.h>

#include "agent/api-call.h"
#include "agent/api-submit.h"
#include "agent/node-image.h"
#include "agent/peers.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/protocol.h"
#include "base/text.h"
#include "model/canonical.h"
#include "plan/plan-json.h"

static int need_name(const char *name, struct err *err)
{
	if (text_is_name(name))
		return 0;
	return err_set(err, EINVAL, _("'%s' cannot be the name of a service"), name);
}

static int get_version(struct api_call *call, struct err *err)
{
	const struct node_env *env = call->env;
	const bool begun = !env->waits; /* before, the rest of `env` is not there */
	struct runtime *rt = begun ? env->runtime : NULL;
	_cleanup_(freep) char *version = NULL;
	_cleanup_consul_self_ struct consul_self self = { 0 };

	(void)err;
	if (rt)
		rt->ops->probe(rt, &version, NULL);
	consul_agent_self(env->consul, &self, NULL); /* away: its version is empty */
	call->answer =
	    json_pack("{ss si ss* ss* ss* s{ss ss} s{ss sb}}", "version", TEPUY_VERSION, "api", protocol_api, "host",
		      begun ? env->host : NULL, "address", begun ? env->address : NULL, "trouble", api_trouble(env),
		      "runtime", "name", rt ? rt->ops->name : "", "version", version ? version : "", "consul",
		      "version", self.version ? self.version : "", "leader", (int)*call->leading);
	return 0;
}

/* Removed, and nothing was submitted since. */
static bool is_gone(const json_t *spec, const json_t *status)
{
	const char *phase = json_string_value(json_object_get(status, "phase"));

	return phase && !strcmp(phase, "removed") && (!spec || json_is_true(json_object_get(spec, "down")));
}

/* Names of all services that are there, also of those that no leader has taken up yet. Keys come sorted. */
static int service_names(struct consul *consul, enum consul_consistency *mode, struct strv *ret, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	_cleanup_json_ json_t *spec = NULL;
	int r = consul_kv_list_as(consul, mode, "tepuy/service/", &kvs, err);

	for (size_t i = 0; r == 0 && i < kvs.n; i++) {
		const char *key = kvs.v[i].key + strlen("tepuy/service/"), *slash = strchr(key, '/');
		_cleanup_(freep) char *name = slash ? xstrndup(key, (size_t)(slash - key)) : NULL;
		_cleanup_json_ json_t *json = json_loadb(kvs.v[i].value, kvs.v[i].len, 0, NULL);

		if (!slash)
			continue;
		if (!strcmp(slash, "/spec")) {
			json_decref(spec);
			spec = json_incref(json);
			strv_add(ret, name);
		} else if (!strcmp(slash, "/status") && ret->n && !strcmp(ret->v[ret->n - 1], name) &&
			   is_gone(spec, json)) {
			free(ret->v[--ret->n]);
			ret->v[ret->n] = NULL;
		}
	}
	return r;
}

/* What a person is to know before reading the answer, or NULL. */
static const char *trouble_of(const struct api_call *call, enum consul_consistency mode)
{
	const char *trouble = api_trouble(call->env);

	if (trouble || mode != CONSUL_STALE)
		return trouble;
	return _(
	    "Consul has no leader: this is what one of its servers last knew. What runs is not touched, and nothing "
	    "is changed until most of Consul's servers work again");
}

static int get_services(struct api_call *call, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_json_ json_t *services = json_array();
	enum consul_consistency mode = CONSUL_DEFAULT;
	int r = service_names(call->env->consul, &mode, &names, err);

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		json_t *service = NULL;

		r = api_service_json_as(call->env, &mode, names.v[i], &service, err);
		if (r == 0)
			json_array_append_new(services, service);
	}
	if (r == 0)
		call->answer = json_pack("{sO ss*}", "services", services, "trouble", trouble_of(call, mode));
	return r;
}

static int get_service(struct api_call *call, struct err *err)
{
	enum consul_consistency mode = CONSUL_DEFAULT;
	int r = need_name(call->rest, err);

	if (r == 0)
		r = api_service_json_as(call->env, &mode, call->rest, &call->answer, err);
	if (r == 0 && trouble_of(call, mode))
		json_object_set_new(call->answer, "trouble", json_string(trouble_of(call, mode)));
	return r;
}

static int put_service(struct api_call *call, struct err *err)
{
	struct api_submission submission = {
		.service = call->rest,
		.spec = json_object_get(call->json, "spec"),
		.secrets = json_object_get(call->json, "secrets"),
		.index = (uint64_t)json_integer_value(json_object_get(call->json, "index")),
	};
	struct api_submitted done = { 0 };
	int r = need_name(call->rest, err);

	if (r == 0 && !json_is_object(submission.spec))
		r = err_set(err, EINVAL, _("The request has no spec"));
	if (r == 0)
		r = api_submit(call->env, &submission, &done, err);
	if (r == 0)
		call->answer =
		    json_pack("{sI sb}", "revision", (json_int_t)done.revision, "changed", (int)done.changed);
	return r;
}

static int post_plan(struct api_call *call, struct err *err)
{
	_cleanup_json_ json_t *from = NULL, *list = json_array();
	const json_t *to = json_object_get(call->json, "spec");
	struct plan_change *changes = NULL;
	bool changed = false;
	size_t n = 0;
	int r = need_name(call->rest, err);

	if (r == 0 && !json_is_object(to))
		r = err_set(err, EINVAL, _("The request has no spec"));
	if (r == 0)
		r = api_present_spec(call->env, call->rest, to, &from, &changed, err);
	if (r == 0)
		r = plan_diff(from, to, &changes, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		json_t *why = json_array();

		for (size_t j = 0; j < changes[i].why.n; j++)
			json_array_append_new(why, json_string(changes[i].why.v[j]));
		json_array_append_new(list, json_pack("{ss ss so}", "node", changes[i].node, "action",
						      plan_change_name(changes[i].kind), "why", why));
	}
	plan_changes_free(changes, n);
	if (r == 0)
		call->answer = json_pack("{sO sb}", "changes", list, "changed", (int)changed);
	return r;
}

static int post_down(struct api_call *call, struct err *err)
{
	struct api_submitted done = { 0 };
	int r = need_name(call->rest, err);

	if (r == 0)
		r = api_submit_down(call->env, call->rest, json_string_value(json_object_get(call->json, "author")),
				    &done, err);
	if (r == 0)
		call->answer =
		    json_pack("{sI sb}", "revision", (json_int_t)done.revision, "changed", (int)done.changed);
	return r;
}

static int post_rollback(struct api_call *call, struct err *err)
{
	uint64_t to = (uint64_t)json_integer_value(json_object_get(call->json, "revision"));
	struct api_submitted done = { 0 };
	int r = need_name(call->rest, err);

	if (r == 0)
		r = api_submit_rollback(call->env, call->rest, to,
					json_string_value(json_object_get(call->json, "author")), &done, err);
	if (r == 0)
		call->answer = json_pack("{sI sI}", "revision", (json_int_t)done.revision, "to", (json_int_t)done.to);
	return r;
}

static json_t *revision_json(const struct consul_kv *kv)
{
	_cleanup_json_ json_t *spec = json_loadb(kv->value, kv->len, 0, NULL);
	static const char *const keys[] = { "revision", "time", "author", "digest", "down" };
	json_t *row = json_object(), *components = json_object(), *component;
	const char *name;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_object_get(spec, keys[i]))
			json_object_set(row, keys[i], json_object_get(spec, keys[i]));
	json_object_foreach(json_object_get(spec, "components"), name, component)
	{
		json_object_set_new(components, name,
				    json_pack("{sO? sO? sO?}", "recipe", json_object_get(component, "recipe"),
					      "version", json_object_get(component, "version"), "nodes",
					      json_object_get(component, "nodes")));
	}
	json_object_set_new(row, "components", components);
	return row;
}

static int get_revisions(struct api_call *call, struct err *err)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/revision/%s/", call->rest);
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	json_t *rows;
	int r = need_name(call->rest, err);

	if (r == 0)
		r = consul_kv_list(call->env->consul, prefix, &kvs, err);
	if (r < 0)
		return r;
	rows = json_array();
	for (size_t i = 0; i < kvs.n; i++)
		json_array_append_new(rows, revision_json(&kvs.v[i]));
	call->answer = json_pack("{so}", "revisions", rows);
	return 0;
}

static int need_hash(const char *text, struct err *err)
{
	if (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64)
		return 0;
	return err_set(err, EINVAL, _("'%s' is no sha256"), text);
}

static int head_bundle(struct api_call *call, struct err *err)
{
	int r = need_hash(call->rest, err);

	if (r == 0 && !bundle_present(call->env->store, call->rest))
		r = err_set(err, ENOENT, _("The bundle %.12s is not on this host"), call->rest);
	/* It will not be sent, and Consul may have lost that it was. */
	if (r == 0 && call->env->peers && !call->env->other_schema)
		peers_tell_bundle(call->env->peers, call->rest);
	return r;
}

static int put_bundle(struct api_call *call, struct err *err)
{
	int r = need_hash(call->rest, err);

	if (r == 0)
		r = bundle_store(call->env->store, call->rest, buf_text(&call->body), call->body.len, err);
	if (r == 0 && call->env->peers && !call->env->other_schema)
		peers_tell_bundle(call->env->peers, call->rest);
	call->status = 201;
	return r;
}

static int get_build(struct api_call *call, struct err *err)
{
	_cleanup_(freep) char *path = NULL;
	struct buf text = { 0 };
	int r = need_hash(call->rest, err);

	if (r < 0)
		return r;
	path = node_build_log(call->env, call->rest);
	r = fs_read(path, 64u << 20, &text, NULL);
	if (r < 0) {
		buf_release(&text);
		return err_set(err, ENOENT, _("No build of %.12s was made on this host"), call->rest);
	}
	call->text = buf_take(&text);
	return 0;
}

const struct api_route api_service_routes[] = {
	{ "GET", "/v1/version", get_version, .always = true },
	{ "GET", "/v1/services", get_services },
	{ "GET", "/v1/service/*", get_service },
	{ "PUT", "/v1/service/*", put_service, .writes = true, .json = true, .most_body = 4u << 20 },
	{ "POST", "/v1/service/*/plan", post_plan, .json = true, .most_body = 4u << 20 },
	{ "POST", "/v1/service/*/down", post_down, .writes = true, .json = true },
	{ "POST", "/v1/service/*/rollback", post_rollback, .writes = true, .json = true },
	{ "GET", "/v1/service/*/revisions", get_revisions },
	{ "HEAD", "/v1/bundle/*", head_bundle },
	{ "PUT", "/v1/bundle/*", put_bundle, .most_body = 80u << 20 },
	{ "GET", "/v1/builds/*", get_build },
	{ 0 },
};
