/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Policies and tokens through Consul's /v1/acl. A token's accessor is chosen here and written down in Consul before the
 * token is made, so that one that was made is never lost, whenever this program is killed.
 */
#include "host/acl.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "host/pki.h"
#include "host/place.h"

#define LEADER_MS 90000

char *acl_host_rules(const char *host)
{
	return xasprintf("node \"%s\" { policy = \"write\" }\n"
			 "agent \"%s\" { policy = \"write\" }\n"
			 "session \"%s\" { policy = \"write\" }\n"
			 "node_prefix \"\" { policy = \"read\" }\n"
			 "session_prefix \"\" { policy = \"read\" }\n"
			 "service_prefix \"\" { policy = \"write\" }\n"
			 "key_prefix \"tepuy/\" { policy = \"write\" }\n"
			 "key_prefix \"tepuy/cluster/\" { policy = \"deny\" }\n",
			 host, host, host);
}

int acl_management(struct consul **ret, struct err *err)
{
	_cleanup_(pki_wipe) char *token = NULL;
	int r = place_read_line(PLACE_MANAGEMENT, &token, err);

	if (r == 1)
		return err_set(
		    err, ENOENT,
		    _("%s is missing: this host is not one of the cluster's servers; run this on one of them"),
		    PLACE_MANAGEMENT);
	if (r < 0)
		return r;
	*ret = consul_new(NULL, token, NULL);
	return 0;
}

int acl_wait(struct step *step, struct consul *consul, struct err *err)
{
	int64_t until = clock_monotonic_ms() + LEADER_MS;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_json_ json_t *self = NULL;
		_cleanup_(freep) char *leader = NULL, *text = NULL;
		int r = consul_leader(consul, &leader, &why);

		if (r == 0)
			r = consul_send_json(consul, "GET", "/v1/acl/token/self", NULL, 0, &self, &why);
		if (r == 0)
			return 0;
		/* Until the new leader has set access control up, no token counts. */
		text =
		    xasprintf(_("Consul's cluster has no leader that knows the management token (%s): are most of its "
				"servers running? See journalctl -u consul"),
			      err_text(&why));
		r = step_pause(step, until, text, err);
		if (r < 0)
			return r;
		step_waiting(step, _("Waiting for the cluster's leader"));
	}
}

static char *policy_name(const char *host)
{
	return xasprintf("tepuy-host-%s", host);
}

static int put_json(struct consul *consul, const char *path, const json_t *body, json_t **ret, struct err *err)
{
	_cleanup_(pki_wipe) char *text = json_dumps(body, JSON_COMPACT);

	return consul_send_json(consul, "PUT", path, text, strlen(text), ret, err);
}

/* Consul says 403 "ACL not found" of a policy or a token that is not there, and of a token of ours that is no good: the
 * latter was seen by acl_wait. */
static bool is_absent(int r)
{
	return r == -ENOENT || r == -EACCES;
}

static int ensure_policy(struct consul *consul, const char *host, bool *changed, struct err *err)
{
	_cleanup_(freep) char *name = policy_name(host), *rules = acl_host_rules(host), *path = NULL;
	_cleanup_json_ json_t *now = NULL, *body = NULL, *answer = NULL;
	_cleanup_err_ struct err why = ERR_INIT;
	const char *id, *had;
	int r;

	path = xasprintf("/v1/acl/policy/name/%s", name);
	r = consul_send_json(consul, "GET", path, NULL, 0, &now, &why);
	if (r < 0 && !is_absent(r))
		return err_set(err, -r, _("Cannot read the policy %s: %s"), name, err_text(&why));
	id = r == 0 ? json_string_value(json_object_get(now, "ID")) : NULL;
	had = r == 0 ? json_string_value(json_object_get(now, "Rules")) : NULL;
	if (id && had && !strcmp(had, rules))
		return 0;
	*changed = true;
	free(path);
	path = id ? xasprintf("/v1/acl/policy/%s", id) : xstrdup("/v1/acl/policy");
	body = json_pack("{s:s, s:s, s:s}", "Name", name, "Description", "Made by tepuy setup acl", "Rules", rules);
	r = put_json(consul, path, body, &answer, err);
	return consul_wrap(r, err, _("Cannot make the policy %s"), name);
}

