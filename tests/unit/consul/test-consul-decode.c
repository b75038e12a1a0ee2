/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From Consul's JSON to structs and from structs to requests. The samples are answers of Consul 1.8.7. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "consul/consul-decode.h"
#include "consul/consul-encode.h"
#include "consul/consul.h"

/* The JSON of a sample; the test ends here when it is none. */
static json_t *parse(const char *text)
{
	json_t *json = NULL;

	assert_int_equal(consul_json(text, strlen(text), &json, NULL), 0);
	return json;
}

static int kvs_of(const char *text, struct consul_kvs *ret)
{
	json_t *json = parse(text);
	int r = consul_decode_kvs(json, ret, NULL);

	json_decref(json);
	return r;
}

static int checks_of(const char *text, struct consul_checks *ret)
{
	json_t *json = parse(text);
	int r = consul_decode_checks(json, ret, NULL);

	json_decref(json);
	return r;
}

static int health_of(const char *text, struct consul_services *ret)
{
	json_t *json = parse(text);
	int r = consul_decode_health(json, ret, NULL);

	json_decref(json);
	return r;
}

static int txn_of(const char *text, struct consul_kvs *ret, size_t *ret_failed, struct err *err)
{
	json_t *json = parse(text);
	int r = consul_decode_txn(json, ret, ret_failed, err);

	json_decref(json);
	return r;
}

static void test_keys(void **state)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(
	    kvs_of("[{\"LockIndex\":1,\"Key\":\"a/b\",\"Flags\":0,\"Value\":\"aGVsbG8=\",\"Session\":\"s\","
		   "\"CreateIndex\":11,\"ModifyIndex\":12},{\"Key\":\"c\",\"Value\":null}]",
		   &kvs),
	    0);
	assert_int_equal(kvs.n, 2);
	assert_string_equal(kvs.v[0].key, "a/b");
	assert_string_equal(kvs.v[0].value, "hello");
	assert_string_equal(kvs.v[0].session, "s");
	assert_int_equal(kvs.v[0].create_index, 11);
	assert_int_equal(kvs.v[0].modify_index, 12);
	assert_int_equal(kvs.v[0].lock_index, 1);
	assert_string_equal(kvs.v[1].value, "");
	assert_null(kvs.v[1].session);
}

static void test_value_with_nul_bytes(void **state)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(kvs_of("[{\"Key\":\"a\",\"Value\":\"AAEA\"}]", &kvs), 0);
	assert_int_equal(kvs.v[0].len, 3);
	assert_memory_equal(kvs.v[0].value, "\0\1\0", 4);
}

static void test_nothing_is_an_empty_list(void **state)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(consul_decode_kvs(NULL, &kvs, NULL), 0);
	assert_int_equal(kvs.n, 0);
}

static void test_null_is_an_empty_list(void **state)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(kvs_of("null", &kvs), 0);
	assert_int_equal(kvs.n, 0);
}

static void test_key_is_required(void **state)
{
	struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(kvs_of("[{\"Key\":\"a\",\"Value\":\"aGVsbG8=\"},{\"Value\":null}]", &kvs), -EBADMSG);
	assert_null(kvs.v);
}

static void test_value_that_is_not_base64(void **state)
{
	struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(kvs_of("[{\"Key\":\"a\",\"Value\":\"aGVsbG8\"}]", &kvs), -EBADMSG);
}

static void test_negative_index(void **state)
{
	struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(kvs_of("[{\"Key\":\"a\",\"ModifyIndex\":-1}]", &kvs), -EBADMSG);
}

static void test_list_of_other_things(void **state)
{
	struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(kvs_of("[1]", &kvs), -EBADMSG);
	assert_int_equal(kvs_of("\"text\"", &kvs), -EBADMSG);
}

static void test_too_many_elements(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct consul_kvs kvs = { 0 };

	(void)state;
	buf_addc(&text, '[');
	for (int i = 0; i <= CONSUL_MOST_ELEMENTS; i++)
		buf_adds(&text, "1,");
	buf_adds(&text, "1]");
	assert_int_equal(kvs_of(buf_text(&text), &kvs), -E2BIG);
}

