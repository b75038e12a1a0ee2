/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The blocking form. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/http.h"
#include "server.h"

static struct server server;

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	server_start(&server, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	server_stop(&server);
	return 0;
}

/* One request to `base` with its own connection. */
static int send_to(const char *base, const char *token, const struct http_request *request, struct http_reply *reply,
		   struct err *err)
{
	_cleanup_(http_freep) struct http *http = http_new(base, token);

	return http_request(http, request, reply, err);
}

static void test_status_and_body(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(
	    send_to(server.base, NULL, &(struct http_request){ .method = "GET", .path = "/status/404" }, &reply, NULL),
	    0);
	assert_int_equal(reply.status, 404);
	assert_string_equal(buf_text(&reply.body), "status 404");
}

static void test_server_error_is_a_reply(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(
	    send_to(server.base, NULL, &(struct http_request){ .method = "GET", .path = "/status/500" }, &reply, NULL),
	    0);
	assert_int_equal(reply.status, 500);
}

static void test_body_and_headers_are_sent(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "PUT", .path = "/echo", .body = "one two", .body_len = 3 };

	(void)state;
	assert_int_equal(send_to(server.base, "secret", &request, &reply, NULL), 0);
	assert_string_equal(buf_text(&reply.body), "PUT application/json secret\none");
}

static void test_content_type_is_the_callers(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "POST", .path = "/echo", .content_type = "application/x-tar" };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), 0);
	assert_string_equal(buf_text(&reply.body), "POST application/x-tar -\n");
}

static void test_trailing_slash_of_base(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	char base[sizeof(server.base) + 1];

	(void)state;
	snprintf(base, sizeof(base), "%s/", server.base);
	assert_int_equal(
	    send_to(base, NULL, &(struct http_request){ .method = "GET", .path = "/bytes/5" }, &reply, NULL), 0);
	assert_string_equal(buf_text(&reply.body), "xxxxx");
}

static void test_line_break_in_token_is_refused(void **state)
{
	struct http_request request = { .method = "GET", .path = "/echo" };
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to(server.base, "a\r\nX-Evil: 1", &request, &reply, NULL), -EINVAL);
}

static void test_body_over_the_cap(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct http_request request = { .method = "GET", .path = "/bytes/1001", .most = 1000 };
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, &err), -EFBIG);
	assert_null(reply.body.data);
	assert_int_equal(err.code, EFBIG);
}

static void test_body_over_the_cap_by_its_last_byte(void **state)
{
	struct http_request request = { .method = "GET", .path = "/bytes/300000", .most = 299999 };
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), -EFBIG);
}

static void test_body_at_the_cap(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "GET", .path = "/bytes/1000", .most = 1000 };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), 0);
	assert_int_equal(reply.body.len, 1000);
}

static int count_bytes(void *data, const char *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)data += len;
	return 0;
}

static int refuse_bytes(void *data, const char *bytes, size_t len)
{
	(void)data, (void)bytes, (void)len;
	return -ENOSPC;
}

static void test_sink_takes_the_body(void **state)
{
	size_t count = 0;
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = {
		.method = "GET", .path = "/bytes/300000", .most = 10, .sink = count_bytes, .sink_data = &count
	};

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), 0);
	assert_int_equal(count, 300000);
	assert_int_equal(reply.body.len, 0);
}

static void test_sink_error_ends_it(void **state)
{
	struct http_request request = { .method = "GET", .path = "/bytes/300000", .sink = refuse_bytes };
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), -ENOSPC);
}

static void test_sink_does_not_get_an_errors_body(void **state)
{
	size_t count = 0;
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = {
		.method = "GET", .path = "/status/409", .sink = count_bytes, .sink_data = &count
	};

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), 0);
	assert_int_equal(count, 0);
	assert_string_equal(buf_text(&reply.body), "status 409");
}

static ssize_t take_from_text(void *data, char *to, size_t size)
{
	const char **text = data;
	size_t n = strlen(*text);

	n = n > 3 ? 3 : n;
	n = n > size ? size : n;
	memcpy(to, *text, n);
	*text += n;
	return (ssize_t)n;
}

static ssize_t fail_source(void *data, char *to, size_t size)
{
	(void)data, (void)to, (void)size;
	return -EIO;
}

