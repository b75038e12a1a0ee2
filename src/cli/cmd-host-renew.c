/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/host-join.h"
#include "cli/options.h"

static int ask(struct cluster *cluster, struct member *host, struct err *err)
{
	int r = cluster_connect(cluster, host, err);

	return r < 0 || !host->selected ? r : join_identity(cluster, host, err);
}

static bool is_wanted(const struct member *host)
{
	return host->selected || host->server;
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	bool json = arguments_has(args, "json");

	if (cluster_load(cli, args, &cluster, &err) < 0)
		return cli_failed(cli, &err);
	if (!json)
		cluster_show(&cluster, _("Renewing certificates"));
	cluster_each(&cluster, is_wanted, ask);
	if (cluster_count(&cluster, cluster_is_selected) && join_find_authority(&cluster, false, &err) == 0 &&
	    join_sign(&cluster, true, &err) == 0)
		join_consul(&cluster);
	cluster_praise(&cluster, _("renewed"));
	return cluster_conclude(&cluster, json);
}

static const struct command_option options[] = {
	OPTIONS_INVENTORY,
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_renew = {
	.name = "host renew",
	.group = GROUP_HOST,
	.summary = N_("Give hosts new certificates"),
	.details = N_("Certificates hold a year, and 'tepuy host apply' renews those that end within 30 days. Consul's "
		      "servers take "
		      "theirs one after another; nodes are not touched."),
	.options = options,
	.exec = run,
};
