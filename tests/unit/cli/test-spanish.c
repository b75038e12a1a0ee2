/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Spanish messages come out of the catalogue that is installed. No Spanish locale need be generated: gettext lets
 * LANGUAGE choose in every locale but C itself, and C.UTF-8, which every glibc of Debian has, is another one.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/view.h"

enum { COLUMNS = 80 };

static char folder[] = "/tmp/tepuy-spanish-XXXXXX";

/* gettext looks for FOLDER/es/LC_MESSAGES/tepuy.mo, and the build leaves it elsewhere. */
static int set_up(void **state)
{
	_cleanup_(freep) char *directory = NULL, *link = NULL;

	(void)state;
	if (!mkdtemp(folder) || !getenv("CATALOGUE"))
		return -1;
	directory = xasprintf("%s/es/LC_MESSAGES", folder);
	link = xasprintf("%s/tepuy.mo", directory);
	if (fs_mkdirs(directory, 0700, NULL) < 0 || symlink(getenv("CATALOGUE"), link) < 0)
		return -1;
	bindtextdomain("tepuy", folder);
	textdomain("tepuy");
	return setenv("LANGUAGE", "es:en", 1);
}

static int tear_down(void **state)
{
	(void)state;
	return fs_remove_tree(folder, NULL);
}

static int speak_spanish(void **state)
{
	(void)state;
	return setlocale(LC_ALL, "C.UTF-8") ? 0 : -1;
}

static int speak_english(void **state)
{
	(void)state;
	return setlocale(LC_ALL, "C") ? 0 : -1;
}

static char *all_help(void)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	help_all(to);
	for (size_t i = 0; commands[i]; i++)
		help_command(to, commands[i]);
	fclose(to);
	return text;
}

static void help_is_spanish(void **state)
{
	_cleanup_(freep) char *text = all_help();

	(void)state;
	assert_non_null(strstr(text, "Uso: tepuy ORDEN [OPCIÓN]… [ARGUMENTO]…\n"));
	assert_non_null(strstr(text, "Hacer que un servicio funcione como dice su archivo"));
}

static void spanish_help_fits_a_terminal(void **state)
{
	_cleanup_(freep) char *text = all_help();
	char *rest = text, *line;

	(void)state;
	while ((line = strsep(&rest, "\n")))
		if (output_width(line) > COLUMNS)
			fail_msg("more than %d columns: %s", COLUMNS, line);
}

static void words_of_tables_are_spanish(void **state)
{
	(void)state;
	assert_string_equal(phase_text("rolled-back"), "se volvió a la anterior");
}

static void numbers_choose_the_form(void **state)
{
	(void)state;
	assert_string_equal(ngettext("%zu error", "%zu errors", 1), "%zu error");
	assert_string_equal(ngettext("%zu error", "%zu errors", 0), "%zu errores");
}

static void locale_c_stays_english(void **state)
{
	(void)state;
	assert_string_equal(phase_text("rolled-back"), "rolled back");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(help_is_spanish, speak_spanish),
		cmocka_unit_test_setup(spanish_help_fits_a_terminal, speak_spanish),
		cmocka_unit_test_setup(words_of_tables_are_spanish, speak_spanish),
		cmocka_unit_test_setup(numbers_choose_the_form, speak_spanish),
		cmocka_unit_test_setup(locale_c_stays_english, speak_english),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
