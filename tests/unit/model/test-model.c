/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What golden files do not show: JSON in and out, specs and their digests, the skeleton, tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/text.h"
#include "model/canonical.h"
#include "model/config.h"
#include "model/hosts.h"
#include "model/node.h"
#include "model/recipe.h"
#include "model/service.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static json_t *parse_json(const char *text)
{
	json_error_t why;
	json_t *json = json_loads(text, JSON_DECODE_ANY, &why);

	if (!json)
		fail_msg("%s in %s", why.text, text);
	return json;
}

static void assert_canonical(const char *text, const char *expected)
{
	_cleanup_json_ json_t *json = parse_json(text);
	_cleanup_(freep) char *canonical = json_canonical(json);

	assert_string_equal(canonical, expected);
}

static void canonical_json_sorts_keys_and_has_no_spaces(void **state)
{
	(void)state;
	assert_canonical("{\"b\": [1, {\"d\": null, \"c\": true}], \"a\": \"ñ\"}",
			 "{\"a\":\"ñ\",\"b\":[1,{\"c\":true,\"d\":null}]}");
}

static void canonical_json_writes_equal_numbers_equally(void **state)
{
	(void)state;
	assert_canonical("[2.0, 2, 0.5, -0.0]", "[2,2,0.5,0]");
}

