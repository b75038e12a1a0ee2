/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "consul/consul-decode.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/base64.h"
#include "base/i18n.h"
#include "base/text.h"

enum field_kind { FIELD_TEXT, FIELD_INT, FIELD_U64, FIELD_STATUS, FIELD_STRV };

/* One member of a JSON object and where its value goes in the struct. */
struct field {
	const char *name;
	enum field_kind kind;
	bool required; /* texts: present and not empty */
	size_t offset;
};

#define FIELD(type, member, kind, name, required)                                                                      \
	{                                                                                                              \
		(name), (kind), (required), offsetof(struct type, member)                                              \
	}

int consul_json(const char *text, size_t len, json_t **ret, struct err *err)
{
	json_error_t error;
	/* A check's output may hold anything, also a NUL: one odd node must not make all others' health unreadable. */
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (!json)
		return err_set(err, EBADMSG, _("Consul's answer is not JSON (line %d: %s)"), error.line, error.text);
	*ret = json;
	return 0;
}

static int wrong(const char *name, struct err *err)
{
	return err_set(err, EBADMSG, _("Consul's answer has no valid '%s'"), name);
}

/* NULL when absent or empty; a NUL inside becomes '?'. */
static int get_text(const json_t *object, const char *name, char **ret, struct err *err)
{
	const json_t *value = json_object_get(object, name);
	size_t len = json_string_length(value);
	char *text;

	if (!value || json_is_null(value) || (json_is_string(value) && !len))
		return 0;
	if (!json_is_string(value))
		return wrong(name, err);
	if (len > CONSUL_MOST_STRING)
		return err_set(err, EFBIG, _("Consul's answer has a '%s' of %zu bytes, more than allowed"), name, len);
	text = xmalloc(len + 1);
	memcpy(text, json_string_value(value), len + 1);
	for (char *p = text; p < text + len; p++)
		if (!*p)
			*p = '?';
	free(*ret);
	*ret = text;
	return 0;
}

static int get_u64(const json_t *object, const char *name, uint64_t most, uint64_t *ret, struct err *err)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > most)
		return wrong(name, err);
	*ret = (uint64_t)json_integer_value(value);
	return 0;
}

static int get_int(const json_t *object, const char *name, int *ret, struct err *err)
{
	uint64_t value = (uint64_t)*ret;
	int r = get_u64(object, name, INT_MAX, &value, err);

	*ret = (int)value;
	return r;
}

static int get_status(const json_t *object, const char *name, enum consul_status *ret, struct err *err)
{
	_cleanup_(freep) char *text = NULL;
	int r = get_text(object, name, &text, err);

	*ret = consul_status_of(text);
	return r;
}

/* Appends one element of a list of texts, or "key=value" of an object's. */
static int add_text(struct strv *strv, const char *key, const json_t *value, const char *name, struct err *err)
{
	const char *text = json_string_value(value);

	if (!text)
		return wrong(name, err);
	if (strv->n >= CONSUL_MOST_ELEMENTS)
		return err_set(err, E2BIG, _("Consul's answer has too many '%s'"), name);
	if (key)
		strv_addf(strv, "%s=%s", key, text);
	else
		strv_add(strv, text);
	return 0;
}

static int get_strv(const json_t *object, const char *name, struct strv *strv, struct err *err)
{
	json_t *list = json_object_get(object, name), *value;
	const char *key;
	size_t i;
	int r = 0;

	if (!list || json_is_null(list))
		return 0;
	if (json_is_array(list)) {
		json_array_foreach(list, i, value) if ((r = add_text(strv, NULL, value, name, err)) < 0) return r;
	} else if (json_is_object(list)) {
		json_object_foreach(list, key, value) if ((r = add_text(strv, key, value, name, err)) < 0) return r;
	} else
		return wrong(name, err);
	return 0;
}

