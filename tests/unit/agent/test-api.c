/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's API as a client of its socket sees it, with a small Consul and a runtime that has one node. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/api.h"
#include "base/clock.h"
#include "base/fs.h"
#include "fake-consul.h"
#include "model/canonical.h"

#define SHA "0123456789012345678901234567890123456789012345678901234567890123"
#define SPEC "{\"service\":\"portal\",\"revision\":1,\"down\":false,\"digest\":\"d\",\"components\":{},\"secrets\":{}}"
#define ASSIGNMENT                                                                                                     \
	"{\"desired\":\"run\",\"revision\":1,\"fingerprint\":\"f\",\"since\":7,\"checks\":[{\"id\":\"http-1\","        \
	"\"kind\":\"http\"}],\"body\":{\"recipe\":\"r\",\"ports\":{\"http\":{\"port\":80}}}}"
#define HEALTH                                                                                                         \
	"[{\"Node\":{\"Node\":\"h1\",\"Address\":\"192.0.2.1\"},\"Service\":{\"ID\":\"portal-web-1.5\",\"Service\":"   \
	"\"portal-web\",\"Address\":\"192.0.2.9\",\"Port\":32768,\"Meta\":{\"port_http\":\"32768\"}},\"Checks\":["     \
	"{\"Node\":\"h1\",\"CheckID\":\"serfHealth\",\"Name\":\"s\",\"Status\":\"passing\",\"Output\":\"\"},"          \
	"{\"Node\":\"h1\",\"CheckID\":\"portal-web-1.5:http-1\",\"Name\":\"http-1\",\"Status\":\"warning\","           \
	"\"Output\":\"slow\",\"ServiceID\":\"portal-web-1.5\"}]}]"

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

/* --- a runtime with the node portal/web/1.5 --- */

static enum runtime_probe fake_probe(struct runtime *rt, char **ret_version, struct err *err)
{
	(void)rt, (void)err;
	*ret_version = xstrdup("1.0");
	return RUNTIME_MINE;
}

static int fake_list(struct runtime *rt, struct runtime_node **ret, size_t *ret_n, struct err *err)
{
	struct runtime_node *node = xcalloc(1, sizeof(*node));

	(void)rt, (void)err;
	node->id = xstrdup("c1");
	node->state = RUNTIME_RUNNING;
	strv_add(&node->labels, RUNTIME_LABEL_INSTANCE "=portal/web/1.5");
	*ret = node;
	*ret_n = 1;
	return 0;
}

static int fake_logs(struct runtime *rt, const char *id, int tail, bool follow, bool timestamps, int stop_fd,
		     runtime_log_fn fn, void *data, struct err *err)
{
	static const char text[] = "one\ntw\361\nthree";

	(void)rt, (void)id, (void)tail, (void)follow, (void)timestamps, (void)stop_fd, (void)err;
	return fn(data, 1, text, strlen(text));
}

/* A program that echoes until it is hung up: the other end of a socket pair. */
static int fake_attach(struct runtime *rt, const char *id, const struct strv *argv, bool tty, int rows, int columns,
		       int *ret_fd, struct err *err)
{
	int *peer = rt->priv, pair[2];

	(void)id, (void)argv, (void)tty, (void)rows, (void)columns, (void)err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*peer = pair[1];
	*ret_fd = pair[0];
	return 0;
}

static const struct runtime_ops fake_ops = {
	.name = "fake", .probe = fake_probe, .list = fake_list, .logs = fake_logs, .attach = fake_attach
};

/* --- around each test --- */

static void start(struct world *world)
{
	_cleanup_(freep) char *store = fs_join(world->dir, "store");
	_cleanup_err_ struct err err = ERR_INIT;

	world->env = (struct node_env){ .runtime = &world->runtime,
					.state_dir = world->dir,
					.run_dir = world->dir,
					.host = "h1",
					.address = "192.0.2.1",
					.times = check_times_new(),
					.consul = consul_new(fake_consul_base(world->fake), NULL, NULL) };
	assert_int_equal(image_store_open(store, &world->env.store, NULL), 0);
	if (api_start(&world->env, world->socket, &world->leading, &world->api, &err) < 0)
		fail_msg("%s", err_text(&err));
	world->http = http_new(world->base, NULL);
}

