/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-runtime.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "cli/host-join.h"
#include "cli/host-step.h"
#include "cli/output.h"

enum {
	REACH_MS = 75000,         /* the bridge is taken back after 90 s */
	AGAIN_MS = 180000,        /* and then the host is there as before */
	BACK_MS = 25 * 60 * 1000, /* servers with much memory test it all */
	CONSUL_MS = 180000,
	PAUSE_MS = 1000,
};

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_sec = PAUSE_MS / 1000, .tv_nsec = PAUSE_MS % 1000 * 1000000L }, NULL);
}

static void set_text(json_t *object, const char *key, const char *value)
{
	if (value)
		json_object_set_new(object, key, json_string(value));
}

static json_t *xen_input(const struct hosts_xen *xen)
{
	json_t *all = json_object(), *more = json_array(), *dns = json_array();

	set_text(all, "bridge", xen->bridge);
	set_text(all, "addresses", xen->addresses);
	set_text(all, "gateway", xen->gateway);
	set_text(all, "volume_group", xen->volume_group);
	set_text(all, "type", xen->type);
	json_object_set_new(all, "dom0_memory", json_integer(xen->dom0_memory));
	for (size_t i = 0; i < xen->dns.n; i++)
		json_array_append_new(dns, json_string(xen->dns.v[i]));
	if (xen->dns.n)
		json_object_set(all, "dns", dns);
	for (size_t i = 0; i < xen->n_more; i++) {
		json_t *card = json_object();

		set_text(card, "bridge", xen->more[i].bridge);
		set_text(card, "addresses", xen->more[i].addresses);
		set_text(card, "gateway", xen->more[i].gateway);
		json_array_append_new(more, card);
	}
	if (xen->n_more)
		json_object_set(all, "more", more);
	json_decref(dns);
	json_decref(more);
	return all;
}

json_t *host_runtime_input(const struct host *host, int64_t lock_wait_ms)
{
	json_t *input = json_pack("{s:s, s:I}", "runtime", host->runtime, "lock_wait", (json_int_t)lock_wait_ms);

	if (host->xen.item.node)
		json_object_set_new(input, "xen", xen_input(&host->xen));
	return input;
}

/* A session of its own: what says that the host is within reach is that it can be reached now. */
static int open_again(struct cluster *cluster, struct member *host, int64_t within_ms, struct err *err)
{
	int64_t end = clock_monotonic_ms() + within_ms;
	struct remote *fresh = NULL;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		int r = remote_open(&host->reach, &cluster->options, &fresh, &why);

		if (r == 0) {
			remote_close(host->remote);
			host->remote = fresh;
			return 0;
		}
		if (clock_monotonic_ms() > end || r == -EKEYREJECTED || r == -EACCES)
			return err_set(err, -r, "%s", err_text(&why));
		pause_a_moment();
	}
}

static bool is_lost(int r)
{
	return r == -EPIPE || r == -ETIMEDOUT || r == -EHOSTUNREACH || r == -ECONNRESET || r == -ECONNREFUSED;
}

static int confirm(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *input = json_pack("{s:s}", "bridge", host->host->xen.bridge);
	_cleanup_err_ struct err why = ERR_INIT;
	int r;

	cluster_say(cluster, host, PROGRESS_WORKING, _("reaching it through its bridge"));
	r = open_again(cluster, host, REACH_MS, &why);
	if (r < 0)
		return err_set(err, -r,
			       _("It cannot be reached through its new bridge, and takes it back by itself within two "
				 "minutes (%s); look at its network and run this again"),
			       err_text(&why));
	return host_step(cluster, host, "network-confirm", input, NULL, err);
}

int host_runtime(struct cluster *cluster, struct member *host, const struct install *install, struct err *err)
{
	_cleanup_json_ json_t *input = host_runtime_input(host->host, install->lock_wait_ms), *result = NULL;
	_cleanup_err_ struct err why = ERR_INIT;
	int r = host_step(cluster, host, "runtime", input, &result, &why);

	/* A network that changes may take the session with it; the step goes on, and its next run finds out. */
	if (is_lost(r) && host->host->xen.item.node) {
		cluster_say(cluster, host, PROGRESS_WORKING, _("reaching it again"));
		if (open_again(cluster, host, AGAIN_MS, NULL) == 0) {
			err_release(&why);
			why = ERR_INIT;
			r = host_step(cluster, host, "runtime", input, &result, &why);
		}
	}
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	if (json_flag(result, "unconfirmed"))
		r = confirm(cluster, host, err);
	free(host->reboot);
	host->reboot = *json_text(result, "reboot") ? xstrdup(json_text(result, "reboot")) : NULL;
	return r;
}

