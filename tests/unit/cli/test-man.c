/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The manual pages' lists of commands, options and keys are those of the program's tables, word for word, both ways:
 * each stands between two comments in its page. REGENERATE=1 writes them anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "model/schema.h"

#ifdef WITHOUT_AGENT
#include "agent/agent.h"

int agent_main(const struct agent_options *options)
{
	(void)options;
	abort();
}
#endif

/* Text as roff: no macro at the start, no escapes, "..." as the manual writes it. */
static void add_text(struct buf *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		buf_adds(to, "\\&");
	for (; *text; text++)
		if (*text == '\\')
			buf_adds(to, "\\e");
		else if (text_starts(text, "…"))
			buf_adds(to, "..."), text += strlen("…") - 1;
		else
			buf_addc(to, *text);
}

/* Lines of at most 78 columns. */
static void add_lines(struct buf *to, const char *text)
{
	_cleanup_buf_ struct buf wrapped = { 0 };
	char *line, *rest;

	output_wrap(&wrapped, text, 0, 78);
	rest = wrapped.data;
	while ((line = strsep(&rest, "\n")) && rest) {
		add_text(to, line);
		buf_addc(to, '\n');
	}
}

/* A paragraph with each sentence on a line of its own, as mdoc wants it. */
static void add_sentences(struct buf *to, const char *text)
{
	while (*text) {
		const char *end = strstr(text, ". ");
		_cleanup_(freep) char *sentence = xstrndup(text, end ? (size_t)(end - text) + 1 : strlen(text));

		add_lines(to, sentence);
		text += strlen(sentence) + (end ? 1 : 0);
	}
}

static void add_full_stop(struct buf *to)
{
	to->len--;
	buf_adds(to, ".\n");
}

static void add_options(struct buf *to, const struct command *command)
{
	if (!command->options)
		return;
	buf_adds(to, ".Bl -tag -width Ds\n");
	for (const struct command_option *o = command->options; o->name; o++) {
		buf_adds(to, ".It Fl ");
		if (o->letter)
			buf_printf(to, "%c , ", o->letter);
		buf_printf(to, "-%s", o->name);
		if (o->argument)
			buf_printf(to, " Ar %s", o->argument);
		buf_addc(to, '\n');
		add_lines(to, o->help);
		add_full_stop(to);
	}
	buf_adds(to, ".El\n");
}

static void add_commands(struct buf *to)
{
	for (size_t i = 0; commands[i]; i++) {
		const struct command *command = commands[i];

		if (!strcmp(command->name, "agent") || command->flags & COMMAND_HIDDEN)
			continue;
		buf_printf(to, ".Ss %s%s", command->name, command->usage ? " " : "");
		add_text(to, command->usage ? command->usage : "");
		buf_adds(to, command->usage ? "\\&\n" : "\n");
		add_lines(to, command->summary);
		add_full_stop(to);
		if (command->details)
			add_sentences(to, command->details);
		add_options(to, command);
	}
}

static void add_choices(struct buf *to, const struct key *key)
{
	for (size_t i = 0; key->choices && key->choices[i]; i++)
		buf_printf(to, "%s%s", i ? ", " : " ", key->choices[i]);
}

static int add_key(void *data, const char *path, const struct key *key)
{
	struct buf *to = data;

	buf_printf(to, ".It Ic %s\n.Pq %s", path, key_type_name(key->type));
	add_choices(to, key);
	if (key->required)
		buf_adds(to, "; required");
	if (key->fallback)
		buf_printf(to, "; default %s", key->fallback);
	buf_addc(to, '\n');
	add_sentences(to, key->description);
	return 0;
}

static void add_keys(struct buf *to, const char *document)
{
	buf_adds(to, ".Bl -tag -width Ds\n");
	schema_walk(schema_find(document), add_key, to);
	buf_adds(to, ".El\n");
}

/* Puts `block` between the page's two comments; the page as it should be. */
static char *with_block(const char *page, const char *name, const char *block)
{
	_cleanup_(freep) char *begin = xasprintf(".\\\" BEGIN %s: written by REGENERATE=1 test-man\n", name);
	_cleanup_(freep) char *end = xasprintf(".\\\" END %s\n", name);
	const char *from = strstr(page, begin), *to = strstr(page, end);

	assert_non_null(from);
	assert_non_null(to);
	from += strlen(begin);
	return xasprintf("%.*s%s%s", (int)(from - page), page, block, to);
}

static void check_page(const char *file, const char *name, const struct buf *block)
{
	_cleanup_(freep) char *path = fs_join(getenv("MANUAL"), file), *wanted = NULL;
	_cleanup_buf_ struct buf page = { 0 };

	assert_int_equal(fs_read(path, 1 << 20, &page, NULL), 0);
	wanted = with_block(buf_text(&page), name, buf_text(block));
	if (getenv("REGENERATE"))
		assert_int_equal(fs_write(path, wanted, strlen(wanted), 0644, NULL), 0);
	else
		assert_string_equal(buf_text(&page), wanted);
}

static void commands_are_those_of_the_table(void **state)
{
	_cleanup_buf_ struct buf block = { 0 };

	(void)state;
	add_commands(&block);
	check_page("tepuy.1", "commands", &block);
}

static void agent_options_are_those_of_the_table(void **state)
{
	_cleanup_buf_ struct buf block = { 0 };

	(void)state;
	add_options(&block, &cmd_agent);
	check_page("tepuy-agent.8", "agent", &block);
}

static void check_document(const char *document)
{
	_cleanup_(freep) char *file = xasprintf("tepuy-%s.5", document);
	_cleanup_buf_ struct buf block = { 0 };

	add_keys(&block, document);
	check_page(file, "keys", &block);
}

static void recipe_keys_are_those_of_the_schema(void **state)
{
	(void)state;
	check_document("recipe");
}

static void service_keys_are_those_of_the_schema(void **state)
{
	(void)state;
	check_document("service");
}

static void hosts_keys_are_those_of_the_schema(void **state)
{
	(void)state;
	check_document("hosts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_those_of_the_table),
		cmocka_unit_test(agent_options_are_those_of_the_table),
		cmocka_unit_test(recipe_keys_are_those_of_the_schema),
		cmocka_unit_test(service_keys_are_those_of_the_schema),
		cmocka_unit_test(hosts_keys_are_those_of_the_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
