/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client against a HAProxy that is a thread with a script; a real one is in tests/e2e/proxy-socket.sh. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/haproxy-socket.h"

#define STATE_HEAD "1\n# be_name srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n"
#define STAT_HEAD "# pxname,svname,qcur,scur,status,\n"

/* Answers in order, each to one line; "" is an empty answer, NULL hangs up, "…" says nothing more. */
struct fake {
	const char *answers[16];
	int fds[2];
	pthread_t thread;
	struct buf heard;
};

static bool hear_line(struct fake *fake)
{
	char c;

	while (read(fake->fds[1], &c, 1) == 1) {
		buf_addc(&fake->heard, c);
		if (c == '\n')
			return true;
	}
	return false;
}

static void *play(void *data)
{
	struct fake *fake = data;

	for (size_t i = 0; hear_line(fake) && fake->answers[i]; i++) {
		if (!strcmp(fake->answers[i], "…")) {
			hear_line(fake);
			break;
		}
		if (send(fake->fds[1], fake->answers[i], strlen(fake->answers[i]), MSG_NOSIGNAL) < 0 ||
		    send(fake->fds[1], "\n> ", 3, MSG_NOSIGNAL) < 0)
			break;
	}
	close(fake->fds[1]);
	return NULL;
}

static int dial_fake(void *data, int *ret_fd, struct err *err)
{
	struct fake *fake = data;

	(void)err;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fake->fds), 0);
	assert_int_equal(pthread_create(&fake->thread, NULL, play, fake), 0);
	*ret_fd = fake->fds[0];
	return 0;
}

static int sync_with(struct fake *fake, struct haproxy_server *server, struct haproxy_result *ret, struct err *err)
{
	struct haproxy_backend web = { .name = "web", .servers = server, .n_servers = server ? 1 : 0 };
	struct haproxy *h = haproxy_new(dial_fake, fake, 100);
	int r = haproxy_sync(h, &web, 1, false, ret, err);

	haproxy_free(h);
	pthread_join(fake->thread, NULL);
	return r;
}

static struct haproxy_server web_1 = { .name = "web-1.1", .address = "192.0.2.1", .port = 80, .weight = 1 };

static void what_is_as_wanted_is_only_read(void **state)
{
	struct fake fake = { { "", STATE_HEAD "web web-1.1 192.0.2.1 2 0 1 80\n",
			       STAT_HEAD "web,web-1.1,0,0,UP,\nweb,BACKEND,0,0,UP,\n" } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, &web_1, &result, NULL), 0);
	assert_string_equal(buf_text(&fake.heard), "prompt\nshow servers state\nshow stat -1 6 -1\n");
	assert_true(result.settled);
	assert_false(result.reload);
	assert_int_equal(result.n_events, 0);
	buf_release(&fake.heard);
}

static void a_server_is_added_and_read_back(void **state)
{
	struct fake fake = { { "", STATE_HEAD, STAT_HEAD "web,BACKEND,0,0,UP,\n", "New server registered.\n", "",
			       STATE_HEAD "web web-1.1 192.0.2.1 2 0 1 80\n",
			       STAT_HEAD "web,web-1.1,0,0,UP,\nweb,BACKEND,0,0,UP,\n" } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, &web_1, &result, NULL), 0);
	assert_int_equal(result.n_events, 2);
	assert_int_equal(result.events[0].verb, HAPROXY_ADD);
	assert_string_equal(result.events[0].server, "web-1.1");
	assert_true(result.settled);
	buf_release(&fake.heard);
}

static void a_refusal_asks_for_a_reload_in_its_words(void **state)
{
	struct fake fake = { { "", STATE_HEAD, STAT_HEAD "web,BACKEND,0,0,UP,\n",
			       "Backend must use a dynamic algorithm.\n", STATE_HEAD,
			       STAT_HEAD "web,BACKEND,0,0,UP,\n" } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, &web_1, &result, NULL), 0);
	assert_true(result.reload);
	assert_false(result.settled);
	assert_int_equal(result.n_events, 1); /* what depends on it is not asked for */
	assert_string_equal(result.events[0].problem, "Backend must use a dynamic algorithm.");
	buf_release(&fake.heard);
}

#define MAINT_STATE STATE_HEAD "web web-1.1 192.0.2.9 2 1 1 80\n"
#define MAINT_STAT STAT_HEAD "web,web-1.1,0,0,MAINT,\nweb,BACKEND,0,0,UP,\n"
#define BUSY "Server still has connections attached to it, cannot remove it.\n"

