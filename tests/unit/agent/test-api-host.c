/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The API's routes about hosts, what is only on another host, and programs of another version. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/api.h"
#include "agent/schema-gate.h"
#include "base/fs.h"
#include "base/protocol.h"
#include "fake-consul.h"
#include "model/canonical.h"

#define INFO(address)                                                                                                  \
	"{\"runtime\":\"docker\",\"version\":\"20.10\",\"address\":\"" address                                         \
	"\",\"labels\":{\"disk\":\"ssd\"},\"cpus\":2,\"memory\":1024,\"agent\":\"0.1\",\"api\":1,"                     \
	"\"reschedule_after\":60000}"
#define ASSIGNMENT(volumes)                                                                                            \
	"{\"desired\":\"run\",\"revision\":1,\"fingerprint\":\"f\",\"since\":7,\"checks\":[],\"body\":{\"volumes\":"   \
	"{" volumes "}}}"
#define SERF(h2)                                                                                                       \
	"[{\"Node\":\"h1\",\"CheckID\":\"serfHealth\",\"Name\":\"s\",\"Status\":\"passing\"},"                         \
	"{\"Node\":\"h2\",\"CheckID\":\"serfHealth\",\"Name\":\"s\",\"Status\":\"" h2 "\"}]"

struct world {
	char dir[64], socket[96], base[128];
	struct fake_consul *fake;
	struct node_env env;
	struct runtime runtime;
	_Atomic bool leading;
	struct api *api;
	struct http *http;
	struct http_reply reply;
	json_t *json;
};

static enum runtime_probe fake_probe(struct runtime *rt, char **ret_version, struct err *err)
{
	(void)rt, (void)err;
	*ret_version = xstrdup("1.0");
	return RUNTIME_MINE;
}

static int fake_list(struct runtime *rt, struct runtime_node **ret, size_t *ret_n, struct err *err)
{
	(void)rt, (void)err;
	*ret = NULL;
	*ret_n = 0;
	return 0;
}

static const struct runtime_ops fake_ops = { .name = "fake", .probe = fake_probe, .list = fake_list };

/* h1 answers and leads; h2 is away, and was given portal/web/1 and portal/db/1, whose data it has. */
static int setup(void **state)
{
	static struct world world;
	_cleanup_(freep) char *store = NULL;

	world = (struct world){ .dir = "/tmp/tt-agenttest-XXXXXX",
				.fake = fake_consul_start(),
				.runtime = { .ops = &fake_ops } };
	if (!mkdtemp(world.dir))
		return -1;
	snprintf(world.socket, sizeof(world.socket), "%s/agent.sock", world.dir);
	snprintf(world.base, sizeof(world.base), "unix:%s", world.socket);
	fake_consul_set(world.fake, "tepuy/host/h1/info", INFO("192.0.2.1"));
	fake_consul_set(world.fake, "tepuy/host/h2/info", INFO("192.0.2.2"));
	fake_consul_set(world.fake, "tepuy/host/h2/node/portal/web/1.5", ASSIGNMENT(""));
	fake_consul_set(world.fake, "tepuy/host/h2/node/portal/db/1.3", ASSIGNMENT("\"data\":{\"mount\":\"/d\"}"));
	fake_consul_set(world.fake, "tepuy/host/h2/state/portal/web/1.5", "{\"state\":\"running\",\"since\":9}");
	fake_consul_set(world.fake, "tepuy/service/portal/status",
			"{\"phase\":\"done\",\"revision\":1,\"good\":1,\"homes\":{\"db/1\":\"h2\"}}");
	fake_consul_set(world.fake, "tepuy/leader", "h1");
	fake_consul_answer(world.fake, "/v1/health/state/any", SERF("critical"));
	fake_consul_answer(world.fake, "/v1/agent/self", "{\"Config\":{\"NodeName\":\"h1\",\"Datacenter\":\"dc1\"}}");
	store = fs_join(world.dir, "store");
	world.env = (struct node_env){ .runtime = &world.runtime,
				       .state_dir = world.dir,
				       .run_dir = world.dir,
				       .host = "h1",
				       .address = "192.0.2.1",
				       .times = check_times_new(),
				       .consul = consul_new(fake_consul_base(world.fake), NULL, NULL) };
	if (image_store_open(store, &world.env.store, NULL) < 0 ||
	    api_start(&world.env, world.socket, &world.leading, &world.api, NULL) < 0)
		return -1;
	world.http = http_new(world.base, NULL);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	http_free(world->http);
	api_stop(world->api);
	http_reply_release(&world->reply);
	json_decref(world->json);
	check_times_free(world->env.times);
	consul_free(world->env.consul);
	image_store_free(world->env.store);
	fake_consul_stop(world->fake);
	return fs_remove_tree(world->dir, NULL);
}

