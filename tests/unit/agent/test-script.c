/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The script that starts a node, read and run by a real shell. Its fixed paths are set to a scratch directory by a
 * recipe whose own paths lie there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/node-script.h"
#include "base/fs.h"
#include "base/run.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/tt-agenttest-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return fs_remove_tree(dir, NULL);
}

/* A recipe with a volume in the scratch directory; lists are the caller's. */
static struct recipe recipe(struct recipe_volume *volume)
{
	volume->path = dir;
	return (struct recipe){ .name = (char *)"nasty", .volumes = volume, .n_volumes = 1 };
}

static char *write_script(const struct recipe *recipe)
{
	_cleanup_(freep) char *text = node_script(recipe);
	char *path = fs_join(dir, "script");

	assert_int_equal(fs_write(path, text, strlen(text), 0755, NULL), 0);
	return path;
}

static int run_script(const struct recipe *recipe, const char *option, struct buf *output)
{
	_cleanup_(freep) char *path = write_script(recipe);
	_cleanup_run_ struct run run = { .timeout_ms = 4000 };

	strv_add(&run.argv, "/bin/sh");
	if (option)
		strv_add(&run.argv, option);
	strv_add(&run.argv, path);
	strv_add(&run.env, "TEPUY_SECRETS=");
	return run_program(&run, output, NULL);
}

static const char *const nasty[] = { "a b",     "$HOME", "`id`", "$(id)", "'", "\"",    "\\",   "*",
				     ";exit 9", "&",     "|",    "#x",    "~", "A=b",   "",     "-n",
				     "\n",      "!",     "{}",   "%s",    "ñ", "a'b'c", "x\ty", ">f" };

static void nasty_words_arrive_as_they_are(void **state)
{
	struct recipe_volume volume = { 0 };
	struct recipe it = recipe(&volume);
	_cleanup_buf_ struct buf output = { 0 }, expected = { 0 };

	(void)state;
	strv_add_all(&it.start, "printf", "[%s]", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(nasty); i++) {
		strv_add(&it.start, nasty[i]);
		buf_printf(&expected, "[%s]", nasty[i]);
	}
	assert_int_equal(run_script(&it, "-n", NULL), 0);
	assert_int_equal(run_script(&it, NULL, &output), 0);
	assert_string_equal(buf_text(&output), buf_text(&expected));
	strv_release(&it.start);
}

static void init_runs_once_and_its_words_too_are_quoted(void **state)
{
	struct recipe_volume volume = { 0 };
	struct recipe it = recipe(&volume);
	_cleanup_buf_ struct buf first = { 0 }, second = { 0 };

	(void)state;
	strv_add_all(&it.init, "printf", "init %s\n", "$0 'x'", NULL);
	strv_add_all(&it.start, "echo", "start", NULL);
	assert_int_equal(run_script(&it, NULL, &first), 0);
	assert_int_equal(run_script(&it, NULL, &second), 0);
	assert_string_equal(buf_text(&first), "init $0 'x'\nstart\n");
	assert_string_equal(buf_text(&second), "start\n");
	strv_release(&it.init);
	strv_release(&it.start);
}

/* A failed init leaves no marker, so that the next start tries it again, and the node does not start. */
static void a_failed_init_is_tried_again(void **state)
{
	struct recipe_volume volume = { 0 };
	struct recipe it = recipe(&volume);
	_cleanup_(freep) char *marker = fs_join(dir, ".tepuy-init");
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	strv_add_all(&it.init, "sh", "-c", "exit 3", NULL);
	strv_add_all(&it.start, "echo", "start", NULL);
	assert_int_equal(run_script(&it, NULL, &output), 3);
	assert_string_equal(buf_text(&output), "");
	assert_int_equal(access(marker, F_OK), -1);
	strv_release(&it.init);
	strv_release(&it.start);
}

static void the_main_process_takes_the_shells_place(void **state)
{
	struct recipe_volume volume = { 0 };
	struct recipe it = recipe(&volume);
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	/* The parent of the started shell is this program: no shell of ours is left between. */
	strv_add_all(&it.start, "sh", "-c", "echo $PPID", NULL);
	assert_int_equal(run_script(&it, NULL, &output), 0);
	assert_int_equal(atoi(buf_text(&output)), getpid());
	strv_release(&it.start);
}

static void an_invalid_file_says_so_and_starts_nothing(void **state)
{
	struct recipe_volume volume = { 0 };
	struct recipe_template file = { .to = (char *)"/etc/no such file" };
	struct recipe it = recipe(&volume);
	_cleanup_(freep) char *text = NULL;
	_cleanup_buf_ struct buf output = { 0 };

	(void)state;
	it.templates = &file;
	it.n_templates = 1;
	strv_add_all(&file.validate, "sh", "-c", "echo \"bad: $1\"; exit 1", "sh", "{}", NULL);
	strv_add_all(&it.start, "echo", "start", NULL);
	assert_int_equal(run_script(&it, NULL, &output), NODE_SCRIPT_INVALID);
	assert_string_equal(buf_text(&output), "bad: /etc/no such file\n");
	text = node_script(&it);
	assert_true(strstr(text, "validate") < strstr(text, "exec echo"));
	unlink("/run/tepuy-validate");
	strv_release(&file.validate);
	strv_release(&it.start);
}

/* Owners are given before anything of the recipe runs, and only where there are any. */
static void owners_come_first(void **state)
{
	struct recipe_volume volumes[2] = { { .path = (char *)"/srv/a b", .owner = (char *)"www-data:www-data" },
					    { .path = (char *)"/srv/c" } };
	struct recipe it = { .name = (char *)"r", .volumes = volumes, .n_volumes = 2 };
	_cleanup_(freep) char *text = NULL;
	const char *owner;

	(void)state;
	strv_add_all(&it.init, "initialise", NULL);
	strv_add_all(&it.start, "run", NULL);
	text = node_script(&it);
	owner = strstr(text, "chown www-data:www-data '/srv/a b'");
	assert_non_null(owner);
	assert_true(owner < strstr(text, "initialise"));
	assert_null(strstr(text, "chown /srv/c"));
	assert_non_null(strstr(text, "'/srv/a b/.tepuy-init'"));
	strv_release(&it.init);
	strv_release(&it.start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nasty_words_arrive_as_they_are, setup, teardown),
		cmocka_unit_test_setup_teardown(init_runs_once_and_its_words_too_are_quoted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_init_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(the_main_process_takes_the_shells_place, setup, teardown),
		cmocka_unit_test_setup_teardown(an_invalid_file_says_so_and_starts_nothing, setup, teardown),
		cmocka_unit_test(owners_come_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
