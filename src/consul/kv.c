/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys and transactions of the blocking client. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/i18n.h"
#include "consul/consul-decode.h"
#include "consul/consul-encode.h"
#include "consul/request.h"

static int read_keys(struct consul *consul, const char *path, struct consul_kvs *ret, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
	_cleanup_json_ json_t *json = NULL;
	int r = consul_send(consul, "GET", path, NULL, 0, &reply, err);

	if (r == 0)
		r = consul_json(buf_text(&reply.body), reply.body.len, &json, err);
	if (r == 0)
		r = consul_decode_kvs(json, &got, err);
	if (r < 0)
		return r;
	got.index = reply.index;
	*ret = got;
	got = (struct consul_kvs){ 0 };
	return 0;
}

int consul_kv_get(struct consul *consul, const char *key, struct consul_kv *ret, struct err *err)
{
	_cleanup_(freep) char *path = consul_kv_path(key, NULL);
	_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
	int r = read_keys(consul, path, &got, err);

	if (r == -ENOENT || (r == 0 && got.n == 0))
		return err_set(err, ENOENT, _("The key %s is not in Consul"), key);
	if (r < 0)
		return consul_wrap(r, err, _("Cannot read the key %s"), key);
	*ret = got.v[0];
	got.v[0] = (struct consul_kv){ 0 };
	return 0;
}

static int list(struct consul *consul, enum consul_consistency mode, const char *prefix, struct consul_kvs *ret,
		struct err *err)
{
	_cleanup_(freep) char *path = consul_kv_path(prefix, mode == CONSUL_STALE ? "recurse&stale" : "recurse");
	_cleanup_err_ struct err own = ERR_INIT;
	int r = read_keys(consul, path, ret, err ? err : &own);

	if (r == -ENOENT) {
		err_release(err);
		*ret = (struct consul_kvs){ 0 };
		return 0;
	}
	return consul_wrap(r, err, _("Cannot list the keys under %s"), prefix);
}

int consul_kv_list(struct consul *consul, const char *prefix, struct consul_kvs *ret, struct err *err)
{
	return list(consul, CONSUL_DEFAULT, prefix, ret, err);
}

int consul_kv_list_as(struct consul *consul, enum consul_consistency *mode, const char *prefix, struct consul_kvs *ret,
		      struct err *err)
{
	int r = list(consul, *mode, prefix, ret, err);

	return consul_go_stale(r, mode, err) ? list(consul, CONSUL_STALE, prefix, ret, err) : r;
}

int consul_kv_wait(struct consul *consul, const char *prefix, uint64_t index, int64_t wait_ms, struct consul_kvs *ret,
		   struct err *err)
{
	_cleanup_(freep) char *query = xasprintf("recurse&index=%" PRIu64 "&wait=%" PRId64 "ms", index, wait_ms);
	_cleanup_(freep) char *path = consul_kv_path(prefix, query);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
	_cleanup_json_ json_t *json = NULL;
	/* Consul adds up to a sixteenth, and answers after 7 s when it has no leader. */
	struct http_request request = { .method = "GET", .path = path, .timeout_ms = wait_ms + wait_ms / 16 + 15000 };
	int r = consul_exchange(consul, &request, &reply, err);

	if (r == 0 && reply.status != 404) { /* no key at all is an empty list */
		r = consul_reply_error(&reply, err);
		if (r == 0)
			r = consul_json(buf_text(&reply.body), reply.body.len, &json, err);
		if (r == 0)
			r = consul_decode_kvs(json, &got, err);
	}
	if (r < 0)
		return consul_wrap(r, err, _("Cannot watch the keys under %s"), prefix);
	got.index = reply.index < index ? 0 : reply.index; /* it went back: Consul's data was restored */
	*ret = got;
	got = (struct consul_kvs){ 0 };
	return 0;
}

/* PUT or DELETE whose answer is `true`, or `false` when a condition was against it: -ESTALE. */
static int change(struct consul *consul, const char *method, const char *key, const char *query, const void *value,
		  size_t len, struct err *err)
{
	_cleanup_(freep) char *path = consul_kv_path(key, query);
	_cleanup_json_ json_t *json = NULL;
	int r = consul_send_json(consul, method, path, value, len, &json, err);

	if (r < 0)
		return consul_wrap(r, err, _("Cannot write the key %s"), key);
	if (!json_is_true(json))
		return err_set(err, ESTALE, _("The key %s was changed or is held by someone else"), key);
	return 0;
}

