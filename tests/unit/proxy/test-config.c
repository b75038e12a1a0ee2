/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/haproxy-config.h"

/* Two texts and what lies between them; `managed` names a backend, NULL: all. */
struct compare_case {
	const char *rule, *from, *to, *managed;
	enum haproxy_change wanted;
};

#define HEAD "defaults\n  mode http\nfrontend f\n  bind :80\n  default_backend web\n"
#define WEB HEAD "backend web\n  balance roundrobin\n"
#define ONE "  server web-1.1 192.0.2.1:80 check\n"
#define TWO "  server web-2.1 192.0.2.2:80 check\n"

static struct compare_case cases[] = {
	{ "the same", WEB ONE, WEB ONE, NULL, HAPROXY_SAME },
	{ "comments, blanks and empty lines", WEB ONE,
	  "# new\n\n" WEB "\tserver   web-1.1 192.0.2.1:80 check # one\n\n", NULL, HAPROXY_SAME },
	{ "CR LF", "backend web\n" ONE, "backend web\r\n  server web-1.1 192.0.2.1:80 check\r\n", NULL, HAPROXY_SAME },
	{ "order of servers", WEB ONE TWO, WEB TWO ONE, NULL, HAPROXY_SAME },
	{ "a server more", WEB ONE, WEB ONE TWO, NULL, HAPROXY_SERVERS_CHANGED },
	{ "a server less", WEB ONE TWO, WEB ONE, NULL, HAPROXY_SERVERS_CHANGED },
	{ "no server left", WEB ONE, WEB, NULL, HAPROXY_SERVERS_CHANGED },
	{ "another server", WEB ONE, WEB TWO, NULL, HAPROXY_SERVERS_CHANGED },
	{ "another address", WEB ONE, WEB "  server web-1.1 192.0.2.9:80 check\n", NULL, HAPROXY_SERVERS_CHANGED },
	{ "another port", WEB ONE, WEB "  server web-1.1 192.0.2.1:81 check\n", NULL, HAPROXY_SERVERS_CHANGED },
	{ "a weight", WEB ONE, WEB "  server web-1.1 192.0.2.1:80 check weight 5\n", NULL, HAPROXY_SERVERS_CHANGED },
	{ "the default weight", WEB ONE, WEB "  server web-1.1 192.0.2.1:80 weight 1 check\n", NULL, HAPROXY_SAME },
	{ "disabled", WEB ONE, WEB "  server web-1.1 192.0.2.1:80 check disabled\n", NULL, HAPROXY_SERVERS_CHANGED },
	{ "other options", WEB ONE, WEB "  server web-1.1 192.0.2.1:80 check inter 1s\n", NULL, HAPROXY_MUST_RELOAD },
	{ "checks off", WEB ONE, WEB "  server web-1.1 192.0.2.1:80\n", NULL, HAPROXY_MUST_RELOAD },
	{ "another line", WEB ONE, WEB "  option httplog\n" ONE, NULL, HAPROXY_MUST_RELOAD },
	{ "a line less", WEB ONE, HEAD "backend web\n" ONE, NULL, HAPROXY_MUST_RELOAD },
	{ "another backend", WEB ONE, WEB ONE "backend api\n", NULL, HAPROXY_MUST_RELOAD },
	{ "a backend renamed", "backend a\n", "backend b\n", NULL, HAPROXY_MUST_RELOAD },
	{ "a server in another backend", "backend a\n" ONE "backend b\n", "backend a\nbackend b\n" ONE, NULL,
	  HAPROXY_SERVERS_CHANGED },
	{ "a managed backend", WEB ONE, WEB TWO, "web", HAPROXY_SERVERS_CHANGED },
	{ "a backend that is not managed", WEB ONE, WEB TWO, "api", HAPROXY_MUST_RELOAD },
	{ "a listen section", "listen web\n" ONE, "listen web\n" ONE TWO, NULL, HAPROXY_SERVERS_CHANGED },
	{ "peers have servers too", "peers p\n" ONE, "peers p\n" ONE TWO, NULL, HAPROXY_MUST_RELOAD },
	{ "a host name", WEB ONE, WEB "  server web-1.1 web.example.org:80 check\n", NULL, HAPROXY_MUST_RELOAD },
	{ "a variable", WEB ONE, WEB "  server web-1.1 \"${WEB}\":80 check\n", NULL, HAPROXY_MUST_RELOAD },
	{ "a cookie", WEB ONE, WEB "  server web-1.1 192.0.2.1:80 check cookie a\n", NULL, HAPROXY_MUST_RELOAD },
	{ "a condition", WEB ONE, WEB ".if feature(x)\n" ONE ".endif\n", NULL, HAPROXY_MUST_RELOAD },
	{ "servers inside a condition", WEB ".if 1\n" ONE ".endif\n", WEB ".if 1\n" TWO ".endif\n", NULL,
	  HAPROXY_MUST_RELOAD },
	{ "default-server", WEB "  default-server inter 1s\n" ONE, WEB "  default-server inter 2s\n" ONE, NULL,
	  HAPROXY_MUST_RELOAD },
	{ "a hash in quotes is no comment", "backend a\n  option \"x # y\"\n", "backend a\n  option \"x # z\"\n", NULL,
	  HAPROXY_MUST_RELOAD },
	{ "a hash escaped is no comment", "backend a\n  option x\\#y\n", "backend a\n  option x\\#z\n", NULL,
	  HAPROXY_MUST_RELOAD },
	{ "blanks in quotes count", "backend a\n  option \"x  y\"\n", "backend a\n  option \"x y\"\n", NULL,
	  HAPROXY_MUST_RELOAD },
};

