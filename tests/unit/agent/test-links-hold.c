/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which members go on serving though Consul calls them critical. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/links-hold.h"
#include "agent/members.h"
#include "base/buf.h"
#include "consul/consul-decode.h"
#include "model/canonical.h"

#define NEVER INT64_MIN

/* Checks of one member on host h<n>: what Consul says of its host, its main process and its page. */
struct said {
	const char *serf, *running, *running_says, *http, *http_says;
};

#define FINE                                                                                                           \
	{                                                                                                              \
		"passing", "passing", "", "passing", ""                                                                \
	}
#define UNRUN                                                                                                          \
	{                                                                                                              \
		"passing", "passing", "", "critical", ""                                                               \
	}
#define FAILS                                                                                                          \
	{                                                                                                              \
		"passing", "passing", "", "critical", "HTTP GET: 500"                                                  \
	}
#define DEAD                                                                                                           \
	{                                                                                                              \
		"critical", "passing", "", "passing", ""                                                               \
	}
#define DEAD_UNRUN                                                                                                     \
	{                                                                                                              \
		"critical", "passing", "", "critical", ""                                                              \
	}
#define ENDED                                                                                                          \
	{                                                                                                              \
		"passing", "critical", "The main process ended with exit status 1.", "critical", ""                    \
	}
/* A TTL check after its reporter said no word. */
#define SILENT                                                                                                         \
	{                                                                                                              \
		"passing", "critical", "", "passing", ""                                                               \
	}

/* Consul does not list it. */
#define ABSENT                                                                                                         \
	{                                                                                                              \
		NULL                                                                                                   \
	}

static void decode(const struct said *said, size_t n, struct consul_services *ret)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_json_ json_t *json = NULL;

	for (size_t i = 0; i < n; i++)
		if (said[i].serf)
			buf_printf(
			    &text,
			    "%s{\"Node\":{\"Node\":\"h%zu\",\"Address\":\"192.0.2.1\"},\"Service\":{\"ID\":\"w%zu\","
			    "\"Service\":\"w\"},\"Checks\":[{\"CheckID\":\"serfHealth\",\"Status\":\"%s\",\"Output\":"
			    "\"Agent\",\"Type\":\"\"},{\"CheckID\":\"w%zu:running\",\"Status\":\"%s\",\"Output\":"
			    "\"%s\",\"Type\":\"ttl\"},{\"CheckID\":\"w%zu:http-1\",\"Status\":\"%s\",\"Output\":"
			    "\"%s\",\"Type\":\"http\"}]}",
			    text.len ? "," : "[", i, i, said[i].serf, i, said[i].running, said[i].running_says, i,
			    said[i].http, said[i].http_says);
	buf_printf(&text, text.len ? "]" : "[]");
	json = json_loads(buf_text(&text), 0, NULL);
	assert_non_null(json);
	assert_int_equal(consul_decode_health(json, ret, NULL), 0);
}

/* One answer after another. `before` becomes what was made of `said`; who serves comes as a word: "10" is the first. */
static int64_t answer(struct holds *holds, struct consul_services *before, const struct said *said, size_t n,
		      int64_t returned_ms, int64_t now_ms, char *ret_serve)
{
	struct consul_services now = { 0 };
	int64_t again;

	decode(said, n, &now);
	again = links_hold(holds, before, &now, returned_ms, now_ms);
	consul_services_release(before);
	*before = now;
	memset(ret_serve, '0', n);
	for (size_t i = 0; i < now.n; i++)
		if (members_health(&now.v[i].checks, NULL) >= MEMBER_WARNING)
			ret_serve[now.v[i].id[1] - '0'] = '1';
	ret_serve[n] = '\0';
	return again;
}

