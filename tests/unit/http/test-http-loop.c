/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The form on the event loop. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/http-loop.h"
#include "server.h"

static struct server server;
static sd_event *event;
static struct http_loop *loop;

/* What a call brought. */
struct outcome {
	unsigned calls;
	int r, status;
	uint64_t index;
	size_t len;
	struct http_call *to_cancel; /* by on_done */
	struct outcome *to_start;    /* by on_done: its request */
	bool free_loop;              /* by on_done */
};

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	server_start(&server, NULL);
	assert_return_code(sd_event_new(&event), 0);
	return http_loop_new(event, &loop, NULL);
}

static int teardown(void **state)
{
	(void)state;
	http_loop_free(loop);
	sd_event_unref(event);
	server_stop(&server);
	return 0;
}

static void on_done(void *data, int r, struct http_reply *reply, struct err *err);

static struct http_call *get(const char *path, struct outcome *outcome)
{
	return http_loop_start(loop, server.base, NULL,
			       &(struct http_request){ .method = "GET", .path = path, .timeout_ms = 5000 }, on_done,
			       outcome);
}

static void on_done(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct outcome *outcome = data;

	assert_int_equal(-r, err->code);
	outcome->calls++;
	outcome->r = r;
	outcome->status = reply->status;
	outcome->index = reply->index;
	outcome->len = reply->body.len;
	http_call_cancel(TAKE_PTR(outcome->to_cancel));
	if (outcome->to_start)
		get("/bytes/4", outcome->to_start);
	if (outcome->free_loop)
		http_loop_free(TAKE_PTR(loop));
}

/* Runs the loop until `calls` calls of it were counted, at most five seconds. */
static void run_until(const struct outcome *outcome, unsigned calls)
{
	int64_t deadline = clock_monotonic_ms() + 5000;

	while (outcome->calls < calls && clock_monotonic_ms() < deadline)
		assert_return_code(sd_event_run(event, 100000), 0);
	assert_int_equal(outcome->calls, calls);
}

/* Runs whatever is pending now. */
static void run_pending(void)
{
	while (sd_event_run(event, 20000) > 0)
		;
}

static void test_status_body_index(void **state)
{
	struct outcome status = { 0 }, index = { 0 }, bytes = { 0 };

	(void)state;
	get("/status/500", &status);
	get("/index/77", &index);
	get("/bytes/100000", &bytes);
	run_until(&status, 1);
	run_until(&index, 1);
	run_until(&bytes, 1);
	assert_int_equal(status.status, 500);
	assert_int_equal(index.index, 77);
	assert_int_equal(bytes.len, 100000);
}

static void test_nothing_is_called_before_the_loop_runs(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	http_loop_start(loop, "http://127.0.0.1:1", NULL, &(struct http_request){ .method = "GET", .path = "/" },
			on_done, &outcome);
	assert_int_equal(outcome.calls, 0);
	run_until(&outcome, 1);
	assert_int_equal(outcome.r, -ECONNREFUSED);
}

static void test_request_is_copied(void **state)
{
	struct outcome outcome = { 0 };
	char path[] = "/echo", body[] = "body", method[] = "PUT";

	(void)state;
	http_loop_start(loop, server.base, "token",
			&(struct http_request){ .method = method, .path = path, .body = body, .body_len = 4 }, on_done,
			&outcome);
	memset(path, 'X', 5);
	memset(body, 'X', 4);
	memset(method, 'X', 3);
	run_until(&outcome, 1);
	assert_int_equal(outcome.len, strlen("PUT application/json token\nbody"));
}

static void test_timeout(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	http_loop_start(loop, server.base, NULL,
			&(struct http_request){ .method = "GET", .path = "/slow", .timeout_ms = 100 }, on_done,
			&outcome);
	run_until(&outcome, 1);
	assert_int_equal(outcome.r, -ETIMEDOUT);
}

static void test_cap(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	http_loop_start(loop, server.base, NULL,
			&(struct http_request){ .method = "GET", .path = "/bytes/11", .most = 10 }, on_done, &outcome);
	run_until(&outcome, 1);
	assert_int_equal(outcome.r, -EFBIG);
}

static void test_missing_unix_socket(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	http_loop_start(loop, "unix:/nonexistent/socket", NULL, &(struct http_request){ .method = "GET", .path = "/" },
			on_done, &outcome);
	run_until(&outcome, 1);
	assert_int_equal(outcome.r, -ENOENT);
}

static void test_invalid_request_is_told_to_done(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	http_loop_start(loop, server.base, "a\nb", &(struct http_request){ .method = "GET", .path = "/" }, on_done,
			&outcome);
	run_until(&outcome, 1);
	assert_int_equal(outcome.r, -EINVAL);
}

