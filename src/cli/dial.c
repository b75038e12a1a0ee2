/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/dial.h"

#include <errno.h>

#include "base/i18n.h"
#include "cli/ask.h"
#include "cli/inventory.h"

struct dial {
	struct remote_dial *remote;
	struct ask *ask;
	struct inventory inventory;
};

static int start(struct cli *cli, const char *name, struct dial *dial, struct err *err)
{
	_cleanup_strv_ struct strv names = { 0 }, argv = { 0 };
	struct remote_options options;
	int r;

	strv_add(&names, name);
	strv_add_all(&argv, "tepuy", "dial-stdio", NULL);
	r = inventory_load(cli, NULL, &names, NULL, &dial->inventory, err);
	if (r < 0)
		return err->code ? r : err_set(err, EINVAL, _("The list of hosts cannot be used"));
	if (dial->inventory.n != 1)
		return err_set(err, EINVAL, _("--host takes one host; '%s' means more"), name);
	dial->ask = ask_new();
	options = ask_options(dial->ask);
	return remote_dial_start(&dial->inventory.hosts[0], &options, &argv, true, &dial->remote, &cli->socket, err);
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
