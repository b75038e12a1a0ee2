/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The blocking client against a real Consul: consul-client.sh gives its address. Prints a line for each case. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "consul/consul.h"

static struct consul *consul;
static unsigned passed, failed;

#define CASE(condition, ...) say(condition, #condition, __VA_ARGS__)

static void say(bool good, const char *condition, const char *name)
{
	*(good ? &passed : &failed) += 1;
	printf("%s %s%s%s\n", good ? "ok   " : "FAIL ", name, good ? "" : ": ", good ? "" : condition);
}

static void test_keys(void)
{
	_cleanup_consul_kv_ struct consul_kv kv = { 0 }, none = { 0 };
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 }, empty = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	CASE(consul_kv_get(consul, "t/none", &none, &err) == -ENOENT && strstr(err_text(&err), "t/none"), "absent key");
	CASE(consul_kv_put(consul, "t/a b", "x\0y", 3, NULL) == 0,
	     "put with a space in the key and a NUL in the value");
	CASE(consul_kv_get(consul, "t/a b", &kv, NULL) == 0 && kv.len == 3 && !memcmp(kv.value, "x\0y", 4), "get");
	CASE(consul_kv_cas(consul, "t/a b", "1", 1, 0, NULL) == -ESTALE, "create of a key that exists");
	CASE(consul_kv_cas(consul, "t/a b", "1", 1, kv.modify_index + 1, NULL) == -ESTALE, "cas with another index");
	CASE(consul_kv_cas(consul, "t/a b", "1", 1, kv.modify_index, NULL) == 0, "cas");
	CASE(consul_kv_cas(consul, "t/new", "", 0, 0, NULL) == 0, "create, empty");
	CASE(consul_kv_list(consul, "t/", &kvs, NULL) == 0 && kvs.n == 2 && kvs.index > 0, "list");
	CASE(consul_kv_list(consul, "none/", &empty, NULL) == 0 && empty.n == 0, "list of nothing");
	CASE(consul_kv_delete_cas(consul, "t/a b", kv.modify_index, NULL) == -ESTALE, "delete with an old index");
	CASE(consul_kv_delete(consul, "t/a b", NULL) == 0 && consul_kv_get(consul, "t/a b", &none, NULL) == -ENOENT,
	     "delete");
	CASE(consul_kv_delete(consul, "t/a b", NULL) == 0, "delete of what is absent");
	CASE(consul_kv_delete_tree(consul, "t/", NULL) == 0 && consul_kv_list(consul, "t/", &empty, NULL) == 0 &&
		 empty.n == 0,
	     "delete of a tree");
}

static void test_value_limit(void)
{
	_cleanup_(freep) char *big = xcalloc(1, 600000);

	CASE(consul_kv_put(consul, "t/big", big, 600000, NULL) == -EFBIG, "value over Consul's limit");
}

static void test_txn(void)
{
	struct consul_op first[] = { { CONSUL_CHECK_NOT_EXISTS, "x/a" },
				     { CONSUL_SET, "x/a", "1", 1 },
				     { CONSUL_CAS, "x/b", "2", 1, .index = 0 },
				     { CONSUL_GET_TREE, "x/" } };
	struct consul_op second[] = { { CONSUL_SET, "x/c", "3", 1 },
				      { CONSUL_CHECK_INDEX, "x/a", .index = 1 },
				      { CONSUL_CHECK_NOT_EXISTS, "x/b" } };
	_cleanup_consul_kvs_ struct consul_kvs got = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct consul_kv none = { 0 };
	size_t at = 99;

	CASE(consul_txn(consul, first, ARRAY_SIZE(first), false, &got, NULL, NULL) == 0, "transaction");
	CASE(got.n >= 2 && !strcmp(got.v[got.n - 1].key, "x/b") && !strcmp(got.v[got.n - 1].value, "2"),
	     "what a transaction reads");
	CASE(consul_txn(consul, second, ARRAY_SIZE(second), false, NULL, &at, &err) == -ESTALE && at == 1,
	     "which operation failed");
	CASE(consul_kv_get(consul, "x/c", &none, NULL) == -ENOENT, "nothing of a failed transaction is written");
	CASE(consul_txn(consul, NULL, 0, false, NULL, NULL, NULL) == 0, "empty transaction");
}

