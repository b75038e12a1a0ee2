/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/haproxy-proto.h"

/* Answers as HAProxy 2.6.12 gave them, with fewer columns. */
static const char state_answer[] =
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord\n"
    "3 web 1 web-1.1 192.0.2.1 0 0 1 1 1 8 2 0 6 0 0 0 - 23481 -\n"
    "3 web 2 web-2.1 2001:db8::2 2 8 50 50 1 1 0 2 0 0 0 0 - 80 -\n"
    "4 api 1 web-3.1 192.0.2.3 0 1 256 1 0 1 0 0 2 0 0 0 - 23483 -\n\n";

static const char stat_answer[] = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,last_chk,\n"
				  "f,FRONTEND,,,7,0,9985,0,OPEN,,,\n"
				  "web,web-1.1,2,0,3,0,,0,DOWN,1,\"a \"\"quoted\"\"\nreason, with commas\",\n"
				  "web,web-2.1,0,0,0,0,,0,DRAIN,50,,\n"
				  "web,BACKEND,0,0,3,0,999,0,UP,50,,\n"
				  "api,web-3.1,0,0,5,0,,0,MAINT,1,,\n"
				  "api,BACKEND,0,0,0,0,1,0,DOWN,0,,\n"
				  "empty,BACKEND,0,0,0,0,1,0,DOWN,0,,\n\n";

static void state_is_read(void **state)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	const struct haproxy_row *row;

	(void)state;
	assert_int_equal(haproxy_read_state(state_answer, &table, NULL), 0);
	assert_int_equal(table.n, 3);
	row = haproxy_table_find(&table, "web", "web-2.1");
	assert_non_null(row);
	assert_string_equal(row->address, "2001:db8::2");
	assert_int_equal(row->port, 80);
	assert_int_equal(row->operation, 2);
	assert_int_equal(row->admin, HAPROXY_FORCED_DRAIN);
	assert_int_equal(row->weight, 50);
	assert_int_equal(row->check, 0);
	assert_int_equal(haproxy_table_find(&table, "web", "web-1.1")->check,
			 HAPROXY_CHECK_CONFIGURED | HAPROXY_CHECK_ENABLED);
	assert_null(haproxy_table_find(&table, "web", "web-3.1"));
}

static void columns_are_found_by_name(void **state)
{
	static const char answer[] =
	    "7\n# srv_port srv_name new_one be_name srv_addr srv_uweight srv_admin_state srv_op_state\n"
	    "80 s x b 192.0.2.1 9 1 2\n";
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };

	(void)state;
	assert_int_equal(haproxy_read_state(answer, &table, NULL), 0);
	assert_int_equal(table.rows[0].port, 80);
	assert_string_equal(table.rows[0].server, "s");
	assert_int_equal(table.rows[0].weight, 9);
}

static void an_empty_state_is_fine(void **state)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	static const char answer[] =
	    "1\n# be_name srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port\n\n";

	(void)state;
	assert_int_equal(haproxy_read_state(answer, &table, NULL), 0);
	assert_int_equal(table.n, 0);
}

static void sessions_are_running_and_queued(void **state)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };

	(void)state;
	assert_int_equal(haproxy_read_state(state_answer, &table, NULL), 0);
	assert_int_equal(haproxy_read_stat(stat_answer, &table, NULL), 0);
	assert_int_equal(haproxy_table_find(&table, "web", "web-1.1")->sessions, 5);
	assert_string_equal(haproxy_table_find(&table, "web", "web-1.1")->status, "DOWN");
	assert_int_equal(haproxy_table_find(&table, "web", "web-2.1")->sessions, 0);
	assert_string_equal(haproxy_table_find(&table, "web", "web-2.1")->status, "DRAIN");
	assert_int_equal(haproxy_table_find(&table, "api", "web-3.1")->sessions, 5);
}

static void backends_without_servers_are_known(void **state)
{
	_cleanup_haproxy_table_ struct haproxy_table table = { 0 };
	_cleanup_(freep) char *names = NULL;

	(void)state;
	assert_int_equal(haproxy_read_stat(stat_answer, &table, NULL), 0);
	names = strv_join(&table.backends, " ");
	assert_string_equal(names, "web api empty");
}

