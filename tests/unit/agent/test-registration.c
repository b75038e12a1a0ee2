/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How an instance stands in Consul, and the checks that were added to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/added-checks.h"
#include "agent/registration.h"
#include "model/canonical.h"

#define SHA "0123456789012345678901234567890123456789012345678901234567890123"

static const char text[] =
    "{\"desired\":\"run\",\"revision\":5,\"fingerprint\":\"" SHA
    "\",\"since\":1,\"proven\":false,\"service\":\"portal\","
    "\"component\":\"web\",\"checks\":["
    "{\"id\":\"http-1\",\"kind\":\"http\",\"path\":\"/health\",\"interval\":2000,\"timeout\":1000},"
    "{\"id\":\"tcp-1\",\"kind\":\"tcp\",\"port\":\"admin\",\"interval\":2000,\"timeout\":1000},"
    "{\"id\":\"exec-1\",\"kind\":\"exec\",\"argv\":[\"true\"],\"interval\":2000,\"timeout\":1000}],"
    "\"body\":{\"recipe\":\"r\",\"bundle\":\"" SHA "\",\"config\":{},\"links\":{},\"volumes\":{},\"ports\":{"
    "\"admin\":{\"port\":81,\"interface\":\"http\",\"publish\":0,\"order\":1},"
    "\"http\":{\"port\":80,\"interface\":\"http\",\"publish\":0,\"order\":0}},\"memory\":0,\"cpus\":0}}";

struct world {
	struct instance_id id;
	struct node_spec *spec;
	struct runtime_port ports[2];
	struct runtime_node node;
	struct registration registration;
};

static struct node_spec *parse(const char *json_text)
{
	_cleanup_json_ json_t *json = json_loads(json_text, 0, NULL);
	_cleanup_err_ struct err err = ERR_INIT;
	struct node_spec *spec = NULL;

	if (node_spec_from_json(json, &spec, &err) < 0)
		fail_msg("%s", err_text(&err));
	return spec;
}

static int setup(void **state)
{
	static struct world world;

	world = (struct world){
		.ports = { { .name = (char *)"http", .port = 80, .host_port = 32768 },
			   { .name = (char *)"admin", .port = 81, .host_port = 32769 } },
	};
	world.node = (struct runtime_node){ .ports = world.ports, .n_ports = 2 };
	world.spec = parse(text);
	*state = &world;
	return instance_id_parse("portal/web/1.5", &world.id, NULL);
}

static int teardown(void **state)
{
	struct world *world = *state;

	registration_release(&world->registration);
	node_spec_free(world->spec);
	instance_id_release(&world->id);
	return 0;
}

static void build(struct world *world, const struct check *added, size_t n)
{
	registration_release(&world->registration);
	registration_build(&world->id, world->spec, &world->node, "h1", "192.0.2.1", added, n, &world->registration);
}

static char *digest(struct world *world)
{
	build(world, NULL, 0);
	return registration_digest(&world->registration);
}

static void targets_are_host_ports(void **state)
{
	struct world *world = *state;

	build(world, NULL, 0);
	assert_string_equal(world->registration.id, "portal-web-1.5");
	assert_string_equal(world->registration.name, "portal-web");
	assert_int_equal(world->registration.port, 32768); /* the recipe's first */
	assert_int_equal(world->registration.n_checks, 4);
	assert_string_equal(world->registration.checks[0].id, "portal-web-1.5:running");
	assert_null(world->registration.checks[0].target);
	assert_string_equal(world->registration.checks[1].target, "http://192.0.2.1:32768/health");
	assert_string_equal(world->registration.checks[2].target, "192.0.2.1:32769");
	assert_null(world->registration.checks[3].target);
}

static void meta_is_that_of_the_documentation(void **state)
{
	static const char *const expected[][2] = {
		{ "tepuy", "1" }, { "service", "portal" },  { "component", "web" },    { "node", "1" },
		{ "gen", "5" },   { "revision", "5" },      { "recipe", "r" },         { "fingerprint", SHA },
		{ "host", "h1" }, { "port_http", "32768" }, { "port_admin", "32769" },
	};
	struct world *world = *state;

	build(world, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		const char *is = consul_meta(&world->registration.meta, expected[i][0]);

		assert_non_null(is);
		assert_string_equal(is, expected[i][1]);
	}
}

static void the_digest_is_the_same_for_the_same(void **state)
{
	_cleanup_(freep) char *first = digest(*state), *second = digest(*state);

	assert_string_equal(first, second);
}

/* `why` must change the digest of the registration: it has to be brought level. */
static void assert_other(struct world *world, const char *before, const char *why)
{
	_cleanup_(freep) char *after = digest(world);

	if (!strcmp(before, after))
		fail_msg("The digest does not notice: %s", why);
}

static void the_digest_notices_what_matters(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *before = digest(world);

	world->ports[0].host_port = 40000;
	assert_other(world, before, "the port of a restarted container");
	world->ports[0].host_port = 32768;
	world->spec->desired = NODE_DRAIN;
	assert_other(world, before, "maintenance");
	world->spec->desired = NODE_RUN;
	world->spec->revision = 6;
	assert_other(world, before, "the revision");
	world->spec->revision = 5;
	world->spec->checks[0].interval = 3000;
	assert_other(world, before, "a check's interval");
	world->spec->checks[0].interval = 2000;
	world->spec->n_checks = 2;
	assert_other(world, before, "a check that is gone");
	world->spec->n_checks = 3;
}