static int peer_fd = -1;

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .dir = "/tmp/tt-agenttest-XXXXXX",
				.fake = fake_consul_start(),
				.runtime = { .ops = &fake_ops, .priv = &peer_fd } };
	if (!mkdtemp(world.dir))
		return -1;
	snprintf(world.socket, sizeof(world.socket), "%s/agent.sock", world.dir);
	snprintf(world.base, sizeof(world.base), "unix:%s", world.socket);
	fake_consul_set(world.fake, "tepuy/service/portal/spec", SPEC);
	fake_consul_set(world.fake, "tepuy/service/portal/status", "{\"phase\":\"done\",\"revision\":1,\"good\":1}");
	fake_consul_set(world.fake, "tepuy/host/h1/node/portal/web/1.5", ASSIGNMENT);
	fake_consul_set(world.fake, "tepuy/host/h1/state/portal/web/1.5", "{\"state\":\"running\",\"since\":9}");
	fake_consul_answer(world.fake, "/v1/health/service/portal-web", HEALTH);
	fake_consul_answer(world.fake, "/v1/agent/self",
			   "{\"Config\":{\"NodeName\":\"h1\",\"Datacenter\":\"dc1\",\"Version\":\"1.8.7\"}}");
	start(&world);
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
	closep(&peer_fd);
	peer_fd = -1;
	return fs_remove_tree(world->dir, NULL);
}

/* Asks, and gives the status; the answer's JSON (NULL: none) is in world->json. */
static int ask_bytes(struct world *world, const char *method, const char *path, const char *body, size_t len)
{
	struct http_request request = { .method = method, .path = path, .body = body, .body_len = len };
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
	return ask_bytes(world, method, path, body, body ? strlen(body) : 0);
}

static const char *text_of(const struct world *world, const char *key)
{
	const char *text = json_string_value(json_object_get(world->json, key));

	return text ? text : "";
}

static void assert_json(const struct world *world, const char *expected)
{
	_cleanup_(freep) char *is = world->json ? json_canonical(world->json) : xstrdup("no JSON");

	assert_string_equal(is, expected);
}

/* --- refusals --- */

