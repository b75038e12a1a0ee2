/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/quote.h"
#include "base/run.h"
#include "base/text.h"

static void run_reports_exit_status(void **state)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	strv_add_all(&run.argv, "sh", "-c", "echo out; echo err >&2; exit 3", NULL);
	assert_int_equal(run_program(&run, &output, NULL), 3);
	assert_string_equal(buf_text(&output), "out\nerr\n");
}

static void run_feeds_input(void **state)
{
	_cleanup_run_ struct run run = { .input = "hello", .input_len = 5 };
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	strv_add(&run.argv, "cat");
	assert_int_equal(run_program(&run, &output, NULL), 0);
	assert_string_equal(buf_text(&output), "hello");
}

static void run_stops_what_takes_too_long(void **state)
{
	_cleanup_run_ struct run run = { .timeout_ms = 50 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	strv_add_all(&run.argv, "sleep", "60", NULL);
	assert_int_equal(run_program(&run, NULL, &err), -ETIMEDOUT);
	assert_non_null(strstr(err_text(&err), "sleep"));
}

/* Its output has ended, it has not. */
static void run_also_stops_what_is_silent_for_too_long(void **state)
{
	_cleanup_run_ struct run run = { .timeout_ms = 200 };
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t begin = clock_monotonic_ms();

	(void)state;
	strv_add_all(&run.argv, "sh", "-c", "exec >&- 2>&-; exec sleep 30", NULL);
	assert_int_equal(run_program(&run, NULL, &err), -ETIMEDOUT);
	assert_true(clock_monotonic_ms() - begin < 20000);
}

/* It reads its input to the end and then tells by its status only. */
static void run_waits_for_what_closed_its_output(void **state)
{
	_cleanup_run_ struct run run = { .input = "hello", .input_len = 5, .timeout_ms = 60000 };

	(void)state;
	strv_add_all(&run.argv, "sh", "-c", "exec >&- 2>&-; cat >/dev/null; exit 7", NULL);
	assert_int_equal(run_program(&run, NULL, NULL), 7);
}

static void run_says_which_program_is_missing(void **state)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	strv_add(&run.argv, "no-such-program-here");
	assert_int_equal(run_program(&run, NULL, &err), -ENOENT);
	assert_non_null(strstr(err_text(&err), "no-such-program-here"));
}

static void run_keeps_only_the_tail(void **state)
{
	_cleanup_run_ struct run run = { .most_output = 100 };
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	strv_add_all(&run.argv, "sh", "-c", "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done", NULL);
	assert_int_equal(run_program(&run, &output, NULL), 0);
	assert_true(output.len <= 150);
	assert_non_null(strstr(output.data, "line 4999\n"));
}

static void durations_and_sizes(void **state)
{
	int64_t ms;
	uint64_t bytes;

	(void)state;
	assert_int_equal(text_duration_ms("500ms", &ms, NULL), 0);
	assert_int_equal(ms, 500);
	assert_int_equal(text_duration_ms("5m", &ms, NULL), 0);
	assert_int_equal(ms, 300000);
	assert_int_equal(text_duration_ms("5", &ms, NULL), -EINVAL);
	assert_int_equal(text_duration_ms("-5s", &ms, NULL), -EINVAL);
	assert_int_equal(text_duration_ms("99999999999999999999s", &ms, NULL), -EINVAL);
	assert_int_equal(text_size("2G", &bytes, NULL), 0);
	assert_int_equal(bytes, 2147483648);
	assert_int_equal(text_size("1.5G", &bytes, NULL), -EINVAL);
}

static void suggestions(void **state)
{
	static const char *const keys[] = { "port", "path", "publish" };

	(void)state;
	assert_string_equal(text_suggest("prot", keys, 3), "port");
	assert_string_equal(text_suggest("publsh", keys, 3), "publish");
	assert_null(text_suggest("environment", keys, 3));
}