static int read_boot_id(struct member *host, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf output = { 0 };
	int r = host_run(host, &output, err, "cat", "/proc/sys/kernel/random/boot_id", NULL);

	if (r == 0)
		*ret = buf_take(&output);
	return r;
}

static int wait_until_back(struct cluster *cluster, struct member *host, const char *before, struct err *err)
{
	int64_t begun = clock_monotonic_ms();

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_(freep) char *now = NULL, *ago = text_ago(clock_monotonic_ms() - begun);
		int r;

		cluster_say(cluster, host, PROGRESS_WORKING, _("rebooting: %s"), ago);
		r = open_again(cluster, host, 0, &why);
		if (r == 0)
			r = read_boot_id(host, &now, &why);
		if (r == 0 && strcmp(now, before) != 0)
			return 0;
		if (r == -EKEYREJECTED)
			return err_set(err, -r, "%s", err_text(&why));
		if (clock_monotonic_ms() - begun > BACK_MS)
			return err_set(err, ETIMEDOUT,
				       _("It was told to reboot and is not back after %s (%s); look at its console"),
				       ago, r < 0 ? err_text(&why) : _("it did not go down"));
		pause_a_moment();
	}
}

/* A member of a cluster is one again before the next one goes: else there might be no leader left. */
static int wait_for_consul(struct cluster *cluster, struct member *host, struct err *err)
{
	const json_t *consul = json_object_get(host->identity, "consul");
	int64_t end = clock_monotonic_ms() + CONSUL_MS;
	int r;

	if (!json_flag(consul, "running"))
		return 0;
	do {
		cluster_say(cluster, host, PROGRESS_WORKING, _("waiting until Consul runs again"));
		r = join_identity(cluster, host, err);
		if (r < 0 || json_flag(json_object_get(host->identity, "consul"), "running"))
			return r;
		pause_a_moment();
	} while (clock_monotonic_ms() < end);
	return err_set(err, ETIMEDOUT,
		       _("Consul does not run since it was rebooted; see 'journalctl -u consul' there"));
}

static int reboot(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_(freep) char *before = NULL;
	_cleanup_err_ struct err why = ERR_INIT;
	int r = read_boot_id(host, &before, err);

	if (r < 0 || !before)
		return r;
	cluster_say(cluster, host, PROGRESS_WORKING, _("rebooting"));
	/* The session may end before the answer is here. */
	r = host_run(host, NULL, &why, "systemctl", "--no-wall", "reboot", NULL);
	if (r == -EPERM || r == -EACCES)
		return err_set(err, -r, "%s", err_text(&why));
	r = wait_until_back(cluster, host, before, err);
	if (r < 0)
		return r;
	host->changes++;
	r = host_runtime(cluster, host, cluster->data, err);
	if (r == 0 && host->reboot)
		return err_set(err, EIO,
			       _("It was rebooted, and that was not enough: %s. Look at what its boot loader does"),
			       host->reboot);
	return r < 0 ? r : wait_for_consul(cluster, host, err);
}

static bool waits_for_reboot(const struct member *host)
{
	return host->selected && host->reboot;
}

/* Fails all that wait, each with its own reason behind `prefix`. */
static void leave_out(struct cluster *cluster, const char *advice)
{
	for (size_t i = 0; i < cluster->n; i++) {
		struct member *host = &cluster->v[i];
		struct err why = ERR_INIT;

		if (host->failed || !waits_for_reboot(host))
			continue;
		host->pending = true;
		err_set(&why, EAGAIN, "%s; %s", host->reboot, advice);
		cluster_fail(cluster, host, &why);
	}
}

void host_reboots(struct cluster *cluster, bool allowed)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (!allowed)
		leave_out(cluster, _("run this again with --reboot, or reboot it yourself and run this again"));
	else if (cluster_one_by_one(cluster, waits_for_reboot, reboot, &err) < 0)
		leave_out(cluster, _("it was not rebooted, as another host did not come back from its reboot"));
}