static void every_refusal_has_its_status_and_a_sentence(void **state)
{
	static const struct {
		const char *method, *path, *body;
		int status;
		const char *code;
	} table[] = {
		{ "GET", "/", NULL, 404, "ENOENT" },
		{ "GET", "/v1/nothing", NULL, 404, "ENOENT" },
		{ "GET", "/v1/no%FFthing", NULL, 404, "ENOENT" },
		{ "DELETE", "/v1/version", NULL, 405, "EOPNOTSUPP" },
		{ "POST", "/v1/services", "{}", 405, "EOPNOTSUPP" },
		{ "GET", "/v1/service/Portal", NULL, 400, "EINVAL" },
		{ "GET", "/v1/service/%C3%28", NULL, 400, "EINVAL" },
		{ "PUT", "/v1/service/portal", "{", 400, "EINVAL" },
		{ "PUT", "/v1/service/portal", "[]", 400, "EINVAL" },
		{ "PUT", "/v1/service/portal", "{\"a\":1,\"a\":2}", 400, "EINVAL" },
		{ "PUT", "/v1/service/portal", "{\"a\":\"\xff\"}", 400, "EINVAL" },
		{ "PUT", "/v1/service/portal", "{}", 400, "EINVAL" },
		{ "PUT", "/v1/service/portal", "{\"spec\":{\"service\":\"other\"}}", 400, "EINVAL" },
		{ "POST", "/v1/service/portal/plan", "{\"spec\":3}", 400, "EINVAL" },
		{ "POST", "/v1/service/nothing/down", "{}", 404, "ENOENT" },
		{ "POST", "/v1/service/portal/rollback", "{\"revision\":77}", 404, "ENOENT" },
		{ "GET", "/v1/builds/" SHA, NULL, 404, "ENOENT" },
		{ "GET", "/v1/builds/..%2f..%2fetc", NULL, 400, "EINVAL" },
		{ "PUT", "/v1/bundle/abc", "x", 400, "EINVAL" },
		{ "PUT", "/v1/bundle/" SHA, "this is no bundle", 400, "EBADMSG" },
		{ "GET", "/v1/checks/portal/db", NULL, 404, "ENOENT" },
		{ "GET", "/v1/checks/portal/web/0", NULL, 400, "EINVAL" },
		{ "PUT", "/v1/check/portal/web", "{\"check\":{\"kind\":\"shell\"}}", 400, "EINVAL" },
		{ "PUT", "/v1/check/portal/web", "{\"id\":\"running\",\"check\":{\"kind\":\"ttl\",\"ttl\":9000}}", 400,
		  "EINVAL" },
		{ "PUT", "/v1/check/portal/web", "{\"id\":\"http-1\",\"check\":{\"kind\":\"ttl\",\"ttl\":9000}}", 409,
		  "EEXIST" },
		{ "DELETE", "/v1/check/portal/none", NULL, 404, "ENOENT" },
		{ "POST", "/v1/ttl/portal/web/1/beat", "{\"status\":\"fine\"}", 400, "EINVAL" },
		{ "POST", "/v1/disconnect/portal", "{}", 400, "EINVAL" },
		{ "POST", "/v1/exec/portal/web/1", "{}", 400, "EINVAL" },
		{ "POST", "/v1/exec/portal/web/1", "{\"argv\":[1]}", 400, "EINVAL" },
		{ "POST", "/v1/exec/portal/db/1", "{\"argv\":[\"true\"]}", 404, "ENOENT" },
		{ "GET", "/v1/logs/portal/web/2", NULL, 404, "ENOENT" },
		{ "GET", "/v1/watch", NULL, 400, "EINVAL" },
		{ "GET", "/v1/events?tail=x", NULL, 400, "EINVAL" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int status = ask(world, table[i].method, table[i].path, table[i].body);

		if (status != table[i].status || strcmp(text_of(world, "code"), table[i].code) ||
		    strlen(text_of(world, "error")) < 10)
			fail_msg("%s %s: %d %s", table[i].method, table[i].path, status, buf_text(&world->reply.body));
	}
}

static void a_body_that_is_too_large_is_refused(void **state)
{
	struct world *world = *state;
	size_t len = (1 << 20) + 1;
	_cleanup_(freep) char *body = xmalloc(len);

	memset(body, ' ', len);
	memcpy(body, "{}", 2);
	assert_int_equal(ask_bytes(world, "POST", "/v1/service/portal/down", body, len), 413);
	assert_string_equal(text_of(world, "code"), "EFBIG");
	/* One byte less is read. */
	assert_int_equal(ask_bytes(world, "POST", "/v1/service/portal/down", body, len - 1), 200);
}

static void deep_json_is_refused(void **state)
{
	struct world *world = *state;
	size_t len = 100000;
	_cleanup_(freep) char *body = xmalloc(len);

	memset(body, '[', len);
	assert_int_equal(ask_bytes(world, "PUT", "/v1/service/portal", body, len), 400);
}

/* Consul lets each request wait for seconds until it says that there is no leader: only one of them does. */
static void without_a_leader_is_told_what_was_last_known(void **state)
{
	struct world *world = *state;
	json_t *services;

	fake_consul_set(world->fake, "tepuy/service/portal/spec", SPEC);
	fake_consul_set(world->fake, "tepuy/service/wiki/spec", SPEC);
	fake_consul_depose(world->fake);
	assert_int_equal(ask(world, "GET", "/v1/services", NULL), 200);
	services = json_object_get(world->json, "services");
	assert_int_equal(json_array_size(services), 2);
	assert_true(json_is_true(json_object_get(json_array_get(services, 1), "stale")));
	assert_non_null(strstr(text_of(world, "trouble"), "no leader"));
	assert_int_equal(fake_consul_leaderless(world->fake), 1);
	assert_int_equal(ask(world, "GET", "/v1/service/portal", NULL), 200);
	assert_true(json_is_true(json_object_get(world->json, "stale")));
	assert_non_null(strstr(text_of(world, "trouble"), "no leader"));
	/* What decides asks who leads. */
	assert_int_equal(ask(world, "POST", "/v1/service/portal/down", "{}"), 503);
}

static void consul_away_is_503(void **state)
{
	struct world *world = *state;

	fake_consul_stop(world->fake);
	assert_int_equal(ask(world, "GET", "/v1/services", NULL), 503);
	assert_true(strlen(text_of(world, "error")) > 10);
	assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
	world->fake = fake_consul_start();
}

/* --- answers --- */

static void the_version(void **state)
{
	struct world *world = *state;

	world->leading = true;
	assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
	assert_json(world,
		    "{\"address\":\"192.0.2.1\",\"api\":1,\"consul\":{\"leader\":true,\"version\":\"1.8.7\"},"
		    "\"host\":\"h1\",\"runtime\":{\"name\":\"fake\",\"version\":\"1.0\"},\"version\":\"" TEPUY_VERSION
		    "\"}");
}

/* Only these parts of `env` are there then. */
static void until_it_can_begin_it_says_why(void **state)
{
	static const struct {
		enum node_wait waits;
		const char *word;
	} table[] = { { NODE_WAITS_FOR_CONSUL, "Consul" }, { NODE_WAITS_FOR_RUNTIME, "runtime" } };
	struct world *world = *state;

	world->env.runtime = NULL;
	world->env.host = world->env.address = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		world->env.waits = table[i].waits;
		assert_int_equal(ask(world, "GET", "/v1/services", NULL), 503);
		assert_string_equal(text_of(world, "code"), "EAGAIN");
		assert_non_null(strstr(text_of(world, "error"), table[i].word));
		assert_int_equal(ask(world, "POST", "/v1/service/portal/down", "{}"), 503);
		assert_int_equal(ask(world, "GET", "/v1/nothing", NULL), 404);
		assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
		assert_string_equal(text_of(world, "version"), TEPUY_VERSION);
		assert_non_null(strstr(text_of(world, "trouble"), table[i].word));
		assert_null(json_object_get(world->json, "host"));
	}
}

