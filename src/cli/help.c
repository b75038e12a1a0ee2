/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/help.h"

#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"

enum { COLUMNS = 80, MOST_LEFT = 34 };

static const char *const group_titles[N_GROUPS] = {
	[GROUP_SERVICE] = N_("Services"),
	[GROUP_NODE] = N_("Nodes"),
	[GROUP_DOCUMENT] = N_("Recipes and documents"),
	[GROUP_HOST] = N_("Hosts"),
	[GROUP_OTHER] = N_("This program"),
};

/* Two columns: `left`, and `right` wrapped beside it (below it when left is too wide). */
static void add_row(struct buf *to, const char *left, size_t width, const char *right)
{
	_cleanup_buf_ struct buf text = { 0 };
	size_t indent = 2 + width + 2, used = output_width(left);

	output_wrap(&text, right, indent, COLUMNS);
	if (used > width)
		buf_printf(to, "  %s\n%s", left, buf_text(&text));
	else
		buf_printf(to, "  %s%*s%s", left, (int)(indent - 2 - used), "", buf_text(&text) + indent);
}

static char *command_usage(const struct command *command)
{
	return xasprintf("%s%s%s%s", command->name, command->options ? _(" [OPTION]…") : "", command->usage ? " " : "",
			 command->usage ? command->usage : "");
}

static void add_commands(struct buf *to, bool (*wanted)(const struct command *command, const void *data),
			 const void *data)
{
	for (size_t i = 0; commands[i]; i++)
		if (!(commands[i]->flags & COMMAND_HIDDEN) && wanted(commands[i], data))
			add_row(to, commands[i]->name, 14, _(commands[i]->summary));
}

static bool in_group(const struct command *command, const void *data)
{
	return command->group == *(const enum command_group *)data;
}

static bool in_family(const struct command *command, const void *data)
{
	const char *word = data;

	return text_starts(command->name, word) && command->name[strlen(word)] == ' ';
}

void help_all(FILE *to)
{
	_cleanup_buf_ struct buf buf = { 0 };

	buf_adds(&buf, _("Usage: tepuy COMMAND [OPTION]… [ARGUMENT]…\n\n"));
	output_wrap(&buf, _("tepuy turns Debian servers and recipes into running services."), 0, COLUMNS);
	for (enum command_group group = 0; group < N_GROUPS; group++) {
		buf_printf(&buf, "\n%s:\n", _(group_titles[group]));
		add_commands(&buf, in_group, &group);
	}
	buf_addc(&buf, '\n');
	output_wrap(&buf,
		    _("A TARGET is a service (portal), a component of it (portal/web) or a node (portal/web/1). "
		      "'tepuy COMMAND --help' says more about a command, tepuy(1) all of it."),
		    0, COLUMNS);
	fputs(buf_text(&buf), to);
}

void help_family(FILE *to, const char *word)
{
	_cleanup_buf_ struct buf buf = { 0 };

	buf_printf(&buf, _("Usage: tepuy %s COMMAND [OPTION]… [ARGUMENT]…\n\n"), word);
	add_commands(&buf, in_family, word);
	fputs(buf_text(&buf), to);
}

char *help_option_usage(const struct command_option *option)
{
	struct buf buf = { 0 };

	if (option->letter)
		buf_printf(&buf, "-%c, ", option->letter);
	else
		buf_adds(&buf, "    ");
	buf_printf(&buf, "--%s", option->name);
	if (option->argument)
		buf_printf(&buf, " %s", option->argument);
	return buf_take(&buf);
}

static void add_options(struct buf *to, const struct command *command)
{
	static const struct command_option help = { .name = "help", .letter = 'h' };
	_cleanup_(freep) char *help_left = help_option_usage(&help);
	size_t width = output_width(help_left);

	for (const struct command_option *o = command->options; o && o->name; o++) {
		_cleanup_(freep) char *left = help_option_usage(o);
		size_t w = output_width(left);

		width = w > width && w <= MOST_LEFT ? w : width;
	}
	buf_printf(to, "\n%s:\n", _("Options"));
	for (const struct command_option *o = command->options; o && o->name; o++) {
		_cleanup_(freep) char *left = help_option_usage(o);

		add_row(to, left, width, _(o->help));
	}
	if (command->flags & COMMAND_AGENT)
		add_row(to, "    --host NAME", width, _("Talk to that host's agent, by SSH"));
	add_row(to, help_left, width, _("Show this help"));
}

void help_command(FILE *to, const struct command *command)
{
	_cleanup_(freep) char *usage = command_usage(command), *summary = NULL;
	_cleanup_buf_ struct buf buf = { 0 };

	buf_printf(&buf, _("Usage: tepuy %s\n\n"), usage);
	summary = xasprintf("%s.", _(command->summary));
	output_wrap(&buf, summary, 0, COLUMNS);
	if (command->details) {
		buf_addc(&buf, '\n');
		output_wrap(&buf, _(command->details), 0, COLUMNS);
	}
	add_options(&buf, command);
	fputs(buf_text(&buf), to);
}