static void test_text_over_the_cap(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct consul_kvs kvs = { 0 };

	(void)state;
	buf_adds(&text, "[{\"Key\":\"");
	for (int i = 0; i <= CONSUL_MOST_STRING; i++)
		buf_addc(&text, 'k');
	buf_adds(&text, "\"}]");
	assert_int_equal(kvs_of(buf_text(&text), &kvs), -EFBIG);
}

static const char *const health =
    "[{\"Node\":{\"ID\":\"4e93\",\"Node\":\"e2e\",\"Address\":\"192.0.2.1\",\"Datacenter\":\"dc\",\"Meta\":{\"a\":\"\"}"
    "},"
    "\"Service\":{\"ID\":\"web-1\",\"Service\":\"web\",\"Tags\":[\"x\",\"y\"],\"Address\":\"\","
    "\"Meta\":{\"gen\":\"5\",\"tepuy\":\"1\"},\"Port\":8080,\"CreateIndex\":9,\"ModifyIndex\":10},"
    "\"Checks\":[{\"Node\":\"e2e\",\"CheckID\":\"serfHealth\",\"Name\":\"Serf Health Status\",\"Status\":\"passing\","
    "\"Output\":\"Agent alive\",\"ServiceID\":\"\",\"ServiceName\":\"\",\"ModifyIndex\":6},"
    "{\"Node\":\"e2e\",\"CheckID\":\"_service_maintenance:web-1\",\"Status\":\"critical\",\"Notes\":\"drain it\","
    "\"ServiceID\":\"web-1\",\"ServiceName\":\"web\"}]}]";

static void test_health(void **state)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	const struct consul_service *web;

	(void)state;
	assert_int_equal(health_of(health, &services), 0);
	assert_int_equal(services.n, 1);
	web = &services.v[0];
	assert_string_equal(web->id, "web-1");
	assert_string_equal(web->name, "web");
	assert_null(web->address);
	assert_string_equal(consul_service_address(web), "192.0.2.1");
	assert_int_equal(web->port, 8080);
	assert_string_equal(web->node, "e2e");
	assert_string_equal(web->tags.v[1], "y");
	assert_string_equal(consul_meta(&web->meta, "gen"), "5");
	assert_null(consul_meta(&web->meta, "ge"));
	assert_int_equal(web->checks.n, 2);
	assert_int_equal(web->checks.v[0].status, CONSUL_PASSING);
	assert_null(web->checks.v[0].service_id);
	assert_string_equal(web->checks.v[0].output, "Agent alive");
}

static void test_maintenance(void **state)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	const char *reason = NULL;

	(void)state;
	assert_int_equal(health_of(health, &services), 0);
	assert_true(consul_in_maintenance(&services.v[0].checks, &reason));
	assert_string_equal(reason, "drain it");
}

static void test_health_without_service(void **state)
{
	struct consul_services services = { 0 };

	(void)state;
	assert_int_equal(health_of("[{\"Node\":{\"Node\":\"n\"},\"Checks\":[]}]", &services), -EBADMSG);
}

static void test_health_with_a_broken_check(void **state)
{
	struct consul_services services = { 0 };

	(void)state;
	assert_int_equal(health_of("[{\"Node\":{\"Node\":\"n\"},\"Service\":{\"ID\":\"i\",\"Service\":\"s\"},"
				   "\"Checks\":[{\"CheckID\":\"a\"},{\"Status\":\"passing\"}]}]",
				   &services),
			 -EBADMSG);
}

static void test_port_out_of_range(void **state)
{
	struct consul_services services = { 0 };

	(void)state;
	assert_int_equal(health_of("[{\"Node\":{\"Node\":\"n\"},\"Service\":{\"ID\":\"i\",\"Service\":\"s\","
				   "\"Port\":4294967296}}]",
				   &services),
			 -EBADMSG);
}

