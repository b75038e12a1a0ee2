/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/plan-view.h"

#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/output.h"

struct action {
	const char *name, *mark, *text;
	enum colour colour;
};

static const struct action actions[] = {
	{ "create", "+", N_("create"), GREEN },
	{ "replace", "~", N_("replace"), YELLOW },
	{ "remove", "-", N_("remove"), RED },
};

static const struct action *find_action(const json_t *change)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, json_text(change, "action")))
			return &actions[i];
	return NULL;
}

static void add_why(const json_t *change, struct buf *to)
{
	const json_t *why;
	size_t i;

	json_array_foreach(json_object_get(change, "why"), i, why)
	{
		_cleanup_(freep) char *text = xstrdup(json_is_string(why) ? json_string_value(why) : "");

		text_printable(text, false);
		buf_printf(to, "      %s\n", text);
	}
}

static void add_change(const json_t *change, const struct action *action, size_t width, bool colour, struct buf *to)
{
	_cleanup_(freep) char *node = xstrdup(json_text(change, "node"));

	text_printable(node, false);
	buf_adds(to, "  ");
	output_colour(to, colour, action->colour, action->mark);
	buf_printf(to, " %s%*s  %s\n", node, (int)(width - output_width(node)), "", _(action->text));
	add_why(change, to);
}

static size_t widest(const json_t *changes)
{
	const json_t *change;
	size_t width = 0, i;

	json_array_foreach(changes, i, change)
	{
		size_t w = output_width(json_text(change, "node"));

		width = w > width ? w : width;
	}
	return width;
}

/* "keep" may have reasons too: checks or the number of nodes change without touching a container. */
static size_t add_kept(const json_t *changes, struct buf *to)
{
	const json_t *change;
	size_t kept = 0, i;

	json_array_foreach(changes, i, change)
	{
		if (find_action(change))
			continue;
		kept++;
		if (!json_array_size(json_object_get(change, "why")))
			continue;
		buf_printf(to, _("  = %s  keep\n"), json_text(change, "node"));
		add_why(change, to);
	}
	return kept;
}

void plan_view(const char *service, const json_t *plan, bool colour, struct buf *to)
{
	const json_t *changes = json_object_get(plan, "changes"), *change;
	size_t width = widest(changes), kept, i;

	output_colour(to, colour, BOLD, service);
	buf_adds(to, ":\n");
	json_array_foreach(changes, i, change)
	{
		const struct action *action = find_action(change);

		if (action)
			add_change(change, action, width, colour, to);
	}
	kept = add_kept(changes, to);
	if (kept)
		buf_printf(to, ngettext("  %zu node stays as it is\n", "  %zu nodes stay as they are\n", kept), kept);
}