static int get_field(const json_t *object, const struct field *field, void *to, struct err *err)
{
	void *place = (char *)to + field->offset;
	int r = 0;

	switch (field->kind) {
	case FIELD_TEXT:
		r = get_text(object, field->name, place, err);
		if (r == 0 && field->required && !*(char **)place)
			r = wrong(field->name, err);
		break;
	case FIELD_INT:
		r = get_int(object, field->name, place, err);
		break;
	case FIELD_U64:
		r = get_u64(object, field->name, INT64_MAX, place, err);
		break;
	case FIELD_STATUS:
		r = get_status(object, field->name, place, err);
		break;
	case FIELD_STRV:
		r = get_strv(object, field->name, place, err);
		break;
	}
	return r;
}

/* Fills `to`; on failure what is filled so far is the caller's to release. */
static int get_fields(const json_t *object, const struct field *fields, size_t n, void *to, struct err *err)
{
	if (!json_is_object(object))
		return err_set(err, EBADMSG, _("Consul's answer has something else where an object should be"));
	for (size_t i = 0; i < n; i++) {
		int r = get_field(object, &fields[i], to, err);

		if (r < 0)
			return r;
	}
	return 0;
}

typedef int (*decode_one)(const json_t *json, void *element, struct err *err);

/*
 * Decodes the elements of an array or the values of an object. On failure, too, `*ret_v` and `*ret_n` are set, to what
 * the caller must release: the last element may then be filled in part.
 */
static int get_list(json_t *json, decode_one one, size_t size, void **ret_v, size_t *ret_n, struct err *err)
{
	size_t n = json_is_array(json) ? json_array_size(json) : json_object_size(json);
	void *iterator = json_object_iter(json);
	int r = 0;

	if (!json || json_is_null(json))
		return 0;
	if (!json_is_array(json) && !json_is_object(json))
		return err_set(err, EBADMSG, _("Consul's answer has something else where a list should be"));
	if (n > CONSUL_MOST_ELEMENTS)
		return err_set(err, E2BIG, _("Consul's answer has %zu elements, more than allowed"), n);
	if (!n)
		return 0;
	*ret_v = xcalloc(n, size);
	while (r == 0 && *ret_n < n) {
		const json_t *value = iterator ? json_object_iter_value(iterator) : json_array_get(json, *ret_n);

		r = one(value, (char *)*ret_v + *ret_n * size, err);
		iterator = iterator ? json_object_iter_next(json, iterator) : NULL;
		++*ret_n;
	}
	return r;
}

static int get_value(const json_t *object, struct consul_kv *kv, struct err *err)
{
	const json_t *value = json_object_get(object, "Value");
	_cleanup_buf_ struct buf bytes = { 0 };

	if (value && !json_is_null(value) && !json_is_string(value))
		return wrong("Value", err);
	if (json_string_length(value) > CONSUL_MOST_VALUE / 3 * 4)
		return err_set(err, EFBIG, _("The value of the key %s is larger than allowed"), kv->key);
	if (json_is_string(value) && base64_decode(&bytes, json_string_value(value), json_string_length(value)) < 0)
		return wrong("Value", err);
	kv->len = bytes.len;
	kv->value = buf_take(&bytes);
	return 0;
}

static int decode_kv(const json_t *json, void *element, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_kv, key, FIELD_TEXT, "Key", true),
		FIELD(consul_kv, session, FIELD_TEXT, "Session", false),
		FIELD(consul_kv, create_index, FIELD_U64, "CreateIndex", false),
		FIELD(consul_kv, modify_index, FIELD_U64, "ModifyIndex", false),
		FIELD(consul_kv, lock_index, FIELD_U64, "LockIndex", false),
	};
	int r = get_fields(json, fields, ARRAY_SIZE(fields), element, err);

	return r < 0 ? r : get_value(json, element, err);
}

int consul_decode_kvs(const json_t *json, struct consul_kvs *ret, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
	void *v = NULL;
	int r = get_list((json_t *)json, decode_kv, sizeof(*got.v), &v, &got.n, err);

	got.v = v;
	if (r < 0)
		return r;
	*ret = got;
	got = (struct consul_kvs){ 0 };
	return 0;
}

