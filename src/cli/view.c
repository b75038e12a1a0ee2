/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/view.h"

#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/usage.h"

struct word {
	const char *name, *text;
	enum progress_kind kind;
	enum colour colour;
};

static const struct word phases[] = {
	{ "preparing", N_("preparing"), PROGRESS_WORKING, YELLOW },
	{ "rolling", N_("rolling"), PROGRESS_WORKING, YELLOW },
	{ "done", N_("done"), PROGRESS_GOOD, GREEN },
	{ "rolling-back", N_("rolling back"), PROGRESS_WORKING, RED },
	{ "rolled-back", N_("rolled back"), PROGRESS_BAD, RED },
	{ "failed", N_("failed"), PROGRESS_BAD, RED },
	{ "removing", N_("removing"), PROGRESS_WORKING, YELLOW },
	{ "removed", N_("removed"), PROGRESS_GOOD, PLAIN },
};

static const struct word states[] = {
	{ "none", N_("waiting"), PROGRESS_WAITING, PLAIN },
	{ "building", N_("building its image"), PROGRESS_WORKING, YELLOW },
	{ "prepared", N_("prepared"), PROGRESS_WAITING, PLAIN },
	{ "starting", N_("starting"), PROGRESS_WORKING, YELLOW },
	{ "stopped", N_("stopped"), PROGRESS_GOOD, PLAIN },
	{ "failed", N_("failed"), PROGRESS_BAD, RED },
};

static const struct word healths[] = {
	{ "passing", N_("healthy"), PROGRESS_GOOD, GREEN },
	{ "warning", N_("running with a warning"), PROGRESS_GOOD, YELLOW },
	{ "critical", N_("not healthy"), PROGRESS_WORKING, RED },
	{ "maintenance", N_("disconnected"), PROGRESS_GOOD, YELLOW },
	{ "unknown", N_("running, not checked yet"), PROGRESS_WORKING, PLAIN },
};

static const struct word *find(const struct word *words, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(words[i].name, name))
			return &words[i];
	return NULL;
}

#define FIND(words, name) find(words, ARRAY_SIZE(words), name)

static struct node_view leaving(const char *desired, const char *state)
{
	if (!strcmp(desired, "drain"))
		return (struct node_view){ _("draining"), PROGRESS_WORKING };
	if (!strcmp(state, "stopped"))
		return (struct node_view){ _("stopped"), PROGRESS_GOOD };
	return (struct node_view){ _("stopping"), PROGRESS_WORKING };
}

struct node_view node_view(const json_t *node)
{
	const char *state = json_text(node, "state"), *desired = json_text(node, "desired");
	const struct word *word = FIND(states, state);

	if (word && node_has_failed(node))
		return (struct node_view){ _(word->text), word->kind };
	if (!strcmp(desired, "drain") || !strcmp(desired, "stop"))
		return leaving(desired, state);
	if (!strcmp(state, "running"))
		word = FIND(healths, json_text(node, "health"));
	if (word)
		return (struct node_view){ _(word->text), word->kind };
	return (struct node_view){ *state ? state : _("waiting"), PROGRESS_WAITING };
}

bool node_has_failed(const json_t *node)
{
	return !strcmp(json_text(node, "state"), "failed");
}

char *node_ports(const json_t *node)
{
	const json_t *ports = json_object_get(node, "ports"), *port;
	struct buf buf = { 0 };
	const char *name;

	json_object_foreach((json_t *)ports, name, port)
	{
		long long host_port = json_number(port, "host_port");

		buf_adds(&buf, buf.len ? ", " : "");
		if (host_port)
			buf_printf(&buf, "%s %s:%lld", name, json_text(node, "address"), host_port);
		else
			buf_printf(&buf, "%s %lld", name, (long long)json_number(port, "port"));
	}
	return buf_take(&buf);
}

enum colour phase_colour(const char *phase)
{
	const struct word *word = FIND(phases, phase);

	return word ? word->colour : PLAIN;
}

enum colour health_colour(const char *health)
{
	const struct word *word = FIND(healths, health);

	return word ? word->colour : PLAIN;
}

const char *phase_text(const char *phase)
{
	const struct word *word = FIND(phases, phase);

	return word ? _(word->text) : phase;
}

bool phase_is_final(const char *phase)
{
	const struct word *word = FIND(phases, phase);

	return word && word->kind != PROGRESS_WORKING;
}

void view_lines(const char *text, size_t indent, struct buf *to)
{
	_cleanup_(freep) char *safe = xstrdup(text);
	char *rest = safe, *line;

	text_printable(safe, true);
	while ((line = strsep(&rest, "\n")))
		if (*line || rest)
			buf_printf(to, "%*s%s\n", (int)indent, "", line);
}

