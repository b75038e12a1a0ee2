/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/frame.h"

static void a_frame_has_type_length_and_bytes(void **state)
{
	_cleanup_buf_ struct buf buf = { 0 };

	(void)state;
	frame_add(&buf, FRAME_STDOUT, "hi", 2);
	assert_int_equal(buf.len, 7);
	assert_memory_equal(buf.data, "1\0\0\0\2hi", 7);
}

static void sizes_are_big_endian(void **state)
{
	_cleanup_buf_ struct buf buf = { 0 };

	(void)state;
	frame_add_resize(&buf, 24, 300);
	frame_add_exit(&buf, 3);
	assert_int_equal(buf.len, 22);
	assert_memory_equal(buf.data,
			    "3\0\0\0\10\0\0\0\30\0\0\1\54"
			    "4\0\0\0\4\0\0\0\3",
			    22);
}

static void frames_come_back(void **state)
{
	_cleanup_buf_ struct buf buf = { 0 };
	struct frame frame;
	uint32_t rows, columns;

	(void)state;
	frame_add_resize(&buf, 24, 300);
	frame_add_exit(&buf, 3);
	assert_int_equal(frame_peek(&buf, &frame), 1);
	frame_resize(&frame, &rows, &columns);
	assert_int_equal(rows, 24);
	assert_int_equal(columns, 300);
	frame_drop(&buf, &frame);
	assert_int_equal(frame_peek(&buf, &frame), 1);
	assert_int_equal(frame_exit(&frame), 3);
	frame_drop(&buf, &frame);
	assert_int_equal(frame_peek(&buf, &frame), 0);
}

static void much_becomes_several_frames(void **state)
{
	_cleanup_buf_ struct buf buf = { 0 };
	static char much[FRAME_MOST + 10];
	struct frame frame;

	(void)state;
	frame_add(&buf, FRAME_INPUT, much, sizeof(much));
	assert_int_equal(frame_peek(&buf, &frame), 1);
	assert_int_equal(frame.len, FRAME_MOST);
	frame_drop(&buf, &frame);
	assert_int_equal(frame_peek(&buf, &frame), 1);
	assert_int_equal(frame.len, 10);
}

static void a_part_of_a_frame_is_waited_for(void **state)
{
	_cleanup_buf_ struct buf whole = { 0 };
	struct frame frame;

	(void)state;
	frame_add(&whole, FRAME_STDERR, "text", 4);
	for (size_t len = 0; len < whole.len; len++) {
		struct buf part = { .data = whole.data, .len = len };

		assert_int_equal(frame_peek(&part, &frame), 0);
	}
}

static void nonsense_is_refused(void **state)
{
	static const char *const bad[] = {
		"9\0\0\0\0", "1\0\1\0\1", "4\0\0\0\5", "3\0\0\0\4", "5\0\0\0\1", "\1\0\0\0\0"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf buf = { 0 };
		struct frame frame;

		buf_add(&buf, bad[i], FRAME_HEADER);
		assert_int_equal(frame_peek(&buf, &frame), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_has_type_length_and_bytes),
		cmocka_unit_test(sizes_are_big_endian),
		cmocka_unit_test(frames_come_back),
		cmocka_unit_test(much_becomes_several_frames),
		cmocka_unit_test(a_part_of_a_frame_is_waited_for),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