static int ask_as(struct world *world, const char *method, const char *path, const char *body, const char *header)
{
	struct http_request request = {
		.method = method, .path = path, .body = body, .body_len = body ? strlen(body) : 0, .header = header
	};
	_cleanup_err_ struct err err = ERR_INIT;

	http_reply_release(&world->reply);
	json_decref(world->json);
	world->json = NULL;
	if (http_request(world->http, &request, &world->reply, &err) < 0)
		fail_msg("%s %s: %s", method, path, err_text(&err));
	world->json = json_loadb(buf_text(&world->reply.body), world->reply.body.len, 0, NULL);
	return world->reply.status;
}

static int ask(struct world *world, const char *method, const char *path, const char *body)
{
	return ask_as(world, method, path, body, NULL);
}

static const char *text_of(const struct world *world, const char *key)
{
	const char *text = json_string_value(json_object_get(world->json, key));

	return text ? text : "";
}

static bool is_on(const struct world *world, const char *key)
{
	return json_is_true(json_object_get(world->json, key));
}

static void assert_mentions(const struct world *world, const char *what)
{
	if (!strstr(text_of(world, "error"), what))
		fail_msg("'%s' does not mention '%s'", text_of(world, "error"), what);
}

/* --- reading --- */

static void a_host_has_what_the_documentation_says(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *row = NULL;

	assert_int_equal(ask(world, "GET", "/v1/hosts", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(world->json, "hosts")), 2);
	row = json_canonical(json_array_get(json_object_get(world->json, "hosts"), 1));
	assert_string_equal(row, "{\"address\":\"192.0.2.2\",\"agent\":\"0.1\",\"alive\":false,\"alive_since\":0,"
				 "\"api\":1,\"cordoned\":false,\"cpus\":2,\"drained\":false,\"labels\":{\"disk\":"
				 "\"ssd\"},\"leader\":false,\"memory\":1024,\"name\":\"h2\",\"nodes\":2,\"removed\":"
				 "false,\"reschedule_after\":60000,\"runtime\":\"docker\",\"version\":\"20.10\"}");
	assert_true(json_is_true(json_object_get(json_array_get(json_object_get(world->json, "hosts"), 0), "leader")));
}

static void a_host_lists_its_assignments(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *rows = NULL;

	assert_int_equal(ask(world, "GET", "/v1/host/h2", NULL), 200);
	rows = json_canonical(json_object_get(world->json, "assignments"));
	assert_string_equal(rows, "[{\"desired\":\"run\",\"gen\":3,\"node\":\"portal/db/1\",\"revision\":1,\"since\":0,"
				  "\"state\":\"none\",\"volumes\":true},"
				  "{\"desired\":\"run\",\"gen\":5,\"node\":\"portal/web/1\",\"revision\":1,\"since\":9,"
				  "\"state\":\"running\",\"volumes\":false}]");
	assert_int_equal(ask(world, "GET", "/v1/host/h9", NULL), 404);
	assert_int_equal(ask(world, "GET", "/v1/host/h%2F2", NULL), 400);
}

/* Also that of a service that is down. */
static void a_host_says_whose_data_it_has(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *data = NULL, *none = NULL;

	fake_consul_set(world->fake, "tepuy/service/mail/status",
			"{\"phase\":\"removed\",\"revision\":1,\"homes\":{\"box/1\":\"h2\",\"box/2\":\"h3\"}}");
	assert_int_equal(ask(world, "GET", "/v1/host/h2", NULL), 200);
	assert_null(json_object_get(world->json, "data")); /* not in what is polled */
	assert_int_equal(ask(world, "GET", "/v1/host/h2?data=1", NULL), 200);
	data = json_canonical(json_object_get(world->json, "data"));
	assert_string_equal(data, "[\"mail/box/1\",\"portal/db/1\"]");
	assert_int_equal(ask(world, "GET", "/v1/host/h1?data=1", NULL), 200);
	none = json_canonical(json_object_get(world->json, "data"));
	assert_string_equal(none, "[]");
	assert_int_equal(ask(world, "GET", "/v1/host/h9?data=1", NULL), 404);
}

