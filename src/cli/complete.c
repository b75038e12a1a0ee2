/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/complete.h"

#include <stdbool.h>
#include <string.h>

#include "base/i18n.h"
#include "base/quote.h"
#include "base/strv.h"
#include "cli/command.h"
#include "cli/commands.h"

/* First words of commands, each once. */
static void first_words(struct strv *ret)
{
	for (size_t i = 0; commands[i]; i++) {
		_cleanup_(freep) char *word = commands[i]->flags & COMMAND_HIDDEN
						  ? NULL
						  : xstrndup(commands[i]->name, strcspn(commands[i]->name, " "));

		if (word && !strv_has(ret, word))
			strv_take(ret, TAKE_PTR(word));
	}
}

/* Second words of the commands that begin with `word`. */
static void second_words(const char *word, struct strv *ret)
{
	size_t len = strlen(word);

	for (size_t i = 0; commands[i]; i++)
		if (!strncmp(commands[i]->name, word, len) && commands[i]->name[len] == ' ')
			strv_add(ret, commands[i]->name + len + 1);
}

/* "yes" and 'y' as "--yes|-y" or "--yes -y". */
static void add_names(struct buf *to, const struct command_option *option, const char *between)
{
	buf_printf(to, "--%s", option->name);
	if (option->letter)
		buf_printf(to, "%s-%c", between, option->letter);
}

static char *join_choices(const char *const *choices, const char *between)
{
	_cleanup_strv_ struct strv all = { 0 };

	for (size_t i = 0; choices && choices[i]; i++)
		strv_add(&all, choices[i]);
	return strv_join(&all, between);
}

/* The shell function's call that offers words of a kind. */
static void bash_offer(struct buf *to, enum word_kind kind, const char *const *choices)
{
	static const char *const calls[] = {
		[WORD_ANY] = ":",
		[WORD_FILE] = "_tepuy_offer -f",
		[WORD_DIRECTORY] = "_tepuy_offer -d",
		[WORD_SERVICE] = "_tepuy_offer -W \"$(tepuy completion services 2>/dev/null)\"",
		[WORD_TARGET] = "_tepuy_offer -W \"$(tepuy completion targets 2>/dev/null)\"",
		[WORD_HOST] = "_tepuy_offer -W \"$(tepuy completion hosts 2>/dev/null)\"",
	};
	_cleanup_(freep) char *words = join_choices(choices, " ");

	if (choices)
		buf_printf(to, "_tepuy_offer -W '%s'", words);
	else
		buf_adds(to, calls[kind]);
}

/* What the parser takes of every command that talks to an agent, without a row of its own. */
static const struct command_option host_option = {
	.name = "host",
	.type = OPTION_TEXT,
	.word = WORD_HOST,
	.argument = "NAME",
	.help = N_("Talk to that host's agent, by SSH"),
};

static void bash_option_value(struct buf *to, const struct command_option *o)
{
	buf_adds(to, "\t\t");
	add_names(to, o, "|");
	buf_adds(to, ") ");
	bash_offer(to, o->word, o->choices);
	buf_adds(to, "; return ;;\n");
}

static void bash_option_values(struct buf *to, const struct command *command)
{
	for (const struct command_option *o = command->options; o && o->name; o++) {
		if (o->argument)
			bash_option_value(to, o);
	}
	if (command->flags & COMMAND_AGENT)
		bash_option_value(to, &host_option);
}

static void bash_command(struct buf *to, const struct command *command)
{
	buf_printf(to, "\t'%s')\n\t\tcase $previous in\n", command->name);
	bash_option_values(to, command);
	buf_adds(to, "\t\tesac\n\t\tif [[ $current == -* ]]; then\n\t\t\t_tepuy_offer -W '--help -h");
	for (const struct command_option *o = command->options; o && o->name; o++) {
		buf_addc(to, ' ');
		add_names(to, o, " ");
	}
	if (command->flags & COMMAND_AGENT)
		buf_adds(to, " --host");
	buf_adds(to, "'\n\t\telse\n\t\t\t");
	bash_offer(to, command->word, command->choices);
	buf_adds(to, "\n\t\tfi\n\t\t;;\n");
}

static void bash_families(struct buf *to, const struct strv *first)
{
	buf_adds(to, "\tcase $command in\n");
	for (size_t i = 0; i < first->n; i++) {
		_cleanup_strv_ struct strv second = { 0 };
		_cleanup_(freep) char *words = NULL;

		second_words(first->v[i], &second);
		if (!second.n)
			continue;
		words = strv_join(&second, " ");
		buf_printf(to,
			   "\t%s)\n\t\tif ((COMP_CWORD == 2)); then\n\t\t\t_tepuy_offer -W '%s'\n\t\t\treturn\n\t\tfi\n"
			   "\t\tcommand=\"$command ${COMP_WORDS[2]}\"\n\t\t;;\n",
			   first->v[i], words);
	}
	buf_adds(to, "\tesac\n");
}

void complete_bash(struct buf *to)
{
	_cleanup_strv_ struct strv first = { 0 };
	_cleanup_(freep) char *words = NULL;

	first_words(&first);
	words = strv_join(&first, " ");
	buf_adds(to,
		 "# bash completion for tepuy, made by 'tepuy completion bash'\n# shellcheck shell=bash\n\n"
		 "_tepuy_offer() {\n\tmapfile -t COMPREPLY < <(compgen \"$@\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n}\n\n"
		 "_tepuy() {\n\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
		 "\tlocal command=${COMP_WORDS[1]}\n\n\tCOMPREPLY=()\n\tif ((COMP_CWORD == 1)); then\n");
	buf_printf(to, "\t\t_tepuy_offer -W '%s --help --version'\n\t\treturn\n\tfi\n", words);
	bash_families(to, &first);
	buf_adds(to, "\tcase $command in\n");
	for (size_t i = 0; commands[i]; i++)
		bash_command(to, commands[i]);
	buf_adds(to, "\tesac\n}\n\ncomplete -o filenames -F _tepuy tepuy\n");
}