static void garbage_is_refused_with_its_first_line(void **state)
{
	static const char *const bad[] = {
		"",
		"\n\n",
		"1\n",
		"Permission denied\n",
		"1\n# be_name srv_name\nweb s\n",
		"1\n# be_name srv_name srv_addr srv_port srv_op_state srv_admin_state srv_uweight\nweb s a 80\n",
		"1\n# be_name srv_name srv_addr srv_port srv_op_state srv_admin_state srv_uweight\nweb s a 65536 0 0 "
		"0\n",
		"1\n# be_name srv_name srv_addr srv_port srv_op_state srv_admin_state srv_uweight\nweb s a 80 0 0 "
		"257\n",
		"1\n# be_name srv_name srv_addr srv_port srv_op_state srv_admin_state srv_uweight\nweb s a 80 0 -1 1\n",
		"1\n# be_name srv_name srv_addr srv_port srv_op_state srv_admin_state srv_uweight\n  a 80 0 1 1\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct haproxy_table table = { 0 };

		assert_int_equal(haproxy_read_state(bad[i], &table, NULL), -EBADMSG);
		assert_null(table.rows);
	}
}

static void the_words_of_a_refusal_are_in_the_error(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct haproxy_table table = { 0 };

	(void)state;
	assert_int_equal(haproxy_read_state("\nPermission\x01 denied\nmore", &table, &err), -EBADMSG);
	assert_non_null(strstr(err_text(&err), "Permission? denied"));
	assert_null(strstr(err_text(&err), "more"));
}

static void bad_statistics_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"web,web-1.1,0\n",
		"# pxname,svname,status\nweb,web-1.1,UP\n",
		"# pxname,svname,scur,status\nweb,web-1.1,many,UP\n",
		"# pxname,svname,scur,status\nweb,web-1.1\n",
		"# pxname,svname,scur,status\nweb,web-1.1,99999999999999999999999,UP\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_haproxy_table_ struct haproxy_table table = { 0 };

		assert_int_equal(haproxy_read_state(state_answer, &table, NULL), 0);
		assert_int_equal(haproxy_read_stat(bad[i], &table, NULL), -EBADMSG);
	}
}

static void info_is_read(void **state)
{
	static const char answer[] = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 31351\nUptime: 0d 0h00m01s\n"
				     "Uptime_sec: 61\nCurrConns: 3\nCumReq: 400\nStopping: 1\nnode: vm\n\n";
	struct haproxy_info info;

	(void)state;
	assert_int_equal(haproxy_read_info(answer, &info, NULL), 0);
	assert_string_equal(info.version, "2.6.12-1+deb12u4");
	assert_int_equal(info.pid, 31351);
	assert_int_equal(info.uptime_s, 61);
	assert_int_equal(info.connections, 3);
	assert_int_equal(info.requests, 400);
	assert_true(info.stopping);
	haproxy_info_release(&info);
	assert_int_equal(haproxy_read_info("Name: HAProxy\n", &info, NULL), -EBADMSG);
	assert_int_equal(haproxy_read_info("Version: 2\nPid: x\n", &info, NULL), -EBADMSG);
}

static void commands_are_written(void **state)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_(freep) char *line = NULL;

	(void)state;
	strv_add_all(&words, "add", "server", "web/web-1.5", "[2001:db8::1]:80", "check", NULL);
	assert_int_equal(haproxy_write(&words, &line, NULL), 0);
	assert_string_equal(line, "add server web/web-1.5 [2001:db8::1]:80 check\n");
}

static void words_that_break_out_are_refused(void **state)
{
	static const char *const bad[] = { "",    "a b", "a\nb", "a\rb", "a;b",  "a\\b", "a\tb",
					   "a\"", "a'b", "a#b",  "<<",   "\x7f", "ñ",    " " };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_strv_ struct strv words = { 0 };
		char *line = NULL;

		strv_add_all(&words, "del", bad[i], NULL);
		assert_int_equal(haproxy_write(&words, &line, NULL), -EINVAL);
		assert_null(line);
	}
}