static void test_server_closes_in_the_body(void **state)
{
	struct outcome outcome = { 0 };
	struct raw_server raw;

	(void)state;
	raw_server_start(&raw, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
	http_loop_start(loop, raw.base, NULL, &(struct http_request){ .method = "GET", .path = "/" }, on_done,
			&outcome);
	run_until(&outcome, 1);
	raw_server_stop(&raw);
	assert_int_equal(outcome.r, -ECONNRESET);
}

static void test_cancelled_before_it_began(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	http_call_cancel(get("/bytes/1", &outcome));
	run_pending();
	assert_int_equal(outcome.calls, 0);
}

static void test_cancelled_while_waiting(void **state)
{
	struct outcome slow = { 0 }, other = { 0 };

	(void)state;
	other.to_cancel = get("/slow", &slow);
	get("/bytes/1", &other);
	run_until(&other, 1);
	run_pending();
	assert_int_equal(slow.calls, 0);
}

static void test_started_within_done(void **state)
{
	struct outcome second = { 0 }, first = { .to_start = &second };

	(void)state;
	get("/bytes/1", &first);
	run_until(&second, 1);
	assert_int_equal(second.len, 4);
}

struct sinking {
	struct http_call *call;
	struct outcome outcome;
	unsigned sunk;
	bool free_loop;
};

static int cancel_in_sink(void *data, const char *bytes, size_t len)
{
	struct sinking *sinking = data;

	(void)bytes, (void)len;
	sinking->sunk++;
	if (sinking->free_loop)
		http_loop_free(TAKE_PTR(loop));
	else
		http_call_cancel(sinking->call);
	return 0;
}

static void sink_bytes(struct sinking *sinking)
{
	struct http_request request = {
		.method = "GET", .path = "/bytes/500000", .sink = cancel_in_sink, .sink_data = sinking
	};

	sinking->call = http_loop_start(loop, server.base, NULL, &request, on_done, &sinking->outcome);
	for (int i = 0; i < 100 && !sinking->sunk; i++)
		assert_return_code(sd_event_run(event, 50000), 0);
	run_pending();
}

static void test_cancelled_within_its_sink(void **state)
{
	struct sinking sinking = { 0 };

	(void)state;
	sink_bytes(&sinking);
	assert_int_equal(sinking.sunk, 1);
	assert_int_equal(sinking.outcome.calls, 0);
}

static void test_loop_freed_within_a_sink(void **state)
{
	struct sinking sinking = { .free_loop = true };

	(void)state;
	sink_bytes(&sinking);
	assert_int_equal(sinking.sunk, 1);
	assert_int_equal(sinking.outcome.calls, 0);
}

static void test_loop_freed_within_done(void **state)
{
	struct outcome other = { 0 }, outcome = { .free_loop = true };

	(void)state;
	get("/slow", &other);
	get("/bytes/1", &outcome);
	run_until(&outcome, 1);
	run_pending();
	assert_null(loop);
	assert_int_equal(other.calls, 0);
}

static void test_loop_freed_with_calls_waiting(void **state)
{
	struct outcome slow = { 0 }, queued = { 0 }, fast = { 0 };

	(void)state;
	get("/slow", &slow);
	get("/bytes/1", &fast);
	run_until(&fast, 1);
	get("/bytes/1", &queued);
	http_loop_free(TAKE_PTR(loop));
	run_pending();
	assert_int_equal(slow.calls + queued.calls, 0);
}

static void test_many_at_once(void **state)
{
	static struct outcome outcomes[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		get("/bytes/1000", &outcomes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		run_until(&outcomes[i], 1);
		assert_int_equal(outcomes[i].len, 1000);
	}
}

static void drop(bool once, struct outcome *outcome)
{
	struct outcome before = { 0 };

	get("/status/200", &before); /* leaves a connection to be used again */
	run_until(&before, 1);
	http_loop_start(
	    loop, server.base, NULL,
	    &(struct http_request){ .method = "GET", .path = "/drop/200", .timeout_ms = 5000, .once = once }, on_done,
	    outcome);
	run_until(outcome, 1);
}

static void test_sent_again_on_a_new_connection(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	drop(false, &outcome);
	assert_int_equal(outcome.r, 0);
	assert_int_equal(outcome.status, 200);
}

static void test_never_sent_again_when_once(void **state)
{
	struct outcome outcome = { 0 };

	(void)state;
	drop(true, &outcome);
	assert_int_equal(outcome.r, -ECONNRESET);
}

#define loop_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		loop_test(test_status_body_index),
		loop_test(test_nothing_is_called_before_the_loop_runs),
		loop_test(test_request_is_copied),
		loop_test(test_timeout),
		loop_test(test_cap),
		loop_test(test_missing_unix_socket),
		loop_test(test_invalid_request_is_told_to_done),
		loop_test(test_server_closes_in_the_body),
		loop_test(test_cancelled_before_it_began),
		loop_test(test_cancelled_while_waiting),
		loop_test(test_started_within_done),
		loop_test(test_cancelled_within_its_sink),
		loop_test(test_loop_freed_within_a_sink),
		loop_test(test_loop_freed_within_done),
		loop_test(test_loop_freed_with_calls_waiting),
		loop_test(test_many_at_once),
		loop_test(test_sent_again_on_a_new_connection),
		loop_test(test_never_sent_again_when_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