static void fingerprint_is_the_sha256_of_the_canonical_text(void **state)
{
	_cleanup_json_ json_t *json = parse_json("{}");
	_cleanup_(freep) char *hash = json_fingerprint(json);

	(void)state;
	assert_string_equal(hash, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

/* Decodes and encodes again: the same canonical text, or the error. */
static void assert_check(const char *text, int expected, const char *encoded)
{
	_cleanup_json_ json_t *json = parse_json(text);
	_cleanup_json_ json_t *again = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *canonical = NULL;
	struct check check = { 0 };

	assert_int_equal(check_from_json(json, &check, &err), expected);
	if (expected < 0) {
		assert_string_equal(err_text(&err), encoded);
		return;
	}
	again = check_to_json(&check);
	canonical = json_canonical(again);
	check_release(&check);
	assert_string_equal(canonical, encoded);
}

static void checks_get_defaults(void **state)
{
	(void)state;
	assert_check("{\"kind\":\"http\",\"path\":\"/\"}", 0,
		     "{\"interval\":10000,\"kind\":\"http\",\"path\":\"/\",\"timeout\":5000}");
	assert_check("{\"kind\":\"ttl\",\"ttl\":5000}", 0,
		     "{\"interval\":0,\"kind\":\"ttl\",\"timeout\":0,\"ttl\":5000}");
	assert_check("{\"kind\":\"exec\",\"argv\":[\"a\",\"\"],\"interval\":1000,\"id\":\"x\"}", 0,
		     "{\"argv\":[\"a\",\"\"],\"id\":\"x\",\"interval\":1000,\"kind\":\"exec\",\"timeout\":1000}");
}

static void checks_refuse_what_is_not_one(void **state)
{
	(void)state;
	assert_check("[]", -EINVAL, "A check must be a JSON object");
	assert_check("{}", -EINVAL, "The member 'kind' is missing");
	assert_check("{\"kind\":\"udp\"}", -EINVAL, "The check's kind 'udp' is not one of http, tcp, exec, ttl");
	assert_check("{\"kind\":\"http\",\"path\":\"/\",\"argv\":[]}", -EINVAL, "The member 'argv' is unknown here");
	assert_check("{\"kind\":\"http\",\"path\":\"x\"}", -EINVAL,
		     "The check's path 'x' must begin with / and have no spaces");
	assert_check("{\"kind\":\"http\",\"path\":\"/a\\r\\nHost: b\"}", -EINVAL,
		     "The check's path '/a\r\nHost: b' must begin with / and have no spaces");
	assert_check("{\"kind\":\"exec\",\"argv\":[]}", -EINVAL, "The member 'argv' must have 1 to 256 elements");
	assert_check("{\"kind\":\"exec\",\"argv\":[\"a\",1]}", -EINVAL,
		     "The member 'argv' must be a list of strings without NUL");
	assert_check("{\"kind\":\"tcp\",\"interval\":1}", -EINVAL,
		     "The member 'interval' must be a whole number between 100 and 86400000");
	assert_check("{\"kind\":\"tcp\",\"port\":\"../x\"}", -EINVAL,
		     "The member 'port' must be a name, and '../x' is none");
}

#define BODY                                                                                                           \
	"{\"recipe\":\"php-site\",\"bundle\":\"" HASH "\",\"config\":{\"title\":\"Portal\"},"                          \
	"\"links\":{\"database\":{\"component\":\"db\",\"interface\":\"postgresql\",\"port\":\"postgresql\"}},"        \
	"\"volumes\":{\"data\":{\"path\":\"\",\"mount\":\"/var/lib/x\",\"owner\":null}},"                              \
	"\"ports\":{\"a\":{\"port\":9000,\"interface\":\"stats\",\"publish\":0,\"protocol\":\"udp\",\"order\":1},"     \
	"\"http\":{\"port\":80,\"interface\":\"http\",\"publish\":8080,\"protocol\":\"tcp\",\"order\":0}},"            \
	"\"memory\":1024,\"cpus\":0.5}"

#define ASSIGNMENT                                                                                                     \
	"{\"desired\":\"run\",\"revision\":3,\"fingerprint\":\"" HASH "\",\"since\":5,\"service\":\"portal\","         \
	"\"component\":\"web\",\"checks\":[{\"id\":\"tcp-1\",\"kind\":\"tcp\",\"port\":\"http\",\"interval\":2000,"    \
	"\"timeout\":1000}],\"body\":" BODY "}"

static void assignments_come_back_as_they_were(void **state)
{
	_cleanup_(node_spec_freep) struct node_spec *node = NULL;
	_cleanup_json_ json_t *json = parse_json(ASSIGNMENT);
	_cleanup_json_ json_t *again = NULL;

	(void)state;
	assert_int_equal(node_spec_from_json(json, &node, NULL), 0);
	again = node_spec_to_json(node);
	assert_true(json_equal(json, again));
}

static void assignments_are_decoded(void **state)
{
	_cleanup_(node_spec_freep) struct node_spec *node = NULL;
	_cleanup_json_ json_t *json = parse_json(ASSIGNMENT);

	(void)state;
	assert_int_equal(node_spec_from_json(json, &node, NULL), 0);
	assert_int_equal(node->desired, NODE_RUN);
	assert_int_equal(node->n_checks, 1);
	assert_string_equal(node->links[0].component, "db");
	assert_string_equal(node->volumes[0].mount, "/var/lib/x");
	assert_null(node->volumes[0].owner);
	assert_string_equal(node->ports[0].name, "http");
	assert_int_equal(node->ports[0].publish, 8080);
	assert_true(node->ports[1].udp);
	assert_int_equal(node->memory, 1024);
	assert_true(node->cpus > 0.49 && node->cpus < 0.51);
}

static void limits_may_have_a_maximum(void **state)
{
	_cleanup_(node_spec_freep) struct node_spec *node = NULL;
	_cleanup_json_ json_t *json = parse_json(ASSIGNMENT);
	json_t *body = json_object_get(json, "body");

	(void)state;
	json_object_set_new(body, "memory_max", json_integer(4096));
	json_object_set_new(body, "cpus_max", json_integer(2));
	assert_int_equal(node_spec_from_json(json, &node, NULL), 0);
	assert_int_equal(node->memory_max, 4096);
	assert_true(node->cpus_max > 1.9 && node->cpus_max < 2.1);
}

/* An assignment with one member replaced: the path is "body.ports.http.port"; NULL takes it out. */
static void assert_assignment_refused(const char *path, const char *value, const char *expected)
{
	_cleanup_(node_spec_freep) struct node_spec *node = NULL;
	_cleanup_json_ json_t *json = parse_json(ASSIGNMENT);
	_cleanup_(freep) char *copy = xstrdup(path);
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *object = json;
	char *part = copy, *dot;

	while ((dot = strchr(part, '.'))) {
		*dot = '\0';
		object = json_object_get(object, part);
		part = dot + 1;
	}
	if (value)
		json_object_set_new(object, part, parse_json(value));
	else
		json_object_del(object, part);
	assert_int_equal(node_spec_from_json(json, &node, &err), -EINVAL);
	assert_null(node);
	assert_string_equal(err_text(&err), expected);
}

static void assignments_refuse_missing_members(void **state)
{
	static const char *const members[] = { "desired", "revision",  "fingerprint", "since",
					       "service", "component", "checks",      "body" };
	static const char *const body[] = { "recipe", "bundle", "config", "links", "volumes", "ports", "memory" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_(freep) char *expected = xasprintf("The member '%s' is missing", members[i]);

		assert_assignment_refused(members[i], NULL, expected);
	}
	for (size_t i = 0; i < ARRAY_SIZE(body); i++) {
		_cleanup_(freep) char *path = xasprintf("body.%s", body[i]);
		_cleanup_(freep) char *expected = xasprintf("The member '%s' is missing", body[i]);

		assert_assignment_refused(path, NULL, expected);
	}
}

static void assignments_refuse_wrong_members(void **state)
{
	(void)state;
	assert_assignment_refused("desired", "\"fly\"",
				  "The member 'desired' is 'fly', and not one of prepare, run, drain, stop");
	assert_assignment_refused("future", "1", "The member 'future' is unknown here");
	assert_assignment_refused("body.privileged", "true", "The member 'privileged' is unknown here");
	assert_assignment_refused("fingerprint", "\"../../x\"",
				  "The member 'fingerprint' must be a sha256 in 64 hexadecimal digits");
	assert_assignment_refused("service", "\"../x\"", "The member 'service' must be a name, and '../x' is none");
	assert_assignment_refused("body.volumes.data.mount", "\"/a/../etc\"",
				  "In the volume 'data': The member 'mount' must be an absolute path without '..', and "
				  "'/a/../etc' is none");
	assert_assignment_refused("body.volumes.data.path", "\"relative\"",
				  "In the volume 'data': The member 'path' must be an absolute path without '..', and "
				  "'relative' is none");
	assert_assignment_refused("body.ports.http.port", "65536",
				  "In the port 'http': The member 'port' must be a whole number between 1 and 65535");
	assert_assignment_refused("body.ports.http.protocol", "\"sctp\"",
				  "In the port 'http': The protocol 'sctp' is neither tcp nor udp");
	assert_assignment_refused("body.links.database.port", "7",
				  "In the link 'database': The member 'port' must be a string without NUL");
	assert_assignment_refused("body.cpus", "-1", "The member 'cpus' must be a number between 0 and 1024");
	assert_assignment_refused("body.memory", "-1",
				  "The member 'memory' must be a whole number between 0 and 1125899906842624");
	assert_assignment_refused("body.cpus_max", "0.4",
				  "The member 'cpus_max' must be a number between 0.5 and 1024");
	assert_assignment_refused("body.memory_max", "1023",
				  "The member 'memory_max' must be a whole number between 1024 and 1125899906842624");
	assert_assignment_refused("checks", "[{\"kind\":\"tcp\"}]", "Check 1 has no id");
	assert_assignment_refused("checks", "[{\"kind\":\"tcp\",\"id\":\"a b\"}]",
				  "In check 1: The member 'id' must be a name, and 'a b' is none");
}

static void assignments_cap_their_lists(void **state)
{
	_cleanup_buf_ struct buf checks = { 0 };

	(void)state;
	for (int i = 0; i < 65; i++)
		buf_printf(&checks, "%s{\"kind\":\"tcp\",\"id\":\"c%d\"}", i ? "," : "[", i);
	buf_addc(&checks, ']');
	assert_assignment_refused("checks", buf_text(&checks), "The member 'checks' has more than 64 elements");
}

static const char portal[] = "service: portal\n"
			     "components:\n"
			     "  db:\n"
			     "    recipe: postgresql\n"
			     "    config: {user: portal, password: {secret: db}}\n"
			     "  web:\n"
			     "    recipe: php-site\n"
			     "    config: {title: %s}\n"
			     "    connect: {database: db}\n"
			     "    checks: [{http: %s}]\n"
			     "secrets: {db: {generate: 32}}\n"
			     "%s\n";

static int bundle(void *data, const char *recipe_dir, char **ret_sha256, struct err *err)
{
	(void)recipe_dir;
	if (data)
		return err_set(err, EFBIG, "it is too large");
	*ret_sha256 = xstrdup(HASH);
	return 0;
}

/* A new reference to the spec of the portal, with some of its text changed. */
static json_t *make_spec(const char *title, const char *path, const char *comment)
{
	_cleanup_(freep) char *text = xasprintf(portal, title, path, comment);
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };
	json_t *spec = NULL;

	strv_add(&search, GOLDEN_DIRECTORY "/recipes");
	assert_int_equal(service_parse("service.yaml", text, strlen(text), &diag, &service), 0);
	assert_int_equal(service_resolve(service, &search, bundle, NULL, &diag, &spec), 0);
	return spec;
}

static const char *digest(const json_t *spec)
{
	return json_string_value(json_object_get(spec, "digest"));
}

static json_t *component(const json_t *spec, const char *name, const char *member)
{
	return json_object_get(json_object_get(json_object_get(spec, "components"), name), member);
}

static void a_comment_does_not_change_the_digest(void **state)
{
	_cleanup_json_ json_t *a = make_spec("One", "/", ""), *b = make_spec("One", "/", "# comment");

	(void)state;
	assert_string_equal(digest(a), digest(b));
	assert_false(json_equal(json_object_get(a, "document"), json_object_get(b, "document")));
}

static void configuration_changes_digest_and_body(void **state)
{
	_cleanup_json_ json_t *a = make_spec("One", "/", ""), *b = make_spec("Two", "/", "");

	(void)state;
	assert_string_not_equal(digest(a), digest(b));
	assert_false(json_equal(component(a, "web", "body"), component(b, "web", "body")));
	assert_true(json_equal(component(a, "db", "body"), component(b, "db", "body")));
}

static void a_check_changes_the_digest_and_not_the_body(void **state)
{
	_cleanup_json_ json_t *a = make_spec("One", "/", ""), *b = make_spec("One", "/health", "");

	(void)state;
	assert_string_not_equal(digest(a), digest(b));
	assert_true(json_equal(component(a, "web", "body"), component(b, "web", "body")));
}

/* What the leader makes of a spec is what the agent can read. */
static void bodies_of_specs_are_bodies_of_assignments(void **state)
{
	_cleanup_(node_spec_freep) struct node_spec *node = NULL;
	_cleanup_json_ json_t *spec = make_spec("One", "/", "");
	_cleanup_json_ json_t *assignment = parse_json(ASSIGNMENT);
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	json_object_set(assignment, "body", component(spec, "db", "body"));
	json_object_set(assignment, "checks", component(spec, "db", "checks"));
	if (node_spec_from_json(assignment, &node, &err) < 0)
		fail_msg("%s", err_text(&err));
	assert_string_equal(node->volumes[0].mount, "/var/lib/postgresql");
	assert_string_equal(node->bundle, HASH);
}

static void a_bundle_that_fails_is_an_error_in_the_service(void **state)
{
	_cleanup_(freep) char *text = xasprintf(portal, "One", "/", "");
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *spec = NULL;

	(void)state;
	strv_add(&search, GOLDEN_DIRECTORY "/recipes");
	assert_int_equal(service_parse("service.yaml", text, strlen(text), &diag, &service), 0);
	assert_int_equal(service_resolve(service, &search, bundle, service, &diag, &spec), -EFBIG);
	assert_null(spec);
	assert_int_equal(diag_result(&diag, &err), -EINVAL);
	assert_string_equal(err_text(&err),
			    "service.yaml:4:13: the recipe 'postgresql' cannot be packed: it is too large");
}

static void resolve_refuses_what_was_wrong_before(void **state)
{
	const char *text = "service: portal\ncomponents: {x: {recipe: plain}}\nwhat: 1\n";
	_cleanup_(service_freep) struct service *service = NULL;
	_cleanup_strv_ struct strv search = { 0 };
	_cleanup_diag_ struct diag diag = { 0 };
	json_t *spec = NULL;

	(void)state;
	strv_add(&search, GOLDEN_DIRECTORY "/recipes");
	assert_int_equal(service_parse("service.yaml", text, strlen(text), &diag, &service), 0);
	assert_int_equal(service_resolve(service, &search, bundle, NULL, &diag, &spec), -EINVAL);
	assert_null(spec);
}

static void recipes_are_searched_beside_the_service_first(void **state)
{
	_cleanup_strv_ struct strv given = { 0 }, search = { 0 }, here = { 0 };

	(void)state;
	strv_add(&given, "/given");
	service_search_path("examples/portal/service.yaml", &given, &search);
	service_search_path("service.yaml", NULL, &here);
	assert_string_equal(search.v[0], "examples/portal/recipes");
	assert_string_equal(search.v[1], "/given");
	assert_string_equal(search.v[2], TEPUY_RECIPEDIR);
	assert_string_equal(here.v[0], "recipes");
}

/* A new directory's name; the caller removes it and frees the string. */
static char *make_directory(void)
{
	char *path = xstrdup("/tmp/tt-model-XXXXXX");

	assert_non_null(mkdtemp(path));
	return path;
}

static void the_skeleton_lints_clean(void **state)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_(freep) char *dir = make_directory();
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };

	(void)state;
	assert_int_equal(recipe_skeleton("my-page", dir, NULL), 0);
	recipe_load(dir, &diag, &recipe);
	fs_remove_tree(dir, NULL);
	diag_format(&diag, false, &out);
	assert_string_equal(buf_text(&out), "");
	assert_non_null(recipe);
	assert_string_equal(recipe->name, "my-page");
	assert_string_equal(recipe->start.v[recipe->start.n - 1], "/srv/my-page");
}