static void each_rule(void **state)
{
	static const struct {
		struct said before[2], now[2];
		int64_t returned_ms;
		const char *serve;
		int64_t again_ms;
	} cases[] = {
		/* nothing is wrong */
		{ { FINE, FINE }, { FINE, FINE }, NEVER, "11", INT64_MAX },
		/* a check that ran and failed is believed, also of the last one */
		{ { FINE, FINE }, { FAILS, FINE }, NEVER, "01", INT64_MAX },
		{ { FINE, FINE }, { FAILS, FAILS }, NEVER, "00", INT64_MAX },
		/* a check that did not run since its Consul agent was started is not */
		{ { FINE, FINE }, { UNRUN, FINE }, NEVER, "11", 1000 + HOLD_UNRUN_MS },
		{ { FINE, FINE }, { UNRUN, UNRUN }, NEVER, "11", 1000 + HOLD_UNRUN_MS },
		/* but it has to have served */
		{ { FAILS, FINE }, { UNRUN, FINE }, NEVER, "01", INT64_MAX },
		/* no word from a reporter is a word */
		{ { FINE, FINE }, { SILENT, FINE }, NEVER, "01", INT64_MAX },
		/* a dead host is believed at once if others serve, also soon after Consul's return */
		{ { FINE, FINE }, { DEAD, FINE }, NEVER, "01", INT64_MAX },
		{ { FINE, FINE }, { DEAD, FINE }, 900, "01", INT64_MAX },
		{ { FINE, FINE }, { DEAD_UNRUN, FINE }, 900, "01", INT64_MAX },
		/* and not as long as nobody else does: they may all be said to be dead, and one may be back with its
		   checks to run */
		{ { FINE, FINE }, { DEAD, DEAD }, NEVER, "11", INT64_MAX },
		{ { FINE, FINE }, { DEAD, DEAD_UNRUN }, NEVER, "11", INT64_MAX },
		{ { FINE, FINE }, { DEAD, UNRUN }, NEVER, "11", 1000 + HOLD_UNRUN_MS },
		{ { FINE, FINE }, { DEAD, FAILS }, NEVER, "10", INT64_MAX },
		/* Consul forgets a server that died, and all that its host has: the same */
		{ { FINE, FINE }, { ABSENT, FINE }, NEVER, "01", INT64_MAX },
		{ { FINE, FINE }, { ABSENT, ABSENT }, NEVER, "11", INT64_MAX },
		{ { FINE, FINE }, { FAILS, ABSENT }, NEVER, "01", INT64_MAX },
		{ { FINE, FINE }, { DEAD, ABSENT }, NEVER, "11", INT64_MAX },
		{ { FINE, FAILS }, { ABSENT, ABSENT }, NEVER, "10", INT64_MAX },
		/* after Consul's return no check is believed for a while, and then all are */
		{ { FINE, FINE }, { FAILS, FINE }, 900, "11", 900 + HOLD_RETURNED_MS },
		{ { FINE, FINE }, { FAILS, FAILS }, 900, "11", 900 + HOLD_RETURNED_MS },
		{ { FINE, FINE }, { FAILS, FAILS }, 1000 - HOLD_RETURNED_MS, "00", INT64_MAX },
		/* but that its main process ended is */
		{ { FINE, FINE }, { ENDED, FINE }, 900, "01", INT64_MAX },
		{ { FINE, FINE }, { ENDED, ENDED }, NEVER, "00", INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(holds_release) struct holds holds = { 0 };
		_cleanup_consul_services_ struct consul_services before = { 0 };
		int64_t again;
		char serve[3];

		decode(cases[i].before, 2, &before);
		again = answer(&holds, &before, cases[i].now, 2, cases[i].returned_ms, 1000, serve);
		if (strcmp(serve, cases[i].serve) != 0 || again != cases[i].again_ms)
			fail_msg("case %zu: %s serve, again at %lld", i, serve, (long long)again);
	}
}

static void a_hold_ends(void **state)
{
	static const struct said fine[2] = { FINE, FINE }, unrun[2] = { UNRUN, FINE }, dead[2] = { DEAD, DEAD },
				 one[2] = { DEAD, FINE };
	_cleanup_(holds_release) struct holds holds = { 0 };
	_cleanup_consul_services_ struct consul_services before = { 0 };
	char serve[3];

	(void)state;
	decode(fine, 2, &before);
	assert_int_equal(answer(&holds, &before, unrun, 2, NEVER, 1000, serve), 1000 + HOLD_UNRUN_MS);
	/* other news in between do not make it longer */
	assert_int_equal(answer(&holds, &before, unrun, 2, NEVER, 9000, serve), 1000 + HOLD_UNRUN_MS);
	assert_string_equal(serve, "11");
	assert_int_equal(answer(&holds, &before, unrun, 2, NEVER, 1000 + HOLD_UNRUN_MS, serve), INT64_MAX);
	assert_string_equal(serve, "01");
	assert_int_equal(holds.n, 0);
	/* once believed it stays so until it was seen serving */
	answer(&holds, &before, unrun, 2, NEVER, 20000, serve);
	assert_string_equal(serve, "01");
	answer(&holds, &before, fine, 2, NEVER, 21000, serve);
	assert_string_equal(serve, "11");
	/* as soon as one of the dead is back, the other one is believed to be dead */
	answer(&holds, &before, dead, 2, NEVER, 22000, serve);
	assert_string_equal(serve, "11");
	assert_int_equal(holds.n, 2);
	assert_int_equal(answer(&holds, &before, one, 2, NEVER, 23000, serve), INT64_MAX);
	assert_string_equal(serve, "01");
}

/* One who is new has served nobody. */
static void strangers_are_not_held(void **state)
{
	static const struct said fine[1] = { FINE }, two[2] = { UNRUN, UNRUN };
	_cleanup_(holds_release) struct holds holds = { 0 };
	_cleanup_consul_services_ struct consul_services before = { 0 };
	char serve[3];

	(void)state;
	decode(fine, 1, &before);
	answer(&holds, &before, two, 2, NEVER, 1000, serve);
	assert_string_equal(serve, "10");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule),
		cmocka_unit_test(a_hold_ends),
		cmocka_unit_test(strangers_are_not_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