static void printable_text_steers_no_terminal(void **state)
{
	char text[] = "a\033[2J\177\302\233b\n\tñ", one_line[] = "a\n\tb";

	(void)state;
	text_printable(text, true);
	assert_string_equal(text, "a?[2J???b\n\tñ");
	text_printable(one_line, false);
	assert_string_equal(one_line, "a??b");
}

/* What a node writes in another encoding must not break the JSON that tells of it. */
static void printable_text_is_utf8(void **state)
{
	char latin1[] = "a\361o", cut[] = "\203\242 \342\202", overlong[] = "\300\257", surrogate[] = "\355\240\200";
	char whole[] = "\342\202\254 \360\237\230\200";

	(void)state;
	text_printable(latin1, true);
	assert_string_equal(latin1, "a?o");
	text_printable(cut, true);
	assert_string_equal(cut, "?? ??");
	text_printable(overlong, true);
	assert_string_equal(overlong, "??");
	text_printable(surrogate, true);
	assert_string_equal(surrogate, "???");
	text_printable(whole, true);
	assert_string_equal(whole, "\342\202\254 \360\237\230\200");
}

static void quoting_survives_a_shell(void **state)
{
	static const char nasty[] = "a'b \"c\" $d `e` \\ \n;*";
	_cleanup_run_ struct run run = { 0 };
	_cleanup_buf_ struct buf command = { 0 }, output = { 0 };

	(void)state;
	buf_adds(&command, "printf %s ");
	quote_shell(&command, nasty);
	strv_add_all(&run.argv, "sh", "-c", buf_text(&command), NULL);
	assert_int_equal(run_program(&run, &output, NULL), 0);
	assert_string_equal(buf_text(&output), nasty);
}

static void files(void **state)
{
	char dir[] = "/tmp/tepuy-test-XXXXXX";
	_cleanup_(freep) char *deep = NULL, *file = NULL;
	_cleanup_buf_ struct buf buf = { 0 };
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	deep = fs_join(dir, "a/b/c");
	assert_int_equal(fs_mkdirs(deep, 0755, NULL), 0);
	file = fs_join(deep, "f");
	assert_int_equal(fs_write(file, "text", 4, 0400, NULL), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	assert_int_equal(fs_read(file, 4, &buf, NULL), 0);
	assert_string_equal(buf_text(&buf), "text");
	buf_release(&buf);
	assert_int_equal(fs_read(file, 3, &buf, NULL), -EFBIG);
	assert_int_equal(fs_read("/dev/zero", 10, &buf, NULL), -EINVAL);
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

static void errors_wrap(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&err, ENOENT, "inner %d", 1), -ENOENT);
	assert_int_equal(err_wrap(&err, "outer"), -ENOENT);
	assert_string_equal(err_text(&err), "outer: inner 1");
}

static void names(void **state)
{
	(void)state;
	assert_true(text_is_name("php-site"));
	assert_false(text_is_name("Php"));
	assert_false(text_is_name("a/b"));
	assert_false(text_is_name("-a"));
	assert_false(text_is_name("a-"));
	assert_false(text_is_name(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_reports_exit_status),
		cmocka_unit_test(run_feeds_input),
		cmocka_unit_test(run_stops_what_takes_too_long),
		cmocka_unit_test(run_also_stops_what_is_silent_for_too_long),
		cmocka_unit_test(run_waits_for_what_closed_its_output),
		cmocka_unit_test(run_says_which_program_is_missing),
		cmocka_unit_test(run_keeps_only_the_tail),
		cmocka_unit_test(durations_and_sizes),
		cmocka_unit_test(suggestions),
		cmocka_unit_test(printable_text_steers_no_terminal),
		cmocka_unit_test(printable_text_is_utf8),
		cmocka_unit_test(quoting_survives_a_shell),
		cmocka_unit_test(files),
		cmocka_unit_test(errors_wrap),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