static void the_skeleton_overwrites_nothing(void **state)
{
	_cleanup_(freep) char *dir = make_directory();
	int r;

	(void)state;
	assert_int_equal(recipe_skeleton("one", dir, NULL), 0);
	r = recipe_skeleton("two", dir, NULL);
	fs_remove_tree(dir, NULL);
	assert_int_equal(r, -EEXIST);
}

static void the_skeleton_needs_a_name(void **state)
{
	(void)state;
	assert_int_equal(recipe_skeleton("../x", "/tmp/tt-model-never", NULL), -EINVAL);
	assert_int_equal(access("/tmp/tt-model-never", F_OK), -1);
}

static void texts_fall_back_to_english(void **state)
{
	_cleanup_json_ json_t *both = parse_json("{\"en\":\"Hello\",\"es\":\"Hola\"}");
	_cleanup_json_ json_t *other = parse_json("{\"pt\":\"Olá\"}");

	(void)state;
	assert_string_equal(localized(both, "es_VE.UTF-8"), "Hola");
	assert_string_equal(localized(both, "fr"), "Hello");
	assert_string_equal(localized(both, "C"), "Hello");
	assert_string_equal(localized(other, "es"), "Olá");
	assert_string_equal(localized(NULL, "es"), "");
}

static void patterns_have_a_bounded_cost(void **state)
{
	_cleanup_(freep) char *nested =
	    xstrdup("((((((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+");

	(void)state;
	assert_int_equal(pattern_check(nested, NULL), -EINVAL);
	assert_int_equal(pattern_check("^[a-z]{1,64}$", NULL), 0);
	assert_int_equal(pattern_check("a{30000}", NULL), -EINVAL);
	assert_true(pattern_matches("^a+b$", "aab"));
	assert_false(pattern_matches("^a+b$", "aac"));
}

