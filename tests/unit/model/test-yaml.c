/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The YAML reader: what it keeps, what it refuses and within what time and memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "model/yaml-text.h"
#include "model/yaml.h"

/* Reads it and gives "LINE:COLUMN: sentence" of the first error, or "" when there is none. The caller owns the string.
 */
static char *first_error_of(const char *text, size_t len)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = NULL;
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };
	int r = yaml_parse("test.yaml", text, len, &diag, &document);

	assert_true((r == 0) == (diag.n_errors == 0));
	assert_true((r == 0) == (document != NULL));
	if (r == 0)
		return xstrdup("");
	assert_int_equal(r, -EINVAL);
	diag_format(&diag, false, &out); /* that it can be shown is part of every test */
	return xasprintf("%d:%d: %s", diag.items[0].line, diag.items[0].column, diag.items[0].message);
}

static char *first_error(const char *text)
{
	return first_error_of(text, strlen(text));
}

#define assert_refused(text, expected)                                                                                 \
	do {                                                                                                           \
		_cleanup_(freep) char *refused_ = first_error(text);                                                   \
		assert_string_equal(refused_, expected);                                                               \
	} while (0)

#define assert_refused_with(text, len, part)                                                                           \
	do {                                                                                                           \
		_cleanup_(freep) char *refused_ = first_error_of(text, len);                                           \
		if (!strstr(refused_, part))                                                                           \
			fail_msg("'%s' has not '%s'", refused_, part);                                                 \
	} while (0)

static struct yaml_document *parse(const char *text)
{
	_cleanup_diag_ struct diag diag = { 0 };
	struct yaml_document *document = NULL;

	assert_int_equal(yaml_parse("test.yaml", text, strlen(text), &diag, &document), 0);
	return document;
}

static void keeps_places(void **state)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = parse("a: 1\nñandú: {b: [x, \"y z\"]}\n");
	const struct yaml_node *list = yaml_get(yaml_get(document->root, "ñandú"), "b");

	(void)state;
	assert_int_equal(list->items[1]->place.line, 2);
	assert_int_equal(list->items[1]->place.column, 16);
	assert_int_equal(list->items[1]->place.length, 5);
}

static void keeps_style_and_text_of_scalars(void **state)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = parse("[022, '022', \"a\\tb\"]\n");
	_cleanup_(yaml_tree_freep) struct yaml_document *block = parse("a: |\n  one\n  two\n");

	(void)state;
	assert_string_equal(document->root->items[0]->text, "022");
	assert_false(document->root->items[0]->quoted);
	assert_true(document->root->items[1]->quoted);
	assert_string_equal(document->root->items[2]->text, "a\tb");
	assert_string_equal(yaml_get(block->root, "a")->text, "one\ntwo\n");
}

static void repeats_aliases(void **state)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = parse("a: &x {b: 1}\nc: *x\n");

	(void)state;
	assert_string_equal(yaml_get(yaml_get(document->root, "c"), "b")->text, "1");
}

static void skips_a_byte_order_mark(void **state)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = parse("\xef\xbb\xbf"
									  "a: 1\n");

	(void)state;
	assert_int_equal(document->root->entries[0].key->place.column, 1);
}

static void refuses_equal_keys(void **state)
{
	(void)state;
	assert_refused("a: 1\nb: 2\na: 3\n", "3:1: key 'a' is here twice; the first one is in line 1");
}

static void refuses_a_second_document(void **state)
{
	(void)state;
	assert_refused("a: 1\n---\nb: 2\n", "2:1: the file has more than one document; keep one");
}

static void refuses_emptiness(void **state)
{
	(void)state;
	assert_refused("# nothing\n", "1:1: the file is empty");
}

static void refuses_tags(void **state)
{
	(void)state;
	assert_refused("a: !!str 1\n", "1:4: tags (!name) are not understood; remove it");
}