/* Text inside an _arguments or _describe spec: ':', '[' and ']' mean something there. */
static void zsh_quote(struct buf *to, const char *prefix, const char *text, const char *suffix)
{
	_cleanup_buf_ struct buf spec = { 0 };

	buf_adds(&spec, prefix);
	for (; *text; text++) {
		if (strchr(":[]\\", *text))
			buf_addc(&spec, '\\');
		buf_addc(&spec, *text);
	}
	buf_adds(&spec, suffix);
	quote_shell(to, buf_text(&spec));
}

static char *zsh_action(enum word_kind kind, const char *const *choices)
{
	static const char *const actions[] = {
		[WORD_ANY] = " ",
		[WORD_FILE] = "_files",
		[WORD_DIRECTORY] = "_files -/",
		[WORD_SERVICE] = "_tepuy_words services",
		[WORD_TARGET] = "_tepuy_words targets",
		[WORD_HOST] = "_tepuy_words hosts",
	};
	_cleanup_(freep) char *words = join_choices(choices, " ");

	return choices ? xasprintf("(%s)", words) : xstrdup(actions[kind]);
}

static void zsh_option(struct buf *to, const struct command_option *o)
{
	_cleanup_(freep) char *action = zsh_action(o->word, o->choices), *prefix = NULL, *suffix = NULL;
	const char *repeat = o->type == OPTION_LIST ? "*" : "";

	suffix = o->argument ? xasprintf("]:%s:%s", o->argument, action) : xstrdup("]");
	prefix = xasprintf("%s--%s[", repeat, o->name);
	buf_adds(to, " \\\n\t\t\t");
	zsh_quote(to, prefix, _(o->help), suffix);
	if (!o->letter)
		return;
	free(prefix);
	prefix = xasprintf("%s-%c[", repeat, o->letter);
	buf_adds(to, " \\\n\t\t\t");
	zsh_quote(to, prefix, _(o->help), suffix);
}

static void zsh_command(struct buf *to, const struct command *command)
{
	_cleanup_(freep) char *action = zsh_action(command->word, command->choices), *words = NULL;

	buf_adds(to, "\t(");
	quote_shell(to, command->name);
	buf_adds(to, ")\n\t\t_arguments -s '(-h --help)'{-h,--help}");
	zsh_quote(to, "[", _("Show this help"), "]");
	for (const struct command_option *o = command->options; o && o->name; o++)
		zsh_option(to, o);
	if (command->flags & COMMAND_AGENT)
		zsh_option(to, &host_option);
	if (command->max != 0) {
		words = xasprintf("*:%s:%s", _("argument"), action);
		buf_adds(to, " \\\n\t\t\t");
		quote_shell(to, words);
	}
	buf_adds(to, "\n\t\t;;\n");
}

/* Offers the commands of one word with the families, or the second words of one family. */
static void zsh_describe(struct buf *to, const char *family, const char *indent)
{
	_cleanup_strv_ struct strv first = { 0 };
	size_t len = family ? strlen(family) + 1 : 0;

	buf_printf(to, "%swords_here=(\n", indent);
	for (size_t i = 0; commands[i]; i++) {
		const char *name = commands[i]->name;
		_cleanup_(freep) char *prefix = NULL;

		if (family ? strncmp(name, family, len - 1) || name[len - 1] != ' '
			   : strchr(name, ' ') != NULL || commands[i]->flags & COMMAND_HIDDEN)
			continue;
		prefix = xasprintf("%s:", name + len);
		buf_printf(to, "%s\t", indent);
		zsh_quote(to, prefix, _(commands[i]->summary), "");
		buf_addc(to, '\n');
	}
	first_words(&first);
	for (size_t i = 0; i < first.n && !family; i++)
		if (commands_has_family(first.v[i]))
			buf_printf(to, "%s\t%s\n", indent, first.v[i]);
	buf_printf(to, "%s)\n%s_describe command words_here\n%sreturn\n", indent, indent, indent);
}

void complete_zsh(struct buf *to)
{
	_cleanup_strv_ struct strv first = { 0 };

	first_words(&first);
	buf_adds(to, "#compdef tepuy\n# zsh completion for tepuy, made by 'tepuy completion zsh'\n\n"
		     "_tepuy_words() {\n\tlocal -a found\n\n\tfound=(${(f)\"$(tepuy completion $1 2>/dev/null)\"})\n"
		     "\tcompadd -a found\n}\n\n_tepuy() {\n\tlocal -a words_here\n\tlocal name\n\n"
		     "\tif (( CURRENT == 2 )); then\n");
	zsh_describe(to, NULL, "\t\t");
	buf_adds(to, "\tfi\n\tname=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n\tcase $name in\n");
	for (size_t i = 0; i < first.n; i++) {
		if (!commands_has_family(first.v[i]))
			continue;
		buf_printf(to, "\t(%s)\n\t\tif (( CURRENT == 2 )); then\n", first.v[i]);
		zsh_describe(to, first.v[i], "\t\t\t");
		buf_adds(to, "\t\tfi\n\t\tname=\"$name $words[2]\"\n\t\tshift words\n\t\t(( CURRENT-- ))\n\t\t;;\n");
	}
	buf_adds(to, "\tesac\n\tcase $name in\n");
	for (size_t i = 0; commands[i]; i++)
		zsh_command(to, commands[i]);
	buf_adds(to, "\tesac\n}\n\n_tepuy \"$@\"\n");
}