static int decode_check(const json_t *json, void *element, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_check, id, FIELD_TEXT, "CheckID", true),
		FIELD(consul_check, name, FIELD_TEXT, "Name", false),
		FIELD(consul_check, node, FIELD_TEXT, "Node", false),
		FIELD(consul_check, service_id, FIELD_TEXT, "ServiceID", false),
		FIELD(consul_check, service_name, FIELD_TEXT, "ServiceName", false),
		FIELD(consul_check, output, FIELD_TEXT, "Output", false),
		FIELD(consul_check, notes, FIELD_TEXT, "Notes", false),
		FIELD(consul_check, type, FIELD_TEXT, "Type", false),
		FIELD(consul_check, status, FIELD_STATUS, "Status", false),
		FIELD(consul_check, modify_index, FIELD_U64, "ModifyIndex", false),
	};

	return get_fields(json, fields, ARRAY_SIZE(fields), element, err);
}

int consul_decode_checks(const json_t *json, struct consul_checks *ret, struct err *err)
{
	_cleanup_consul_checks_ struct consul_checks got = { 0 };
	void *v = NULL;
	int r = get_list((json_t *)json, decode_check, sizeof(*got.v), &v, &got.n, err);

	got.v = v;
	if (r < 0)
		return r;
	*ret = got;
	got = (struct consul_checks){ 0 };
	return 0;
}

static int decode_service(const json_t *json, void *element, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_service, id, FIELD_TEXT, "ID", true),
		FIELD(consul_service, name, FIELD_TEXT, "Service", true),
		FIELD(consul_service, address, FIELD_TEXT, "Address", false),
		FIELD(consul_service, port, FIELD_INT, "Port", false),
		FIELD(consul_service, tags, FIELD_STRV, "Tags", false),
		FIELD(consul_service, meta, FIELD_STRV, "Meta", false),
		FIELD(consul_service, modify_index, FIELD_U64, "ModifyIndex", false),
	};

	return get_fields(json, fields, ARRAY_SIZE(fields), element, err);
}

static int decode_services(const json_t *json, decode_one one, struct consul_services *ret, struct err *err)
{
	_cleanup_consul_services_ struct consul_services got = { 0 };
	void *v = NULL;
	int r = get_list((json_t *)json, one, sizeof(*got.v), &v, &got.n, err);

	got.v = v;
	if (r < 0)
		return r;
	*ret = got;
	got = (struct consul_services){ 0 };
	return 0;
}

int consul_decode_services(const json_t *json, struct consul_services *ret, struct err *err)
{
	return decode_services(json, decode_service, ret, err);
}

static int decode_health_entry(const json_t *json, void *element, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_service, node, FIELD_TEXT, "Node", true),
		FIELD(consul_service, node_address, FIELD_TEXT, "Address", false),
	};
	struct consul_service *service = element;
	int r = get_fields(json_object_get(json, "Node"), fields, ARRAY_SIZE(fields), service, err);

	if (r == 0)
		r = decode_service(json_object_get(json, "Service"), service, err);
	if (r == 0)
		r = consul_decode_checks(json_object_get(json, "Checks"), &service->checks, err);
	return r;
}

int consul_decode_health(const json_t *json, struct consul_services *ret, struct err *err)
{
	return decode_services(json, decode_health_entry, ret, err);
}

static int decode_node(const json_t *json, void *element, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_node, id, FIELD_TEXT, "ID", false),
		FIELD(consul_node, name, FIELD_TEXT, "Node", true),
		FIELD(consul_node, address, FIELD_TEXT, "Address", false),
		FIELD(consul_node, datacenter, FIELD_TEXT, "Datacenter", false),
	};

	return get_fields(json, fields, ARRAY_SIZE(fields), element, err);
}

int consul_decode_nodes(const json_t *json, struct consul_nodes *ret, struct err *err)
{
	_cleanup_consul_nodes_ struct consul_nodes got = { 0 };
	void *v = NULL;
	int r = get_list((json_t *)json, decode_node, sizeof(*got.v), &v, &got.n, err);

	got.v = v;
	if (r < 0)
		return r;
	*ret = got;
	got = (struct consul_nodes){ 0 };
	return 0;
}