static void refuses_merge_keys(void **state)
{
	(void)state;
	assert_refused("a: &x {b: 1}\nc: {<<: *x}\n", "2:5: merge keys (<<) are not understood; write the keys out");
}

static void refuses_keys_that_are_lists(void **state)
{
	(void)state;
	assert_refused("[a, b]: 1\n", "1:1: a key must be a word, not a list or a set of keys");
}

static void refuses_an_alias_without_anchor(void **state)
{
	(void)state;
	assert_refused("a: *x\n", "1:4: this alias has no anchor (&name) before it");
}

static void refuses_an_alias_inside_its_anchor(void **state)
{
	(void)state;
	assert_refused("a: &x [*x]\n", "1:8: this alias stands inside the value that it repeats");
}

static void refuses_nul(void **state)
{
	(void)state;
	assert_refused_with("a: \0b\n", 6, "1:4: the file is not text: it has the control character U+0000");
}

static void refuses_nul_in_an_escape(void **state)
{
	(void)state;
	assert_refused("a: \"x\\0y\"\n", "1:4: a text must not have the character NUL");
}

static void refuses_what_is_not_utf8(void **state)
{
	(void)state;
	assert_refused("a: caf\xe9\n", "1:7: the file is not UTF-8 text: byte 0xe9 does not belong here");
	assert_refused("a: \xc0\xaf\n", "1:4: the file is not UTF-8 text: byte 0xc0 does not belong here");
	assert_refused("a: \xed\xa0\x80\n", "1:4: the file is not UTF-8 text: byte 0xed does not belong here");
}

static void refuses_utf16(void **state)
{
	(void)state;
	assert_refused_with("\xff\xfe"
			    "a\0:\0",
			    6, "not UTF-8");
}

static void refuses_a_program(void **state)
{
	(void)state;
	assert_refused_with("\x7f"
			    "ELF\2\1\1\0",
			    8, "the file is not text");
}

static void names_tabs_in_indentation(void **state)
{
	(void)state;
	assert_refused_with("a:\n\tb: 1\n", 9, "indent with spaces, not tabs");
}

static void refuses_more_than_a_mebibyte(void **state)
{
	_cleanup_(freep) char *text = xmalloc(YAML_MOST_BYTES + 2);

	(void)state;
	memset(text, 'a', YAML_MOST_BYTES + 1);
	assert_refused_with(text, YAML_MOST_BYTES + 1, "larger than 1 MiB");
}

static char *repeat(const char *s, size_t n, const char *end)
{
	struct buf buf = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_adds(&buf, s);
	buf_adds(&buf, end);
	return buf_take(&buf);
}

static void accepts_the_deepest_nesting(void **state)
{
	_cleanup_(freep) char *open = repeat("[", YAML_MOST_DEPTH, ""), *text = repeat("]", YAML_MOST_DEPTH, "");
	_cleanup_(freep) char *both = xasprintf("%s%s", open, text);

	(void)state;
	assert_refused(both, "");
}

static void refuses_deep_nesting(void **state)
{
	_cleanup_(freep) char *flow = repeat("[", 100000, "");

	(void)state;
	assert_refused(flow, "1:65: the document is nested more than 64 levels deep");
}

static void refuses_depth_by_aliases(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };

	(void)state;
	buf_adds(&text, "- &a0 [x]\n");
	for (int i = 1; i < 80; i++)
		buf_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
	assert_refused_with(text.data, text.len, "nested more than 64 levels");
}

static void refuses_too_many_nodes(void **state)
{
	_cleanup_(freep) char *text = repeat("- a\n", YAML_MOST_NODES + 1, "");

	(void)state;
	assert_refused_with(text, strlen(text), "more than 100,000 values");
}

