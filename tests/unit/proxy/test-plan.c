/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/haproxy-plan.h"

#define SEEN_MOST 4

/* Backend "web" (and an unmanaged one, "other") with what a case sees, and what it wants of "web". */
struct plan_case {
	const char *rule;
	struct haproxy_row seen[SEEN_MOST]; /* up to the first without a server */
	struct haproxy_server wanted[SEEN_MOST];
	const char *steps;   /* lines, as they would be sent */
	const char *pending; /* NULL: none */
	bool unwell, held;
};

#define ROW(name, more...)                                                                                             \
	{                                                                                                              \
		.backend = "web", .server = name, .address = "192.0.2.1", .port = 80, .weight = 1, more                \
	}
#define SERVER(n, more...)                                                                                             \
	{                                                                                                              \
		.name = n, .address = "192.0.2.1", .port = 80, .weight = 1, more                                       \
	}

static struct plan_case cases[] = {
	{ "nothing wanted, nothing there", { { 0 } }, { { 0 } }, "" },
	{ "what is there as wanted needs nothing", { ROW("web-1.1") }, { SERVER("web-1.1") }, "" },
	{ "a new server is added and made ready",
	  { { 0 } },
	  { SERVER("web-1.1") },
	  "add server web/web-1.1 192.0.2.1:80 weight 1\nset server web/web-1.1 state ready\n" },
	{ "a new server with checks has them running before it is ready",
	  { { 0 } },
	  { SERVER("web-1.1", .check = true, .weight = 9) },
	  "add server web/web-1.1 192.0.2.1:80 weight 9 check\nenable health web/web-1.1\n"
	  "set server web/web-1.1 state ready\n" },
	{ "IPv6 goes in brackets",
	  { { 0 } },
	  { { .name = "web-1.1", .address = "2001:db8::1", .port = 8080 } },
	  "add server web/web-1.1 [2001:db8::1]:8080 weight 0\nset server web/web-1.1 state ready\n" },
	{ "a server absent and wanted in drain is not added",
	  { { 0 } },
	  { SERVER("web-1.1", .state = HAPROXY_STATE_DRAIN) },
	  "" },
	{ "another address",
	  { ROW("web-1.1", .address = "192.0.2.9") },
	  { SERVER("web-1.1") },
	  "set server web/web-1.1 addr 192.0.2.1 port 80\n" },
	{ "another port",
	  { ROW("web-1.1", .port = 81) },
	  { SERVER("web-1.1") },
	  "set server web/web-1.1 addr 192.0.2.1 port 80\n" },
	{ "the same IPv6 address written otherwise",
	  { ROW("web-1.1", .address = "2001:db8::1") },
	  { SERVER("web-1.1", .address = "2001:db8:0::1") },
	  "" },
	{ "another weight",
	  { ROW("web-1.1", .weight = 2) },
	  { SERVER("web-1.1") },
	  "set server web/web-1.1 weight 1\n" },
	{ "checks that are off go on",
	  { ROW("web-1.1", .check = HAPROXY_CHECK_CONFIGURED) },
	  { SERVER("web-1.1", .check = true) },
	  "enable health web/web-1.1\n" },
	{ "checks that are on stay", { ROW("web-1.1", .check = 6) }, { SERVER("web-1.1", .check = true) }, "" },
	{ "drain",
	  { ROW("web-1.1") },
	  { SERVER("web-1.1", .state = HAPROXY_STATE_DRAIN) },
	  "set server web/web-1.1 state drain\n" },
	{ "in drain already",
	  { ROW("web-1.1", .admin = HAPROXY_FORCED_DRAIN) },
	  { SERVER("web-1.1", .state = HAPROXY_STATE_DRAIN) },
	  "" },
	{ "back from drain",
	  { ROW("web-1.1", .admin = HAPROXY_FORCED_DRAIN) },
	  { SERVER("web-1.1") },
	  "set server web/web-1.1 state ready\n" },
	{ "back from maintenance",
	  { ROW("web-1.1", .admin = HAPROXY_FORCED_MAINT) },
	  { SERVER("web-1.1") },
	  "set server web/web-1.1 state ready\n" },
	{ "maintenance",
	  { ROW("web-1.1") },
	  { SERVER("web-1.1", .state = HAPROXY_STATE_MAINT) },
	  "set server web/web-1.1 state maint\n" },
	{ "inherited maintenance is not ours to end",
	  { ROW("web-1.1", .admin = HAPROXY_INHERITED_MAINT) },
	  { SERVER("web-1.1") },
	  "" },
	{ "not wanted, without sessions",
	  { ROW("web-1.1") },
	  { { 0 } },
	  "set server web/web-1.1 state maint\ndel server web/web-1.1\n" },
	{ "not wanted, in maintenance",
	  { ROW("web-1.1", .admin = HAPROXY_FORCED_MAINT) },
	  { { 0 } },
	  "del server web/web-1.1\n" },
	{ "not wanted, with sessions",
	  { ROW("web-1.1", .sessions = 1) },
	  { { 0 } },
	  "set server web/web-1.1 state maint\n",
	  "web/web-1.1" },
	{ "not wanted, sessions go on",
	  { ROW("web-1.1", .sessions = 1, .admin = HAPROXY_FORCED_MAINT) },
	  { { 0 } },
	  "",
	  "web/web-1.1" },
	{ "a person's server is left alone", { ROW("sorry") }, { { 0 } }, "" },
	{ "a person's server that is named is managed",
	  { ROW("sorry") },
	  { SERVER("sorry", .weight = 3) },
	  "set server web/sorry weight 3\n" },
	{ "another backend is left alone",
	  { { .backend = "other", .server = "web-1.1", .address = "192.0.2.1", .port = 1 } },
	  { { 0 } },
	  "" },
	{ "arrivals come before departures, removal last",
	  { ROW("web-1.1"), ROW("web-2.1") },
	  { SERVER("web-1.2"), SERVER("web-2.1", .state = HAPROXY_STATE_DRAIN) },
	  "add server web/web-1.2 192.0.2.1:80 weight 1\nset server web/web-1.2 state ready\n"
	  "set server web/web-1.1 state maint\nset server web/web-2.1 state drain\ndel server web/web-1.1\n" },
	{ "an empty list from a Consul that is unwell empties nothing",
	  { ROW("web-1.1") },
	  { { 0 } },
	  "",
	  NULL,
	  true,
	  true },
	{ "an empty list stays believed when there was nothing", { ROW("sorry") }, { { 0 } }, "", NULL, true, false },
	{ "a list that is not empty is followed even then in all that it names",
	  { ROW("web-1.1"), ROW("web-2.1") },
	  { SERVER("web-1.1", .state = HAPROXY_STATE_DRAIN), SERVER("web-2.1") },
	  "set server web/web-1.1 state drain\n",
	  NULL,
	  true,
	  false },
	{ "but who is not in it stays, as of a catalog that fills again",
	  { ROW("web-1.1"), ROW("web-2.1") },
	  { SERVER("web-1.1", .state = HAPROXY_STATE_MAINT) },
	  "set server web/web-1.1 state maint\n",
	  NULL,
	  true,
	  true },
};