static void a_node_has_what_the_documentation_says(void **state)
{
	static const char *const keys[] = { "node",     "gen",         "host",    "desired",  "state",
					    "since",    "health",      "address", "ports",    "recipe",
					    "revision", "fingerprint", "checks",  "connected" };
	struct world *world = *state;
	const json_t *node;

	assert_int_equal(ask(world, "GET", "/v1/service/portal", NULL), 200);
	assert_true(json_integer_value(json_object_get(world->json, "index")) > 0);
	node = json_array_get(json_object_get(world->json, "nodes"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!json_object_get(node, keys[i]))
			fail_msg("The node has no '%s'", keys[i]);
	assert_string_equal(json_string_value(json_object_get(node, "health")), "warning");
	assert_int_equal(
	    json_integer_value(json_object_get(json_object_get(json_object_get(node, "ports"), "http"), "host_port")),
	    32768);
}

static void nothing_there_is_an_answer(void **state)
{
	struct world *world = *state;

	assert_int_equal(ask(world, "GET", "/v1/service/none", NULL), 200);
	assert_json(world, "{\"index\":0,\"nodes\":[],\"service\":\"none\"}");
}

static void checks_have_kind_and_since(void **state)
{
	struct consul_check now[] = {
		{ .node = (char *)"h1", .id = (char *)"portal-web-1.5:http-1", .status = CONSUL_PASSING }
	};
	struct consul_checks checks = { .v = now, .n = 1 };
	struct world *world = *state;

	check_times_update(world->env.times, &checks, 1000);
	now[0].status = CONSUL_WARNING;
	check_times_update(world->env.times, &checks, 2000);
	assert_int_equal(ask(world, "GET", "/v1/checks/portal/web/1", NULL), 200);
	assert_json(world, "{\"checks\":[{\"added\":false,\"id\":\"http-1\",\"kind\":\"http\",\"name\":\"http-1\","
			   "\"node\":\"web/1\",\"output\":\"slow\",\"since\":2000,\"status\":\"warning\"}]}");
}

static void a_check_is_added_and_removed(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *value = NULL, *gone = NULL;

	assert_int_equal(ask(world, "PUT", "/v1/check/portal/web", "{\"check\":{\"kind\":\"ttl\",\"ttl\":9000}}"), 200);
	assert_json(world, "{\"id\":\"added-ttl-1\"}");
	value = fake_consul_get(world->fake, "tepuy/service/portal/check/added-ttl-1");
	assert_non_null(value);
	assert_non_null(strstr(value, "\"target\":\"web\""));
	assert_int_equal(ask(world, "DELETE", "/v1/check/portal/added-ttl-1", NULL), 204);
	gone = fake_consul_get(world->fake, "tepuy/service/portal/check/added-ttl-1");
	assert_null(gone);
}

static void a_ttl_check_is_reported(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *write = NULL;

	assert_int_equal(ask(world, "POST", "/v1/ttl/portal/web/1/beat", "{\"status\":\"passing\",\"output\":\"o\"}"),
			 204);
	write = fake_consul_last_write(world->fake);
	assert_string_equal(write, "PUT /v1/agent/check/update/portal-web-1.5:beat");
}

static void disconnect_and_connect(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *value = NULL, *gone = NULL;

	assert_int_equal(ask(world, "POST", "/v1/disconnect/portal/web/1", "{\"deadline\":5,\"stop\":true}"), 200);
	assert_json(world, "{\"nodes\":[\"web/1\"]}");
	value = fake_consul_get(world->fake, "tepuy/service/portal/disconnect/web/1");
	assert_non_null(strstr(value, "\"deadline\":5"));
	assert_non_null(strstr(value, "\"stop\":true"));
	assert_int_equal(ask(world, "POST", "/v1/connect/portal/web", NULL), 200);
	gone = fake_consul_get(world->fake, "tepuy/service/portal/disconnect/web/1");
	assert_null(gone);
}

/* --- submitting --- */

static void the_second_of_two_operators_is_told(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *first = NULL;
	json_int_t index;

	ask(world, "GET", "/v1/service/portal", NULL);
	index = json_integer_value(json_object_get(world->json, "index"));
	first = xasprintf("{\"index\":%lld,\"spec\":{\"service\":\"portal\",\"digest\":\"e\",\"down\":false,"
			  "\"components\":{},\"secrets\":{}}}",
			  (long long)index);
	assert_int_equal(ask(world, "PUT", "/v1/service/portal", first), 200);
	assert_json(world, "{\"changed\":true,\"revision\":2}");
	/* The same document again changes nothing, whatever index it was made from. */
	assert_int_equal(ask(world, "PUT", "/v1/service/portal", first), 200);
	assert_json(world, "{\"changed\":false,\"revision\":2}");
	memcpy(strstr(first, "\"e\""), "\"f\"", 3);
	assert_int_equal(ask(world, "PUT", "/v1/service/portal", first), 409);
	assert_string_equal(text_of(world, "code"), "ESTALE");
}

static void secrets_are_made_once_or_asked_for(void **state)
{
	static const char generate[] = "{\"index\":0,\"spec\":{\"service\":\"s\",\"digest\":\"e\",\"components\":{},"
				       "\"secrets\":{\"k\":{\"generate\":32}}}}";
	static const char required[] = "{\"index\":0,\"spec\":{\"service\":\"t\",\"digest\":\"e\",\"components\":{},"
				       "\"secrets\":{\"k\":{\"required\":true}}}}";
	struct world *world = *state;
	_cleanup_(freep) char *once = NULL, *again = NULL;

	assert_int_equal(ask(world, "PUT", "/v1/service/s", generate), 200);
	once = fake_consul_get(world->fake, "tepuy/secret/s/k");
	assert_int_equal(strlen(once), 32);
	ask(world, "PUT", "/v1/service/s", generate);
	again = fake_consul_get(world->fake, "tepuy/secret/s/k");
	assert_string_equal(once, again);
	assert_null(strstr(buf_text(&world->reply.body), once));
	assert_int_equal(ask(world, "PUT", "/v1/service/t", required), 400);
	assert_non_null(strstr(text_of(world, "error"), "--secret k=@FILE"));
}

/* More than nodes keep, and than is given back to a Consul that lost it. */
static void a_secret_has_a_size(void **state)
{
	static const char before[] = "{\"index\":0,\"spec\":{\"service\":\"t\",\"digest\":\"e\",\"components\":{},"
				     "\"secrets\":{\"k\":{\"required\":true}}},\"secrets\":{\"k\":\"";
	struct world *world = *state;
	_cleanup_(freep) char *value = xmalloc(65538), *body = NULL, *largest = NULL;

	memset(value, 'x', 65537);
	value[65537] = '\0';
	body = xasprintf("%s%s\"}}", before, value);
	assert_int_equal(ask(world, "PUT", "/v1/service/t", body), 400);
	assert_non_null(strstr(text_of(world, "error"), "64 KiB"));
	value[65536] = '\0';
	largest = xasprintf("%s%s\"}}", before, value);
	assert_int_equal(ask(world, "PUT", "/v1/service/t", largest), 200);
}

static void a_submitted_service_is_listed_before_a_leader_takes_it_up(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->fake, "tepuy/service/new/spec", "{\"revision\":1}");
	fake_consul_set(world->fake, "tepuy/service/old/spec", "{\"revision\":1,\"down\":true}");
	fake_consul_set(world->fake, "tepuy/service/old/status", "{\"phase\":\"removed\"}");
	assert_int_equal(ask(world, "GET", "/v1/services", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(world->json, "services")), 2);
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(json_object_get(world->json, "services"), 0), "service")),
	    "new");
}