static void test_large_txn(void)
{
	struct consul_op ops[150];
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	_cleanup_strv_ struct strv keys = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		strv_addf(&keys, "y/%03zu", i);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		ops[i] = (struct consul_op){ CONSUL_SET, keys.v[i], "v", 1 };
	CASE(consul_txn(consul, ops, 65, false, NULL, NULL, NULL) == -E2BIG, "65 operations are too many");
	CASE(consul_txn(consul, ops, 64, false, NULL, NULL, NULL) == 0, "64 operations are not");
	CASE(consul_txn(consul, ops, ARRAY_SIZE(ops), true, NULL, NULL, NULL) == 0 &&
		 consul_kv_list(consul, "y/", &kvs, NULL) == 0 && kvs.n == ARRAY_SIZE(ops),
	     "150 operations in parts");
	ops[130].verb = CONSUL_CHECK_NOT_EXISTS;
	CASE(consul_txn(consul, ops, ARRAY_SIZE(ops), true, NULL, &at, NULL) == -ESTALE && at == 130,
	     "which operation failed in the third part");
}

static void test_large_values(void)
{
	static char big[300000];
	struct consul_op ops[] = { { CONSUL_SET, "z/1", big, sizeof(big) }, { CONSUL_SET, "z/2", big, sizeof(big) } };

	CASE(consul_txn(consul, ops, 2, false, NULL, NULL, NULL) == -E2BIG, "two large values are too large");
	CASE(consul_txn(consul, ops, 2, true, NULL, NULL, NULL) == 0, "two large values in parts");
	consul_kv_delete_tree(consul, "z/", NULL);
}

static void test_sessions(void)
{
	_cleanup_(freep) char *one = NULL, *two = NULL, *none = NULL;
	struct consul_op check = { CONSUL_CHECK_SESSION, "lock" };

	CASE(consul_session_create(consul, "one", 10000, 1000, false, &one, NULL) == 0, "session");
	CASE(consul_session_create(consul, "two", 10000, 1000, true, &two, NULL) == 0, "session that deletes");
	CASE(consul_session_create(consul, "short", 1000, 0, false, &none, NULL) == -EINVAL, "TTL under the least");
	CASE(consul_session_renew(consul, one, NULL) == 0, "renewal");
	CASE(consul_kv_lock(consul, "lock", "1", 1, one, NULL) == 0, "lock");
	CASE(consul_kv_lock(consul, "lock", "2", 1, two, NULL) == -ESTALE, "lock that is held");
	check.session = one;
	CASE(consul_txn(consul, &check, 1, false, NULL, NULL, NULL) == 0, "transaction of the holder");
	check.session = two;
	CASE(consul_txn(consul, &check, 1, false, NULL, NULL, NULL) == -ESTALE, "transaction of another");
	CASE(consul_kv_unlock(consul, "lock", one, NULL) == 0, "unlock");
	CASE(consul_kv_unlock(consul, "lock", one, NULL) == -ESTALE, "unlock of what is not held");
	CASE(consul_session_destroy(consul, one, NULL) == 0 && consul_session_destroy(consul, one, NULL) == 0,
	     "end of a session, twice");
	CASE(consul_session_renew(consul, one, NULL) == -ENOENT, "renewal of an ended session");
	CASE(consul_kv_lock(consul, "lock", "1", 1, one, NULL) == -ENOENT, "lock with an ended session");
	consul_session_destroy(consul, two, NULL);
}

static bool register_web(void)
{
	struct consul_check_spec checks[] = {
		{ CONSUL_CHECK_TTL, "web-1:ttl", .ttl_ms = 60000, .status = CONSUL_PASSING },
		{ CONSUL_CHECK_TCP, "web-1:tcp", "tcp", "127.0.0.1:1", .interval_ms = 60000, .timeout_ms = 1000 },
		{ CONSUL_CHECK_HTTP, "web-1:http", "http", "http://127.0.0.1:1/", .interval_ms = 60000,
		  .timeout_ms = 1000 },
	};
	_cleanup_strv_ struct strv tags = { 0 }, meta = { 0 };
	struct consul_registration web = { .id = "web-1",
					   .name = "web",
					   .address = "192.0.2.7",
					   .port = 8080,
					   .tags = &tags,
					   .meta = &meta,
					   .checks = checks,
					   .n_checks = 3 };

	strv_add_all(&tags, "one", "two", NULL);
	strv_add_all(&meta, "tepuy=1", "gen=5", NULL);
	return consul_service_register(consul, &web, NULL) == 0;
}

