/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/strv.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/drain.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/plan-view.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/target.h"
#include "cli/view.h"

static const char *const colours[] = { "red", "green", NULL };

static const struct command_option sample_options[] = {
	{ .name = "yes", .letter = 'y', .help = "Yes" },
	{ .name = "lines", .letter = 'n', .type = OPTION_NUMBER, .argument = "N", .help = "Lines" },
	{ .name = "timeout", .type = OPTION_DURATION, .argument = "D", .help = "Timeout" },
	{ .name = "dir", .letter = 'd', .type = OPTION_LIST, .argument = "DIR", .help = "Directories" },
	{ .name = "colour", .type = OPTION_TEXT, .argument = "C", .choices = colours, .help = "Colour" },
	{ .name = NULL },
};

static const struct command sample = {
	.name = "sample", .summary = "Sample", .usage = "A [B]", .min = 1, .max = 2, .options = sample_options
};
static const struct command wrapper = {
	.name = "wrapper", .flags = COMMAND_ARGV, .usage = "A -- B…", .min = 1, .max = -1, .options = sample_options
};

static int parse(const struct command *command, const char *line, struct arguments *ret, struct err *err)
{
	_cleanup_(freep) char *copy = xstrdup(line);
	_cleanup_strv_ struct strv words = { 0 };
	char *rest = copy, *word;

	while ((word = strsep(&rest, " ")))
		if (*word)
			strv_add(&words, word);
	return arguments_parse(command, (int)words.n, words.v, ret, err);
}

static void assert_refused(const char *line, const char *why)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct arguments args;

	assert_int_equal(parse(&sample, line, &args, &err), -EINVAL);
	if (!strstr(err_text(&err), why))
		fail_msg("'%s' should say '%s', says '%s'", line, why, err_text(&err));
}

static void options_and_words_mix(void **state)
{
	_cleanup_arguments_ struct arguments args = { 0 };

	(void)state;
	assert_int_equal(parse(&sample, "one -yn5 --timeout=2s -d a --dir b two", &args, NULL), 0);
	assert_int_equal(args.words.n, 2);
	assert_string_equal(arguments_word(&args, 1), "two");
	assert_true(arguments_has(&args, "yes"));
	assert_int_equal(arguments_number(&args, "lines", 0), 5);
	assert_int_equal(arguments_number(&args, "timeout", 0), 2000);
	assert_int_equal(arguments_list(&args, "dir")->n, 2);
	assert_string_equal(arguments_text(&args, "colour", "none"), "none");
}

static void last_value_counts(void **state)
{
	_cleanup_arguments_ struct arguments args = { 0 };

	(void)state;
	assert_int_equal(parse(&sample, "one -n 1 -n 2 --colour red --colour green", &args, NULL), 0);
	assert_int_equal(arguments_number(&args, "lines", 0), 2);
	assert_string_equal(arguments_text(&args, "colour", NULL), "green");
}

static void words_behind_dashes_are_no_options(void **state)
{
	_cleanup_arguments_ struct arguments args = { 0 };

	(void)state;
	assert_int_equal(parse(&sample, "one -- --yes", &args, NULL), 0);
	assert_false(arguments_has(&args, "yes"));
	assert_string_equal(arguments_word(&args, 1), "--yes");
	assert_int_equal(args.argv, 1);
}

static void other_programs_options_are_left_alone(void **state)
{
	_cleanup_arguments_ struct arguments args = { 0 };

	(void)state;
	assert_int_equal(parse(&wrapper, "-y one ls -l --all", &args, NULL), 0);
	assert_true(arguments_has(&args, "yes"));
	assert_int_equal(args.words.n, 4);
	assert_string_equal(arguments_word(&args, 3), "--all");
	assert_int_equal(args.argv, 1);
}

static void help_needs_no_words(void **state)
{
	_cleanup_arguments_ struct arguments args = { 0 };

	(void)state;
	assert_int_equal(parse(&sample, "-h", &args, NULL), 0);
	assert_true(args.help);
}

