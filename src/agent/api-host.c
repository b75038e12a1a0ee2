/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The API's routes about hosts. tepuy/host/<host>/admin has one writer, these requests; what a host's agent says of
 * itself is in tepuy/host/<host>/info.
 */
#include <errno.h>
#include <string.h>

#include "agent/api-call.h"
#include "agent/guests.h"
#include "agent/host-list.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

/* Tries at a key that somebody else writes at the same moment. */
#define MOST_TRIES 5

static int need_host(const char *name, struct err *err)
{
	if (text_is_name(name))
		return 0;
	return err_set(err, EINVAL, _("'%s' cannot be the name of a host"), name);
}

static int no_such_host(const char *host, struct err *err)
{
	return err_set(err, ENOENT, _("No host %s is known; 'tepuy host list' names those that are"), host);
}

static int get_hosts(struct api_call *call, struct err *err)
{
	_cleanup_host_list_ struct host_list list = { 0 };
	int r = host_list_read(call->env, &list, err);

	if (r == 0)
		call->answer = json_pack("{so}", "hosts", host_list_rows(&list, call->env));
	return r;
}

/* The row with its assignments. */
static int host_json(const struct node_env *env, const struct host_list *list, const char *host, json_t **ret,
		     struct err *err)
{
	json_t *row = host_list_row(list, env, host);

	if (!row)
		return no_such_host(host, err);
	json_object_set_new(row, "assignments", host_list_assignments(list, host));
	*ret = row;
	return 0;
}

/* Appends "portal/db/1" …: nodes whose data is on the host, also of services that are down. */
static int data_on(const struct node_env *env, const char *host, struct strv *names, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r = consul_kv_list(env->consul, "tepuy/service/", &kvs, err);

	for (size_t i = 0; r == 0 && i < kvs.n; i++) {
		const char *key = kvs.v[i].key + strlen("tepuy/service/"), *slash = strchr(key, '/'), *node;
		_cleanup_json_ json_t *status = NULL;
		json_t *home;

		if (!slash || strcmp(slash, "/status") != 0)
			continue;
		status = json_loadb(kvs.v[i].value, kvs.v[i].len, 0, NULL);
		json_object_foreach(json_object_get(status, "homes"), node,
				    home) if (json_is_string(home) && !strcmp(json_string_value(home), host))
		    strv_addf(names, "%.*s/%s", (int)(slash - key), key, node);
	}
	return r;
}

/* Only when asked for: all that Consul has of services is read for it. */
static int add_data(struct api_call *call, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = data_on(call->env, call->rest, &names, err);
	json_t *data = json_array();

	for (size_t i = 0; i < names.n; i++)
		json_array_append_new(data, json_string(names.v[i]));
	json_object_set_new(call->answer, "data", data);
	return r;
}

static int get_host(struct api_call *call, struct err *err)
{
	const char *data = call->query(call, "data");
	_cleanup_host_list_ struct host_list list = { 0 };
	int r = need_host(call->rest, err);

	if (r == 0)
		r = host_list_read(call->env, &list, err);
	if (r == 0)
		r = host_json(call->env, &list, call->rest, &call->answer, err);
	return r == 0 && data && !strcmp(data, "1") ? add_data(call, err) : r;
}

/* --- what an operator wants of a host --- */

static const char *author_of(const struct api_call *call)
{
	const char *author = json_string_value(json_object_get(call->json, "author"));

	return author && *author ? author : call->env->host;
}

/* Sets one of the flags; the others stay. A host that was removed is taken in again by whatever opens it. */
static json_t *changed_admin(const json_t *admin, const char *flag, bool on, const char *by)
{
	json_t *changed = json_pack("{sb sb ss sI}", "cordoned", json_is_true(json_object_get(admin, "cordoned")),
				    "drained", json_is_true(json_object_get(admin, "drained")), "by", by, "since",
				    (json_int_t)clock_realtime_ms());

	json_object_set_new(changed, flag, json_boolean(on));
	if (on && json_is_true(json_object_get(admin, "removed")))
		json_object_set_new(changed, "removed", json_true());
	return changed;
}

