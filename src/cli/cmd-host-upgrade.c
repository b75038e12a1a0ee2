/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/host-install.h"
#include "cli/host-step.h"
#include "cli/options.h"
#include "cli/output.h"

enum { WELL_MS = 90000, POLL_MS = 500 };

/* What the host's own agent says of it; NULL: nothing yet, `err` says why. */
static json_t *ask_agent(struct member *host, struct err *err)
{
	_cleanup_buf_ struct buf output = { 0 };

	if (host_run(host, &output, err, "tepuy", "host", "show", "--json", host->host->item.name, NULL) < 0)
		return NULL;
	return json_loads(buf_text(&output), 0, NULL);
}

static const json_t *find_node(const json_t *host, const json_t *node)
{
	const json_t *other;
	size_t i;

	json_array_foreach(json_object_get(host, "assignments"), i,
			   other) if (!strcmp(json_text(other, "node"), json_text(node, "node")) &&
				      json_number(other, "gen") == json_number(node, "gen")) return other;
	return NULL;
}

/* The first node that ran before and does not now, or NULL. One that was taken away meanwhile was asked to go. */
static const char *node_missing(const json_t *before, const json_t *now)
{
	const json_t *node, *same;
	size_t i;

	json_array_foreach(json_object_get(before, "assignments"), i, node)
	{
		same = find_node(now, node);
		if (same && !strcmp(json_text(node, "state"), "running") && strcmp(json_text(same, "state"), "running"))
			return json_text(node, "node");
	}
	return NULL;
}

static int wait_until_well(struct cluster *cluster, struct member *host, const json_t *before, struct err *err)
{
	int64_t end = clock_monotonic_ms() + WELL_MS;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_json_ json_t *now = ask_agent(host, &why);
		const char *missing = now ? node_missing(before, now) : NULL;

		if (now && json_flag(now, "alive") && !missing)
			return 0;
		if (clock_monotonic_ms() > end)
			return now && missing
				   ? err_set(err, EIO,
					     _("The node %s does not run since the upgrade; see 'tepuy logs'"), missing)
				   : err_set(err, ETIMEDOUT,
					     _("Its agent is not well since the upgrade (%s); see 'journalctl -u "
					       "tepuy-agent' there"),
					     now ? _("Consul takes it for away") : err_text(&why));
		cluster_say(cluster, host, PROGRESS_WORKING, _("waiting until its agent is well"));
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
}

static int upgrade(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *before = NULL;
	int r = cluster_connect(cluster, host, err);

	if (r == 0)
		r = host_ask_facts(cluster, host, err);
	if (r < 0)
		return r;
	if (!host->facts.installed)
		return err_set(err, ENOENT, _("It has no tepuy to upgrade; 'tepuy host apply' makes it a host"));
	before = ask_agent(host, NULL);
	r = host_install(cluster, host, cluster->data, err);
	if (r == 0)
		r = wait_until_well(cluster, host, before, err);
	if (r == 0)
		cluster_say(cluster, host, PROGRESS_GOOD, "%s", host->changes ? _("upgraded") : _("unchanged"));
	return r;
}

/* Those that were not begun have not failed, but are not done either. */
static void leave_rest(struct cluster *cluster, const struct err *err)
{
	for (size_t i = 0; i < cluster->n; i++) {
		struct member *host = &cluster->v[i];
		struct err why = ERR_INIT;

		if (host->failed || !host->selected || host->facts.system)
			continue;
		err_set(&why, ECANCELED, _("It was not begun, as another one failed: %s"), err_text(err));
		cluster_fail(cluster, host, &why);
	}
}

static int run(struct cli *cli, const struct arguments *args)
{
	struct install install = { .lock_wait_ms = arguments_number(args, "lock-wait", LOCK_WAIT_MS), .upgrade = true };
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	bool json = arguments_has(args, "json");
	enum status status;

	if (cluster_load(cli, args, &cluster, &err) < 0 ||
	    debs_find(arguments_list(args, "package"), &install.debs, &err) < 0)
		return cli_failed(cli, &err);
	cluster.data = &install;
	if (!json)
		cluster_show(&cluster, _("Upgrading tepuy, one host after another"));
	if (cluster_one_by_one(&cluster, cluster_is_selected, upgrade, &err) < 0)
		leave_rest(&cluster, &err);
	status = cluster_conclude(&cluster, json);
	debs_release(&install.debs);
	return status;
}

static const struct command_option options[] = {
	OPTIONS_INVENTORY,
	{ .name = "package",
	  .type = OPTION_LIST,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("The .deb of tepuy to install; several times for several architectures") },
	{ .name = "lock-wait",
	  .type = OPTION_DURATION,
	  .argument = "DURATION",
	  .help = N_("Wait no longer than this for others that use a host's apt (5m)") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_upgrade = {
	.name = "host upgrade",
	.group = GROUP_HOST,
	.summary = N_("Install another version of tepuy, one host at a time"),
	.details = N_("The package is installed and the agent restarted; the next host is begun when this one's agent "
		      "is well and all "
		      "nodes that ran on it still run. The first failure ends it."),
	.options = options,
	.exec = run,
};