static void hosts_get_their_defaults(void **state)
{
	const char *text = "defaults: {user: admin, port: 2222}\n"
			   "hosts:\n"
			   "  a: {address: 192.0.2.1}\n"
			   "  b: {address: 192.0.2.2, user: root, port: 22, runtime: docker}\n"
			   "  c: {address: 192.0.2.3}\n"
			   "  d: {address: 192.0.2.4, runtime: xen, xen: {addresses: 192.0.2.100-192.0.2.120/24,\n"
			   "    more: [{bridge: br1, addresses: 198.51.100.5-198.51.100.9/28}]}}\n";
	_cleanup_(hosts_freep) struct hosts *hosts = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	const struct host *d;

	(void)state;
	assert_int_equal(hosts_parse("hosts.yaml", text, strlen(text), &diag, &hosts), 0);
	assert_string_equal(hosts_find(hosts, "a")->user, "admin");
	assert_int_equal(hosts_find(hosts, "a")->port, 2222);
	assert_string_equal(hosts_find(hosts, "a")->runtime, "docker");
	assert_string_equal(hosts_find(hosts, "b")->user, "root");
	assert_int_equal(hosts_find(hosts, "b")->port, 22);
	assert_string_equal(hosts->consul.datacenter, "tepuy");
	assert_int_equal(hosts->consul.servers.n, 3);
	d = hosts_find(hosts, "d");
	assert_int_equal(d->xen.first, 0xc0000264);
	assert_int_equal(d->xen.last, 0xc0000278);
	assert_int_equal(d->xen.prefix, 24);
	assert_string_equal(d->xen.bridge, "xenbr0");
	assert_int_equal(d->xen.dom0_memory, INT64_C(2) << 30);
	assert_null(d->xen.volume_group);
	assert_int_equal(d->xen.n_more, 1);
	assert_int_equal(d->xen.more[0].first, 0xc6336405);
	assert_int_equal(d->xen.more[0].prefix, 28);
}