static void test_checks_by_id(void **state)
{
	_cleanup_consul_checks_ struct consul_checks checks = { 0 };

	(void)state;
	assert_int_equal(checks_of("{\"a\":{\"CheckID\":\"a\",\"Status\":\"warning\"},"
				   "\"b\":{\"CheckID\":\"b\",\"Status\":\"passing\"}}",
				   &checks),
			 0);
	assert_int_equal(checks.n, 2);
	assert_int_equal(consul_checks_worst(&checks), CONSUL_WARNING);
}

static void test_unknown_status_is_bad(void **state)
{
	_cleanup_consul_checks_ struct consul_checks checks = { 0 };

	(void)state;
	assert_int_equal(checks_of("[{\"CheckID\":\"a\",\"Status\":\"splendid\"}]", &checks), 0);
	assert_int_equal(checks.v[0].status, CONSUL_UNKNOWN);
	assert_int_equal(consul_checks_worst(&checks), CONSUL_CRITICAL);
}

static void test_no_check_is_passing(void **state)
{
	(void)state;
	assert_int_equal(consul_checks_worst(&(struct consul_checks){ 0 }), CONSUL_PASSING);
}

static void test_output_with_nul(void **state)
{
	_cleanup_consul_checks_ struct consul_checks checks = { 0 };

	(void)state;
	assert_int_equal(checks_of("[{\"CheckID\":\"a\",\"Output\":\"one\\u0000two\"}]", &checks), 0);
	assert_string_equal(checks.v[0].output, "one?two");
}

static void test_not_json(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *json = NULL;

	(void)state;
	assert_int_equal(consul_json("[1", 2, &json, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), "not JSON"));
}

static void test_deep_json(void **state)
{
	char text[100000];
	json_t *json = NULL;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(consul_json(text, sizeof(text), &json, NULL), -EBADMSG);
}

static void test_members(void **state)
{
	_cleanup_consul_members_ struct consul_members members = { 0 };
	json_t *json = parse("[{\"Name\":\"a\",\"Addr\":\"192.0.2.1\",\"Port\":8301,\"Tags\":{\"role\":\"consul\"},"
			     "\"Status\":1},{\"Name\":\"b\",\"Tags\":{\"role\":\"node\"},\"Status\":4},"
			     "{\"Name\":\"c\",\"Status\":9}]");
	int r = consul_decode_members(json, &members, NULL);

	(void)state;
	json_decref(json);
	assert_int_equal(r, 0);
	assert_true(members.v[0].server);
	assert_int_equal(members.v[0].status, CONSUL_ALIVE);
	assert_false(members.v[1].server);
	assert_int_equal(members.v[1].status, CONSUL_FAILED);
	assert_int_equal(members.v[2].status, CONSUL_MEMBER_NONE);
}

static void test_nodes(void **state)
{
	_cleanup_consul_nodes_ struct consul_nodes nodes = { 0 };
	json_t *json = parse("[{\"ID\":\"4e93\",\"Node\":\"n\",\"Address\":\"192.0.2.1\",\"Datacenter\":\"dc\"}]");
	int r = consul_decode_nodes(json, &nodes, NULL);

	(void)state;
	json_decref(json);
	assert_int_equal(r, 0);
	assert_string_equal(nodes.v[0].name, "n");
	assert_string_equal(nodes.v[0].address, "192.0.2.1");
}

static void test_self(void **state)
{
	_cleanup_consul_self_ struct consul_self self = { 0 };
	json_t *json =
	    parse("{\"Config\":{\"Datacenter\":\"dc\",\"NodeName\":\"n\",\"Server\":true,\"Version\":\"1.8.7\"},"
		  "\"Member\":{\"Addr\":\"192.0.2.1\"}}");
	int r = consul_decode_self(json, &self, NULL);

	(void)state;
	json_decref(json);
	assert_int_equal(r, 0);
	assert_string_equal(self.node, "n");
	assert_string_equal(self.version, "1.8.7");
	assert_string_equal(self.address, "192.0.2.1");
	assert_true(self.server);
}

