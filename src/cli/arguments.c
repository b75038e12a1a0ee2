/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/arguments.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

enum { MOST_OPTIONS = 32 };

struct parser {
	struct arguments *args;
	char *const *argv;
	int argc, at;
	bool options_end;
};

static size_t count_options(const struct command *command)
{
	size_t n = 0;

	while (command->options && command->options[n].name)
		n++;
	return n;
}

static int unknown_option(const struct command *command, const char *name, struct err *err)
{
	const char *names[MOST_OPTIONS + 1] = { "help" }, *meant;
	size_t n = count_options(command);

	for (size_t i = 0; i < n && i < MOST_OPTIONS; i++)
		names[i + 1] = command->options[i].name;
	meant = text_suggest(name, names, (n < MOST_OPTIONS ? n : MOST_OPTIONS) + 1);
	if (meant)
		return err_set(err, EINVAL, _("'%s' has no option --%s; did you mean --%s?"), command->name, name,
			       meant);
	return err_set(err, EINVAL, _("'%s' has no option --%s"), command->name, name);
}

static int check_choice(const struct command_option *option, const char *text, struct err *err)
{
	_cleanup_strv_ struct strv all = { 0 };
	_cleanup_(freep) char *list = NULL;

	if (!option->choices)
		return 0;
	for (size_t i = 0; option->choices[i]; i++) {
		if (!strcmp(option->choices[i], text))
			return 0;
		strv_add(&all, option->choices[i]);
	}
	list = strv_join(&all, ", ");
	return err_set(err, EINVAL, _("--%s takes one of: %s; not '%s'"), option->name, list, text);
}

static int set_number(const struct command_option *option, struct option_value *value, const char *text,
		      struct err *err)
{
	uint64_t number;

	if (text_u64(text, &number) < 0 || number > INT64_MAX)
		return err_set(err, EINVAL, _("--%s takes a number, not '%s'"), option->name, text);
	value->number = (int64_t)number;
	return 0;
}

static int set_value(struct parser *p, size_t index, const char *text, struct err *err)
{
	const struct command_option *option = &p->args->command->options[index];
	struct option_value *value = &p->args->values[index];
	int r = text ? check_choice(option, text, err) : 0;

	if (r == 0 && option->type == OPTION_NUMBER)
		r = set_number(option, value, text, err);
	if (r == 0 && option->type == OPTION_DURATION && text_duration_ms(text, &value->number, err) < 0)
		r = err_wrap(err, "--%s", option->name);
	if (r < 0)
		return r;
	value->set = true;
	if (text)
		strv_add(&value->texts, text);
	return 0;
}

/* The option's value: what stands behind '=' or in the letter's word, or the next word. */
static int take_value(struct parser *p, size_t index, const char *attached, struct err *err)
{
	const struct command_option *option = &p->args->command->options[index];

	if (option->type == OPTION_FLAG && attached)
		return err_set(err, EINVAL, _("--%s takes no value"), option->name);
	if (option->type == OPTION_FLAG)
		return set_value(p, index, NULL, err);
	if (!attached && p->at >= p->argc)
		return err_set(err, EINVAL, _("--%s needs a value: --%s %s"), option->name, option->name,
			       option->argument);
	return set_value(p, index, attached ? attached : p->argv[p->at++], err);
}

static int take_host(struct parser *p, const char *attached, struct err *err)
{
	if (!attached && p->at >= p->argc)
		return err_set(err, EINVAL, _("--%s needs a value: --%s %s"), "host", "host", "NAME");
	free(p->args->host);
	p->args->host = xstrdup(attached ? attached : p->argv[p->at++]);
	return 0;
}

