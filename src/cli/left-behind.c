/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/left-behind.h"

#include <string.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "cli/api.h"
#include "cli/output.h"
#include "cli/progress.h"

struct left_behind {
	struct cli *cli;
	struct api *api;  /* cli->api is busy with the stream that tells of the service */
	struct strv told; /* hosts */
	struct strv dead; /* hosts of the last look */
};

struct left_behind *left_behind_new(struct cli *cli)
{
	struct left_behind *left = xcalloc(1, sizeof(*left));

	left->cli = cli;
	left->api = api_new(cli->socket);
	return left;
}

void left_behind_free(struct left_behind *left)
{
	if (!left)
		return;
	api_free(left->api);
	strv_release(&left->told);
	strv_release(&left->dead);
	free(left);
}

static char *nodes_on(const char *service, const json_t *state, const char *host)
{
	_cleanup_strv_ struct strv names = { 0 };
	const json_t *node;
	size_t i;

	json_array_foreach(json_object_get(state, "nodes"), i, node)
	{
		_cleanup_(freep) char *name = xasprintf("%s/%s", service, json_text(node, "node"));

		if (!strcmp(json_text(node, "host"), host) && !strv_has(&names, name))
			strv_add(&names, name);
	}
	return names.n ? strv_join(&names, ", ") : NULL;
}

static void tell(struct left_behind *left, const json_t *host, const char *nodes, struct progress *progress)
{
	_cleanup_(freep) char *since = output_since(json_number(host, "alive_since")), *silent = NULL;
	const char *name = json_text(host, "name");

	strv_add(&left->told, name);
	silent = *since ? xasprintf(_("has not answered for %s"), since) : xstrdup(_("does not answer"));
	if (progress)
		progress_hold(progress, true);
	cli_note(left->cli,
		 _("%s %s. What it has (%s) is stopped and removed when it returns; if it never will, "
		   "'tepuy host remove %s --force' forgets it"),
		 name, silent, nodes, name);
	if (progress)
		progress_hold(progress, false);
}

static bool all_are_on(const json_t *state, const struct strv *hosts)
{
	const json_t *node;
	size_t i;

	json_array_foreach(json_object_get(state, "nodes"), i,
			   node) if (!strv_has(hosts, json_text(node, "host"))) return false;
	return true;
}

bool left_behind_look(struct left_behind *left, const char *service, const json_t *state, struct progress *progress)
{
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	const json_t *host;
	size_t i;

	strv_release(&left->dead);
	if (!json_array_size(json_object_get(state, "nodes")) ||
	    api_get(left->api, "/v1/hosts", &answer, &err) < 0) /* an agent that is away is waited for elsewhere */
		return false;
	json_array_foreach(json_object_get(answer, "hosts"), i, host)
	{
		const char *name = json_text(host, "name");
		_cleanup_(freep) char *nodes = json_flag(host, "alive") ? NULL : nodes_on(service, state, name);

		if (!nodes)
			continue;
		strv_add(&left->dead, name);
		if (!strv_has(&left->told, name))
			tell(left, host, nodes, progress);
	}
	return left->dead.n && all_are_on(state, &left->dead);
}

void left_behind_conclude(const struct left_behind *left, const char *service)
{
	_cleanup_(freep) char *hosts = strv_join(&left->dead, ", ");

	cli_note(left->cli,
		 _("%s is down but for what is on %s; the agents do the rest without you: 'tepuy status %s --watch' "
		   "shows how it goes"),
		 service, hosts, service);
}