static void plan_as_told(void **state)
{
	struct plan_case *c = *state;
	struct haproxy_backend web = { .name = "web", .servers = c->wanted };
	struct haproxy_table table = { .rows = c->seen };
	_cleanup_haproxy_plan_ struct haproxy_plan plan = { 0 };
	_cleanup_buf_ struct buf lines = { 0 };
	_cleanup_(freep) char *pending = NULL;

	while (table.n < SEEN_MOST && c->seen[table.n].server)
		table.n++;
	while (web.n_servers < SEEN_MOST && c->wanted[web.n_servers].name)
		web.n_servers++;
	strv_add_all(&table.backends, "web", "other", NULL);
	assert_int_equal(haproxy_plan(&web, 1, &table, c->unwell, &plan, NULL), 0);
	strv_release(&table.backends);
	for (size_t i = 0; i < plan.n_steps; i++)
		buf_adds(&lines, plan.steps[i].line);
	assert_string_equal(buf_text(&lines), c->steps);
	pending = strv_join(&plan.pending, " ");
	assert_string_equal(pending, c->pending ? c->pending : "");
	assert_int_equal(plan.held.n, c->held);
	assert_int_equal(plan.missing.n, 0);
}

static void options_follow(void **state)
{
	struct haproxy_server server = SERVER("web-1.1", .check = true);
	struct haproxy_backend web = { .name = "web", .servers = &server, .n_servers = 1 };
	struct haproxy_table table = { 0 };
	_cleanup_haproxy_plan_ struct haproxy_plan plan = { 0 };

	(void)state;
	strv_add(&table.backends, "web");
	strv_add_all(&server.options, "inter", "2s", NULL);
	assert_int_equal(haproxy_plan(&web, 1, &table, false, &plan, NULL), 0);
	assert_string_equal(plan.steps[0].line, "add server web/web-1.1 192.0.2.1:80 weight 1 check inter 2s\n");
	strv_release(&server.options);
	strv_release(&table.backends);
}