static void refuses_a_billion_laughs(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	int64_t began = clock_monotonic_ms();

	(void)state;
	buf_adds(&text, "- &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&text, "- &a%d [", i);
		for (int j = 0; j < 9; j++)
			buf_printf(&text, "%s*a%d", j ? ", " : "", i - 1);
		buf_adds(&text, "]\n");
	}
	assert_refused_with(text.data, text.len, "the aliases repeat too much");
	assert_true(clock_monotonic_ms() - began < 1000);
}

static void refuses_too_many_anchors(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };

	(void)state;
	for (int i = 0; i < YAML_MOST_ANCHORS + 1; i++)
		buf_printf(&text, "- &a%d x\n", i);
	assert_refused_with(text.data, text.len, "more than 1,000 anchors");
}

static void reads_a_mebibyte_of_keys_in_bounded_time(void **state)
{
	_cleanup_buf_ struct buf text = { 0 };
	int64_t began = clock_monotonic_ms();

	(void)state;
	for (int i = 0; i < 35000; i++)
		buf_printf(&text, "key-number-%d: value\n", i);
	assert_refused(buf_text(&text), "");
	assert_true(clock_monotonic_ms() - began < 4000);
}

static void reports_an_absent_file(void **state)
{
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };
	struct yaml_document *document = NULL;

	(void)state;
	assert_int_equal(yaml_load("/nonexistent/x.yaml", &diag, &document), -ENOENT);
	diag_format(&diag, false, &out);
	assert_string_equal(buf_text(&out),
			    "/nonexistent/x.yaml: error: Cannot read /nonexistent/x.yaml: No such file or "
			    "directory\n");
}

static void reports_a_directory(void **state)
{
	_cleanup_diag_ struct diag diag = { 0 };
	struct yaml_document *document = NULL;

	(void)state;
	assert_int_equal(yaml_load("/", &diag, &document), -EISDIR);
	assert_int_equal(diag.n_errors, 1);
}

/* A FIFO without writer would block an open without O_NONBLOCK for ever. */
static void reports_a_fifo(void **state)
{
	char path[] = "/tmp/tt-model-fifo-XXXXXX";
	_cleanup_diag_ struct diag diag = { 0 };
	struct yaml_document *document = NULL;
	_cleanup_(freep) char *fifo = NULL;
	int r;

	(void)state;
	assert_non_null(mkdtemp(path));
	fifo = fs_join(path, "fifo");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	r = yaml_load(fifo, &diag, &document);
	fs_remove_tree(path, NULL);
	assert_int_equal(r, -EINVAL);
}

static void decodes_utf8_strictly(void **state)
{
	uint32_t c = 0;

	(void)state;
	assert_int_equal(utf8_decode("\xf0\x9f\x8c\x8a", 4, &c), 4);
	assert_int_equal(c, 0x1f30a);
	assert_int_equal(utf8_decode("\xf4\x90\x80\x80", 4, &c), -EILSEQ);
	assert_int_equal(utf8_decode("\xe2\x82", 2, &c), -EILSEQ);
	assert_int_equal(utf8_decode("\x80", 1, &c), -EILSEQ);
}

static void carets_stand_under_wide_characters_and_tabs(void **state)
{
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };
	struct place place = { .file = "f", .line = 2, .column = 5, .length = 2 };
	const char *text = "x\n\t\xe6\xb0\xb4\xc3\xa9:ab\n";

	(void)state;
	diag_source(&diag, "f", text, strlen(text));
	diag_error(&diag, &place, "why");
	diag_format(&diag, false, &out);
	assert_string_equal(buf_text(&out), "f:2:5: error: why\n    \t\xe6\xb0\xb4\xc3\xa9:ab\n    \t    ^~\n");
}

