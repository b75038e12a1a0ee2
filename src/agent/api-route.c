/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "agent/api-call.h"

static const struct api_route *const tables[] = { api_service_routes, api_node_routes, api_check_routes,
						  api_stream_routes, api_host_routes };

/* Does the pattern's one '*' (if any) cover the rest? `ret_rest` is owned by the caller. */
static bool matches(const char *pattern, const char *path, char **ret_rest)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : 0, after = star ? strlen(star + 1) : 0, len = strlen(path);

	if (!star)
		return !strcmp(pattern, path);
	if (len <= before + after || strncmp(path, pattern, before) || strcmp(path + len - after, star + 1))
		return false;
	free(*ret_rest);
	*ret_rest = xstrndup(path + before, len - before - after);
	return true;
}

const struct api_route *api_route_find(const char *method, const char *path, char **ret_rest, bool *ret_known)
{
	const struct api_route *best = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct api_route *route = tables[i]; route->method; route++) {
			_cleanup_(freep) char *rest = NULL;

			if (!matches(route->pattern, path, &rest))
				continue;
			*ret_known = true;
			if (strcmp(route->method, method) || (best && strlen(best->pattern) >= strlen(route->pattern)))
				continue;
			best = route;
			free(*ret_rest);
			*ret_rest = TAKE_PTR(rest);
		}
	return best;
}