static int read_hosts(const char *text)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	struct hosts hosts = { 0 };
	int r;

	assert_int_equal(yaml_parse("hosts.yaml", text, strlen(text), &diag, &document), 0);
	r = schema_read(&hosts_schema, document->root, &diag, &hosts);
	schema_release(&hosts_schema, &hosts);
	return r;
}

static void reading_says_whether_there_were_errors(void **state)
{
	(void)state;
	assert_int_equal(read_hosts("hosts: {a: {address: 192.0.2.1}}\n"), 0);
	assert_int_equal(read_hosts("hosts: {a: {address: 192.0.2.1, port: 0}}\n"), -EINVAL);
	assert_int_equal(read_hosts("hosts: {a: {}}\n"), -EINVAL);
	assert_int_equal(read_hosts("hosts: {}\nother: 1\n"), -EINVAL);
}

static void an_unknown_document_has_no_schema(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *json = NULL;

	(void)state;
	assert_int_equal(schema_json("dockerfile", &json, &err), -ENOENT);
	assert_null(json);
}

static int check_key(void *data, const char *path, const struct key *key)
{
	(void)data;
	if (!key->description || !*key->description || !text_ends(key->description, "."))
		fail_msg("%s has no description that is a sentence", path);
	if (key->pattern && !key->expected)
		fail_msg("%s has a pattern and no words for it", path);
	return 0;
}