/* Somebody asked what nodes use, and some said. */
static bool tells_usage(const json_t *nodes)
{
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node) if (json_object_get(node, "memory")) return true;
	return false;
}

static void add_usage(struct table *table, const json_t *node)
{
	_cleanup_(freep) char *memory = usage_memory(node), *cpu = usage_cpu(node);

	table_add(table, PLAIN, memory);
	table_add(table, PLAIN, cpu);
}

static void add_nodes(const json_t *nodes, bool colour, struct buf *to)
{
	bool used = tells_usage(nodes);
	_cleanup_(table_freep) struct table *table =
	    used ? table_new(_("NODE"), _("HOST"), _("STATE"), _("HEALTH"), _("FOR"), _("MEMORY"), _("CPU"), _("PORTS"),
			     _("WHY"), NULL)
		 : table_new(_("NODE"), _("HOST"), _("STATE"), _("HEALTH"), _("FOR"), _("PORTS"), _("WHY"), NULL);
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node)
	{
		_cleanup_(freep) char *since = output_since(json_number(node, "since")), *ports = node_ports(node);
		const char *state = json_text(node, "state"), *health = json_text(node, "health");

		table_addf(table, PLAIN, "%s.%lld", json_text(node, "node"), (long long)json_number(node, "gen"));
		table_add(table, PLAIN, json_text(node, "host"));
		table_add(table, node_has_failed(node) ? RED : PLAIN, state);
		table_add(table, health_colour(health), health);
		table_add(table, PLAIN, since);
		if (used)
			add_usage(table, node);
		table_add(table, PLAIN, ports);
		table_add(table, PLAIN, json_text(node, "why"));
	}
	table_render(table, colour, 2, to);
}

void view_service(const json_t *service, bool colour, struct buf *to)
{
	const json_t *status = json_object_get(service, "status"), *nodes = json_object_get(service, "nodes");
	const char *phase = json_text(status, "phase"), *reason = json_text(status, "reason");
	const char *detail = json_text(status, "detail");
	_cleanup_(freep) char *since = output_since(json_number(status, "since"));
	_cleanup_(freep) char *name = xstrdup(json_text(service, "service"));
	_cleanup_(freep) char *shown = xstrdup(*phase ? phase_text(phase) : _("not decided yet"));

	text_printable(name, false);
	text_printable(shown, false);
	output_colour(to, colour, BOLD, name);
	buf_adds(to, ": ");
	output_colour(to, colour, phase_colour(phase), shown);
	buf_printf(to, _(", revision %lld"), (long long)json_number(status, "revision"));
	if (*since)
		buf_printf(to, _(", for %s"), since);
	buf_addc(to, '\n');
	if (*reason)
		view_lines(reason, 2, to);
	if (*detail)
		view_lines(detail, 4, to);
	if (json_array_size(nodes))
		add_nodes(nodes, colour, to);
}

/* At most the last `most` lines. */
static const char *last_lines(const char *text, size_t most)
{
	const char *at = text + strlen(text);

	if (at > text && at[-1] == '\n')
		at--;
	for (; at > text; at--)
		if (at[-1] == '\n' && --most == 0)
			return at;
	return text;
}

static void add_check(const json_t *check, bool colour, struct buf *to)
{
	_cleanup_(freep) char *id = xstrdup(json_text(check, "id")), *title = NULL;
	const char *status = json_text(check, "status"), *output = json_text(check, "output");

	text_printable(id, false);
	title = xasprintf(_("check %s:"), id);
	buf_adds(to, "  ");
	output_colour(to, colour, health_colour(status), title);
	buf_addc(to, '\n');
	view_lines(*output ? output : _("no output"), 4, to);
}

void view_node_trouble(const json_t *node, bool colour, struct buf *to)
{
	const char *why = json_text(node, "why"), *log = json_text(node, "log"), *status;
	_cleanup_(freep) char *name = xstrdup(json_text(node, "node"));
	const json_t *check;
	size_t i;

	text_printable(name, false);
	output_colour(to, colour, BOLD, name);
	buf_printf(to, ": %s\n", node_view(node).text);
	if (*why)
		view_lines(why, 2, to);
	json_array_foreach(json_object_get(node, "checks"), i, check)
	{
		status = json_text(check, "status");
		if (*why && !*json_text(check, "output"))
			continue; /* Consul does not know yet what the agent said above */
		if (!strcmp(status, "critical") || !strcmp(status, "warning"))
			add_check(check, colour, to);
	}
	if (*log) {
		buf_printf(to, "  %s\n", _("its last lines:"));
		view_lines(last_lines(log, 20), 4, to);
	}
}