static const struct consul_check *find_check(const struct consul_checks *checks, const char *id)
{
	for (size_t i = 0; i < checks->n; i++)
		if (!strcmp(checks->v[i].id, id))
			return &checks->v[i];
	return NULL;
}

static void test_services(void)
{
	_cleanup_consul_services_ struct consul_services all = { 0 }, some = { 0 }, none = { 0 }, health = { 0 };
	struct consul_registration bare = { .id = "web-1", .name = "web", .port = 1 };

	CASE(register_web(), "registration with three checks");
	CASE(consul_agent_services(consul, NULL, &all, NULL) == 0 && all.n == 1, "the agent's services");
	CASE(consul_agent_services(consul, "Meta.tepuy == \"1\"", &some, NULL) == 0 && some.n == 1 &&
		 !strcmp(consul_meta(&some.v[0].meta, "gen"), "5") && some.v[0].tags.n == 2,
	     "services by a filter");
	CASE(consul_agent_services(consul, "Meta.tepuy == \"2\"", &none, NULL) == 0 && none.n == 0,
	     "services by a filter that fits none");
	CASE(consul_agent_services(consul, "nonsense(", &none, NULL) == -EINVAL, "filter that is none");
	CASE(consul_health_service(consul, "web", &health, NULL) == 0 && health.n == 1 && health.v[0].checks.n == 4 &&
		 !strcmp(consul_service_address(&health.v[0]), "192.0.2.7") && health.v[0].port == 8080,
	     "health of the service");
	consul_services_release(&health);
	CASE(consul_service_register(consul, &bare, NULL) == 0 &&
		 consul_health_service(consul, "web", &health, NULL) == 0 && health.v[0].checks.n == 1,
	     "registration again takes its old checks away");
	register_web();
}

static void test_checks(void)
{
	struct consul_check_spec added = { CONSUL_CHECK_TTL, "web-1:added", .ttl_ms = 60000, .service_id = "web-1" };
	_cleanup_consul_checks_ struct consul_checks before = { 0 }, after = { 0 }, all = { 0 }, node = { 0 };
	const struct consul_check *check;
	char output[10000];

	memset(output, 'o', sizeof(output) - 1);
	output[sizeof(output) - 1] = '\0';
	CASE(consul_check_register(consul, &added, NULL) == 0, "check added");
	CASE(consul_agent_checks(consul, NULL, &before, NULL) == 0 && (check = find_check(&before, "web-1:added")) &&
		 check->status == CONSUL_CRITICAL && !strcmp(check->service_id, "web-1"),
	     "it is critical until reported");
	CASE(consul_check_update(consul, "web-1:added", CONSUL_WARNING, output, NULL) == 0, "report");
	CASE(consul_agent_checks(consul, "ServiceID == \"web-1\"", &after, NULL) == 0 &&
		 (check = find_check(&after, "web-1:added")) && check->status == CONSUL_WARNING && check->output &&
		 strlen(check->output) <= 4200,
	     "reported status and output");
	CASE(consul_check_update(consul, "none", CONSUL_PASSING, NULL, NULL) == -ENOENT, "report of an unknown check");
	CASE(consul_health_all(consul, &all, NULL) == 0 && find_check(&all, "serfHealth"), "checks of the cluster");
	CASE(consul_health_node(consul, "e2e", &node, NULL) == 0 && find_check(&node, "web-1:added"),
	     "checks of the node");
	CASE(consul_check_deregister(consul, "web-1:added", NULL) == 0 &&
		 consul_check_deregister(consul, "web-1:added", NULL) == 0,
	     "check removed, twice");
	added.service_id = "none";
	CASE(consul_check_register(consul, &added, NULL) == -ENOENT, "check of an unknown service");
}

