/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <strings.h>

#include "base/i18n.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/cluster.h"
#include "cli/host-bundle.h"
#include "cli/host-install.h"
#include "cli/host-join.h"
#include "cli/host-runtime.h"
#include "cli/host-step.h"
#include "cli/options.h"
#include "cli/output.h"
#include "image/digest.h"

static int install_consul(struct cluster *cluster, struct member *host, struct err *err)
{
	const struct install *install = cluster->data;
	_cleanup_(freep) char *path = NULL;
	_cleanup_json_ json_t *input = NULL;
	int r = host_give_consul(cluster, host, install, &path, err);

	if (r < 0)
		return r;
	input = json_pack("{s:I}", "lock_wait", (json_int_t)install->lock_wait_ms);
	if (path) {
		json_object_set_new(input, install->consul_is_binary ? "binary" : "deb", json_string(path));
		json_object_set_new(input, "sha256", json_string(install->consul_sha256));
	}
	return host_step(cluster, host, "consul-package", input, NULL, err);
}

/* Every host gets what the bundle has: any of them may be the one that is left. */
static int take_images(struct cluster *cluster, struct member *host, struct err *err)
{
	const struct install *install = cluster->data;
	_cleanup_json_ json_t *input = json_pack("{s:s}", "from", OFFLINE_IMAGES_PATH);

	return install->bundle ? host_step(cluster, host, "images", input, NULL, err) : 0;
}

/* All that one host needs no other for. A server that is not selected is only asked. */
static int prepare(struct cluster *cluster, struct member *host, struct err *err)
{
	int r = cluster_connect(cluster, host, err);

	if (r < 0 || !host->selected)
		return r;
	r = host_ask_facts(cluster, host, err);
	if (r == 0)
		r = host_install(cluster, host, cluster->data, err);
	if (r == 0)
		r = host_runtime(cluster, host, cluster->data, err);
	if (r == 0)
		r = install_consul(cluster, host, err);
	if (r == 0)
		r = take_images(cluster, host, err);
	if (r == 0)
		r = join_identity(cluster, host, err);
	if (r == 0)
		cluster_say(cluster, host, PROGRESS_WAITING, _("waiting for the others"));
	return r;
}

static bool is_wanted(const struct member *host)
{
	return host->selected || host->server;
}

static void apply(struct cluster *cluster)
{
	const struct install *install = cluster->data;
	_cleanup_err_ struct err err = ERR_INIT;

	cluster_each(cluster, is_wanted, prepare);
	host_reboots(cluster, install->reboot);
	if (!cluster_count(cluster, cluster_is_selected) || join_find_authority(cluster, true, &err) < 0 ||
	    join_sign(cluster, false, &err) < 0)
		return;
	join_consul(cluster);
	if (!cluster_count(cluster, cluster_is_selected) || join_tokens(cluster, &err) < 0)
		return;
	join_agents(cluster);
	cluster_praise(cluster, _("ready"));
}

/* What the operator gives of Consul, held against its hash before any host is touched. */
static int read_consul(const struct arguments *args, struct install *install, struct err *err)
{
	const char *deb = arguments_text(args, "consul-deb", NULL),
		   *binary = arguments_text(args, "consul-binary", NULL);
	const char *given = arguments_text(args, "consul-sha256", NULL);
	int r;

	if (deb && binary)
		return err_set(err, EINVAL, _("--consul-deb and --consul-binary exclude each other"));
	if (!deb && !binary)
		return given ? err_set(err, EINVAL, _("--consul-sha256 is about --consul-deb or --consul-binary")) : 0;
	if (!given)
		return err_set(err, EINVAL, _("--consul-sha256 must say the hash that %s is to have"),
			       deb ? deb : binary);
	install->consul = deb ? deb : binary;
	install->consul_is_binary = binary;
	r = digest_of_file(install->consul, &install->consul_sha256, err);
	if (r == 0 && strcasecmp(install->consul_sha256, given))
		return err_set(err, EBADMSG, _("%s has the sha256 %s, not the one given; get it again"),
			       install->consul, install->consul_sha256);
	return r;
}

static int read_install(const struct arguments *args, struct install *install, struct err *err)
{
	int r;

	*install = (struct install){ .bundle = arguments_text(args, "offline", NULL),
				     .lock_wait_ms = arguments_number(args, "lock-wait", LOCK_WAIT_MS),
				     .reboot = arguments_has(args, "reboot") };
	r = debs_find(arguments_list(args, "package"), &install->debs, err);
	if (r == 0 && install->bundle)
		r = digest_of_file(install->bundle, &install->bundle_sha256, err);
	return r < 0 ? r : read_consul(args, install, err);
}

static int run(struct cli *cli, const struct arguments *args)
{
	struct install install = { 0 };
	_cleanup_cluster_ struct cluster cluster = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *title = NULL;
	bool json = arguments_has(args, "json");
	enum status status;

	if (cluster_load(cli, args, &cluster, &err) < 0 || read_install(args, &install, &err) < 0)
		return cli_failed(cli, &err);
	title = xasprintf(
	    ngettext("Preparing %zu host", "Preparing %zu hosts", cluster_count(&cluster, cluster_is_selected)),
	    cluster_count(&cluster, cluster_is_selected));
	cluster.data = &install;
	if (!json)
		cluster_show(&cluster, title);
	apply(&cluster);
	status = cluster_conclude(&cluster, json);
	debs_release(&install.debs);
	free(install.consul_sha256);
	free(install.bundle_sha256);
	return status;
}

static const struct command_option options[] = {
	OPTIONS_INVENTORY,
	{ .name = "package",
	  .type = OPTION_LIST,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("The .deb of tepuy to install; several times for several architectures") },
	{ .name = "consul-deb",
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("Where a host's own apt sources have no Consul: this package of it") },
	{ .name = "consul-binary",
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "FILE",
	  .help = N_("The same with a program instead of a package") },
	{ .name = "consul-sha256",
	  .type = OPTION_TEXT,
	  .argument = "HASH",
	  .help = N_("The hash that this file must have") },
	{ .name = "offline",
	  .type = OPTION_TEXT,
	  .word = WORD_FILE,
	  .argument = "BUNDLE",
	  .help = N_("Take all packages from what 'tepuy host bundle' made, not from a mirror") },
	{ .name = "reboot",
	  .help = N_("Reboot hosts whose runtime needs it, one after another, and go on when each is back") },
	{ .name = "lock-wait",
	  .type = OPTION_DURATION,
	  .argument = "DURATION",
	  .help = N_("Wait no longer than this for others that use a host's apt (5m)") },
	OPTION_JSON,
	OPTIONS_END,
};

const struct command cmd_host_apply = {
	.name = "host apply",
	.group = GROUP_HOST,
	.summary = N_("Make bare Debian servers hosts of one cluster"),
	.details = N_(
	    "Installs tepuy, the runtime and Consul on all hosts of hosts.yaml at once, and joins them. It may be run "
	    "again at any time: it goes on where it ended, and says 'unchanged' where there is nothing to do. A host "
	    "that fails does not stop the others. The package of tepuy is looked for beside this program, then in "
	    "/var/cache/tepuy, where each host keeps the one it was given. A host with the runtime xen must be "
	    "rebooted into it once; without --reboot it is left out until that is done. The exit status is 3 when "
	    "some hosts failed or must be rebooted."),
	.options = options,
	.exec = run,
};
