/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "consul/consul-encode.h"

#include <jansson.h>
#include <string.h>

#include "base/base64.h"
#include "http/http.h"

char *consul_kv_path(const char *key, const char *query)
{
	_cleanup_(freep) char *encoded = http_encode(key);
	struct buf path = { 0 };

	buf_adds(&path, "/v1/kv/");
	for (const char *p = encoded; *p;) {
		bool slash = !strncmp(p, "%2F", 3);

		buf_addc(&path, slash ? '/' : *p);
		p += slash ? 3 : 1;
	}
	if (query)
		buf_printf(&path, "?%s", query);
	return buf_take(&path);
}

char *consul_health_path(const char *name)
{
	_cleanup_(freep) char *encoded = http_encode(name);

	return xasprintf("/v1/health/service/%s", encoded);
}

/* Text that is not UTF-8 (a program's output) keeps its ASCII. */
static json_t *json_text(const char *text)
{
	_cleanup_(freep) char *ascii = NULL;
	json_t *json = json_string(text);

	if (json)
		return json;
	ascii = xstrdup(text);
	for (char *p = ascii; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(ascii);
}

static void set_text(json_t *object, const char *name, const char *text)
{
	if (text)
		json_object_set_new(object, name, json_text(text));
}

/* Go's time.ParseDuration. */
static void set_duration(json_t *object, const char *name, int64_t ms)
{
	json_object_set_new(object, name, json_sprintf("%lldms", (long long)ms));
}

static char *dump(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	if (!text)
		abort();
	return text;
}

static const struct {
	const char *name;
	bool value, index, session;
} verbs[] = {
	[CONSUL_SET] = { "set", .value = true },
	[CONSUL_CAS] = { "cas", .value = true, .index = true },
	[CONSUL_LOCK] = { "lock", .value = true, .session = true },
	[CONSUL_UNLOCK] = { "unlock", .value = true, .session = true },
	[CONSUL_GET] = { "get" },
	[CONSUL_GET_TREE] = { "get-tree" },
	[CONSUL_DELETE] = { "delete" },
	[CONSUL_DELETE_TREE] = { "delete-tree" },
	[CONSUL_DELETE_CAS] = { "delete-cas", .index = true },
	[CONSUL_CHECK_INDEX] = { "check-index", .index = true },
	[CONSUL_CHECK_SESSION] = { "check-session", .session = true },
	[CONSUL_CHECK_NOT_EXISTS] = { "check-not-exists" },
};

static json_t *encode_op(const struct consul_op *op)
{
	json_t *kv = json_object(), *json = json_object();

	json_object_set_new(kv, "Verb", json_string(verbs[op->verb].name));
	set_text(kv, "Key", op->key);
	if (verbs[op->verb].value) {
		_cleanup_buf_ struct buf base64 = { 0 };

		base64_encode(&base64, op->value, op->len);
		set_text(kv, "Value", buf_text(&base64));
	}
	if (verbs[op->verb].index)
		json_object_set_new(kv, "Index", json_integer((json_int_t)op->index));
	if (verbs[op->verb].session)
		set_text(kv, "Session", op->session);
	json_object_set_new(json, "KV", kv);
	return json;
}

char *consul_encode_txn(const struct consul_op *ops, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, encode_op(&ops[i]));
	return dump(list);
}

/*
 * So many in a row are a failure: one answer that is late, as on a host that has much to do for a moment, must not take
 * a node out, least of all the last one. What has ended its own agent tells at once.
 */
#define FAILURES 2

/* A check on its own, or one of a registration: Consul has two names for the id, and refuses a name it does not know.
 */
static json_t *encode_check(const struct consul_check_spec *check, bool alone)
{
	enum consul_status status = check->status ? check->status : CONSUL_CRITICAL;
	json_t *json = json_object();

	set_text(json, alone ? "ID" : "CheckID", check->id);
	set_text(json, "Name", check->name ? check->name : check->id);
	set_text(json, "Notes", check->notes);
	if (alone)
		set_text(json, "ServiceID", check->service_id);
	set_text(json, "Status", consul_status_name(status));
	if (check->kind == CONSUL_CHECK_TTL)
		set_duration(json, "TTL", check->ttl_ms);
	else {
		set_text(json, check->kind == CONSUL_CHECK_HTTP ? "HTTP" : "TCP", check->target);
		set_duration(json, "Interval", check->interval_ms);
		if (check->timeout_ms)
			set_duration(json, "Timeout", check->timeout_ms);
		json_object_set_new(json, "FailuresBeforeCritical", json_integer(FAILURES));
	}
	return json;
}

char *consul_encode_check(const struct consul_check_spec *check)
{
	return dump(encode_check(check, true));
}

static json_t *encode_tags(const struct strv *tags)
{
	json_t *list = json_array();

	for (size_t i = 0; tags && i < tags->n; i++)
		json_array_append_new(list, json_text(tags->v[i]));
	return list;
}

static json_t *encode_meta(const struct strv *meta)
{
	json_t *object = json_object();

	for (size_t i = 0; meta && i < meta->n; i++) {
		const char *equals = strchr(meta->v[i], '=');
		_cleanup_(freep) char *key = NULL;

		if (!equals)
			continue;
		key = xstrndup(meta->v[i], (size_t)(equals - meta->v[i]));
		set_text(object, key, equals + 1);
	}
	return object;
}

char *consul_encode_registration(const struct consul_registration *registration)
{
	json_t *json = json_object(), *checks = json_array();

	set_text(json, "ID", registration->id);
	set_text(json, "Name", registration->name);
	set_text(json, "Address", registration->address);
	json_object_set_new(json, "Port", json_integer(registration->port));
	json_object_set_new(json, "Tags", encode_tags(registration->tags));
	json_object_set_new(json, "Meta", encode_meta(registration->meta));
	for (size_t i = 0; i < registration->n_checks; i++)
		json_array_append_new(checks, encode_check(&registration->checks[i], false));
	json_object_set_new(json, "Checks", checks);
	return dump(json);
}

char *consul_encode_session(const char *name, int64_t ttl_ms, int64_t lock_delay_ms, bool delete_keys)
{
	json_t *json = json_object();

	set_text(json, "Name", name);
	set_duration(json, "TTL", ttl_ms);
	set_duration(json, "LockDelay", lock_delay_ms);
	set_text(json, "Behavior", delete_keys ? "delete" : "release");
	return dump(json);
}

/* What Consul keeps of a check's output: its check_output_max_size. */
#define MOST_OUTPUT 4096

char *consul_encode_update(enum consul_status status, const char *output)
{
	size_t len = output ? strlen(output) : 0;
	_cleanup_(freep) char *cut = NULL;
	json_t *json = json_object();

	if (len > MOST_OUTPUT)
		for (len = MOST_OUTPUT; len && ((unsigned char)output[len] & 0xc0) == 0x80; len--)
			;
	cut = xstrndup(output ? output : "", len);
	set_text(json, "Status", consul_status_name(status ? status : CONSUL_CRITICAL));
	set_text(json, "Output", cut);
	return dump(json);
}