static void wrong_lines_are_refused(void **state)
{
	(void)state;
	assert_refused("one --lnes 5", "did you mean --lines?");
	assert_refused("one --environment", "has no option --environment");
	assert_refused("one -x", "has no option -x");
	assert_refused("one --yes=no", "takes no value");
	assert_refused("one --lines", "needs a value");
	assert_refused("one --lines five", "takes a number");
	assert_refused("one --lines 99999999999999999999", "takes a number");
	assert_refused("one --timeout 5", "no duration");
	assert_refused("one --colour blue", "takes one of: red, green");
	assert_refused("--yes", "needs more arguments");
	assert_refused("one two three", "'three' is one too many");
}

/* What a row of the table must have, so that help, completion and manual are whole. */
static void rows_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; commands[i]; i++) {
		const struct command *c = commands[i];

		assert_non_null(c->exec);
		assert_true(strlen(c->summary) > 10 && strlen(c->summary) < 64 && !text_ends(c->summary, "."));
		assert_true(!c->details || text_ends(c->details, "."));
		assert_true(c->max == 0 ? !c->usage : c->usage != NULL);
		for (const struct command_option *o = c->options; o && o->name; o++) {
			assert_non_null(o->help);
			assert_false(text_ends(o->help, "."));
			assert_true((o->type == OPTION_FLAG) == !o->argument);
			for (const struct command_option *other = o + 1; other->name; other++)
				assert_true(strcmp(o->name, other->name) && (!o->letter || o->letter != other->letter));
		}
	}
}

static void golden(const char *name, const char *text)
{
	_cleanup_(freep) char *path = xasprintf("%s/%s.txt", getenv("GOLDEN"), name);
	_cleanup_buf_ struct buf wanted = { 0 };

	if (getenv("REGENERATE")) {
		assert_int_equal(fs_write(path, text, strlen(text), 0644, NULL), 0);
		return;
	}
	assert_int_equal(fs_read(path, 1 << 20, &wanted, NULL), 0);
	assert_string_equal(text, buf_text(&wanted));
}

static void help_is_as_it_was(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	(void)state;
	for (size_t i = 0; commands[i]; i++) {
		/* The agent's row comes and goes with the agent. */
		if (!strcmp(commands[i]->name, "agent"))
			continue;
		help_command(to, commands[i]);
		fputs("----\n", to);
	}
	help_family(to, "check");
	fclose(to);
	golden("help", text);
}

static void completions_know_directories_and_lists(void **state)
{
	_cleanup_buf_ struct buf bash = { 0 }, zsh = { 0 };

	(void)state;
	complete_bash(&bash);
	complete_zsh(&zsh);
	assert_non_null(strstr(buf_text(&bash), "--recipes|-r) _tepuy_offer -d"));
	assert_non_null(strstr(buf_text(&zsh),
			       "'*--recipes[Look for recipes in DIR too; may be given several times]:DIR:_files -/'"));
}

static void widths_are_those_of_a_terminal(void **state)
{
	(void)state;
	assert_int_equal(output_width("página"), 6);
	assert_int_equal(output_width("漢字"), 4);
	assert_int_equal(output_width("e\xcc\x81"), 1);
	assert_int_equal(output_width("\033[31mred\033[0m"), 3);
	assert_int_equal(output_width("\xff\xc3"), 2);
	assert_int_equal(output_fit("página", 3), 4);
	assert_int_equal(output_fit("漢字", 3), 3);
	assert_int_equal(output_fit("\xf0", 5), 1);
}

static void table_aligns_what_is_wide(void **state)
{
	_cleanup_(table_freep) struct table *table = table_new("A", "B", NULL);
	_cleanup_buf_ struct buf buf = { 0 };

	(void)state;
	table_add(table, PLAIN, "漢字");
	table_add(table, PLAIN, "x\n\033[2J");
	table_add(table, RED, "é");
	table_add(table, PLAIN, "");
	table_render(table, false, 1, &buf);
	assert_string_equal(buf_text(&buf), " A     B\n 漢字  x??[2J\n é     -\n");
}

static void wrapping_counts_columns(void **state)
{
	_cleanup_buf_ struct buf buf = { 0 };

	(void)state;
	output_wrap(&buf, "ñandú  corre averylongwordindeed y", 2, 14);
	assert_string_equal(buf_text(&buf), "  ñandú corre\n  averylongwordindeed\n  y\n");
}