static int change_at(struct consul *consul, const char *method, const char *key, uint64_t index, const void *value,
		     size_t len, struct err *err)
{
	_cleanup_(freep) char *query = xasprintf("cas=%" PRIu64, index);

	return change(consul, method, key, query, value, len, err);
}

int consul_kv_put(struct consul *consul, const char *key, const void *value, size_t len, struct err *err)
{
	return change(consul, "PUT", key, NULL, value, len, err);
}

int consul_kv_cas(struct consul *consul, const char *key, const void *value, size_t len, uint64_t index,
		  struct err *err)
{
	return change_at(consul, "PUT", key, index, value, len, err);
}

int consul_kv_delete(struct consul *consul, const char *key, struct err *err)
{
	return change(consul, "DELETE", key, NULL, NULL, 0, err);
}

int consul_kv_delete_cas(struct consul *consul, const char *key, uint64_t index, struct err *err)
{
	return change_at(consul, "DELETE", key, index, NULL, 0, err);
}

int consul_kv_delete_tree(struct consul *consul, const char *prefix, struct err *err)
{
	return change(consul, "DELETE", prefix, "recurse", NULL, 0, err);
}

static int change_held(struct consul *consul, const char *what, const char *key, const void *value, size_t len,
		       const char *session, struct err *err)
{
	_cleanup_(freep) char *id = http_encode(session);
	_cleanup_(freep) char *query = xasprintf("%s=%s", what, id);

	return change(consul, "PUT", key, query, value, len, err);
}

int consul_kv_lock(struct consul *consul, const char *key, const void *value, size_t len, const char *session,
		   struct err *err)
{
	return change_held(consul, "acquire", key, value, len, session, err);
}

int consul_kv_unlock(struct consul *consul, const char *key, const char *session, struct err *err)
{
	return change_held(consul, "release", key, NULL, 0, session, err);
}

/* Room that an operation takes in the request's body, rounded up: base64 of the value, the key with escapes. */
static size_t op_bytes(const struct consul_op *op)
{
	return op->len / 3 * 4 + 4 + strlen(op->key) * 2 + 256;
}

/* How many operations from the front fit into one request; at least one. */
static size_t fitting(const struct consul_op *ops, size_t n)
{
	size_t bytes = 2, i = 0;

	while (i < n && i < CONSUL_TXN_MOST && (i == 0 || bytes + op_bytes(&ops[i]) <= CONSUL_TXN_MOST_BYTES))
		bytes += op_bytes(&ops[i++]);
	return i;
}

static int send_txn(struct consul *consul, const struct consul_op *ops, size_t n, struct consul_kvs *ret,
		    size_t *ret_failed, struct err *err)
{
	_cleanup_(freep) char *body = consul_encode_txn(ops, n);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_json_ json_t *json = NULL;
	struct http_request request = { .method = "PUT", .path = "/v1/txn", .body = body, .body_len = strlen(body) };
	int r = consul_exchange(consul, &request, &reply, err);

	/* 409 says in JSON which operation failed; every other failure is text. */
	if (r == 0 && reply.status != 409)
		r = consul_reply_error(&reply, err);
	if (r == 0)
		r = consul_json(buf_text(&reply.body), reply.body.len, &json, err);
	return r < 0 ? r : consul_decode_txn(json, ret, ret_failed, err);
}

/* Moves the keys of `more` behind those of `to`. */
static void append_keys(struct consul_kvs *to, struct consul_kvs *more)
{
	to->v = xreallocarray(to->v, to->n + more->n + 1, sizeof(*to->v));
	if (more->n)
		memcpy(to->v + to->n, more->v, more->n * sizeof(*more->v));
	to->n += more->n;
	free(more->v);
	*more = (struct consul_kvs){ 0 };
}

int consul_txn(struct consul *consul, const struct consul_op *ops, size_t n, bool may_split, struct consul_kvs *ret,
	       size_t *ret_failed, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs all = { 0 };
	size_t done = 0, failed = 0;

	if (!may_split && fitting(ops, n) < n)
		return err_set(err, E2BIG, _("A transaction of %zu operations is too large for Consul"), n);
	while (done < n) {
		_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
		size_t count = fitting(ops + done, n - done);
		int r = send_txn(consul, ops + done, count, &got, &failed, err);

		if (r < 0 && ret_failed)
			*ret_failed = done + failed;
		if (r < 0)
			return consul_wrap(r, err, _("Cannot write to Consul (from the key %s on)"), ops[done].key);
		append_keys(&all, &got);
		done += count;
	}
	if (ret) {
		*ret = all;
		all = (struct consul_kvs){ 0 };
	}
	return 0;
}
