/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/cluster.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/follow.h"
#include "cli/output.h"

enum { PARALLEL = 32 };

/* Questions have the terminal for themselves. */
static char *ask_quietly(void *data, enum remote_question question, const char *host, const char *prompt)
{
	struct cluster *cluster = data;
	struct remote_options options = ask_options(cluster->ask);
	char *answer;

	if (!options.ask)
		return NULL;
	if (cluster->progress)
		progress_hold(cluster->progress, true);
	answer = options.ask(options.ask_data, question, host, prompt);
	if (cluster->progress)
		progress_hold(cluster->progress, false);
	return answer;
}

static bool is_chosen(const struct inventory *inventory, const struct host *host)
{
	for (size_t i = 0; i < inventory->n; i++)
		if (inventory->rows[i] == host)
			return true;
	return false;
}

static void fill_host(struct cluster *cluster, struct member *to, const struct host *host)
{
	to->host = host;
	inventory_reach(cluster->hosts, host, &to->reach);
	to->server = strv_has(&cluster->hosts->consul.servers, host->item.name);
	to->selected = is_chosen(&cluster->inventory, host);
}

/* A name that only ssh knows has no place in a cluster. */
static int refuse_strangers(const struct inventory *inventory, struct err *err)
{
	if (!inventory->document)
		return err_set(err, ENOENT, _("There is no hosts.yaml here; name it with --inventory FILE"));
	for (size_t i = 0; i < inventory->n; i++)
		if (!inventory->rows[i])
			return err_set(err, ENOENT, _("There is no host '%s' in %s"), inventory->hosts[i].name,
				       inventory->document->file);
	return 0;
}

static void begin(struct cli *cli, struct cluster *ret)
{
	*ret = (struct cluster){ .cli = cli, .parallel = PARALLEL, .ask = ask_new() };
	ret->options = (struct remote_options){ .ask = ask_quietly, .ask_data = ret };
	ask_raise_limits();
}

/* What inventory_… said, and the rows. */
static int fill(struct cluster *cluster, int r, struct err *err)
{
	if (r == 0)
		r = refuse_strangers(&cluster->inventory, err);
	if (r < 0)
		return err->message ? r : err_set(err, -r, _("The hosts cannot be read; nothing was done"));
	cluster->hosts = cluster->inventory.document;
	cluster->n = cluster->hosts->n_hosts;
	cluster->v = xcalloc(cluster->n, sizeof(*cluster->v));
	for (size_t i = 0; i < cluster->n; i++)
		fill_host(cluster, &cluster->v[i], &cluster->hosts->hosts[i]);
	return 0;
}

int cluster_load(struct cli *cli, const struct arguments *args, struct cluster *ret, struct err *err)
{
	begin(cli, ret);
	return fill(ret, inventory_select(cli, args, &ret->inventory, err), err);
}

int cluster_load_all(struct cli *cli, const char *file, struct cluster *ret, struct err *err)
{
	begin(cli, ret);
	return fill(ret, inventory_load(cli, file, NULL, NULL, &ret->inventory, err), err);
}

static void release_host(struct member *host)
{
	remote_close(host->remote);
	free(host->address);
	free(host->reboot);
	err_release(&host->err);
	free(host->facts.system);
	free(host->facts.architecture);
	free(host->facts.installed);
	free(host->facts.build);
	json_decref(host->identity);
	json_decref(host->authority);
	json_decref(host->signature);
	json_decref(host->consul);
	json_decref(host->token);
	json_decref(host->agent);
}

void cluster_release(struct cluster *cluster)
{
	cluster_hide(cluster);
	for (size_t i = 0; i < cluster->n; i++)
		release_host(&cluster->v[i]);
	free(cluster->v);
	inventory_release(&cluster->inventory);
	ask_free(cluster->ask);
	*cluster = (struct cluster){ 0 };
}

struct member *cluster_find(struct cluster *cluster, const char *name)
{
	for (size_t i = 0; i < cluster->n; i++)
		if (!strcmp(cluster->v[i].host->item.name, name))
			return &cluster->v[i];
	return NULL;
}

void cluster_show(struct cluster *cluster, const char *title)
{
	if (!cluster->progress)
		cluster->progress = follow_progress(cluster->cli);
	progress_title(cluster->progress, title, clock_monotonic_ms());
}

void cluster_hide(struct cluster *cluster)
{
	progress_free(cluster->progress);
	cluster->progress = NULL;
}

void cluster_say(struct cluster *cluster, struct member *host, enum progress_kind kind, const char *format, ...)
{
	const char *name = host->host->item.name;
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	if (!cluster->progress)
		return;
	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	progress_set(cluster->progress, name, name, kind, text, clock_monotonic_ms());
}

void cluster_fail(struct cluster *cluster, struct member *host, struct err *err)
{
	host->failed = true;
	err_release(&host->err);
	host->err = *err;
	*err = ERR_INIT;
	cluster_say(cluster, host, PROGRESS_BAD, "%s", err_text(&host->err));
}