static void every_key_is_described(void **state)
{
	(void)state;
	assert_int_equal(schema_walk(&recipe_schema, check_key, NULL), 0);
	assert_int_equal(schema_walk(&service_schema, check_key, NULL), 0);
	assert_int_equal(schema_walk(&hosts_schema, check_key, NULL), 0);
}

static void diagnostics_as_json_have_the_suggestion(void **state)
{
	const char *text = "recipe: x\nbase: {suit: bookworm}\nstart: [x]\n";
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_json_ json_t *json = NULL;

	(void)state;
	assert_int_equal(recipe_parse("recipe.yaml", text, strlen(text), &diag, &recipe), -EINVAL);
	json = diag_to_json(&diag);
	assert_string_equal(json_string_value(json_object_get(json_array_get(json, 1), "suggestion")), "suite");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json, 1), "line")), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_json_sorts_keys_and_has_no_spaces),
		cmocka_unit_test(canonical_json_writes_equal_numbers_equally),
		cmocka_unit_test(fingerprint_is_the_sha256_of_the_canonical_text),
		cmocka_unit_test(checks_get_defaults),
		cmocka_unit_test(checks_refuse_what_is_not_one),
		cmocka_unit_test(assignments_come_back_as_they_were),
		cmocka_unit_test(assignments_are_decoded),
		cmocka_unit_test(limits_may_have_a_maximum),
		cmocka_unit_test(assignments_refuse_missing_members),
		cmocka_unit_test(assignments_refuse_wrong_members),
		cmocka_unit_test(assignments_cap_their_lists),
		cmocka_unit_test(a_comment_does_not_change_the_digest),
		cmocka_unit_test(configuration_changes_digest_and_body),
		cmocka_unit_test(a_check_changes_the_digest_and_not_the_body),
		cmocka_unit_test(bodies_of_specs_are_bodies_of_assignments),
		cmocka_unit_test(a_bundle_that_fails_is_an_error_in_the_service),
		cmocka_unit_test(resolve_refuses_what_was_wrong_before),
		cmocka_unit_test(recipes_are_searched_beside_the_service_first),
		cmocka_unit_test(the_skeleton_lints_clean),
		cmocka_unit_test(the_skeleton_overwrites_nothing),
		cmocka_unit_test(the_skeleton_needs_a_name),
		cmocka_unit_test(texts_fall_back_to_english),
		cmocka_unit_test(patterns_have_a_bounded_cost),
		cmocka_unit_test(hosts_get_their_defaults),
		cmocka_unit_test(reading_says_whether_there_were_errors),
		cmocka_unit_test(an_unknown_document_has_no_schema),
		cmocka_unit_test(every_key_is_described),
		cmocka_unit_test(diagnostics_as_json_have_the_suggestion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