/* --- closing and opening --- */

static void closing_and_opening_a_host(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *value = NULL;

	assert_int_equal(ask(world, "POST", "/v1/host/h1/drain", "{\"author\":\"ana@srv1\"}"), 200);
	assert_true(is_on(world, "drained"));
	assert_false(is_on(world, "cordoned"));
	assert_string_equal(text_of(world, "by"), "ana@srv1");
	assert_int_equal(ask(world, "POST", "/v1/host/h1/cordon", NULL), 200);
	assert_true(is_on(world, "drained") && is_on(world, "cordoned"));
	assert_string_equal(text_of(world, "by"), "h1"); /* nobody said who */
	assert_int_equal(ask(world, "POST", "/v1/host/h1/undrain", NULL), 200);
	assert_false(is_on(world, "drained"));
	assert_int_equal(ask(world, "POST", "/v1/host/h1/uncordon", NULL), 200);
	assert_false(is_on(world, "cordoned"));
	value = fake_consul_get(world->fake, "tepuy/host/h1/admin");
	assert_non_null(strstr(value, "\"cordoned\":false"));
	assert_int_equal(ask(world, "POST", "/v1/host/h9/drain", NULL), 404);
	assert_int_equal(ask(world, "POST", "/v1/host/h1/burn", NULL), 405);
}

static void what_is_so_already_is_not_written_again(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *before = NULL, *after = NULL;

	ask(world, "POST", "/v1/host/h1/drain", "{\"author\":\"ana\"}");
	before = fake_consul_get(world->fake, "tepuy/host/h1/admin");
	assert_int_equal(ask(world, "POST", "/v1/host/h1/drain", "{\"author\":\"eva\"}"), 200);
	after = fake_consul_get(world->fake, "tepuy/host/h1/admin");
	assert_string_equal(before, after);
}

/* --- removing --- */

static void a_host_that_is_needed_is_not_removed(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *info = NULL;

	assert_int_equal(ask(world, "DELETE", "/v1/host/h1", NULL), 409);
	assert_mentions(world, "alive");
	assert_int_equal(ask(world, "DELETE", "/v1/host/h2", NULL), 409);
	assert_mentions(world, "2 nodes");
	info = fake_consul_get(world->fake, "tepuy/host/h2/info");
	assert_non_null(info);
	assert_int_equal(ask(world, "DELETE", "/v1/host/h9", NULL), 404);
}

/* Also when none of its nodes is wanted at present: that of a service that is down. */
static void a_host_with_data_is_not_removed(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->fake, "tepuy/host/h3/info", INFO("192.0.2.3"));
	fake_consul_set(world->fake, "tepuy/service/mail/status",
			"{\"phase\":\"removed\",\"revision\":1,\"homes\":{\"box/1\":\"h3\"}}");
	assert_int_equal(ask(world, "DELETE", "/v1/host/h3", NULL), 409);
	assert_mentions(world, "mail/box/1");
}

/* It would go on with them unseen, beside those that replace them. */
static void a_host_that_runs_nodes_is_not_removed_even_by_force(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->fake, "tepuy/host/h1/node/portal/web/2.5", ASSIGNMENT(""));
	assert_int_equal(ask(world, "DELETE", "/v1/host/h1?force=1", NULL), 409);
	assert_mentions(world, "drain");
}

