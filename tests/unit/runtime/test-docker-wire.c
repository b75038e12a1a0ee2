/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/docker-events.h"
#include "runtime/docker-wire.h"

#define HEAD(text, ret) read_head(text, sizeof(text) - 1, ret)

static int read_head(const char *text, size_t len, struct wire_head *ret)
{
	_cleanup_buf_ struct buf in = { 0 };

	buf_add(&in, text, len);
	return wire_head(&in, ret);
}

static void a_head_is_read(void **state)
{
	struct wire_head head;

	(void)state;
	assert_int_equal(HEAD("HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n", &head), 1);
	assert_int_equal(head.status, 101);
	assert_false(head.chunked);
	assert_true(head.length == UINT64_MAX);
	assert_int_equal(HEAD("HTTP/1.1 200 OK\r\ntransfer-encoding:  chunked\r\n\r\n", &head), 1);
	assert_true(head.chunked);
	assert_int_equal(HEAD("HTTP/1.0 404\r\nContent-Length: 17\r\n\r\n", &head), 1);
	assert_int_equal(head.status, 404);
	assert_int_equal(head.length, 17);
}

static void what_follows_a_head_stays(void **state)
{
	_cleanup_buf_ struct buf in = { 0 };
	struct wire_head head;

	(void)state;
	buf_adds(&in, "HTTP/1.1 200 OK\r\n\r\nbody");
	assert_int_equal(wire_head(&in, &head), 1);
	assert_string_equal(buf_text(&in), "body");
}

static void a_part_of_a_head_is_waited_for(void **state)
{
	struct wire_head head;

	(void)state;
	assert_int_equal(HEAD("HTTP/1.1 200 OK\r\nContent-Len", &head), 0);
}

static void bad_heads_are_refused(void **state)
{
	_cleanup_buf_ struct buf endless = { 0 };
	struct wire_head head;

	(void)state;
	assert_int_equal(HEAD("\r\n\r\n", &head), -EBADMSG);
	assert_int_equal(HEAD("SMTP/1.1 200 OK\r\n\r\n", &head), -EBADMSG);
	assert_int_equal(HEAD("HTTP/1.1 2x0 OK\r\n\r\n", &head), -EBADMSG);
	assert_int_equal(HEAD("HTTP/1.1 2000 OK\r\n\r\n", &head), -EBADMSG);
	assert_int_equal(HEAD("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", &head), -EBADMSG);
	memset(buf_reserve(&endless, 100000), 'x', 100000);
	endless.len = 100000;
	assert_int_equal(wire_head(&endless, &head), -EBADMSG);
}

/* Decodes `text` given in pieces of `step` bytes; what wire_chunks says at the end. */
static int unchunk(const char *text, size_t step, struct buf *out)
{
	_cleanup_buf_ struct buf in = { 0 };
	struct wire_chunks chunks = { 0 };
	size_t len = strlen(text);
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += step) {
		buf_add(&in, text + i, len - i < step ? len - i : step);
		r = wire_chunks(&chunks, &in, out);
	}
	return r;
}

static void chunks_may_be_split_anywhere(void **state)
{
	static const char text[] = "5\r\nhello\r\nA;x=y\r\n, thereand\r\n1\r\n!\r\n0\r\n\r\n";

	(void)state;
	for (size_t step = 1; step <= sizeof(text); step++) {
		_cleanup_buf_ struct buf out = { 0 };

		assert_int_equal(unchunk(text, step, &out), 1);
		assert_string_equal(buf_text(&out), "hello, thereand!");
	}
}

static void bad_chunks_are_refused(void **state)
{
	static const char *const bad[] = { "x\r\n", "\r\n", "5\r\nhelloX\r\n", "fffffffffffffffff\r\n", "5 \r\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf out = { 0 };

		assert_int_equal(unchunk(bad[i], 1, &out), -EBADMSG);
	}
}

struct heard {
	struct buf out, err;
};

static int hear(void *data, int stream, const char *bytes, size_t len)
{
	struct heard *heard = data;

	buf_add(stream == 2 ? &heard->err : &heard->out, bytes, len);
	return 0;
}

static int stop_hearing(void *data, int stream, const char *bytes, size_t len)
{
	(void)data, (void)stream, (void)bytes, (void)len;
	return -ECANCELED;
}

static void streams_may_be_split_anywhere(void **state)
{
	static const char text[] = "\1\0\0\0\0\0\0\3one"
				   "\2\0\0\0\0\0\0\5error"
				   "\1\0\0\0\0\0\0\0"
				   "\0\0\0\0\0\0\0\3two";

	(void)state;
	for (size_t step = 1; step < sizeof(text); step++) {
		struct heard heard = { 0 };
		struct wire_demux demux = { 0 };

		for (size_t i = 0; i < sizeof(text) - 1; i += step) {
			size_t left = sizeof(text) - 1 - i;

			assert_int_equal(wire_demux(&demux, text + i, left < step ? left : step, hear, &heard), 0);
		}
		assert_string_equal(buf_text(&heard.out), "onetwo");
		assert_string_equal(buf_text(&heard.err), "error");
		buf_release(&heard.out);
		buf_release(&heard.err);
	}
}