static void a_backend_that_is_not_there_is_said(void **state)
{
	struct haproxy_server server = SERVER("web-1.1");
	struct haproxy_backend web = { .name = "web", .servers = &server, .n_servers = 1 };
	struct haproxy_table table = { 0 };
	_cleanup_haproxy_plan_ struct haproxy_plan plan = { 0 };

	(void)state;
	assert_int_equal(haproxy_plan(&web, 1, &table, false, &plan, NULL), 0);
	assert_int_equal(plan.n_steps, 0);
	assert_true(strv_has(&plan.missing, "web"));
}

/* What must never be sent, whatever gave it. */
static void invalid_lists_are_refused(void **state)
{
	struct haproxy_server bad[][2] = {
		{ SERVER("web 1") },
		{ SERVER("web-1.1;x") },
		{ SERVER("web-1.1\nshutdown") },
		{ SERVER("") },
		{ SERVER("web-1.1", .address = "db.example.org") },
		{ SERVER("web-1.1", .address = "192.0.2.1 x") },
		{ SERVER("web-1.1", .address = "") },
		{ SERVER("web-1.1", .port = 0) },
		{ SERVER("web-1.1", .weight = 257) },
		{ SERVER("web-1.1"), SERVER("web-1.1") },
	};
	struct haproxy_table table = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct haproxy_backend web = { .name = "web", .servers = bad[i], .n_servers = bad[i][1].name ? 2 : 1 };
		struct haproxy_plan plan = { 0 };

		assert_int_equal(haproxy_plan(&web, 1, &table, false, &plan, NULL), -EINVAL);
		assert_null(plan.steps);
	}
}

static void invalid_backends_are_refused(void **state)
{
	struct haproxy_backend bad = { .name = "web;x" }, twice[] = { { .name = "web" }, { .name = "web" } };
	struct haproxy_table table = { 0 };
	struct haproxy_plan plan = { 0 };

	(void)state;
	assert_int_equal(haproxy_plan(&bad, 1, &table, false, &plan, NULL), -EINVAL);
	assert_int_equal(haproxy_plan(twice, 2, &table, false, &plan, NULL), -EINVAL);
}

static void invalid_options_are_refused(void **state)
{
	char *words[] = { (char *)"inter\n2s", NULL };
	struct haproxy_server server = SERVER("web-1.1", .options = { words, 1, 2 });
	struct haproxy_backend web = { .name = "web", .servers = &server, .n_servers = 1 };
	struct haproxy_table table = { 0 };
	struct haproxy_plan plan = { 0 };

	(void)state;
	strv_add(&table.backends, "web");
	assert_int_equal(haproxy_plan(&web, 1, &table, false, &plan, NULL), -EINVAL);
	strv_release(&table.backends);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(options_follow),
		cmocka_unit_test(a_backend_that_is_not_there_is_said),
		cmocka_unit_test(invalid_lists_are_refused),
		cmocka_unit_test(invalid_backends_are_refused),
		cmocka_unit_test(invalid_options_are_refused),
	};
	struct CMUnitTest tests[ARRAY_SIZE(cases) + ARRAY_SIZE(others)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].rule, plan_as_told, NULL, NULL, &cases[i] };
	memcpy(tests + ARRAY_SIZE(cases), others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
