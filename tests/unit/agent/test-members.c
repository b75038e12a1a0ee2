/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a link leads to: Consul's answer to members, and members to what templates see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/check-times.h"
#include "agent/members.h"
#include "agent/node-context.h"
#include "consul/consul-decode.h"
#include "model/canonical.h"

/* An entry of /v1/health/service: node, generation, status of a check, more checks. */
#define ENTRY(n, gen, status, more)                                                                                    \
	"{\"Node\":{\"Node\":\"h1\",\"Address\":\"192.0.2.1\"},\"Service\":{\"ID\":\"portal-web-" n "." gen            \
	"\",\"Service\":\"portal-web\",\"Address\":\"192.0.2.9\",\"Port\":32768,\"Meta\":{\"tepuy\":\"1\","            \
	"\"service\":\"portal\",\"component\":\"web\",\"node\":\"" n "\",\"gen\":\"" gen                               \
	"\",\"port_http\":\"32768\"}},\"Checks\":[{\"Node\":\"h1\",\"CheckID\":\"c\",\"Name\":\"c\",\"Status\":"       \
	"\"" status "\",\"Output\":\"out of c\",\"ServiceID\":\"portal-web-" n "." gen "\"}" more "]}"
#define MAINTENANCE                                                                                                    \
	",{\"Node\":\"h1\",\"CheckID\":\"_service_maintenance:portal-web-1.5\",\"Name\":\"m\",\"Status\":"             \
	"\"critical\","                                                                                                \
	"\"Output\":\"\",\"ServiceID\":\"portal-web-1.5\"}"

#define DRAINED(since)                                                                                                 \
	",{\"Node\":\"h1\",\"CheckID\":\"_service_maintenance:portal-web-2.5\",\"Name\":\"m\",\"Status\":"             \
	"\"critical\",\"Notes\":\"taken out since=" since "\",\"ServiceID\":\"portal-web-2.5\"}"

static void decode(const char *text, struct members *ret)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_json_ json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	assert_int_equal(consul_decode_health(json, &services, NULL), 0);
	members_of(&services, "portal", "web", "http", ret);
}

static void members_come_sorted_with_their_ports(void **state)
{
	_cleanup_(members_release) struct members members = { 0 };

	(void)state;
	decode("[" ENTRY("2", "1", "passing", "") "," ENTRY("1", "10", "warning", "") "," ENTRY("1", "9", "critical",
												"") "]",
	       &members);
	assert_int_equal(members.n, 3);
	assert_string_equal(members.list[0].instance, "portal/web/1.9");
	assert_string_equal(members.list[1].instance, "portal/web/1.10");
	assert_string_equal(members.list[1].server, "web-1.10");
	assert_string_equal(members.list[2].node, "web/2");
	assert_string_equal(members.list[2].address, "192.0.2.9");
	assert_int_equal(members.list[2].port, 32768);
	assert_string_equal(members.list[0].output, "out of c");
}

static void a_drain_says_since_when(void **state)
{
	_cleanup_(members_release) struct members members = { 0 };

	(void)state;
	decode("[" ENTRY("1", "5", "passing", MAINTENANCE) "," ENTRY("2", "5", "passing", DRAINED("17")) "," ENTRY(
		   "3", "5", "passing", DRAINED("x")) "]",
	       &members);
	assert_int_equal(members.list[0].drained_ms, 0); /* an operator's own maintenance */
	assert_int_equal(members.list[1].drained_ms, 17);
	assert_int_equal(members.list[2].drained_ms, 0);
}