static int try_flag(struct api_call *call, const char *flag, bool on, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/host/%s/admin", call->rest), *text = NULL;
	_cleanup_json_ json_t *admin = NULL, *changed = NULL;
	uint64_t index = 0;
	int r = api_kv_json(call->env->consul, key, &admin, &index, err);

	if (r < 0 && r != -ENOENT)
		return r;
	err_release(err);
	if (json_is_true(json_object_get(admin, flag)) == on)
		return 0;
	changed = changed_admin(admin, flag, on, author_of(call));
	text = json_canonical(changed);
	return consul_kv_cas(call->env->consul, key, text, strlen(text), index, err);
}

static int set_flag(struct api_call *call, const char *flag, bool on, struct err *err)
{
	_cleanup_host_list_ struct host_list list = { 0 };
	_cleanup_(freep) char *info = xasprintf("tepuy/host/%s/info", call->rest);
	_cleanup_json_ json_t *known = NULL;
	int r = need_host(call->rest, err), tries = MOST_TRIES;

	if (r == 0)
		r = api_kv_json(call->env->consul, info, &known, NULL, err);
	if (r == -ENOENT) {
		err_release(err);
		return no_such_host(call->rest, err);
	}
	if (r == 0)
		while ((r = try_flag(call, flag, on, err)) == -ESTALE && --tries)
			err_release(err);
	if (r == 0)
		r = host_list_read(call->env, &list, err);
	return r < 0 ? r : host_json(call->env, &list, call->rest, &call->answer, err);
}

static int post_cordon(struct api_call *call, struct err *err)
{
	return set_flag(call, "cordoned", true, err);
}

static int post_uncordon(struct api_call *call, struct err *err)
{
	return set_flag(call, "cordoned", false, err);
}

static int post_drain(struct api_call *call, struct err *err)
{
	return set_flag(call, "drained", true, err);
}

static int post_undrain(struct api_call *call, struct err *err)
{
	return set_flag(call, "drained", false, err);
}

/* --- removing a host --- */

/* What forbids to forget the host. A host that is there would go on with what it runs, and nobody would know of it. */
static int may_remove(struct api_call *call, const struct host_list *list, bool force, struct err *err)
{
	const char *host = call->rest;
	size_t nodes = host_list_nodes(list, host);
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_(freep) char *data = NULL;
	int r;

	if (nodes && host_list_alive(list, host))
		return err_set(
		    err, EBUSY,
		    _("The host %s is alive and has %zu nodes; drain it with 'tepuy host drain %s', and take "
		      "down or move those that have their data there"),
		    host, nodes, host);
	if (force)
		return 0;
	if (host_list_alive(list, host))
		return err_set(err, EBUSY,
			       _("The host %s is alive; stop tepuy's agent and Consul on it first, or force it"), host);
	if (nodes)
		return err_set(
		    err, EBUSY,
		    _("The host %s does not answer and has %zu nodes; wait until they run elsewhere, or force "
		      "it if the host will never come back"),
		    host, nodes);
	r = data_on(call->env, host, &names, err);
	data = strv_join(&names, ", ");
	if (r == 0 && names.n)
		r = err_set(err, EBUSY,
			    _("The data of %s is on the host %s; force it if that data is lost or not wanted any more: "
			      "the nodes then begin anew elsewhere"),
			    data, host);
	return r;
}