static struct haproxy_config *parse(const char *text)
{
	struct haproxy_config *config = NULL;

	assert_int_equal(haproxy_config_parse(text, strlen(text), &config, NULL), 0);
	return config;
}

static void compare_as_told(void **state)
{
	const struct compare_case *c = *state;
	_cleanup_(haproxy_config_freep) struct haproxy_config *from = parse(c->from), *to = parse(c->to);
	_cleanup_strv_ struct strv managed = { 0 };

	if (c->managed)
		strv_add(&managed, c->managed);
	assert_int_equal(haproxy_config_compare(from, to, c->managed ? &managed : NULL), c->wanted);
}

static void servers_are_extracted(void **state)
{
	_cleanup_(haproxy_config_freep) struct haproxy_config *config =
	    parse(WEB ONE "  server b [2001:db8::2]:81 weight 7 disabled inter 2s\nbackend api\n");
	const struct haproxy_backend *backends;
	const struct haproxy_server *server;
	size_t n;

	(void)state;
	backends = haproxy_config_backends(config, &n);
	assert_int_equal(n, 2);
	assert_string_equal(backends[0].name, "web");
	assert_int_equal(backends[0].n_servers, 2);
	server = &backends[0].servers[0];
	assert_string_equal(server->name, "web-1.1");
	assert_string_equal(server->address, "192.0.2.1");
	assert_int_equal(server->port, 80);
	assert_int_equal(server->weight, 1);
	assert_true(server->check);
	assert_int_equal(server->state, HAPROXY_STATE_READY);
	server = &backends[0].servers[1];
	assert_string_equal(server->address, "2001:db8::2");
	assert_int_equal(server->weight, 7);
	assert_false(server->check);
	assert_int_equal(server->state, HAPROXY_STATE_MAINT);
	assert_int_equal(server->options.n, 2);
	assert_string_equal(server->options.v[1], "2s");
	assert_int_equal(backends[1].n_servers, 0);
}

static void defaults_are_in_the_options(void **state)
{
	_cleanup_(haproxy_config_freep) struct haproxy_config *config =
	    parse("defaults\n default-server inter 1s check\nbackend a\n default-server rise 1 weight 4\n"
		  " server a-1.1 192.0.2.1:80 fall 2\nbackend b\n server b-1.1 192.0.2.1:80 no-check\n"
		  "defaults\nbackend c\n server c-1.1 192.0.2.1:80\n");
	const struct haproxy_backend *backends;
	_cleanup_(freep) char *a = NULL, *b = NULL;
	size_t n;

	(void)state;
	backends = haproxy_config_backends(config, &n);
	assert_int_equal(n, 3);
	a = strv_join(&backends[0].servers[0].options, " ");
	assert_string_equal(a, "inter 1s rise 1 fall 2");
	assert_true(backends[0].servers[0].check);
	assert_int_equal(backends[0].servers[0].weight, 4);
	b = strv_join(&backends[1].servers[0].options, " ");
	assert_string_equal(b, "inter 1s");
	assert_false(backends[1].servers[0].check);
	assert_int_equal(backends[2].servers[0].options.n, 0);
}