static void health_of_the_worst_check(void **state)
{
	static const struct {
		const char *text;
		enum member_health health;
		bool serves;
	} table[] = {
		{ "[" ENTRY("1", "5", "passing", "") "]", MEMBER_PASSING, true },
		{ "[" ENTRY("1", "5", "warning", "") "]", MEMBER_WARNING, true },
		{ "[" ENTRY("1", "5", "critical", "") "]", MEMBER_CRITICAL, false },
		{ "[" ENTRY("1", "5", "something new", "") "]", MEMBER_CRITICAL, false },
		{ "[" ENTRY("1", "5", "passing", MAINTENANCE) "]", MEMBER_MAINTENANCE, false },
		/* Otherwise nobody would answer for the drain of an ill node. */
		{ "[" ENTRY("1", "5", "critical", MAINTENANCE) "]", MEMBER_MAINTENANCE, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(members_release) struct members members = { 0 };

		decode(table[i].text, &members);
		assert_int_equal(members.n, 1);
		if (members.list[0].health != table[i].health || member_serves(&members.list[0]) != table[i].serves)
			fail_msg("row %zu: health %d", i, members.list[0].health);
	}
}

/* Others' entries under the same name, and what is malformed. */
static void strangers_are_left_out(void **state)
{
	static const char *const from[] = { "\"service\":\"portal\"", "\"component\":\"web\"", "\"node\":\"1\"",
					    "\"node\":\"1\"", "\"gen\":\"5\"" };
	static const char *const to[] = { "\"service\":\"por\"", "\"component\":\"x\"", "\"node\":\"0\"",
					  "\"node\":\"9999999999\"", "\"gen\":\"-\"" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		static const char entry[] = "[" ENTRY("1", "5", "passing", "") "]";
		const char *at = strstr(entry, from[i]);
		_cleanup_(freep) char *text =
		    xasprintf("%.*s%s%s", (int)(at - entry), entry, to[i], at + strlen(from[i]));
		_cleanup_(members_release) struct members members = { 0 };

		decode(text, &members);
		if (members.n)
			fail_msg("%s counted as a member", to[i]);
	}
}

static void a_port_of_another_name_serves_nobody(void **state)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_json_ json_t *json = json_loads("[" ENTRY("1", "5", "passing", "") "]", 0, NULL);
	_cleanup_(members_release) struct members members = { 0 };

	(void)state;
	assert_int_equal(consul_decode_health(json, &services, NULL), 0);
	members_of(&services, "portal", "web", "admin", &members);
	assert_int_equal(members.n, 1);
	assert_int_equal(members.list[0].port, 0);
	assert_false(member_serves(&members.list[0]));
}

/* --- templates' context --- */

#define SHA "0123456789012345678901234567890123456789012345678901234567890123"

static struct node_spec *spec(void)
{
	static const char text[] =
	    "{\"desired\":\"run\",\"revision\":7,\"fingerprint\":\"" SHA "\",\"since\":1,\"proven\":false,"
	    "\"service\":\"portal\",\"component\":\"front\",\"checks\":[],\"body\":{\"recipe\":\"r\",\"bundle\":\"" SHA
	    "\",\"config\":{\"title\":\"T\",\"none\":null,\"password\":{\"secret\":\"db\",\"owner\":\"www\"},"
	    "\"again\":{\"secret\":\"db\"}},\"links\":{\"backend\":{\"component\":\"web\",\"interface\":\"http\","
	    "\"port\":\"http\"}},\"volumes\":{},\"ports\":{},\"memory\":0,\"cpus\":0}}";
	_cleanup_json_ json_t *json = json_loads(text, 0, NULL);
	_cleanup_err_ struct err err = ERR_INIT;
	struct node_spec *ret = NULL;

	if (node_spec_from_json(json, &ret, &err) < 0)
		fail_msg("%s", err_text(&err));
	return ret;
}

static json_t *context_of(const char *entries)
{
	_cleanup_(node_spec_freep) struct node_spec *node = spec();
	_cleanup_(members_release) struct members members = { 0 };
	struct instance_id id;
	json_t *context;

	decode(entries, &members);
	assert_int_equal(instance_id_parse("portal/front/1.7", &id, NULL), 0);
	context = node_context(&id, node, &members, "h1", "192.0.2.1");
	instance_id_release(&id);
	return context;
}

static void assert_json(const json_t *json, const char *key, const char *text)
{
	_cleanup_(freep) char *is = json_canonical(json_object_get(json, key));

	assert_string_equal(is, text);
}

static void secrets_become_paths(void **state)
{
	_cleanup_json_ json_t *context = context_of("[]");

	(void)state;
	assert_json(context, "config",
		    "{\"again\":\"/run/secrets/db\",\"none\":null,\"password\":\"/run/secrets/db\",\"title\":\"T\"}");
	assert_json(context, "secrets", "{\"db\":\"/run/secrets/db\"}");
	assert_json(context, "node", "{\"host_name\":\"front-1.portal\",\"index\":1,\"name\":\"front/1\"}");
	assert_json(context, "service", "{\"name\":\"portal\",\"revision\":7}");
}