/* What it said to have for others: nobody answers there any more. Its agent tells it anew should it come back. */
static int add_offers(const struct node_env *env, const char *host, struct consul_kvs *kvs, struct consul_op **ops,
		      size_t *n, struct err *err)
{
	_cleanup_(freep) char *end = xasprintf("/have/%s", host);
	int r = consul_kv_list(env->consul, "tepuy/image/", kvs, err);

	if (r < 0)
		return r;
	*ops = xreallocarray(*ops, *n + kvs->n, sizeof(**ops));
	for (size_t i = 0; i < kvs->n; i++)
		if (text_ends(kvs->v[i].key, end))
			(*ops)[(*n)++] = (struct consul_op){ .verb = CONSUL_DELETE, .key = kvs->v[i].key };
	return 0;
}

/* Its keys go in one step; what stays says that what the host still runs, should it come back, is to be taken away. */
static int forget_host(struct api_call *call, struct err *err)
{
	_cleanup_(freep) char *tree = xasprintf("tepuy/host/%s/", call->rest);
	_cleanup_(freep) char *admin = xasprintf("tepuy/host/%s/admin", call->rest), *text = NULL;
	_cleanup_json_ json_t *json = changed_admin(NULL, "cordoned", true, author_of(call));
	_cleanup_(freep) char *address = xasprintf("tepuy/address/%s", call->rest);
	_cleanup_(freep) struct consul_op *ops = xcalloc(3, sizeof(*ops));
	_cleanup_consul_kvs_ struct consul_kvs offers = { 0 };
	size_t n = 3;
	int r;

	json_object_set_new(json, "removed", json_true());
	text = json_canonical(json);
	ops[0] = (struct consul_op){ .verb = CONSUL_DELETE_TREE, .key = tree };
	ops[1] = (struct consul_op){ .verb = CONSUL_SET, .key = admin, .value = text, .len = strlen(text) };
	ops[2] = (struct consul_op){ .verb = CONSUL_DELETE, .key = address };
	r = add_offers(call->env, call->rest, &offers, &ops, &n, err);
	/* A transaction holds 64 of them: the host's own keys are in the first. */
	return r < 0 ? r : consul_txn(call->env->consul, ops, n, true, NULL, NULL, err);
}

/* Ours only. The leader does the same for hosts that stay away: what fails here is not lost. */
static void leave_catalog(const struct node_env *env, const char *host)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = consul_catalog_services(env->consul, host, &services, &err);

	for (size_t i = 0; r == 0 && i < services.n; i++) {
		const char *ours = consul_meta(&services.v[i].meta, "tepuy");

		if (ours && !strcmp(ours, "1"))
			r = consul_catalog_deregister(env->consul, host, services.v[i].id, &err);
	}
	if (r < 0)
		log_warning("%s", err_text(&err));
}

static int delete_host(struct api_call *call, struct err *err)
{
	const char *force = call->query(call, "force");
	_cleanup_host_list_ struct host_list list = { 0 };
	_cleanup_json_ json_t *row = NULL;
	int r = need_host(call->rest, err);

	if (r == 0)
		r = host_list_read(call->env, &list, err);
	if (r == 0)
		r = host_json(call->env, &list, call->rest, &row, err);
	if (r == 0)
		r = may_remove(call, &list, force && !strcmp(force, "1"), err);
	if (r == 0)
		r = forget_host(call, err);
	if (r == 0)
		r = guests_forget_host(call->env->consul, call->rest, err);
	if (r == 0 && !host_list_alive(&list, call->rest))
		leave_catalog(call->env, call->rest);
	return r;
}

const struct api_route api_host_routes[] = {
	{ "GET", "/v1/hosts", get_hosts },
	{ "GET", "/v1/host/*", get_host },
	{ "DELETE", "/v1/host/*", delete_host, .writes = true, .json = true },
	{ "POST", "/v1/host/*/cordon", post_cordon, .writes = true, .json = true },
	{ "POST", "/v1/host/*/uncordon", post_uncordon, .writes = true, .json = true },
	{ "POST", "/v1/host/*/drain", post_drain, .writes = true, .json = true },
	{ "POST", "/v1/host/*/undrain", post_undrain, .writes = true, .json = true },
	{ 0 },
};