/* In the list with a part of its servers it would lose the others. */
static void a_backend_not_wholly_understood_is_not_listed(void **state)
{
	static const char *const texts[] = {
		"backend web\n" ONE " server web-2.1 web.example.org:80\n",
		"backend web\n" ONE " server web-2.1 192.0.2.2:80 cookie x\n",
		"backend web\n" ONE " server web-2.1 192.0.2.2\n",
		"backend web\n" ONE " server web-2.1 unix@/run/web\n",
		"backend web\n" ONE " server web-2.1 192.0.2.2:80 weight 999\n",
		"backend web\n" ONE " server-template w- 3 192.0.2.2:80\n",
		"backend web\n" ONE " server web-1.1 192.0.2.2:80\n",
		"backend web\n" ONE " .if 1\n" TWO " .endif\n",
		".if 1\nbackend web\n" ONE ".endif\n",
		"backend web from special\n" ONE,
		"backend web\n default-server cookie x\n" ONE,
		"defaults\n default-server cookie x\nbackend web\n" ONE,
		"backend web\n" ONE " server web-2.1 192.0.2.2:80 sni \"str(x)\"\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(haproxy_config_freep) struct haproxy_config *config = parse(texts[i]);
		size_t n;

		haproxy_config_backends(config, &n);
		if (n)
			fail_msg("listed: %s", texts[i]);
	}
}

static void unreadable_lines_are_named(void **state)
{
	static const char text[] = "global\n\n  log \"open\n";
	struct haproxy_config *config = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(haproxy_config_parse(text, strlen(text), &config, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "Line 3"));
	assert_int_equal(haproxy_config_parse("a\0b", 3, &config, NULL), -EINVAL);
	assert_null(config);
}

static void large_texts_are_refused(void **state)
{
	static char text[(1 << 20) + 1];
	struct haproxy_config *config = NULL;

	(void)state;
	memset(text, '\n', sizeof(text));
	assert_int_equal(haproxy_config_parse(text, sizeof(text), &config, NULL), -EFBIG);
	assert_int_equal(haproxy_config_parse(text, sizeof(text) - 1, &config, NULL), -EINVAL);
}

/* Long options and many servers together must not become gigabytes. */
static void options_are_bounded(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_(haproxy_config_freep) struct haproxy_config *config = NULL;
	size_t n;

	(void)state;
	buf_adds(&text, "backend web\n" ONE "backend long\n  default-server");
	for (int i = 0; i < 65; i++)
		buf_adds(&text, " a");
	buf_adds(&text, "\n" ONE);
	config = parse(buf_text(&text));
	haproxy_config_backends(config, &n);
	assert_int_equal(n, 1);
}

static void servers_are_bounded(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_(haproxy_config_freep) struct haproxy_config *config = NULL;
	const struct haproxy_backend *backends;
	size_t n;

	(void)state;
	buf_adds(&text, "backend web\n" ONE "backend many\n");
	for (int i = 0; i < 4096; i++)
		buf_printf(&text, "server s%d 192.0.2.1:80\n", i);
	config = parse(buf_text(&text));
	backends = haproxy_config_backends(config, &n);
	assert_int_equal(n, 1);
	assert_string_equal(backends[0].name, "web");
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(servers_are_extracted),
		cmocka_unit_test(defaults_are_in_the_options),
		cmocka_unit_test(a_backend_not_wholly_understood_is_not_listed),
		cmocka_unit_test(unreadable_lines_are_named),
		cmocka_unit_test(large_texts_are_refused),
		cmocka_unit_test(options_are_bounded),
		cmocka_unit_test(servers_are_bounded),
	};
	struct CMUnitTest tests[ARRAY_SIZE(cases) + ARRAY_SIZE(others)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		tests[i] = (struct CMUnitTest){ cases[i].rule, compare_as_told, NULL, NULL, &cases[i] };
	memcpy(tests + ARRAY_SIZE(cases), others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