/* --- streams --- */

static void logs_are_lines_of_json_whatever_the_node_wrote(void **state)
{
	struct world *world = *state;

	assert_int_equal(ask(world, "GET", "/v1/logs/portal/web", NULL), 200);
	assert_string_equal(buf_text(&world->reply.body), "{\"node\":\"web/1\",\"stream\":1,\"text\":\"one\"}\n"
							  "{\"node\":\"web/1\",\"stream\":1,\"text\":\"tw?\"}\n"
							  "{\"node\":\"web/1\",\"stream\":1,\"text\":\"three\"}\n");
}

static void the_last_events(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->fake, "tepuy/event/portal/0000000000001-0000", "{\"kind\":\"a\"}");
	fake_consul_set(world->fake, "tepuy/event/other/0000000000002-0000", "{\"kind\":\"b\"}");
	fake_consul_set(world->fake, "tepuy/event/portal/0000000000003-0000", "{\"kind\":\"c\"}");
	fake_consul_set(world->fake, "tepuy/event/portal/0000000000004-0000", "no json");
	assert_int_equal(ask(world, "GET", "/v1/events?tail=3", NULL), 200);
	assert_string_equal(buf_text(&world->reply.body),
			    "{\"kind\":\"b\",\"service\":\"other\"}\n{\"kind\":\"c\",\"service\":\"portal\"}\n");
}

