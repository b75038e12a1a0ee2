/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>

#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/host-join.h"
#include "cli/host-step.h"
#include "cli/options.h"
#include "cli/output.h"

static int ask(struct cluster *cluster, struct member *host, struct err *err)
{
	int r = cluster_connect(cluster, host, err);

	return r < 0 ? r : join_identity(cluster, host, err);
}

static int take_key(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *input = json_pack("{s:O?}", "sealed", json_object_get(host->token, "sealed"));

	return host_step(cluster, host, "gossip", input, NULL, err);
}

static int phase(struct cluster *cluster, const char *name, json_t **ret, struct err *err)
{
	_cleanup_json_ json_t *input = json_pack("{s:s, s:o}", "phase", name, "hosts", join_certificates(cluster));

	return join_on_authority(cluster, "rotate-gossip", input, ret, err);
}

/* The old key goes only when every host has the new one: else those that have not are locked out. */
static int all_have_it(struct cluster *cluster, struct err *err)
{
	for (size_t i = 0; i < cluster->n; i++)
		if (cluster->v[i].failed)
			return err_set(err, EHOSTUNREACH,
				       _("Not all hosts have the new key, so the old one is still used; mend %s and "
					 "run this again, "
					 "or take it away with 'tepuy host remove --force'"),
				       cluster->v[i].host->item.name);
	return 0;
}

static int rotate(struct cluster *cluster, struct err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	int r;

	cluster_each(cluster, NULL, ask);
	r = all_have_it(cluster, err);
	if (r == 0)
		r = join_find_authority(cluster, false, err);
	if (r == 0)
		r = phase(cluster, "install", &answer, err);
	if (r < 0)
		return r;
	join_hand_out_tokens(cluster, answer);
	cluster_each(cluster, NULL, take_key);
	r = all_have_it(cluster, err);
	return r < 0 ? r : phase(cluster, "finish", NULL, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	bool json = arguments_has(args, "json");

	if (cluster_load_all(cli, arguments_text(args, "inventory", NULL), &cluster, &err) < 0)
		return cli_failed(cli, &err);
	if (!json)
		cluster_show(&cluster, _("Rotating the key of Consul's gossip"));
	if (rotate(&cluster, &err) < 0)
		cluster_fail_all(&cluster, &err);
	cluster_praise(&cluster, _("has the new key"));
	return cluster_conclude(&cluster, json);
}

static const struct command_option options[] = {
	{ .name = "inventory",
	  .letter = 'I',
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("Hosts are those of FILE instead of hosts.yaml") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_rotate_keys = {
	.name = "host rotate-keys",
	.group = GROUP_HOST,
	.summary = N_("Give the cluster a new key for Consul's gossip"),
	.details =
	    N_("To be done when a host was stolen or a copy of its disk was made. All hosts must be there; nothing is "
	       "restarted, and the old key is removed only when all have the new one. Run again it goes on."),
	.options = options,
	.exec = run,
};