static void targets(void **state)
{
	static const char *const wrong[] = { "",
					     "/",
					     "portal/",
					     "portal//1",
					     "portal/web/0",
					     "portal/web/x",
					     "a/b/1/2",
					     "Ab",
					     "portal/web/99999999999999999999" };
	_cleanup_target_ struct target target = { 0 };
	struct target none;

	(void)state;
	assert_int_equal(target_parse("portal/web/12", &target, NULL), 0);
	assert_string_equal(target.component, "web");
	assert_true(target_has(&target, "web/12"));
	assert_false(target_has(&target, "web/1"));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(target_parse(wrong[i], &none, NULL), -EINVAL);
}

static void component_target_has_its_nodes_only(void **state)
{
	_cleanup_target_ struct target target = { 0 };

	(void)state;
	assert_int_equal(target_parse("portal/web", &target, NULL), 0);
	assert_true(target_has(&target, "web/2"));
	assert_false(target_has(&target, "webmail/2"));
}

static void progress_on_a_terminal(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct progress_style style = { .to = to, .redraw = true, .columns = 40, .rows = 24 };
	struct progress *progress = progress_new(&style);

	(void)state;
	progress_begin(progress);
	progress_set(progress, "b", "web/2", PROGRESS_WORKING, "building its image", 1000);
	progress_set(progress, "a", "db/1", PROGRESS_WORKING, "starting\033[2J", 1000);
	progress_end(progress, 1000);
	progress_begin(progress);
	progress_set(progress, "a", "db/1", PROGRESS_GOOD, "healthy", 3500);
	progress_end(progress, 9000);
	progress_free(progress);
	fclose(to);
	assert_string_equal(text, " ⠇ db/1   starting?[2J        0.0s\033[0m\033[K\n"
				  " ⠇ web/2  building its image  0.0s\033[0m\033[K\n\033[J"
				  "\r\033[2A ✓ db/1  healthy  2.5s\033[0m\033[K\n\033[J");
}

static void progress_elsewhere_is_lines_of_changes(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	struct progress *progress = progress_new(&(struct progress_style){ .to = to, .columns = 40 });

	(void)state;
	progress_title(progress, "portal: rolling", 0);
	progress_set(progress, "a", "db/1", PROGRESS_WORKING, "starting", 1000);
	progress_set(progress, "a", "db/1", PROGRESS_WORKING, "starting", 2000);
	progress_set(progress, "a", "db/1", PROGRESS_BAD, "failed: no disk", 4000);
	progress_free(progress);
	fclose(to);
	assert_string_equal(text, "portal: rolling\ndb/1: starting\ndb/1: failed: no disk (3.0s)\n");
}

static void many_rows_fit_the_screen(void **state)
{
	_cleanup_(freep) char *text = NULL;
	size_t size, lines = 0;
	FILE *to = open_memstream(&text, &size);
	struct progress *progress =
	    progress_new(&(struct progress_style){ .to = to, .redraw = true, .columns = 40, .rows = 10 });

	(void)state;
	progress_begin(progress);
	for (int i = 0; i < 50; i++) {
		_cleanup_(freep) char *name = xasprintf("web/%d", i);

		progress_set(progress, name, name, i == 40 ? PROGRESS_BAD : PROGRESS_GOOD, "text", 0);
	}
	progress_end(progress, 0);
	progress_free(progress);
	fclose(to);
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	assert_true(lines < 10);
	assert_non_null(strstr(text, "web/40"));
	assert_non_null(strstr(text, "and 49 more"));
}

static json_t *node(const char *state, const char *desired, const char *health, bool connected)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b}", "node", "web/1", "state", state, "desired", desired, "health",
			 health, "connected", connected);
}