static int parse_long(struct parser *p, const char *text, struct err *err)
{
	size_t len = strcspn(text, "="), n = count_options(p->args->command);
	const char *attached = text[len] ? text + len + 1 : NULL;
	_cleanup_(freep) char *name = xstrndup(text, len);

	if (!strcmp(text, "help")) {
		p->args->help = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (!strcmp(p->args->command->options[i].name, name))
			return take_value(p, i, attached, err);
	if (!strcmp(name, "host") && p->args->command->flags & COMMAND_AGENT)
		return take_host(p, attached, err);
	return unknown_option(p->args->command, name, err);
}

static int find_letter(const struct command *command, char letter)
{
	size_t n = count_options(command);

	for (size_t i = 0; i < n; i++)
		if (command->options[i].letter == letter)
			return (int)i;
	return -ENOENT;
}

/* "-y", "-fn5", "-n 5": letters of flags may be run together, a value may follow its letter. */
static int parse_letters(struct parser *p, const char *text, struct err *err)
{
	for (; *text; text++) {
		int index = find_letter(p->args->command, *text), r;
		bool flag;

		if (index < 0 && *text == 'h') {
			p->args->help = true;
			continue;
		}
		if (index < 0)
			return err_set(err, EINVAL, _("'%s' has no option -%c"), p->args->command->name, *text);
		flag = p->args->command->options[index].type == OPTION_FLAG;
		r = take_value(p, (size_t)index, flag || !text[1] ? NULL : text + 1, err);
		if (r < 0 || !flag)
			return r;
	}
	return 0;
}

static int parse_word(struct parser *p, const char *text, struct err *err)
{
	struct arguments *args = p->args;

	if (!p->options_end && !strcmp(text, "--")) {
		p->options_end = true;
		args->argv = args->words.n;
		return 0;
	}
	if (!p->options_end && text_starts(text, "--"))
		return parse_long(p, text + 2, err);
	if (!p->options_end && text[0] == '-' && text[1])
		return parse_letters(p, text + 1, err);
	if (!p->options_end && args->words.n && args->command->flags & COMMAND_ARGV) {
		p->options_end = true;
		args->argv = args->words.n;
	}
	strv_add(&args->words, text);
	return 0;
}

static int check_count(const struct arguments *args, struct err *err)
{
	const struct command *command = args->command;
	int n = (int)args->words.n;

	if (n < command->min)
		return err_set(err, EINVAL, _("'%s' needs more arguments: tepuy %s %s"), command->name, command->name,
			       command->usage);
	if (command->max == 0 && n > 0)
		return err_set(err, EINVAL, _("'%s' takes no arguments; '%s' is one"), command->name, args->words.v[0]);
	if (command->max > 0 && n > command->max)
		return err_set(err, EINVAL, _("'%s' takes fewer arguments; '%s' is one too many: tepuy %s %s"),
			       command->name, args->words.v[command->max], command->name, command->usage);
	return 0;
}

int arguments_parse(const struct command *command, int argc, char *const *argv, struct arguments *ret, struct err *err)
{
	_cleanup_arguments_ struct arguments args = { .command = command, .argv = SIZE_MAX };
	struct parser p = { .args = &args, .argv = argv, .argc = argc };
	int r = 0;

	args.values = xcalloc(count_options(command), sizeof(*args.values));
	while (r == 0 && p.at < argc)
		r = parse_word(&p, argv[p.at++], err);
	if (r == 0 && !args.help)
		r = check_count(&args, err);
	if (r < 0)
		return r;
	if (args.argv > args.words.n)
		args.argv = args.words.n;
	*ret = args;
	args = (struct arguments){ 0 };
	return 0;
}

void arguments_release(struct arguments *args)
{
	for (size_t i = 0; args->values && i < count_options(args->command); i++)
		strv_release(&args->values[i].texts);
	free(args->values);
	strv_release(&args->words);
	free(args->host);
	*args = (struct arguments){ 0 };
}

static const struct option_value *find(const struct arguments *args, const char *name)
{
	size_t n = count_options(args->command);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(args->command->options[i].name, name))
			return &args->values[i];
	abort();
}

bool arguments_has(const struct arguments *args, const char *name)
{
	return find(args, name)->set;
}

const char *arguments_text(const struct arguments *args, const char *name, const char *otherwise)
{
	const struct option_value *value = find(args, name);

	return value->set ? value->texts.v[value->texts.n - 1] : otherwise;
}

int64_t arguments_number(const struct arguments *args, const char *name, int64_t otherwise)
{
	const struct option_value *value = find(args, name);

	return value->set ? value->number : otherwise;
}

const struct strv *arguments_list(const struct arguments *args, const char *name)
{
	return &find(args, name)->texts;
}

const char *arguments_word(const struct arguments *args, size_t index)
{
	return index < args->words.n ? args->words.v[index] : NULL;
}