static void a_dead_host_is_removed_by_force(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *info = NULL, *node = NULL, *admin = NULL, *write = NULL;
	_cleanup_(freep) char *mine = NULL, *other = NULL;

	fake_consul_answer(
	    world->fake, "/v1/catalog/node/h2",
	    "{\"Node\":{\"Node\":\"h2\"},\"Services\":{"
	    "\"portal-web-1.5\":{\"ID\":\"portal-web-1.5\",\"Service\":\"portal-web\",\"Meta\":{\"tepuy\":"
	    "\"1\"}},\"other\":{\"ID\":\"other\",\"Service\":\"other\",\"Meta\":{}}}}");
	for (int i = 0; i < 70; i++) { /* more than a transaction of Consul's holds */
		_cleanup_(freep) char *offer = xasprintf("tepuy/image/i%d/have/h2", i);

		fake_consul_set(world->fake, offer, "{\"id\":\"a\",\"size\":1}");
	}
	fake_consul_set(world->fake, "tepuy/image/i1/have/h1", "{\"id\":\"a\",\"size\":1}");
	fake_consul_set(world->fake, "tepuy/image/i1/have/other-h2", "{\"id\":\"a\",\"size\":1}");
	assert_int_equal(ask(world, "DELETE", "/v1/host/h2?force=1", "{\"author\":\"ana\"}"), 204);
	for (int i = 0; i < 70; i++) {
		_cleanup_(freep) char *key = xasprintf("tepuy/image/i%d/have/h2", i);
		_cleanup_(freep) char *offer = fake_consul_get(world->fake, key);

		assert_null(offer);
	}
	mine = fake_consul_get(world->fake, "tepuy/image/i1/have/h1");
	other = fake_consul_get(world->fake, "tepuy/image/i1/have/other-h2");
	assert_true(mine && other);
	info = fake_consul_get(world->fake, "tepuy/host/h2/info");
	node = fake_consul_get(world->fake, "tepuy/host/h2/node/portal/web/1.5");
	admin = fake_consul_get(world->fake, "tepuy/host/h2/admin");
	assert_null(info);
	assert_null(node);
	assert_non_null(strstr(admin, "\"removed\":true"));
	assert_non_null(strstr(admin, "\"cordoned\":true"));
	write = fake_consul_last_write(world->fake);
	assert_string_equal(write, "PUT /v1/catalog/deregister");
	assert_int_equal(fake_consul_writes(world->fake, "PUT /v1/catalog/deregister"), 1); /* not the other one */
	assert_int_equal(ask(world, "GET", "/v1/hosts", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(world->json, "hosts")), 1);
}

static void look(struct world *world, enum consul_status *h2, int64_t now_ms)
{
	struct consul_check v[] = {
		{ .node = (char *)"h1", .id = (char *)"serfHealth", .status = CONSUL_PASSING },
		{ .node = (char *)"h2", .id = (char *)"serfHealth", .status = h2 ? *h2 : CONSUL_UNKNOWN },
	};
	struct consul_checks checks = { .v = v, .n = h2 ? 2 : 1 };

	check_times_update(world->env.times, &checks, now_ms);
}

static json_int_t silent_since(struct world *world)
{
	assert_int_equal(ask(world, "GET", "/v1/host/h2", NULL), 200);
	assert_true(json_is_false(json_object_get(world->json, "alive")));
	return json_integer_value(json_object_get(world->json, "alive_since"));
}

/* Consul forgets a dead server's checks; since when it is dead is still known. */
static void a_dead_server_is_dead_since_it_was_critical(void **state)
{
	enum consul_status alive = CONSUL_PASSING, dead = CONSUL_CRITICAL;
	struct world *world = *state;

	look(world, &alive, 1000);
	look(world, &dead, 5000);
	assert_int_equal(silent_since(world), 5000);
	fake_consul_answer(world->fake, "/v1/health/state/any",
			   "[{\"Node\":\"h1\",\"CheckID\":\"serfHealth\",\"Name\":\"s\",\"Status\":\"passing\"}]");
	look(world, NULL, 9000);
	assert_int_equal(silent_since(world), 5000);
	look(world, NULL, 10000);
	assert_int_equal(silent_since(world), 5000);
	look(world, &alive, 11000);
	look(world, NULL, 12000); /* gone without a word */
	assert_int_equal(silent_since(world), 12000);
}

/* It came back, or another machine has its name: it is closed until somebody opens it. */
static void a_removed_host_is_taken_in_again_by_opening_it(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *admin = NULL;

	assert_int_equal(ask(world, "DELETE", "/v1/host/h2?force=1", NULL), 204);
	fake_consul_set(world->fake, "tepuy/host/h2/info", INFO("192.0.2.2"));
	assert_int_equal(ask(world, "POST", "/v1/host/h2/drain", NULL), 200);
	assert_true(is_on(world, "removed") && is_on(world, "cordoned"));
	assert_int_equal(ask(world, "POST", "/v1/host/h2/uncordon", NULL), 200);
	assert_false(is_on(world, "removed") || is_on(world, "cordoned"));
	admin = fake_consul_get(world->fake, "tepuy/host/h2/admin");
	assert_null(strstr(admin, "removed"));
}