static void test_source_is_uploaded(void **state)
{
	const char *text = "from a source";
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = {
		.method = "POST", .path = "/echo", .source = take_from_text, .source_data = &text
	};

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), 0);
	assert_string_equal(buf_text(&reply.body), "POST application/json -\nfrom a source");
}

static void test_source_error_ends_it(void **state)
{
	struct http_request request = { .method = "PUT", .path = "/echo", .source = fail_source };
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), -EIO);
}

static void test_timeout(void **state)
{
	struct http_request request = { .method = "GET", .path = "/slow", .timeout_ms = 100 };
	int64_t before = clock_monotonic_ms();
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to(server.base, NULL, &request, &reply, NULL), -ETIMEDOUT);
	assert_true(clock_monotonic_ms() - before < 3000);
}

static void test_nobody_listens(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct http_reply reply = { 0 };

	(void)state;
	/* Port 1 is privileged and unused. */
	assert_int_equal(
	    send_to("http://127.0.0.1:1", NULL, &(struct http_request){ .method = "GET", .path = "/" }, &reply, &err),
	    -ECONNREFUSED);
	assert_non_null(strstr(err_text(&err), "http://127.0.0.1:1"));
}

static void test_no_unix_socket(void **state)
{
	struct http_reply reply = { 0 };

	(void)state;
	assert_int_equal(send_to("unix:/nonexistent/socket", NULL,
				 &(struct http_request){ .method = "GET", .path = "/" }, &reply, NULL),
			 -ENOENT);
}

static void test_unix_socket(void **state)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	char dir[] = "/tmp/tt-http-XXXXXX", path[64];
	struct server local;
	int r;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	server_start(&local, path);
	r = send_to(local.base, NULL, &(struct http_request){ .method = "GET", .path = "/bytes/7" }, &reply, NULL);
	server_stop(&local);
	unlink(path);
	rmdir(dir);
	assert_int_equal(r, 0);
	assert_int_equal(reply.body.len, 7);
}

static uint64_t index_of(const char *text)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_(freep) char *path = xasprintf("/index/%s", text);

	assert_int_equal(
	    send_to(server.base, NULL, &(struct http_request){ .method = "GET", .path = path }, &reply, NULL), 0);
	return reply.index;
}

static void test_index(void **state)
{
	(void)state;
	assert_int_equal(index_of("18446744073709551"), 18446744073709551);
}

static void test_index_that_is_no_number(void **state)
{
	(void)state;
	assert_int_equal(index_of("12x"), 0);
}

static void test_index_beyond_64_bits(void **state)
{
	(void)state;
	assert_int_equal(index_of("99999999999999999999999"), 0);
}

/* What comes of a server that answers with `bytes` and closes. */
static int raw(const char *bytes)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct raw_server raw_server;
	int r;

	raw_server_start(&raw_server, bytes);
	r = send_to(raw_server.base, NULL, &(struct http_request){ .method = "GET", .path = "/", .timeout_ms = 3000 },
		    &reply, NULL);
	raw_server_stop(&raw_server);
	return r;
}

static void test_closed_in_the_body(void **state)
{
	(void)state;
	assert_int_equal(raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), -ECONNRESET);
}

static void test_closed_without_an_answer(void **state)
{
	(void)state;
	assert_int_equal(raw(""), -ECONNRESET);
}

static void test_not_http(void **state)
{
	(void)state;
	assert_int_equal(raw("220 mail.example.org ESMTP\r\n"), -EPROTO);
}

static void test_endless_headers(void **state)
{
	_cleanup_buf_ struct buf bytes = { 0 };

	(void)state;
	buf_adds(&bytes, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 4000; i++)
		buf_printf(&bytes, "X-Header-%d: 0123456789\r\n", i);
	buf_adds(&bytes, "\r\n");
	assert_int_equal(raw(buf_text(&bytes)), -EFBIG);
}

static void test_connection_is_reused_after_an_error(void **state)
{
	_cleanup_(http_freep) struct http *http = http_new(server.base, NULL);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_reply none = { 0 };

	(void)state;
	assert_int_equal(
	    http_request(http, &(struct http_request){ .method = "GET", .path = "/bytes/99", .most = 1 }, &none, NULL),
	    -EFBIG);
	assert_int_equal(
	    http_request(http, &(struct http_request){ .method = "GET", .path = "/bytes/9" }, &reply, NULL), 0);
	assert_int_equal(reply.body.len, 9);
}

