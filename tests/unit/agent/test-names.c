/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts that name something: instances, the API's targets and paths. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/api-call.h"
#include "agent/instance-id.h"

static void an_instance_has_all_its_names(void **state)
{
	struct instance_id id;

	(void)state;
	assert_int_equal(instance_id_parse("portal/web-a/12.345", &id, NULL), 0);
	assert_string_equal(id.service, "portal");
	assert_string_equal(id.component, "web-a");
	assert_int_equal(id.n, 12);
	assert_int_equal(id.gen, 345);
	assert_string_equal(id.text, "portal/web-a/12.345");
	assert_string_equal(id.node, "web-a/12");
	assert_string_equal(id.runtime_name, "tepuy.portal.web-a.12.345");
	assert_string_equal(id.catalog_name, "portal-web-a");
	assert_string_equal(id.catalog_id, "portal-web-a-12.345");
	instance_id_release(&id);
}

static void nothing_else_is_an_instance(void **state)
{
	static const char *const texts[] = {
		"",
		"portal",
		"portal/web",
		"portal/web/1",
		"portal/web/1.",
		"portal/web/.5",
		"portal/web/0.5",
		"portal/web/100001.5",
		"portal/web/1.5/",
		"portal/web/1.5.6",
		"/portal/web/1.5",
		"portal//web/1.5",
		"portal.web.1/5",
		"portal/web/01.5",
		"portal/web/1.05",
		"portal/web/1.-5",
		"portal/web/ 1.5",
		"portal/web/1.9223372036854775808",
		"portal/web/1.99999999999999999999999",
		"Portal/web/1.5",
		"portal/we b/1.5",
		"../web/1.5",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct instance_id id = { .text = (char *)"untouched" };

		if (instance_id_parse(texts[i], &id, &err) != -EINVAL)
			fail_msg("'%s' was taken for an instance", texts[i]);
		assert_non_null(strstr(err_text(&err), texts[i]));
		assert_string_equal(id.text, "untouched");
	}
}

static void targets(void **state)
{
	_cleanup_(api_target_release) struct api_target target = { 0 };

	(void)state;
	assert_int_equal(api_target_parse("portal", &target, NULL), 0);
	assert_string_equal(target.service, "portal");
	assert_null(target.component);
	assert_true(api_target_matches(&target, "web", 3));
	api_target_release(&target);
	assert_int_equal(api_target_parse("portal/web", &target, NULL), 0);
	assert_true(api_target_matches(&target, "web", 3));
	assert_false(api_target_matches(&target, "we", 3));
	api_target_release(&target);
	assert_int_equal(api_target_parse("portal/web/3", &target, NULL), 0);
	assert_int_equal(target.n, 3);
	assert_true(api_target_matches(&target, "web", 3));
	assert_false(api_target_matches(&target, "web", 2));
}

static void no_targets(void **state)
{
	static const char *const texts[] = { "",
					     "/",
					     "portal/",
					     "/web",
					     "portal/web/",
					     "portal/web/0",
					     "portal/web/x",
					     "portal/web/1/2",
					     "portal/web/-1",
					     "portal//1",
					     "portal/web/100001",
					     "Portal" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct api_target target;

		if (api_target_parse(texts[i], &target, NULL) != -EINVAL)
			fail_msg("'%s' was taken for a target", texts[i]);
	}
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : !a && !b;
}

static void the_longest_pattern_is_the_route(void **state)
{
	static const struct {
		const char *method, *path, *pattern, *rest;
		bool known;
	} table[] = {
		{ "GET", "/v1/version", "/v1/version", NULL, true },
		{ "GET", "/v1/service/portal", "/v1/service/*", "portal", true },
		{ "POST", "/v1/service/portal/plan", "/v1/service/*/plan", "portal", true },
		{ "POST", "/v1/service/plan/down", "/v1/service/*/down", "plan", true },
		{ "GET", "/v1/service/portal/revisions", "/v1/service/*/revisions", "portal", true },
		{ "GET", "/v1/logs/portal/web/1", "/v1/logs/*", "portal/web/1", true },
		{ "POST", "/v1/ttl/portal/web/1/beat", "/v1/ttl/*", "portal/web/1/beat", true },
		{ "DELETE", "/v1/version", NULL, NULL, true },
		{ "POST", "/v1/service/portal", NULL, NULL, true },
		{ "GET", "/v1/service/", NULL, NULL, false },
		{ "GET", "/v1/servic", NULL, NULL, false },
		{ "GET", "/v1/version/", NULL, NULL, false },
		{ "GET", "", NULL, NULL, false },
		{ "GET", "/", NULL, NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_(freep) char *rest = NULL;
		bool known = false;
		const struct api_route *route = api_route_find(table[i].method, table[i].path, &rest, &known);

		if (known != table[i].known || !same_text(route ? route->pattern : NULL, table[i].pattern) ||
		    !same_text(rest, table[i].rest))
			fail_msg("%s %s: %s, rest '%s'", table[i].method, table[i].path,
				 route ? route->pattern : "no route", rest ? rest : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_instance_has_all_its_names),
		cmocka_unit_test(nothing_else_is_an_instance),
		cmocka_unit_test(targets),
		cmocka_unit_test(no_targets),
		cmocka_unit_test(the_longest_pattern_is_the_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