/* --- elsewhere --- */

static void what_is_on_another_host_is_said(void **state)
{
	static const char *const requests[][3] = {
		{ "GET", "/v1/logs/portal/web/1", NULL },
		{ "POST", "/v1/exec/portal/web", "{\"argv\":[\"true\"]}" },
		{ "POST", "/v1/ttl/portal/web/1/beat", "{\"status\":\"passing\"}" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		_cleanup_(freep) char *hosts = NULL;

		assert_int_equal(ask(world, requests[i][0], requests[i][1], requests[i][2]), 421);
		assert_string_equal(text_of(world, "code"), "EREMOTE");
		assert_mentions(world, "h2");
		hosts = json_canonical(json_object_get(world->json, "hosts"));
		assert_string_equal(hosts, "[\"h2\"]");
	}
	assert_int_equal(ask(world, "GET", "/v1/logs/portal/none", NULL), 404);
}

/* --- other versions --- */

static void another_version_of_the_protocol_is_refused_before_anything_is_done(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *admin = NULL;

	assert_int_equal(ask_as(world, "POST", "/v1/host/h1/drain", NULL, "Tepuy-Api: 2 9.0"), 426);
	assert_string_equal(text_of(world, "code"), "EPROTONOSUPPORT");
	assert_mentions(world, "9.0");
	assert_mentions(world, "upgrade tepuy on h1");
	assert_int_equal(ask_as(world, "POST", "/v1/host/h1/drain", NULL, "Tepuy-Api: 0 0.0"), 426);
	assert_mentions(world, "where you work");
	assert_int_equal(ask_as(world, "POST", "/v1/host/h1/drain", NULL, "Tepuy-Api: x"), 400);
	admin = fake_consul_get(world->fake, "tepuy/host/h1/admin");
	assert_null(admin);
	assert_int_equal(ask_as(world, "POST", "/v1/host/h1/drain", NULL, protocol_line), 200);
}

/* --- what keeps the agent from its work --- */

static void with_unknown_keys_nothing_is_changed(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *admin = NULL;

	world->env.other_schema = true;
	assert_int_equal(ask(world, "POST", "/v1/host/h1/drain", NULL), 426);
	assert_mentions(world, "upgrade tepuy on h1");
	assert_int_equal(ask(world, "POST", "/v1/service/portal/down", NULL), 426);
	assert_int_equal(ask(world, "PUT", "/v1/service/portal", "{\"spec\":{}}"), 426);
	admin = fake_consul_get(world->fake, "tepuy/host/h1/admin");
	assert_null(admin);
	assert_int_equal(ask(world, "GET", "/v1/services", NULL), 200);
	assert_non_null(strstr(text_of(world, "trouble"), "layout"));
}

static void a_refused_token_is_told(void **state)
{
	struct world *world = *state;

	assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
	assert_string_equal(text_of(world, "trouble"), "");
	world->env.token_refused = true;
	assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
	assert_non_null(strstr(text_of(world, "trouble"), "token"));
}

static void the_layout_of_keys_is_a_number(void **state)
{
	(void)state;
	assert_int_equal(schema_gate_parse("1"), 1);
	assert_int_equal(schema_gate_parse("2\n"), 2);
	assert_int_equal(schema_gate_parse(""), 0);
	assert_int_equal(schema_gate_parse("{\"layout\":3}"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(with_unknown_keys_nothing_is_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_token_is_told, setup, teardown),
		cmocka_unit_test(the_layout_of_keys_is_a_number),
		cmocka_unit_test_setup_teardown(a_host_has_what_the_documentation_says, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_lists_its_assignments, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_says_whose_data_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(closing_and_opening_a_host, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_so_already_is_not_written_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_is_needed_is_not_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_with_data_is_not_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_server_is_dead_since_it_was_critical, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_runs_nodes_is_not_removed_even_by_force, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_host_is_removed_by_force, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_host_is_taken_in_again_by_opening_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_on_another_host_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(another_version_of_the_protocol_is_refused_before_anything_is_done,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