static void a_bad_stream_is_refused(void **state)
{
	struct wire_demux demux = { 0 }, other = { 0 };
	struct heard heard = { 0 };

	(void)state;
	assert_int_equal(wire_demux(&demux, "\4\0\0\0\0\0\0\1x", 9, hear, &heard), -EBADMSG);
	assert_int_equal(wire_demux(&other, "plain text", 10, hear, &heard), -EBADMSG);
}

static void the_reader_ends_a_stream(void **state)
{
	struct wire_demux demux = { 0 };

	(void)state;
	assert_int_equal(wire_demux(&demux, "\1\0\0\0\0\0\0\1x", 9, stop_hearing, NULL), -ECANCELED);
}

#define EVENT(action, id, more)                                                                                        \
	"{\"Type\":\"container\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" id                                    \
	"\",\"Attributes\":{\"tepuy.instance\":\"portal/web/1.5\"" more "}},\"time\":1}\n"

static void note_event(void *data, const struct runtime_event *event)
{
	static const char *const kinds[] = { "started", "died", "removed", "reconnected" };

	buf_printf(data, "%s %s %d%s\n", kinds[event->kind], event->instance, event->exit_code,
		   event->out_of_memory ? " memory" : "");
}

static int feed(const char *text, size_t step, struct buf *notes)
{
	_cleanup_(docker_events_release) struct docker_events events = { 0 };
	size_t len = strlen(text);
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i += step)
		r = docker_events_feed(&events, text + i, len - i < step ? len - i : step, note_event, notes);
	return r;
}

static void events_may_be_split_anywhere(void **state)
{
	static const char text[] = EVENT("start", "a", "") "\n" EVENT("die", "a", ",\"exitCode\":\"3\"")
	    EVENT("attach", "a", "") EVENT("destroy", "a", "");

	(void)state;
	for (size_t step = 1; step < sizeof(text); step += 7) {
		_cleanup_buf_ struct buf notes = { 0 };

		assert_int_equal(feed(text, step, &notes), 0);
		assert_string_equal(buf_text(&notes),
				    "started portal/web/1.5 0\ndied portal/web/1.5 3\nremoved portal/web/1.5 0\n");
	}
}

static void a_kill_at_the_memory_limit_is_told(void **state)
{
	_cleanup_buf_ struct buf notes = { 0 };

	(void)state;
	assert_int_equal(feed(EVENT("oom", "a", "") EVENT("die", "a", ",\"exitCode\":\"137\""), 1000, &notes), 0);
	assert_string_equal(buf_text(&notes), "died portal/web/1.5 137 memory\n");
}

static void a_kill_for_memory_of_another_or_before_is_not(void **state)
{
	_cleanup_buf_ struct buf notes = { 0 };

	(void)state;
	feed(EVENT("oom", "a", "") EVENT("die", "b", ",\"exitCode\":\"137\"") EVENT("start", "a", "")
		 EVENT("die", "a", ",\"exitCode\":\"137\""),
	     1000, &notes);
	feed(EVENT("oom", "a", "") EVENT("die", "a", ",\"exitCode\":\"0\""), 1000, &notes);
	assert_null(strstr(buf_text(&notes), "memory"));
}

static void many_kills_for_memory_are_bounded(void **state)
{
	_cleanup_buf_ struct buf text = { 0 }, notes = { 0 };

	(void)state;
	for (int i = 0; i < 3 * DOCKER_OOM_KEPT; i++)
		buf_printf(&text, EVENT("oom", "id%d", ""), i);
	buf_adds(&text, EVENT("die", "id95", ",\"exitCode\":\"137\""));
	assert_int_equal(feed(text.data, text.len, &notes), 0);
	assert_string_equal(buf_text(&notes), "died portal/web/1.5 137 memory\n");
}

static void events_that_are_not_json_are_refused(void **state)
{
	_cleanup_buf_ struct buf notes = { 0 }, endless = { 0 };

	(void)state;
	assert_int_equal(feed("<html>\n", 100, &notes), -EBADMSG);
	memset(buf_reserve(&endless, 2 << 20), '[', 2 << 20);
	endless.len = 2 << 20;
	endless.data[endless.len] = '\0';
	assert_int_equal(feed(endless.data, 4096, &notes), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_read),
		cmocka_unit_test(what_follows_a_head_stays),
		cmocka_unit_test(a_part_of_a_head_is_waited_for),
		cmocka_unit_test(bad_heads_are_refused),
		cmocka_unit_test(chunks_may_be_split_anywhere),
		cmocka_unit_test(bad_chunks_are_refused),
		cmocka_unit_test(streams_may_be_split_anywhere),
		cmocka_unit_test(a_bad_stream_is_refused),
		cmocka_unit_test(the_reader_ends_a_stream),
		cmocka_unit_test(events_may_be_split_anywhere),
		cmocka_unit_test(a_kill_at_the_memory_limit_is_told),
		cmocka_unit_test(a_kill_for_memory_of_another_or_before_is_not),
		cmocka_unit_test(many_kills_for_memory_are_bounded),
		cmocka_unit_test(events_that_are_not_json_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