static void words_for_nodes(void **state)
{
	static const struct {
		const char *state, *desired, *health, *text;
		enum progress_kind kind;
	} cases[] = {
		{ "building", "prepare", "unknown", "building its image", PROGRESS_WORKING },
		{ "prepared", "prepare", "unknown", "prepared", PROGRESS_WAITING },
		{ "running", "run", "passing", "healthy", PROGRESS_GOOD },
		{ "running", "run", "critical", "not healthy", PROGRESS_WORKING },
		{ "running", "drain", "maintenance", "draining", PROGRESS_WORKING },
		{ "running", "stop", "unknown", "stopping", PROGRESS_WORKING },
		{ "stopped", "stop", "unknown", "stopped", PROGRESS_GOOD },
		{ "failed", "run", "unknown", "failed", PROGRESS_BAD },
		{ "", "run", "unknown", "waiting", PROGRESS_WAITING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ json_t *json = node(cases[i].state, cases[i].desired, cases[i].health, true);
		struct node_view view = node_view(json);

		assert_string_equal(view.text, cases[i].text);
		assert_int_equal(view.kind, cases[i].kind);
	}
}

static void when_a_disconnect_is_done(void **state)
{
	_cleanup_json_ json_t *drained = node("running", "drain", "maintenance", false);
	_cleanup_json_ json_t *used = node("running", "drain", "maintenance", false);
	_cleanup_json_ json_t *back = node("running", "run", "passing", true);

	(void)state;
	json_object_set_new(used, "sessions", json_integer(2));
	assert_true(drain_reached(drained, DRAIN_DISCONNECT));
	assert_false(drain_reached(used, DRAIN_DISCONNECT));
	assert_false(drain_reached(drained, DRAIN_STOP));
	assert_false(drain_reached(drained, DRAIN_CONNECT));
	assert_true(drain_reached(back, DRAIN_CONNECT));
	assert_false(drain_reached(back, DRAIN_DISCONNECT));
}

static void plan_for_people(void **state)
{
	_cleanup_json_ json_t *plan = json_pack(
	    "{s:[{s:s,s:s,s:[s]},{s:s,s:s,s:[s]},{s:s,s:s},{s:s,s:s,s:[]}], s:b}", "changes", "node", "web/1", "action",
	    "create", "why", "new", "node", "web/10", "action", "replace", "why", "config.title: \"\033\"", "node",
	    "db/1", "action", "remove", "node", "db/2", "action", "keep", "why", "changed", 1);
	_cleanup_buf_ struct buf buf = { 0 };

	(void)state;
	plan_view("portal", plan, false, &buf);
	assert_string_equal(buf_text(&buf), "portal:\n  + web/1   create\n      new\n  ~ web/10  replace\n"
					    "      config.title: \"?\"\n  - db/1    remove\n  1 node stays as it is\n");
}

/* Members of a wrong type, absent ones and nulls must do no harm. */
static void views_take_any_json(void **state)
{
	static const char *const texts[] = {
		"{}", "{\"nodes\":[1,null,{\"ports\":[],\"checks\":{}}],\"status\":7}",
		"{\"nodes\":{\"a\":1},\"service\":[],\"status\":{\"phase\":1,\"since\":\"x\"}}"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ json_t *json = json_loads(texts[i], 0, NULL);
		_cleanup_buf_ struct buf buf = { 0 };

		view_service(json, false, &buf);
		view_node_trouble(json, false, &buf);
		plan_view("portal", json, false, &buf);
		assert_true(buf.len > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_words_mix),
		cmocka_unit_test(last_value_counts),
		cmocka_unit_test(words_behind_dashes_are_no_options),
		cmocka_unit_test(other_programs_options_are_left_alone),
		cmocka_unit_test(help_needs_no_words),
		cmocka_unit_test(wrong_lines_are_refused),
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(help_is_as_it_was),
		cmocka_unit_test(completions_know_directories_and_lists),
		cmocka_unit_test(widths_are_those_of_a_terminal),
		cmocka_unit_test(table_aligns_what_is_wide),
		cmocka_unit_test(wrapping_counts_columns),
		cmocka_unit_test(targets),
		cmocka_unit_test(component_target_has_its_nodes_only),
		cmocka_unit_test(progress_on_a_terminal),
		cmocka_unit_test(progress_elsewhere_is_lines_of_changes),
		cmocka_unit_test(many_rows_fit_the_screen),
		cmocka_unit_test(words_for_nodes),
		cmocka_unit_test(when_a_disconnect_is_done),
		cmocka_unit_test(plan_for_people),
		cmocka_unit_test(views_take_any_json),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