/* The accessor that is written down for the host, or a new one that is now. */
static int accessor_of(struct consul *consul, const char *host, char **ret, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf(ACL_KEY_TOKEN "%s", host), *accessor = NULL;
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	unsigned char random[16];
	int r = consul_kv_get(consul, key, &kv, &why);

	if (r == 0) {
		*ret = xstrdup(kv.value);
		return 0;
	}
	if (r != -ENOENT)
		return err_set(err, -r, "%s", err_text(&why));
	r = pki_random(random, sizeof(random), err);
	if (r < 0)
		return r;
	accessor = pki_uuid(random);
	r = consul_kv_cas(consul, key, accessor, strlen(accessor), 0, err);
	if (r == 0)
		*ret = TAKE_PTR(accessor);
	return r;
}

/* Has the token this policy and nothing else? */
static bool has_policy(const json_t *token, const char *name)
{
	const json_t *policies = json_object_get(token, "Policies");
	const char *only = json_string_value(json_object_get(json_array_get(policies, 0), "Name"));

	return json_array_size(policies) == 1 && only && !strcmp(only, name) &&
	       json_array_size(json_object_get(token, "Roles")) == 0;
}

/* What to tell Consul of the token; the secret only of one that is there. */
static json_t *token_body(const char *accessor, const char *secret, const char *policy)
{
	return json_pack("{s:s, s:s*, s:s, s:[{s:s}]}", "AccessorID", accessor, "SecretID", secret, "Description",
			 policy, "Policies", "Name", policy);
}

int acl_host_token(struct consul *consul, const char *host, char **ret_secret, bool *changed, struct err *err)
{
	_cleanup_(freep) char *policy = policy_name(host), *accessor = NULL, *path = NULL;
	_cleanup_json_ json_t *now = NULL, *body = NULL, *answer = NULL;
	_cleanup_err_ struct err why = ERR_INIT;
	const char *secret;
	int r = ensure_policy(consul, host, changed, err);

	if (r == 0)
		r = accessor_of(consul, host, &accessor, err);
	if (r < 0)
		return r;
	path = xasprintf("/v1/acl/token/%s", accessor);
	r = consul_send_json(consul, "GET", path, NULL, 0, &now, &why);
	if (r < 0 && !is_absent(r))
		return err_set(err, -r, _("Cannot read the token of host %s: %s"), host, err_text(&why));
	secret = r == 0 ? json_string_value(json_object_get(now, "SecretID")) : NULL;
	if (!secret || !has_policy(now, policy)) {
		*changed = true;
		body = token_body(accessor, secret, policy);
		r = put_json(consul, secret ? path : "/v1/acl/token", body, &answer, err);
		if (r < 0)
			return consul_wrap(r, err, _("Cannot make the token of host %s"), host);
		secret = json_string_value(json_object_get(answer, "SecretID"));
	}
	if (!secret)
		return err_set(err, EBADMSG, _("Consul does not give the token of host %s"), host);
	*ret_secret = xstrdup(secret);
	return 0;
}

static int forget(struct consul *consul, const char *path, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r = consul_send(consul, "DELETE", path, NULL, 0, &reply, &why);

	return r < 0 && !is_absent(r) ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

static int forget_token(struct consul *consul, const char *host, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf(ACL_KEY_TOKEN "%s", host), *path = NULL;
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r = consul_kv_get(consul, key, &kv, &why);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	path = xasprintf("/v1/acl/token/%s", kv.value);
	r = forget(consul, path, err);
	return r < 0 ? r : consul_kv_delete(consul, key, err);
}

int acl_host_forget(struct consul *consul, const char *host, struct err *err)
{
	_cleanup_(freep) char *name = policy_name(host), *by_name = NULL, *path = NULL;
	_cleanup_json_ json_t *policy = NULL;
	_cleanup_err_ struct err why = ERR_INIT;
	int r = forget_token(consul, host, err);

	if (r < 0)
		return r;
	by_name = xasprintf("/v1/acl/policy/name/%s", name);
	r = consul_send_json(consul, "GET", by_name, NULL, 0, &policy, &why);
	if (is_absent(r))
		return 0;
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	path = xasprintf("/v1/acl/policy/%s", json_string_value(json_object_get(policy, "ID")));
	return forget(consul, path, err);
}