/* A reload of templates or a drain's time are no reasons to register anew. */
static void the_digest_leaves_the_rest_out(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *before = digest(world), *after = NULL;

	world->spec->since = 99;
	world->spec->memory = 1 << 20;
	after = digest(world);
	assert_string_equal(before, after);
}

static void a_new_check_leaves_the_others_as_they_are(void **state)
{
	struct check added = { .id = (char *)"more", .kind = CHECK_TTL, .ttl = 5000 };
	struct world *world = *state;
	_cleanup_(freep) char *core = NULL, *http = NULL;

	build(world, NULL, 0);
	core = xstrdup(consul_meta(&world->registration.meta, "digest"));
	http = xstrdup(world->registration.checks[1].digest);
	build(world, &added, 1);
	assert_int_equal(world->registration.n_checks, 5);
	assert_string_equal(world->registration.checks[4].id, "portal-web-1.5:more");
	assert_string_equal(consul_meta(&world->registration.meta, "digest"), core);
	assert_string_equal(world->registration.checks[1].digest, http);
}

static void own_checks_win_over_added_ones_of_their_name(void **state)
{
	struct check added[] = { { .id = (char *)"http-1", .kind = CHECK_TTL, .ttl = 5000 },
				 { .id = (char *)"running", .kind = CHECK_TTL, .ttl = 5000 } };
	struct world *world = *state;

	build(world, added, 2);
	assert_int_equal(world->registration.n_checks, 4);
	assert_int_equal(world->registration.checks[1].check.kind, CHECK_HTTP);
}

/* --- checks added at run time --- */

static struct consul_kv kv(const char *key, const char *value)
{
	return (struct consul_kv){ .key = (char *)key, .value = (char *)value, .len = strlen(value) };
}

static size_t added_for(const struct added_checks *added, const char *instance)
{
	_cleanup_(freep) struct check *list = NULL;
	struct instance_id id;
	size_t n;

	assert_int_equal(instance_id_parse(instance, &id, NULL), 0);
	list = added_checks_for(added, &id, &n);
	instance_id_release(&id);
	return n;
}

#define TTL "\"check\":{\"kind\":\"ttl\",\"ttl\":5000}}"

static void added_checks_go_to_their_target(void **state)
{
	struct consul_kv list[] = {
		kv("tepuy/service/portal/check/all", "{\"target\":\"\"," TTL),
		kv("tepuy/service/portal/check/web", "{\"target\":\"web\"," TTL),
		kv("tepuy/service/portal/check/one", "{\"target\":\"web/2\"," TTL),
		kv("tepuy/service/portal/status", "{}"),
	};
	struct consul_kvs kvs = { .v = list, .n = ARRAY_SIZE(list) };
	_cleanup_(added_checks_release) struct added_checks added = { 0 };

	(void)state;
	added_checks_read(&kvs, &added);
	assert_int_equal(added.n, 3);
	assert_int_equal(added_for(&added, "portal/web/2.5"), 3);
	assert_int_equal(added_for(&added, "portal/web/1.5"), 2);
	assert_int_equal(added_for(&added, "portal/db/1.5"), 1);
	assert_int_equal(added_for(&added, "other/web/2.5"), 0);
}

static void malformed_added_checks_are_skipped(void **state)
{
	struct consul_kv list[] = {
		kv("tepuy/service/portal/check/a", "no json"),
		kv("tepuy/service/portal/check/b", "[]"),
		kv("tepuy/service/portal/check/c", "{" TTL),
		kv("tepuy/service/portal/check/d", "{\"target\":\"web\",\"check\":{\"kind\":\"shell\"}}"),
		kv("tepuy/service/portal/check/e", "{\"target\":\"web\"," TTL),
		kv("tepuy/service/x", "{}"),
		kv("other", "{}"),
	};
	struct consul_kvs kvs = { .v = list, .n = ARRAY_SIZE(list) };
	_cleanup_(added_checks_release) struct added_checks added = { 0 };

	(void)state;
	added_checks_read(&kvs, &added);
	assert_int_equal(added.n, 1);
	assert_string_equal(added.list[0].check.id, "e");
}

/* What runs elsewhere, and Consul's checks, reach it where it is. */
static void a_machine_is_reached_at_its_own_address(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *before = digest(world), *after = NULL;

	world->ports[0] = (struct runtime_port){
		.name = (char *)"http", .address = (char *)"192.0.2.100", .port = 80, .host_port = 80
	};
	after = digest(world);
	assert_string_equal(world->registration.address, "192.0.2.100");
	assert_int_equal(world->registration.port, 80);
	assert_string_equal(world->registration.checks[1].target, "http://192.0.2.100:80/health");
	assert_string_not_equal(before, after);
	world->ports[0].address = (char *)"0.0.0.0";
	build(world, NULL, 0);
	assert_string_equal(world->registration.address, "192.0.2.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_machine_is_reached_at_its_own_address, setup, teardown),
		cmocka_unit_test_setup_teardown(targets_are_host_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(meta_is_that_of_the_documentation, setup, teardown),
		cmocka_unit_test_setup_teardown(the_digest_is_the_same_for_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(the_digest_notices_what_matters, setup, teardown),
		cmocka_unit_test_setup_teardown(the_digest_leaves_the_rest_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_check_leaves_the_others_as_they_are, setup, teardown),
		cmocka_unit_test_setup_teardown(own_checks_win_over_added_ones_of_their_name, setup, teardown),
		cmocka_unit_test(added_checks_go_to_their_target),
		cmocka_unit_test(malformed_added_checks_are_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
