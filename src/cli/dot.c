/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/dot.h"

#include <string.h>

#include "base/i18n.h"
#include "cli/output.h"

/* A quoted string of DOT: only '"' and '\' mean something in it. */
static void add_quoted(struct buf *to, const char *text)
{
	buf_addc(to, '"');
	for (; *text; text++) {
		if (*text == '\n') {
			buf_adds(to, "\\n");
			continue;
		}
		if (*text == '"' || *text == '\\')
			buf_addc(to, '\\');
		buf_addc(to, *text);
	}
	buf_addc(to, '"');
}

static void add_node(struct buf *to, const char *id, const char *label, const char *shape)
{
	buf_adds(to, "\t\t");
	add_quoted(to, id);
	buf_adds(to, " [label=");
	add_quoted(to, label);
	buf_printf(to, ", %s];\n", shape);
}

static void add_edge(struct buf *to, const char *from, const char *at, const char *label, const char *style)
{
	buf_addc(to, '\t');
	add_quoted(to, from);
	buf_adds(to, " -> ");
	add_quoted(to, at);
	buf_adds(to, " [label=");
	add_quoted(to, label);
	buf_printf(to, "%s];\n", style);
}

static void add_component(struct buf *to, const char *name, const json_t *component)
{
	const json_t *volumes = json_object_get(json_object_get(component, "body"), "volumes"), *volume;
	long long nodes = json_number(component, "nodes");
	_cleanup_(freep) char *label = NULL, *many = NULL;
	const char *key;

	if (nodes > 1)
		many = xasprintf(" ×%lld", nodes);
	label = xasprintf("%s%s\n%s %s", name, many ? many : "", json_text(component, "recipe"),
			  json_text(component, "version"));
	add_node(to, name, label, nodes == 1 ? "shape=box" : "shape=box3d");
	json_object_foreach((json_t *)volumes, key, volume)
	{
		_cleanup_(freep) char *id = xasprintf("%s/%s", name, key);
		const char *path = json_text(volume, "path");
		_cleanup_(freep) char *text = *path ? xasprintf("%s\n%s", key, path) : xstrdup(key);

		add_node(to, id, text, "shape=cylinder");
	}
}

static void add_edges(struct buf *to, const char *name, const json_t *component)
{
	const json_t *body = json_object_get(component, "body"), *value;
	const char *key;

	json_object_foreach((json_t *)json_object_get(component, "links"), key, value) add_edge(
	    to, name, json_text(value, "component"), key, json_flag(value, "optional") ? ", style=dashed" : "");
	json_object_foreach((json_t *)json_object_get(body, "volumes"), key, value)
	{
		_cleanup_(freep) char *id = xasprintf("%s/%s", name, key);

		add_edge(to, name, id, json_text(value, "mount"), ", arrowhead=none");
	}
	json_object_foreach((json_t *)json_object_get(body, "ports"), key, value)
	{
		long long publish = json_number(value, "publish");
		_cleanup_(freep) char *label = xasprintf("%s %lld", key, publish);

		if (publish)
			add_edge(to, "//outside", name, label, ", style=bold");
	}
}

static bool is_published(const json_t *components)
{
	const json_t *component, *port;
	const char *name, *key;

	json_object_foreach((json_t *)components, name, component)
	    json_object_foreach((json_t *)json_object_get(json_object_get(component, "body"), "ports"), key,
				port) if (json_number(port, "publish")) return true;
	return false;
}

void dot_service(const json_t *spec, struct buf *to)
{
	const json_t *components = json_object_get(spec, "components"), *component;
	const char *name;

	buf_adds(to, "digraph ");
	add_quoted(to, json_text(spec, "service"));
	buf_adds(to, " {\n\trankdir=LR;\n\tnode [fontname=\"sans-serif\"];\n\tedge [fontname=\"sans-serif\"];\n");
	if (is_published(components))
		add_node(to, "//outside", _("outside"), "shape=ellipse, style=dashed");
	buf_adds(to, "\tsubgraph cluster_service {\n\t\tlabel=");
	add_quoted(to, json_text(spec, "service"));
	buf_adds(to, ";\n");
	json_object_foreach((json_t *)components, name, component) add_component(to, name, component);
	buf_adds(to, "\t}\n");
	json_object_foreach((json_t *)components, name, component) add_edges(to, name, component);
	buf_adds(to, "}\n");
}