static void test_session(void **state)
{
	_cleanup_(freep) char *id = NULL;
	json_t *json = parse("{\"ID\":\"7ff1\"}");
	int r = consul_decode_session(json, &id, NULL);

	(void)state;
	json_decref(json);
	assert_int_equal(r, 0);
	assert_string_equal(id, "7ff1");
}

static void test_txn_results(void **state)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(txn_of("{\"Results\":[{\"KV\":{\"Key\":\"a\",\"Value\":null,\"ModifyIndex\":11}},"
				"{\"KV\":{\"Key\":\"a\",\"Value\":\"MQ==\"}}],\"Errors\":null}",
				&kvs, NULL, NULL),
			 0);
	assert_int_equal(kvs.n, 2);
	assert_string_equal(kvs.v[1].value, "1");
}

static void test_txn_names_the_first_that_failed(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	size_t failed = 0;

	(void)state;
	assert_int_equal(txn_of("{\"Results\":null,\"Errors\":[{\"OpIndex\":3,\"What\":\"later\"},"
				"{\"OpIndex\":1,\"What\":\"failed index check\"},{\"OpIndex\":2,\"What\":\"later\"}]}",
				NULL, &failed, &err),
			 -ESTALE);
	assert_int_equal(failed, 1);
	assert_non_null(strstr(err_text(&err), "failed index check"));
}

static void test_txn_permission(void **state)
{
	(void)state;
	assert_int_equal(txn_of("{\"Errors\":[{\"OpIndex\":0,\"What\":\"Permission denied\"}]}", NULL, NULL, NULL),
			 -EACCES);
}

static void test_txn_malformed(void **state)
{
	(void)state;
	assert_int_equal(txn_of("{\"Errors\":[{\"OpIndex\":-1,\"What\":\"x\"}]}", NULL, NULL, NULL), -EBADMSG);
	assert_int_equal(txn_of("[]", NULL, NULL, NULL), -EBADMSG);
	assert_int_equal(txn_of("{\"Results\":[{\"Service\":{}}]}", NULL, NULL, NULL), -EBADMSG);
}

static int error_of(int status, const char *text)
{
	struct http_reply reply = { .status = status };
	int r;

	buf_adds(&reply.body, text);
	r = consul_reply_error(&reply, NULL);
	http_reply_release(&reply);
	return r;
}

static void test_reply_errors(void **state)
{
	(void)state;
	assert_int_equal(error_of(200, ""), 0);
	assert_int_equal(error_of(500, "No cluster leader"), -EAGAIN);
	assert_int_equal(error_of(500, "rpc error making call: EOF"), -EAGAIN);
	assert_int_equal(error_of(403, "Permission denied"), -EACCES);
	assert_int_equal(error_of(403, "ACL not found"), -EACCES);
	assert_int_equal(error_of(404, ""), -ENOENT);
	assert_int_equal(error_of(500, "CheckID \"x\" does not have associated TTL"), -ENOENT);
	assert_int_equal(error_of(400, "Missing service name"), -EINVAL);
	assert_int_equal(error_of(413, "Request body too large"), -EFBIG);
	assert_int_equal(error_of(500, "something else"), -EIO);
}

static void test_kv_path(void **state)
{
	_cleanup_(freep) char *path = consul_kv_path("tepuy/a b/%2F?", "recurse");

	(void)state;
	assert_string_equal(path, "/v1/kv/tepuy/a%20b/%252F%3F?recurse");
}

static void test_encode_txn(void **state)
{
	struct consul_op ops[] = { { CONSUL_CAS, "a", .value = "1", .len = 1, .index = 7 },
				   { CONSUL_CHECK_SESSION, "tepuy/leader", .session = "s" },
				   { CONSUL_DELETE, "b" } };
	_cleanup_(freep) char *text = consul_encode_txn(ops, ARRAY_SIZE(ops));

	(void)state;
	assert_string_equal(text, "[{\"KV\":{\"Verb\":\"cas\",\"Key\":\"a\",\"Value\":\"MQ==\",\"Index\":7}},"
				  "{\"KV\":{\"Verb\":\"check-session\",\"Key\":\"tepuy/leader\",\"Session\":\"s\"}},"
				  "{\"KV\":{\"Verb\":\"delete\",\"Key\":\"b\"}}]");
}