static int decode_member(const json_t *json, void *element, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_member, name, FIELD_TEXT, "Name", true),
		FIELD(consul_member, address, FIELD_TEXT, "Addr", false),
		FIELD(consul_member, port, FIELD_INT, "Port", false),
	};
	const char *role = json_string_value(json_object_get(json_object_get(json, "Tags"), "role"));
	struct consul_member *member = element;
	int status = CONSUL_MEMBER_NONE;
	int r = get_fields(json, fields, ARRAY_SIZE(fields), member, err);

	if (r == 0)
		r = get_int(json, "Status", &status, err);
	/* serf.MemberStatus has the same numbers. */
	member->status = status <= CONSUL_FAILED ? (enum consul_member_status)status : CONSUL_MEMBER_NONE;
	member->server = role && !strcmp(role, "consul");
	return r;
}

int consul_decode_members(const json_t *json, struct consul_members *ret, struct err *err)
{
	_cleanup_consul_members_ struct consul_members got = { 0 };
	void *v = NULL;
	int r = get_list((json_t *)json, decode_member, sizeof(*got.v), &v, &got.n, err);

	got.v = v;
	if (r < 0)
		return r;
	*ret = got;
	got = (struct consul_members){ 0 };
	return 0;
}

int consul_decode_self(const json_t *json, struct consul_self *ret, struct err *err)
{
	static const struct field fields[] = {
		FIELD(consul_self, node, FIELD_TEXT, "NodeName", true),
		FIELD(consul_self, datacenter, FIELD_TEXT, "Datacenter", true),
		FIELD(consul_self, version, FIELD_TEXT, "Version", false),
	};
	_cleanup_consul_self_ struct consul_self got = { 0 };
	const json_t *config = json_object_get(json, "Config"), *member = json_object_get(json, "Member");
	int r = get_fields(config, fields, ARRAY_SIZE(fields), &got, err);

	if (r == 0 && member)
		r = get_text(member, "Addr", &got.address, err);
	if (r < 0)
		return r;
	got.server = json_is_true(json_object_get(config, "Server"));
	*ret = got;
	got = (struct consul_self){ 0 };
	return 0;
}

int consul_decode_session(const json_t *json, char **ret_id, struct err *err)
{
	_cleanup_(freep) char *id = NULL;
	int r = get_text(json, "ID", &id, err);

	if (r < 0)
		return r;
	if (!id)
		return wrong("ID", err);
	*ret_id = TAKE_PTR(id);
	return 0;
}

/* The first operation that failed: Consul lists all of them, and where one fails others may follow from it. */
static int txn_error(json_t *errors, size_t *ret_failed, struct err *err)
{
	const char *what = NULL;
	json_int_t first = 0;
	json_t *error;
	size_t i;

	json_array_foreach(errors, i, error)
	{
		const json_t *number = json_object_get(error, "OpIndex"), *text = json_object_get(error, "What");

		if (!json_is_integer(number) || json_integer_value(number) < 0 || !json_is_string(text))
			return wrong("Errors", err);
		if (what && json_integer_value(number) >= first)
			continue;
		first = json_integer_value(number);
		what = json_string_value(text);
	}
	if (!what)
		return wrong("Errors", err);
	if (ret_failed)
		*ret_failed = (size_t)first;
	if (strstr(what, "ermission denied"))
		return err_set(err, EACCES, _("Consul does not allow operation %lld of the transaction"),
			       (long long)first + 1);
	return err_set(err, ESTALE, _("Operation %lld of the transaction does not hold: %s"), (long long)first + 1,
		       what);
}

static int decode_result(const json_t *json, void *element, struct err *err)
{
	return decode_kv(json_object_get(json, "KV"), element, err);
}

int consul_decode_txn(const json_t *json, struct consul_kvs *ret, size_t *ret_failed, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
	json_t *errors = json_object_get(json, "Errors");
	void *v = NULL;
	int r;

	if (json_is_array(errors) && json_array_size(errors))
		return txn_error(errors, ret_failed, err);
	if (!json_is_object(json))
		return wrong("Results", err);
	r = get_list(json_object_get(json, "Results"), decode_result, sizeof(*got.v), &v, &got.n, err);
	got.v = v;
	if (r < 0)
		return r;
	if (ret) {
		*ret = got;
		got = (struct consul_kvs){ 0 };
	}
	return 0;
}