static void a_removal_closes_idle_connections(void **state)
{
	struct fake fake = { { "", MAINT_STATE, MAINT_STAT, BUSY, MAINT_STATE, MAINT_STAT,
			       "IP changed from 'a' to 'b'\n", BUSY, "Server deleted.\n", STATE_HEAD,
			       STAT_HEAD "web,BACKEND,0,0,UP,\n" } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, NULL, &result, NULL), 0);
	assert_non_null(strstr(buf_text(&fake.heard), "set server web/web-1.1 addr 192.0.2.1 port 1\ndel server"));
	assert_int_equal(result.n_events, 1);
	assert_int_equal(result.events[0].verb, HAPROXY_REMOVE);
	assert_true(result.settled);
	buf_release(&fake.heard);
}

static void a_late_session_is_left_its_address(void **state)
{
	static const char with_session[] = STAT_HEAD "web,web-1.1,0,1,MAINT,\nweb,BACKEND,0,0,UP,\n";
	struct fake fake = { { "", MAINT_STATE, MAINT_STAT, BUSY, MAINT_STATE, with_session, MAINT_STATE,
			       with_session } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, NULL, &result, NULL), 0);
	assert_null(strstr(buf_text(&fake.heard), "addr"));
	assert_int_equal(result.n_events, 0);
	assert_int_equal(result.leaving[0].sessions, 1);
	assert_true(result.settled);
	buf_release(&fake.heard);
}

static void sessions_of_leaving_servers_are_told(void **state)
{
	struct fake fake = { { "", STATE_HEAD "web web-1.1 192.0.2.1 2 1 1 80\n",
			       STAT_HEAD "web,web-1.1,1,2,MAINT,\nweb,BACKEND,0,0,UP,\n" } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, NULL, &result, NULL), 0);
	assert_int_equal(result.n_leaving, 1);
	assert_int_equal(result.leaving[0].sessions, 3);
	assert_true(result.leaving[0].removing);
	assert_true(result.settled);
	buf_release(&fake.heard);
}

static void a_missing_backend_asks_for_a_reload(void **state)
{
	struct fake fake = { { "", STATE_HEAD, STAT_HEAD "api,BACKEND,0,0,UP,\n" } };
	_cleanup_haproxy_result_ struct haproxy_result result = { 0 };

	(void)state;
	assert_int_equal(sync_with(&fake, &web_1, &result, NULL), 0);
	assert_true(result.reload);
	assert_false(result.settled);
	assert_true(strv_has(&result.missing, "web"));
	buf_release(&fake.heard);
}

/* What comes of each way of not answering. */
static void expect_failure(struct fake *fake, int wanted)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct haproxy_result result = { 0 };

	assert_int_equal(sync_with(fake, &web_1, &result, &err), wanted);
	assert_int_equal(err.code, -wanted);
	assert_null(result.events);
	buf_release(&fake->heard);
}

static void silence_is_a_timeout(void **state)
{
	struct fake fake = { { "", "…" } };

	(void)state;
	expect_failure(&fake, -ETIMEDOUT);
}

static void hanging_up_is_a_reset(void **state)
{
	struct fake fake = { { "", NULL } };

	(void)state;
	expect_failure(&fake, -ECONNRESET);
}

static void garbage_is_a_bad_message(void **state)
{
	struct fake fake = { { "", "Permission denied\n" } };

	(void)state;
	expect_failure(&fake, -EBADMSG);
}

static int dial_nothing(void *data, int *ret_fd, struct err *err)
{
	(void)data;
	(void)ret_fd;
	return err_set(err, ENOENT, "no socket");
}

static void what_dial_says_comes_back(void **state)
{
	_cleanup_(haproxy_freep) struct haproxy *h = haproxy_new(dial_nothing, NULL, 0);
	_cleanup_err_ struct err err = ERR_INIT;
	struct haproxy_table table = { 0 };

	(void)state;
	assert_int_equal(haproxy_read(h, &table, &err), -ENOENT);
	assert_string_equal(err_text(&err), "no socket");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_as_wanted_is_only_read),
		cmocka_unit_test(a_server_is_added_and_read_back),
		cmocka_unit_test(a_refusal_asks_for_a_reload_in_its_words),
		cmocka_unit_test(a_removal_closes_idle_connections),
		cmocka_unit_test(a_late_session_is_left_its_address),
		cmocka_unit_test(sessions_of_leaving_servers_are_told),
		cmocka_unit_test(a_missing_backend_asks_for_a_reload),
		cmocka_unit_test(silence_is_a_timeout),
		cmocka_unit_test(hanging_up_is_a_reset),
		cmocka_unit_test(garbage_is_a_bad_message),
		cmocka_unit_test(what_dial_says_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
