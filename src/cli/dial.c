/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/dial.h"

#include <errno.h>

#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "cli/api.h"
#include "cli/ask.h"
#include "cli/inventory.h"
#include "cli/output.h"

struct dial {
	struct remote_dial *remote;
	struct ask *ask;
	struct inventory inventory;
};

static int begin(const struct remote_host *host, const struct remote_options *options, struct remote_dial **ret,
		 const char **ret_socket, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };

	strv_add_all(&argv, "tepuy", "dial-stdio", NULL);
	return remote_dial_start(host, options, &argv, true, ret, ret_socket, err);
}

static int start(struct cli *cli, const char *name, struct dial *dial, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	struct remote_options options;
	int r;

	strv_add(&names, name);
	r = inventory_load(cli, NULL, &names, NULL, &dial->inventory, err);
	if (r < 0)
		return err->code ? r : err_set(err, EINVAL, _("The list of hosts cannot be used"));
	if (dial->inventory.n != 1)
		return err_set(err, EINVAL, _("--host takes one host; '%s' means more"), name);
	dial->ask = ask_new();
	options = ask_options(dial->ask);
	return begin(&dial->inventory.hosts[0], &options, &dial->remote, &cli->socket, err);
}

int dial_host(struct cli *cli, const char *name, struct err *err)
{
	int r;

	cli->dial = xcalloc(1, sizeof(*cli->dial));
	r = start(cli, name, cli->dial, err);
	if (r < 0)
		dial_end(cli);
	return r;
}

void dial_explain(struct cli *cli)
{
	_cleanup_(freep) char *why = cli->dial ? remote_dial_trouble(cli->dial->remote) : NULL;

	if (why)
		cli_note(cli, "%s: %s", cli->dial->inventory.hosts[0].name, why);
}

void dial_end(struct cli *cli)
{
	struct dial *dial = TAKE_PTR(cli->dial);

	if (!dial)
		return;
	remote_dial_stop(dial->remote);
	ask_free(dial->ask);
	inventory_release(&dial->inventory);
	free(dial);
}

/* --- to the other hosts --- */

struct ways {
	struct ask *own, *ask;      /* own: NULL when it is that of --host, which knows the passwords already */
	struct remote_dial *remote; /* of --host, or NULL */
	struct inventory inventory;
	json_t *hosts;  /* the cluster's, or NULL */
	struct err why; /* … then this is why */
};

struct way {
	struct remote_dial *remote;
	const char *socket;
};

int ways_new(struct cli *cli, struct ways **ret, struct err *err)
{
	struct ways *ways = xcalloc(1, sizeof(*ways));
	int r = 0;

	if (cli->dial)
		ways->remote = cli->dial->remote;
	else
		ways->own = ask_new();
	ways->ask = cli->dial ? cli->dial->ask : ways->own;
	if (access("hosts.yaml", F_OK) == 0)
		r = inventory_load(cli, "hosts.yaml", NULL, NULL, &ways->inventory, err);
	if (r < 0) {
		ways_free(ways);
		return err->code ? r : err_set(err, EINVAL, _("The list of hosts cannot be used"));
	}
	api_get(cli->api, "/v1/hosts", &ways->hosts, &ways->why);
	*ret = ways;
	return 0;
}

void ways_free(struct ways *ways)
{
	if (!ways)
		return;
	ask_free(ways->own);
	inventory_release(&ways->inventory);
	json_decref(ways->hosts);
	err_release(&ways->why);
	free(ways);
}

static const char *cluster_address(const struct ways *ways, const char *name)
{
	const json_t *host;
	size_t i;

	json_array_foreach(json_object_get(ways->hosts, "hosts"), i,
			   host) if (!strcmp(json_text(host, "name"), name) &&
				     *json_text(host, "address")) return json_text(host, "address");
	return NULL;
}

static int find_way(const struct ways *ways, const char *name, struct remote_host *ret, struct remote_options *options,
		    struct err *err)
{
	for (size_t i = 0; i < ways->inventory.n; i++)
		if (!strcmp(ways->inventory.hosts[i].name, name)) {
			*ret = ways->inventory.hosts[i];
			return 0;
		}
	*ret = (struct remote_host){ .name = name };
	if (remote_is_configured(name, options))
		return 0;
	ret->address = cluster_address(ways, name);
	if (!ret->address)
		return err_set(err, ENOENT,
			       _("Where the host %s is, nobody says: %s; put it into hosts.yaml or ~/.ssh/config"),
			       name, ways->hosts ? _("the cluster has no address for it") : err_text(&ways->why));
	ret->known_by_name = true;
	options->through = ways->remote;
	if (ways->remote)
		ret->user = remote_dial_user(ways->remote);
	return 0;
}

int way_open(const struct ways *ways, const char *host, struct way **ret, struct err *err)
{
	struct remote_options options = ask_options(ways->ask);
	struct way *way = xcalloc(1, sizeof(*way));
	struct remote_host found;
	int r = find_way(ways, host, &found, &options, err);

	if (r == 0)
		r = begin(&found, &options, &way->remote, &way->socket, err);
	if (r < 0) {
		free(way);
		return r;
	}
	*ret = way;
	return 0;
}

void way_close(struct way *way)
{
	if (!way)
		return;
	remote_dial_stop(way->remote);
	free(way);
}

const char *way_socket(const struct way *way)
{
	return way->socket;
}

char *way_trouble(const struct way *way)
{
	return remote_dial_trouble(way->remote);
}