static int dial(const struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, world->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void read_until(int fd, const char *what)
{
	int64_t end = clock_monotonic_ms() + 60000;
	char text[4096] = "";
	size_t len = 0;

	while (!strstr(text, what)) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = end - clock_monotonic_ms();
		ssize_t n =
		    left > 0 && poll(&wait, 1, (int)left) > 0 ? read(fd, text + len, sizeof(text) - 1 - len) : -1;

		if (n <= 0)
			fail_msg("'%s' did not come, but '%s'", what, text);
		len += (size_t)n;
		text[len] = '\0';
	}
}

/* Also what a host tells whose clock is behind that of the one that told before. */
static void who_follows_events_misses_none(void **state)
{
	static const char request[] = "GET /v1/events?service=portal&follow=1&tail=1 HTTP/1.1\r\nHost: x\r\n\r\n";
	struct world *world = *state;
	int fd;

	fake_consul_set(world->fake, "tepuy/event/portal/0000000000001-0000", "{\"kind\":\"a\"}");
	fake_consul_set(world->fake, "tepuy/event/portal/0000000000009-0000", "{\"kind\":\"b\"}");
	fd = dial(world);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	read_until(fd, "\"b\"");
	fake_consul_set(world->fake, "tepuy/event/portal/0000000000005-0000", "{\"kind\":\"behind\"}");
	read_until(fd, "\"behind\"");
	fake_consul_set(world->fake, "tepuy/event/portal/0000000000010-0000", "{\"kind\":\"last\"}");
	read_until(fd, "\"last\"");
	close(fd);
}