struct resumed {
	struct http_part part;
	int status, code;
	size_t len;
};

static int take_head(void *data, int status, const struct http_part *part)
{
	struct resumed *resumed = data;

	resumed->status = status;
	resumed->part = *part;
	return resumed->code;
}

static int take_rest(void *data, const char *bytes, size_t len)
{
	struct resumed *resumed = data;

	(void)bytes;
	assert_int_not_equal(resumed->status, 0); /* the head came first */
	resumed->len += len;
	return 0;
}

/* What a server that says `raw` makes of a request for all from byte 5 on. */
static int resume(const char *raw, struct resumed *resumed)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "GET",
					.path = "/",
					.from = 5,
					.stall_ms = 5000,
					.sink = take_rest,
					.head = take_head,
					.sink_data = resumed };
	struct raw_server raw_server;
	int r;

	raw_server_start(&raw_server, raw);
	r = send_to(raw_server.base, NULL, &request, &reply, NULL);
	raw_server_stop(&raw_server);
	return r;
}

static void test_a_part_is_said_before_it_comes(void **state)
{
	struct resumed resumed = { 0 };

	(void)state;
	assert_int_equal(
	    resume("HTTP/1.1 206 P\r\nContent-Length: 3\r\nContent-Range: bytes 5-7/8\r\n\r\nabc", &resumed), 0);
	assert_int_equal(resumed.status, 206);
	assert_int_equal(resumed.part.from, 5);
	assert_int_equal(resumed.part.total, 8);
	assert_int_equal(resumed.len, 3);
}

static void test_the_whole_instead_of_a_part(void **state)
{
	struct resumed resumed = { 0 };

	(void)state;
	assert_int_equal(resume("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", &resumed), 0);
	assert_int_equal(resumed.part.from, 0);
	assert_int_equal(resumed.part.total, 3);
}

static void test_a_part_that_says_not_which(void **state)
{
	struct resumed resumed = { 0 };

	(void)state;
	assert_int_equal(
	    resume("HTTP/1.1 206 P\r\nContent-Length: 3\r\nContent-Range: bytes 7-5/8\r\n\r\nabc", &resumed), -EBADMSG);
	assert_int_equal(resumed.len, 0);
}

static void test_head_error_ends_it(void **state)
{
	struct resumed resumed = { .code = -EDOM };

	(void)state;
	assert_int_equal(resume("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", &resumed), -EDOM);
	assert_int_equal(resumed.len, 0);
}

static void test_encode(void **state)
{
	_cleanup_(freep) char *text = http_encode("a/b ñ~&=.");

	(void)state;
	assert_string_equal(text, "a%2Fb%20%C3%B1~%26%3D.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_and_body),
		cmocka_unit_test(test_server_error_is_a_reply),
		cmocka_unit_test(test_body_and_headers_are_sent),
		cmocka_unit_test(test_content_type_is_the_callers),
		cmocka_unit_test(test_trailing_slash_of_base),
		cmocka_unit_test(test_line_break_in_token_is_refused),
		cmocka_unit_test(test_body_over_the_cap),
		cmocka_unit_test(test_body_over_the_cap_by_its_last_byte),
		cmocka_unit_test(test_body_at_the_cap),
		cmocka_unit_test(test_sink_takes_the_body),
		cmocka_unit_test(test_sink_error_ends_it),
		cmocka_unit_test(test_sink_does_not_get_an_errors_body),
		cmocka_unit_test(test_source_is_uploaded),
		cmocka_unit_test(test_source_error_ends_it),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_no_unix_socket),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_index_that_is_no_number),
		cmocka_unit_test(test_index_beyond_64_bits),
		cmocka_unit_test(test_closed_in_the_body),
		cmocka_unit_test(test_closed_without_an_answer),
		cmocka_unit_test(test_not_http),
		cmocka_unit_test(test_endless_headers),
		cmocka_unit_test(test_connection_is_reused_after_an_error),
		cmocka_unit_test(test_a_part_is_said_before_it_comes),
		cmocka_unit_test(test_the_whole_instead_of_a_part),
		cmocka_unit_test(test_a_part_that_says_not_which),
		cmocka_unit_test(test_head_error_ends_it),
		cmocka_unit_test(test_encode),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
