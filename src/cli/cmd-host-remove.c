/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/host-join.h"
#include "cli/host-step.h"
#include "cli/host-view.h"
#include "cli/options.h"
#include "cli/output.h"

enum { GONE_MS = 60000, POLL_MS = 500 };

struct removal {
	struct cluster *cluster;
	const char *name;
	struct member *host; /* NULL: it is not in the document any more */
	struct api *api;     /* of another host */
	struct remote_dial *dial;
	int64_t timeout_ms;
	bool force;
};

static bool is_other_server(const struct member *host)
{
	return host->server && host->selected;
}

/* The agent of the first other server that answers. */
static int reach_agent(struct removal *removal, struct err *err)
{
	struct cluster *cluster = removal->cluster;
	_cleanup_strv_ struct strv argv = { 0 };
	const char *path;
	int r = err_set(err, EHOSTUNREACH, _("No other server of the cluster can be reached"));

	strv_add_all(&argv, "tepuy", "dial-stdio", NULL);
	for (size_t i = 0; i < cluster->n && r < 0; i++) {
		struct member *host = &cluster->v[i];

		if (host->failed || !is_other_server(host))
			continue;
		r = remote_dial_start(&host->reach, &cluster->options, &argv, true, &removal->dial, &path, err);
		if (r == 0)
			removal->api = api_new(path);
	}
	return r;
}

/* Asked before anything is done: what has left the cluster cannot be refused any more. */
static int refuse_data(struct removal *removal, struct err *err)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_json_ json_t *host = NULL;
	int r = host_path(removal->name, "?data=1", &path, err);

	if (r == 0)
		r = api_get(removal->api, path, &host, err);
	if (r == -ENOENT) {
		err_release(err);
		return 0; /* it was never joined, or is removed but for Consul */
	}
	return r < 0 ? r : host_refuse_data(host, err);
}

static int drain(struct removal *removal, struct err *err)
{
	int r = host_order(removal->api, removal->name, "drain", NULL, err);

	if (r == -ENOENT) {
		err_release(err);
		return 0;
	}
	if (r < 0)
		return r;
	r = host_wait_drained(removal->api, removal->cluster->progress, removal->name, removal->timeout_ms, NULL, err);
	if (r > 0)
		r = err_set(err, EBUSY,
			    ngettext("It keeps %d node, whose data is on it ('tepuy host show %s')",
				     "It keeps %d nodes, whose data is on it ('tepuy host show %s')", (unsigned)r),
			    r, removal->name);
	/* What has come onto it while it was drained. */
	if (r == 0)
		r = refuse_data(removal, err);
	return r < 0 ? err_wrap(err, _("%s is not removed, and stays closed until 'tepuy host undrain %s'"),
				removal->name, removal->name)
		     : 0;
}

static int leave(struct removal *removal, struct err *err)
{
	struct cluster *cluster = removal->cluster;
	int r;

	if (!removal->host)
		return err_set(err, ENOENT,
			       _("There is no host '%s' in %s, so it cannot be told to leave; put it back there, or "
				 "give --force if it is dead"),
			       removal->name, cluster->hosts->file);
	r = cluster_connect(cluster, removal->host, err);
	return r < 0 ? r : host_step(cluster, removal->host, "leave", NULL, NULL, err);
}

/* Consul needs a moment to take a host that left, or died, for one that is gone. */
static int forget(struct removal *removal, struct err *err)
{
	_cleanup_(freep) char *author = cli_author(), *path = NULL;
	_cleanup_json_ json_t *body = json_pack("{s:s}", "author", author);
	int64_t end = clock_monotonic_ms() + GONE_MS;
	int r = host_path(removal->name, removal->force ? "?force=1" : "", &path, err);

	while (r >= 0 || r == -ESTALE) {
		r = api_call(removal->api, "DELETE", path, body, NULL, err);
		if (r >= 0 || r == -ENOENT)
			return 0;
		if (r != -ESTALE || clock_monotonic_ms() > end)
			return r;
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
	return r;
}

static int remove_host(struct removal *removal, struct err *err)
{
	_cleanup_json_ json_t *input = json_pack("{s:s}", "name", removal->name);
	struct cluster *cluster = removal->cluster;
	int r;

	cluster_each(cluster, is_other_server, cluster_connect);
	r = join_find_authority(cluster, false, err);
	if (r == 0)
		r = reach_agent(removal, err);
	if (r == 0 && !removal->force)
		r = refuse_data(removal, err);
	if (r == 0 && !removal->force)
		r = drain(removal, err);
	if (r == 0 && !removal->force)
		r = leave(removal, err);
	if (r == 0)
		r = forget(removal, err);
	return r < 0 ? r : join_on_authority(cluster, "remove-host", input, NULL, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	struct removal removal = { .cluster = &cluster, .name = args->words.v[0] };
	int r;

	if (!text_is_name(removal.name))
		return cli_usage(cli, _("'%s' cannot be the name of a host"), removal.name);
	if (cluster_load_all(cli, arguments_text(args, "inventory", NULL), &cluster, &err) < 0)
		return cli_failed(cli, &err);
	removal.force = arguments_has(args, "force");
	removal.timeout_ms = arguments_number(args, "timeout", 0);
	removal.host = cluster_find(&cluster, removal.name);
	if (removal.host)
		removal.host->selected = removal.host->server = false; /* it is not asked: it is what is taken away */
	cluster_show(&cluster, _("Removing a host"));
	r = remove_host(&removal, &err);
	cluster_hide(&cluster);
	api_free(removal.api);
	remote_dial_stop(removal.dial);
	if (r < 0)
		return cli_failed(cli, &err);
	fprintf(cli->out, _("%s is no host of the cluster any more; take it out of %s too.\n"), removal.name,
		cluster.hosts->file);
	return STATUS_DONE;
}

static const struct command_option options[] = {
	{ .name = "inventory",
	  .letter = 'I',
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("Hosts are those of FILE instead of hosts.yaml") },
	{ .name = "force", .help = N_("It is dead: do not drain it nor tell it to leave") },
	OPTION_TIMEOUT(N_("Wait no longer than this until its nodes have moved")),
	OPTIONS_END,
};

const struct command cmd_host_remove = {
	.name = "host remove",
	.group = GROUP_HOST,
	.summary = N_("Take a host out of the cluster"),
	.details = N_("Its nodes move to other hosts first, then it leaves Consul and loses its token. Its containers' "
		      "images, its "
		      "volumes and its packages stay on it. A host with the data of a node is left as it is, also when "
		      "the node's service is down. With "
		      "--force for a machine that is dead, was taken away, or has left with 'tepuy setup leave'."),
	.usage = "HOST",
	.min = 1,
	.max = 1,
	.word = WORD_HOST,
	.options = options,
	.exec = run,
};