/* More than fits into the sockets' buffers goes through, and an open session does not keep the agent from ending. */
static void an_exec_session_is_a_pipe_and_ends_with_the_agent(void **state)
{
	static const char request[] = "POST /v1/exec/portal/web/1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
				      "Upgrade: tepuy-exec\r\nContent-Length: 15\r\n\r\n{\"argv\":[\"sh\"]}";
	struct world *world = *state;
	int fd = dial(world);
	int64_t begin;

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	read_until(fd, "\r\n\r\n");
	assert_int_equal(write(fd, "hello", 5), 5);
	read_until(peer_fd, "hello");
	assert_int_equal(write(peer_fd, "world", 5), 5);
	read_until(fd, "world");
	begin = clock_monotonic_ms();
	api_stop(TAKE_PTR(world->api));
	assert_true(clock_monotonic_ms() - begin < 3000);
	close(fd);
}

static void a_second_agent_is_refused(void **state)
{
	struct world *world = *state;
	_cleanup_err_ struct err err = ERR_INIT;
	struct api *second = NULL;

	assert_int_equal(api_start(&world->env, world->socket, &world->leading, &second, &err), -EADDRINUSE);
	assert_null(second);
	assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
}

static void what_a_killed_agent_left_is_taken_over(void **state)
{
	struct world *world = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	api_stop(TAKE_PTR(world->api));
	strcpy(address.sun_path, world->socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(api_start(&world->env, world->socket, &world->leading, &world->api, NULL), 0);
	assert_int_equal(ask(world, "GET", "/v1/version", NULL), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_refusal_has_its_status_and_a_sentence, setup, teardown),
		cmocka_unit_test_setup_teardown(a_body_that_is_too_large_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_json_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(consul_away_is_503, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_leader_is_told_what_was_last_known, setup, teardown),
		cmocka_unit_test_setup_teardown(the_version, setup, teardown),
		cmocka_unit_test_setup_teardown(until_it_can_begin_it_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(a_node_has_what_the_documentation_says, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_there_is_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(checks_have_kind_and_since, setup, teardown),
		cmocka_unit_test_setup_teardown(a_check_is_added_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_ttl_check_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(disconnect_and_connect, setup, teardown),
		cmocka_unit_test_setup_teardown(the_second_of_two_operators_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_are_made_once_or_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_secret_has_a_size, setup, teardown),
		cmocka_unit_test_setup_teardown(a_submitted_service_is_listed_before_a_leader_takes_it_up, setup,
						teardown),
		cmocka_unit_test_setup_teardown(logs_are_lines_of_json_whatever_the_node_wrote, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_events, setup, teardown),
		cmocka_unit_test_setup_teardown(who_follows_events_misses_none, setup, teardown),
		cmocka_unit_test_setup_teardown(an_exec_session_is_a_pipe_and_ends_with_the_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_agent_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_killed_agent_left_is_taken_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
