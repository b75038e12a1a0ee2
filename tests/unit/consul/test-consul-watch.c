/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The watch against a server that plays Consul, well and badly. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "consul/consul-watch.h"

/* Plays answers in turn, the last one for ever; counts and notes the questions. */
struct play {
	struct answer {
		unsigned status;
		const char *index, *body;
	} answers[4];
	size_t n;
	unsigned asked;
	char index[4][32]; /* of the first questions, "-": none */
	struct MHD_Daemon *daemon;
	struct consul *consul;
};

/* What the watch told. */
struct told {
	unsigned values, absent, errors;
	uint64_t index;
	int code;
	struct consul_watch *to_free; /* at the first call */
};

static sd_event *event;
static struct http_loop *loop;

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *bytes, size_t *len, void **state)
{
	struct play *play = data;
	const char *index = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "index");
	const struct answer *answer = &play->answers[play->asked < play->n ? play->asked : play->n - 1];
	struct MHD_Response *response;
	enum MHD_Result result;

	(void)url, (void)method, (void)version, (void)bytes, (void)len, (void)state;
	if (play->asked < ARRAY_SIZE(play->index))
		snprintf(play->index[play->asked], sizeof(play->index[0]), "%s", index ? index : "-");
	play->asked++;
	response = MHD_create_response_from_buffer(strlen(answer->body), (char *)answer->body, MHD_RESPMEM_PERSISTENT);
	if (answer->index)
		MHD_add_response_header(response, "X-Consul-Index", answer->index);
	result = MHD_queue_response(connection, answer->status, response);
	MHD_destroy_response(response);
	return result;
}

/* The server runs in this thread's event loop time: MHD_run is called between the turns. */
static void play_start(struct play *play)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const union MHD_DaemonInfo *info;
	_cleanup_(freep) char *base = NULL;

	while (play->n < ARRAY_SIZE(play->answers) && play->answers[play->n].status)
		play->n++;
	play->daemon =
	    MHD_start_daemon(0, 0, NULL, NULL, on_request, play, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
	assert_non_null(play->daemon);
	info = MHD_get_daemon_info(play->daemon, MHD_DAEMON_INFO_BIND_PORT);
	base = xasprintf("http://127.0.0.1:%u", info->port);
	play->consul = consul_new(base, NULL, NULL);
}

static void play_stop(struct play *play)
{
	MHD_stop_daemon(play->daemon);
	consul_free(play->consul);
}

static void on_told(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct told *told = data;

	if (err) {
		told->errors++;
		told->code = err->code;
	} else
		*(value ? &told->values : &told->absent) += 1;
	told->index = index;
	consul_watch_free(TAKE_PTR(told->to_free));
}

/* Both sides take turns for some time. */
static void run_for(struct play *play, int64_t ms)
{
	int64_t end = clock_monotonic_ms() + ms;

	while (clock_monotonic_ms() < end) {
		assert_return_code(sd_event_run(event, 1000), 0);
		MHD_run(play->daemon);
	}
}

/* As much of the play as fits into the time, with a watch. */
static void watch_play(struct play *play, struct told *told, int64_t ms)
{
	struct consul_watch *watch = NULL;

	play_start(play);
	assert_int_equal(consul_watch_new(loop, play->consul, "/v1/kv/a?recurse", on_told, told, &watch, NULL), 0);
	run_for(play, ms);
	consul_watch_free(watch);
	play_stop(play);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_return_code(sd_event_new(&event), 0);
	return http_loop_new(event, &loop, NULL);
}

static int teardown(void **state)
{
	(void)state;
	http_loop_free(loop);
	sd_event_unref(event);
	return 0;
}

static void test_index_is_sent_back(void **state)
{
	struct play play = { .answers = { { 200, "7", "[1]" }, { 200, "9", "[2]" }, { 200, "9", "[2]" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 300);
	assert_string_equal(play.index[0], "-");
	assert_string_equal(play.index[1], "7");
	assert_string_equal(play.index[2], "9");
	assert_int_equal(told.values, 2);
	assert_int_equal(told.index, 9);
}

static void test_index_that_goes_backwards_is_forgotten(void **state)
{
	struct play play = { .answers = { { 200, "9", "[1]" }, { 200, "3", "[1]" }, { 200, "3", "[1]" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 300);
	assert_string_equal(play.index[1], "9");
	assert_string_equal(play.index[2], "-");
	assert_string_equal(play.index[3], "3");
	assert_int_equal(told.values, 2);
}

static void test_answers_at_once_without_news_are_not_asked_for_ever(void **state)
{
	struct play play = { .answers = { { 200, "7", "[1]" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 1000);
	assert_int_equal(told.values, 1);
	assert_in_range(play.asked, 10, 18);
}

static void test_endpoint_without_index_is_an_error(void **state)
{
	struct play play = { .answers = { { 200, NULL, "[1]" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 1000);
	assert_int_equal(told.values, 0);
	assert_int_equal(told.errors, 1);
	assert_int_equal(told.code, EINVAL);
	assert_in_range(play.asked, 2, 6);
}

static void test_absent_key(void **state)
{
	struct play play = { .answers = { { 404, "7", "" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 200);
	assert_int_equal(told.absent, 1);
	assert_int_equal(told.errors, 0);
}

static void test_no_leader_then_back(void **state)
{
	struct play play = { .answers = { { 200, "7", "[1]" },
					  { 500, NULL, "No cluster leader" },
					  { 500, NULL, "No cluster leader" },
					  { 200, "7", "[1]" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 800);
	assert_int_equal(told.errors, 1);
	assert_int_equal(told.code, EAGAIN);
	assert_int_equal(told.values, 2);
	assert_string_equal(play.index[2], "-");
}

static void test_permission(void **state)
{
	struct play play = { .answers = { { 403, NULL, "Permission denied" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 200);
	assert_int_equal(told.code, EACCES);
}

static void test_answer_that_is_not_json(void **state)
{
	struct play play = { .answers = { { 200, "7", "[1" } } };
	struct told told = { 0 };

	(void)state;
	watch_play(&play, &told, 200);
	assert_int_equal(told.code, EBADMSG);
	assert_int_equal(told.values, 0);
}

static void free_at_first_call(struct play *play, struct told *told)
{
	play_start(play);
	assert_int_equal(consul_watch_new(loop, play->consul, "/v1/kv/a", on_told, told, &told->to_free, NULL), 0);
	run_for(play, 300);
	play_stop(play);
}

static void test_freed_within_a_value(void **state)
{
	struct play play = { .answers = { { 200, "7", "[1]" }, { 200, "8", "[2]" } } };
	struct told told = { 0 };

	(void)state;
	free_at_first_call(&play, &told);
	assert_int_equal(told.values, 1);
	assert_null(told.to_free);
}

static void test_freed_within_an_error(void **state)
{
	struct play play = { .answers = { { 500, NULL, "No cluster leader" } } };
	struct told told = { 0 };

	(void)state;
	free_at_first_call(&play, &told);
	assert_int_equal(told.errors, 1);
	assert_int_equal(play.asked, 1);
}

#define watch_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		watch_test(test_index_is_sent_back),
		watch_test(test_index_that_goes_backwards_is_forgotten),
		watch_test(test_answers_at_once_without_news_are_not_asked_for_ever),
		watch_test(test_endpoint_without_index_is_an_error),
		watch_test(test_absent_key),
		watch_test(test_no_leader_then_back),
		watch_test(test_permission),
		watch_test(test_answer_that_is_not_json),
		watch_test(test_freed_within_a_value),
		watch_test(test_freed_within_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