/* Consul 1.8 refuses names that it does not know, and these two differ. */
static void test_encode_check(void **state)
{
	struct consul_check_spec check = { CONSUL_CHECK_TTL, "a", .ttl_ms = 1500, .service_id = "s" };
	_cleanup_(freep) char *text = consul_encode_check(&check);

	(void)state;
	assert_string_equal(text, "{\"ID\":\"a\",\"Name\":\"a\",\"ServiceID\":\"s\",\"Status\":\"critical\","
				  "\"TTL\":\"1500ms\"}");
}

static void test_encode_registration(void **state)
{
	struct consul_check_spec check = {
		CONSUL_CHECK_TCP, "a", "n", "192.0.2.1:80", .interval_ms = 2000, .status = CONSUL_PASSING,
		.service_id = "s"
	};
	struct consul_registration web = { .id = "web-1", .name = "web", .port = 80, .checks = &check, .n_checks = 1 };
	_cleanup_(freep) char *text = consul_encode_registration(&web);

	(void)state;
	assert_string_equal(text, "{\"ID\":\"web-1\",\"Name\":\"web\",\"Port\":80,\"Tags\":[],\"Meta\":{},"
				  "\"Checks\":[{\"CheckID\":\"a\",\"Name\":\"n\",\"Status\":\"passing\","
				  "\"TCP\":\"192.0.2.1:80\",\"Interval\":\"2000ms\",\"FailuresBeforeCritical\":2}]}");
}

static void test_encode_update_cuts_between_characters(void **state)
{
	char output[4100];
	_cleanup_(freep) char *text = NULL;
	json_t *json;

	(void)state;
	memset(output, 'x', 4095);
	strcpy(output + 4095, "\xc3\xb1");
	text = consul_encode_update(CONSUL_WARNING, output);
	json = parse(text);
	assert_int_equal(json_string_length(json_object_get(json, "Output")), 4095);
	json_decref(json);
}

static void test_encode_output_that_is_not_utf8(void **state)
{
	_cleanup_(freep) char *text = consul_encode_update(CONSUL_PASSING, "a\xff"
									   "b");

	(void)state;
	assert_string_equal(text, "{\"Status\":\"passing\",\"Output\":\"a?b\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_value_with_nul_bytes),
		cmocka_unit_test(test_nothing_is_an_empty_list),
		cmocka_unit_test(test_null_is_an_empty_list),
		cmocka_unit_test(test_key_is_required),
		cmocka_unit_test(test_value_that_is_not_base64),
		cmocka_unit_test(test_negative_index),
		cmocka_unit_test(test_list_of_other_things),
		cmocka_unit_test(test_too_many_elements),
		cmocka_unit_test(test_text_over_the_cap),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_maintenance),
		cmocka_unit_test(test_health_without_service),
		cmocka_unit_test(test_health_with_a_broken_check),
		cmocka_unit_test(test_port_out_of_range),
		cmocka_unit_test(test_checks_by_id),
		cmocka_unit_test(test_unknown_status_is_bad),
		cmocka_unit_test(test_no_check_is_passing),
		cmocka_unit_test(test_output_with_nul),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_deep_json),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_txn_results),
		cmocka_unit_test(test_txn_names_the_first_that_failed),
		cmocka_unit_test(test_txn_permission),
		cmocka_unit_test(test_txn_malformed),
		cmocka_unit_test(test_reply_errors),
		cmocka_unit_test(test_kv_path),
		cmocka_unit_test(test_encode_txn),
		cmocka_unit_test(test_encode_check),
		cmocka_unit_test(test_encode_registration),
		cmocka_unit_test(test_encode_update_cuts_between_characters),
		cmocka_unit_test(test_encode_output_that_is_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