static void only_nodes_that_serve_are_in_a_link(void **state)
{
	_cleanup_json_ json_t *context = context_of("[" ENTRY("1", "5", "critical", "") "," ENTRY(
	    "2", "5", "passing", "") "," ENTRY("3", "5", "warning", "") "," ENTRY("4", "5", "passing", "") "]");
	const json_t *nodes = json_object_get(json_object_get(json_object_get(context, "links"), "backend"), "nodes");

	(void)state;
	assert_int_equal(json_array_size(nodes), 3);
	for (size_t i = 0; i < 3; i++) {
		const json_t *node = json_array_get(nodes, i);

		assert_int_equal(json_is_true(json_object_get(node, "first")), i == 0);
		assert_int_equal(json_is_true(json_object_get(node, "last")), i == 2);
		assert_int_equal(json_integer_value(json_object_get(node, "port")), 32768);
	}
	assert_json(json_array_get(nodes, 0), "name", "\"web-2.5\"");
}

static void one_node_is_first_and_last(void **state)
{
	_cleanup_json_ json_t *context = context_of("[" ENTRY("1", "5", "passing", "") "]");
	const json_t *node =
	    json_array_get(json_object_get(json_object_get(json_object_get(context, "links"), "backend"), "nodes"), 0);

	(void)state;
	assert_true(json_is_true(json_object_get(node, "first")) && json_is_true(json_object_get(node, "last")));
}

static void owners_of_secrets(void **state)
{
	_cleanup_(node_spec_freep) struct node_spec *node = spec();
	_cleanup_(freep) char *owners = node_secret_owners(node);
	_cleanup_strv_ struct strv names = { 0 };

	(void)state;
	assert_string_equal(owners, "db=www");
	node_secret_names(node, &names);
	assert_int_equal(names.n, 1);
}

/* --- since when checks are as they are --- */

static void checks_are_as_they_are_since(void **state)
{
	struct check_times *times = check_times_new();
	struct consul_check list[] = { { .node = (char *)"h1", .id = (char *)"a", .status = CONSUL_PASSING },
				       { .node = (char *)"h1", .id = (char *)"b", .status = CONSUL_PASSING },
				       { .status = CONSUL_PASSING } };
	struct consul_checks checks = { .v = list, .n = 1 };

	(void)state;
	check_times_update(times, &checks, 1000);
	assert_int_equal(check_times_since(times, "h1", "a", CONSUL_PASSING), 0); /* for how long nobody knows */
	checks.n = 3;
	check_times_update(times, &checks, 2000);
	assert_int_equal(check_times_since(times, "h1", "a", CONSUL_PASSING), 0);
	assert_int_equal(check_times_since(times, "h1", "b", CONSUL_PASSING), 2000); /* new */
	list[0].status = CONSUL_CRITICAL;
	check_times_update(times, &checks, 3000);
	check_times_update(times, &checks, 4000);
	assert_int_equal(check_times_since(times, "h1", "a", CONSUL_CRITICAL), 3000);
	assert_int_equal(check_times_since(times, "h1", "b", CONSUL_PASSING), 2000);
	assert_int_equal(check_times_since(times, "h1", "a", CONSUL_PASSING), 0); /* not seen so */
	assert_int_equal(check_times_since(times, "h2", "b", CONSUL_PASSING), 0);
	check_times_free(times);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_come_sorted_with_their_ports),
		cmocka_unit_test(a_drain_says_since_when),
		cmocka_unit_test(health_of_the_worst_check),
		cmocka_unit_test(strangers_are_left_out),
		cmocka_unit_test(a_port_of_another_name_serves_nobody),
		cmocka_unit_test(secrets_become_paths),
		cmocka_unit_test(only_nodes_that_serve_are_in_a_link),
		cmocka_unit_test(one_node_is_first_and_last),
		cmocka_unit_test(owners_of_secrets),
		cmocka_unit_test(checks_are_as_they_are_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
