/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/usage.h"

#include <string.h>

#include "base/buf.h"
#include "cli/output.h"

static const json_t *find(const json_t *rows, const char *instance, const char *host)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) if (!strcmp(json_text(row, "instance"), instance) &&
					     !strcmp(json_text(row, "host"), host)) return row;
	return NULL;
}

static void add_to(json_t *node, const json_t *row)
{
	static const char *const keys[] = { "memory", "memory_max", "cpu_ms", "cpus" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_is_integer(json_object_get(row, keys[i])))
			json_object_set(node, keys[i], json_object_get(row, keys[i]));
}

void usage_add(struct api *api, json_t *answer)
{
	_cleanup_json_ json_t *usage = NULL;
	json_t *service, *node;
	size_t i, j;

	if (api_get(api, "/v1/usage", &usage, NULL) < 0)
		return;
	json_array_foreach(json_object_get(answer, "services"), i, service)
	{
		json_array_foreach(json_object_get(service, "nodes"), j, node)
		{
			_cleanup_(freep) char *instance =
			    xasprintf("%s/%s.%lld", json_text(service, "service"), json_text(node, "node"),
				      (long long)json_number(node, "gen"));
			const json_t *row = find(json_object_get(usage, "nodes"), instance, json_text(node, "host"));

			if (row)
				add_to(node, row);
		}
	}
}

static void add_size(struct buf *to, int64_t bytes)
{
	static const char units[] = "KMGT";
	double value = (double)bytes / 1024;
	size_t unit = 0;

	for (; value >= 1024 && units[unit + 1]; unit++)
		value /= 1024;
	buf_printf(to, value < 10 && unit ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

char *usage_memory(const json_t *node)
{
	struct buf text = { 0 };

	if (json_number(node, "memory"))
		add_size(&text, json_number(node, "memory"));
	if (text.len && json_number(node, "memory_max")) {
		buf_addc(&text, '/');
		add_size(&text, json_number(node, "memory_max"));
	}
	return buf_take(&text);
}

char *usage_cpu(const json_t *node)
{
	int64_t ms = json_number(node, "cpu_ms"), s = ms / 1000;

	if (!json_object_get(node, "cpu_ms"))
		return xstrdup("");
	if (s < 60)
		return xasprintf("%lld.%llds", (long long)s, (long long)(ms % 1000 / 100));
	if (s < 3600)
		return xasprintf("%lldm %llds", (long long)(s / 60), (long long)(s % 60));
	return xasprintf("%lldh %lldm", (long long)(s / 3600), (long long)(s / 60 % 60));
}