static void long_commands_are_refused(void **state)
{
	_cleanup_strv_ struct strv words = { 0 };
	char *line = NULL;

	(void)state;
	for (int i = 0; i < HAPROXY_MOST_LINE / 4; i++)
		strv_add(&words, "word");
	assert_int_equal(haproxy_write(&words, &line, NULL), -EINVAL);
}

static void names_of_nodes(void **state)
{
	_cleanup_(freep) char *name = haproxy_server_name("web", 1, 5);
	char longest[HAPROXY_MOST_NAME + 2];

	(void)state;
	assert_string_equal(name, "web-1.5");
	assert_true(haproxy_is_node_name(name));
	assert_true(haproxy_is_node_name("my-web-12.34"));
	assert_false(haproxy_is_node_name("-1.5"));
	assert_false(haproxy_is_node_name("web-1"));
	assert_false(haproxy_is_node_name("web-1."));
	assert_false(haproxy_is_node_name("web-.5"));
	assert_false(haproxy_is_node_name("web-1.5a"));
	assert_false(haproxy_is_node_name("sorry"));
	assert_true(haproxy_is_name("Web_1.a:b"));
	assert_false(haproxy_is_name(""));
	assert_false(haproxy_is_name("a/b"));
	memset(longest, 'a', sizeof(longest));
	longest[HAPROXY_MOST_NAME + 1] = '\0';
	assert_false(haproxy_is_name(longest));
	longest[HAPROXY_MOST_NAME] = '\0';
	assert_true(haproxy_is_name(longest));
}

static void answers_are_understood(void **state)
{
	(void)state;
	assert_int_equal(haproxy_read_answer(HAPROXY_ADD, "New server registered.\n"), HAPROXY_DONE);
	assert_int_equal(haproxy_read_answer(HAPROXY_ADD, "No such backend.\n"), HAPROXY_REFUSED);
	assert_int_equal(haproxy_read_answer(HAPROXY_ADD, ""), HAPROXY_REFUSED);
	assert_int_equal(haproxy_read_answer(HAPROXY_READY, "\n"), HAPROXY_DONE);
	assert_int_equal(haproxy_read_answer(HAPROXY_READY, "No such server.\n"), HAPROXY_REFUSED);
	assert_int_equal(haproxy_read_answer(HAPROXY_REMOVE, "Server deleted.\n"), HAPROXY_DONE);
	assert_int_equal(haproxy_read_answer(HAPROXY_REMOVE, "No such server.\n"), HAPROXY_DONE);
	assert_int_equal(haproxy_read_answer(HAPROXY_REMOVE, "Server still has connections attached to it.\n"),
			 HAPROXY_BUSY);
	assert_int_equal(haproxy_read_answer(HAPROXY_REMOVE, "Only servers in maintenance mode can be deleted.\n"),
			 HAPROXY_REFUSED);
	assert_int_equal(haproxy_read_answer(HAPROXY_ADDRESS, "IP changed from '192.0.2.1' to '192.0.2.2'"),
			 HAPROXY_DONE);
	assert_int_equal(haproxy_read_answer(HAPROXY_ADDRESS, "no need to change the addr"), HAPROXY_DONE);
	assert_int_equal(haproxy_read_answer(HAPROXY_ADDRESS, "Invalid address"), HAPROXY_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_is_read),
		cmocka_unit_test(columns_are_found_by_name),
		cmocka_unit_test(an_empty_state_is_fine),
		cmocka_unit_test(sessions_are_running_and_queued),
		cmocka_unit_test(backends_without_servers_are_known),
		cmocka_unit_test(garbage_is_refused_with_its_first_line),
		cmocka_unit_test(the_words_of_a_refusal_are_in_the_error),
		cmocka_unit_test(bad_statistics_are_refused),
		cmocka_unit_test(info_is_read),
		cmocka_unit_test(commands_are_written),
		cmocka_unit_test(words_that_break_out_are_refused),
		cmocka_unit_test(long_commands_are_refused),
		cmocka_unit_test(names_of_nodes),
		cmocka_unit_test(answers_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