void cluster_fail_all(struct cluster *cluster, const struct err *err)
{
	for (size_t i = 0; i < cluster->n; i++) {
		struct err copy = ERR_INIT;

		if (cluster->v[i].failed || !cluster->v[i].selected)
			continue;
		err_set(&copy, err->code, "%s", err_text(err));
		cluster_fail(cluster, &cluster->v[i], &copy);
	}
}

struct each {
	struct cluster *cluster;
	cluster_fn fn;
	struct member **hosts;
};

static void call_each(void *data, size_t index)
{
	struct each *each = data;
	_cleanup_err_ struct err err = ERR_INIT;

	if (each->fn(each->cluster, each->hosts[index], &err) < 0)
		cluster_fail(each->cluster, each->hosts[index], &err);
}

static size_t gather(struct cluster *cluster, cluster_which which, struct member **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < cluster->n; i++)
		if (!cluster->v[i].failed && (!which || which(&cluster->v[i])))
			ret[n++] = &cluster->v[i];
	return n;
}

void cluster_each(struct cluster *cluster, cluster_which which, cluster_fn fn)
{
	_cleanup_(freep) struct member **hosts = xcalloc(cluster->n + 1, sizeof(*hosts));
	struct each each = { .cluster = cluster, .fn = fn, .hosts = hosts };
	size_t n = gather(cluster, which, hosts);

	if (n)
		remote_fan_out(n, n < cluster->parallel ? (unsigned)n : cluster->parallel, call_each, &each);
}

int cluster_one_by_one(struct cluster *cluster, cluster_which which, cluster_fn fn, struct err *err)
{
	_cleanup_(freep) struct member **hosts = xcalloc(cluster->n + 1, sizeof(*hosts));
	size_t n = gather(cluster, which, hosts);

	for (size_t i = 0; i < n; i++) {
		struct err own = ERR_INIT;
		int r = fn(cluster, hosts[i], &own);

		if (r >= 0)
			continue;
		err_set(err, -r, "%s: %s", hosts[i]->host->item.name, err_text(&own));
		cluster_fail(cluster, hosts[i], &own);
		return r;
	}
	return 0;
}

void cluster_praise(struct cluster *cluster, const char *text)
{
	for (size_t i = 0; i < cluster->n; i++)
		if (!cluster->v[i].failed && cluster->v[i].selected)
			cluster_say(cluster, &cluster->v[i], PROGRESS_GOOD, "%s",
				    cluster->v[i].changes ? text : _("unchanged"));
}

size_t cluster_count(const struct cluster *cluster, cluster_which which)
{
	size_t n = 0;

	for (size_t i = 0; i < cluster->n; i++)
		n += !cluster->v[i].failed && (!which || which(&cluster->v[i]));
	return n;
}

bool cluster_is_selected(const struct member *host)
{
	return host->selected;
}

bool cluster_is_server(const struct member *host)
{
	return host->server;
}

/* What the hosts tell each other is IP addresses: a name in the inventory is looked up here, once. */
static int find_address(struct member *host, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	char text[NI_MAXHOST];
	int r;

	if (host->address)
		return 0;
	r = getaddrinfo(host->host->address, NULL, &hints, &list);
	if (r == 0)
		r = getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	if (list)
		freeaddrinfo(list);
	if (r != 0)
		return err_set(err, EHOSTUNREACH,
			       _("The address of '%s' cannot be found: %s; correct it in hosts.yaml"),
			       host->host->address, gai_strerror(r));
	host->address = xstrdup(text);
	return 0;
}

int cluster_connect(struct cluster *cluster, struct member *host, struct err *err)
{
	int r;

	if (host->remote)
		return 0;
	cluster_say(cluster, host, PROGRESS_WORKING, _("connecting"));
	r = find_address(host, err);
	return r < 0 ? r : remote_open(&host->reach, &cluster->options, &host->remote, err);
}

static const char *status_word(const struct member *host)
{
	return host->pending ? "reboot" : host->failed ? "failed" : host->changes ? "changed" : "unchanged";
}

static void write_json(const struct cluster *cluster)
{
	_cleanup_json_ json_t *all = json_object();
	json_t *list = json_array();

	json_object_set_new(all, "hosts", list);
	for (size_t i = 0; i < cluster->n; i++) {
		const struct member *host = &cluster->v[i];
		json_t *entry;

		if (!host->selected)
			continue;
		entry = json_pack("{s:s, s:s}", "host", host->host->item.name, "status", status_word(host));
		if (host->failed)
			json_object_set_new(entry, "error", json_string(err_text(&host->err)));
		json_array_append_new(list, entry);
	}
	output_json(cluster->cli->out, all);
}

enum status cluster_conclude(struct cluster *cluster, bool json)
{
	size_t done = 0, failed = 0, pending = 0;

	cluster_hide(cluster);
	for (size_t i = 0; i < cluster->n; i++) {
		struct member *host = &cluster->v[i];

		if (!host->selected)
			continue;
		done += !host->failed;
		failed += host->failed;
		pending += host->pending;
		if (host->failed)
			cli_note(cluster->cli, "%s: %s", host->host->item.name, err_text(&host->err));
	}
	if (json)
		write_json(cluster);
	return !failed ? STATUS_DONE : done || pending ? STATUS_PARTLY : STATUS_FAILED;
}