static void test_maintenance(void)
{
	_cleanup_consul_services_ struct consul_services on = { 0 }, off = { 0 };
	const char *reason = NULL;

	CASE(consul_service_maintenance(consul, "web-1", true, "drain: a & b", NULL) == 0 &&
		 consul_health_service(consul, "web", &on, NULL) == 0 &&
		 consul_in_maintenance(&on.v[0].checks, &reason) && !strcmp(reason, "drain: a & b"),
	     "maintenance with its reason");
	CASE(consul_service_maintenance(consul, "web-1", false, NULL, NULL) == 0 &&
		 consul_health_service(consul, "web", &off, NULL) == 0 &&
		 !consul_in_maintenance(&off.v[0].checks, NULL),
	     "out of maintenance");
	CASE(consul_service_maintenance(consul, "none", true, NULL, NULL) == -ENOENT,
	     "maintenance of an unknown service");
	CASE(consul_service_deregister(consul, "web-1", NULL) == 0 &&
		 consul_service_deregister(consul, "web-1", NULL) == 0,
	     "service removed, twice");
}

static void test_cluster(void)
{
	_cleanup_consul_self_ struct consul_self self = { 0 };
	_cleanup_consul_members_ struct consul_members members = { 0 };
	_cleanup_consul_nodes_ struct consul_nodes nodes = { 0 };
	_cleanup_(freep) char *leader = NULL;

	CASE(consul_agent_self(consul, &self, NULL) == 0 && !strcmp(self.node, "e2e") && self.server && self.address &&
		 self.version,
	     "self");
	CASE(consul_agent_members(consul, &members, NULL) == 0 && members.n == 1 && members.v[0].server &&
		 members.v[0].status == CONSUL_ALIVE,
	     "members");
	CASE(consul_catalog_nodes(consul, &nodes, NULL) == 0 && nodes.n == 1 && !strcmp(nodes.v[0].name, "e2e"),
	     "nodes");
	CASE(consul_leader(consul, &leader, NULL) == 0 && strchr(leader, ':'), "leader");
}

static void *count_up(void *data)
{
	long lost = 0;

	(void)data;
	for (int done = 0; done < 25;) {
		_cleanup_consul_kv_ struct consul_kv kv = { 0 };
		char text[16];
		int r = consul_kv_get(consul, "count", &kv, NULL);

		if (r == 0) {
			snprintf(text, sizeof(text), "%d", atoi(kv.value) + 1);
			r = consul_kv_cas(consul, "count", text, strlen(text), kv.modify_index, NULL);
		}
		if (r == 0)
			done++;
		else if (r == -ESTALE)
			lost++;
		else
			return (void *)-1L;
	}
	return (void *)lost;
}

static void test_threads(void)
{
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	pthread_t threads[8];
	bool good = consul_kv_put(consul, "count", "0", 1, NULL) == 0;

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, count_up, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *lost;

		pthread_join(threads[i], &lost);
		good = good && lost != (void *)-1L;
	}
	CASE(good && consul_kv_get(consul, "count", &kv, NULL) == 0 && !strcmp(kv.value, "200"),
	     "eight threads count to 200 by cas");
}

static void test_away(void)
{
	_cleanup_(consul_freep) struct consul *away = consul_new("http://127.0.0.1:1", NULL, NULL);
	_cleanup_(consul_freep) struct consul *no_socket = consul_new("unix:/nonexistent", NULL, NULL);
	_cleanup_err_ struct err err = ERR_INIT;
	struct consul_kv kv = { 0 };

	CASE(consul_kv_get(away, "a", &kv, &err) == -ECONNREFUSED && strstr(err_text(&err), "127.0.0.1:1"),
	     "Consul is not there");
	CASE(consul_kv_get(no_socket, "a", &kv, NULL) == -ECONNREFUSED, "a socket that is absent is no absent key");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	consul = consul_new(argv[1], NULL, NULL);
	test_keys();
	test_value_limit();
	test_txn();
	test_large_txn();
	test_large_values();
	test_sessions();
	test_services();
	test_checks();
	test_maintenance();
	test_cluster();
	test_threads();
	test_away();
	consul_free(consul);
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