static void long_lines_are_cut_around_the_place(void **state)
{
	_cleanup_(freep) char *text = repeat("0123456789", 50, "\n");
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };
	struct place place = { .file = "f", .line = 1, .column = 300, .length = 3 };
	const char *caret;

	(void)state;
	diag_source(&diag, "f", text, strlen(text));
	diag_error(&diag, &place, "why");
	diag_format(&diag, false, &out);
	caret = strchr(out.data, '^');
	assert_non_null(caret);
	assert_int_equal(caret - strrchr(out.data, '\n') < 0, 1);
	assert_true(out.len < 400);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };
	struct place place = { .file = "f", .line = 1, .column = 1, .length = 1 };

	(void)state;
	diag_source(&diag, "f", "\033[2J\xff", 5);
	diag_error(&diag, &place, "has %s", "\033]0;x\007");
	diag_format(&diag, false, &out);
	assert_null(strpbrk(out.data, "\033\007\xff"));
}

static void at_most_fifty_errors_are_kept_and_all_counted(void **state)
{
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf out = { 0 };

	(void)state;
	for (int i = 60; i > 0; i--) {
		struct place place = { .file = "f", .line = i, .column = 1, .length = 1 };

		diag_error(&diag, &place, "number %d", i);
	}
	assert_int_equal(diag.n_errors, 60);
	assert_int_equal(diag.n, DIAG_MOST);
	diag_format(&diag, false, &out);
	assert_true(text_starts(out.data, "f:11:1: error: number 11\n"));
	assert_true(text_ends(out.data, "10 more errors are not shown.\n"));
}

static void colours_only_when_asked(void **state)
{
	_cleanup_diag_ struct diag diag = { 0 };
	_cleanup_buf_ struct buf colour = { 0 };
	struct place place = { .file = "f", .line = 1, .column = 1, .length = 1 };

	(void)state;
	diag_warning(&diag, &place, "why");
	diag_format(&diag, true, &colour);
	assert_string_equal(buf_text(&colour), "\033[1mf:1:1:\033[0m \033[1;35mwarning:\033[0m why\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_places),
		cmocka_unit_test(keeps_style_and_text_of_scalars),
		cmocka_unit_test(repeats_aliases),
		cmocka_unit_test(skips_a_byte_order_mark),
		cmocka_unit_test(refuses_equal_keys),
		cmocka_unit_test(refuses_a_second_document),
		cmocka_unit_test(refuses_emptiness),
		cmocka_unit_test(refuses_tags),
		cmocka_unit_test(refuses_merge_keys),
		cmocka_unit_test(refuses_keys_that_are_lists),
		cmocka_unit_test(refuses_an_alias_without_anchor),
		cmocka_unit_test(refuses_an_alias_inside_its_anchor),
		cmocka_unit_test(refuses_nul),
		cmocka_unit_test(refuses_nul_in_an_escape),
		cmocka_unit_test(refuses_what_is_not_utf8),
		cmocka_unit_test(refuses_utf16),
		cmocka_unit_test(refuses_a_program),
		cmocka_unit_test(names_tabs_in_indentation),
		cmocka_unit_test(refuses_more_than_a_mebibyte),
		cmocka_unit_test(accepts_the_deepest_nesting),
		cmocka_unit_test(refuses_deep_nesting),
		cmocka_unit_test(refuses_depth_by_aliases),
		cmocka_unit_test(refuses_too_many_nodes),
		cmocka_unit_test(refuses_a_billion_laughs),
		cmocka_unit_test(refuses_too_many_anchors),
		cmocka_unit_test(reads_a_mebibyte_of_keys_in_bounded_time),
		cmocka_unit_test(reports_an_absent_file),
		cmocka_unit_test(reports_a_directory),
		cmocka_unit_test(reports_a_fifo),
		cmocka_unit_test(decodes_utf8_strictly),
		cmocka_unit_test(carets_stand_under_wide_characters_and_tabs),
		cmocka_unit_test(long_lines_are_cut_around_the_place),
		cmocka_unit_test(control_characters_do_not_reach_the_terminal),
		cmocka_unit_test(at_most_fifty_errors_are_kept_and_all_counted),
		cmocka_unit_test(colours_only_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
