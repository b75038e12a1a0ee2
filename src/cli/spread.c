/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/spread.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/strv.h"
#include "cli/api.h"
#include "cli/dial.h"
#include "cli/output.h"
#include "ssh/remote.h"

struct place {
	const char *host; /* NULL: that of cli->api */
	int r;
	struct err err;
	char *trouble;
};

struct spread {
	struct cli *cli;
	struct ways *ways; /* NULL when nothing is elsewhere */
	spread_fn fn;
	void *data;
	struct place *places;
	size_t n;
};

/* The hosts that Consul has nodes of the target on. */
static int find_hosts(struct cli *cli, const struct target *target, struct strv *ret, struct err *err)
{
	_cleanup_json_ json_t *service = NULL;
	const json_t *node;
	size_t i;
	int r = api_service(cli->api, target->service, &service, err);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(service, "nodes"), i, node)
	{
		const char *host = json_text(node, "host");

		if (*host && target_has(target, json_text(node, "node")) && !strv_has(ret, host))
			strv_add(ret, host);
	}
	return 0;
}

/* Which of them the agent that we talk to is. The caller owns it. */
static int find_own(struct cli *cli, char **ret, struct err *err)
{
	_cleanup_json_ json_t *version = NULL;
	int r = api_get(cli->api, "/v1/version", &version, err);

	if (r == 0)
		*ret = xstrdup(json_text(version, "host"));
	return r;
}

/* Of an agent that says nothing of hosts, or knows no node of the target, nothing is known but that it can be asked. */
static int find_places(struct spread *spread, const struct target *target, struct strv *hosts, struct err *err)
{
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(freep) char *own = NULL;
	int r = find_hosts(spread->cli, target, hosts, &why);

	if (r == -EAGAIN)
		cli_note(spread->cli,
			 _("Only the nodes of one host are asked, as it is not known which others have "
			   "some: %s"),
			 err_text(&why));
	else if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "%s", err_text(&why));
	r = hosts->n ? find_own(spread->cli, &own, err) : 0;
	if (r < 0)
		return r;
	spread->places = xcalloc(hosts->n + 1, sizeof(*spread->places));
	if (!hosts->n)
		spread->n = 1;
	for (size_t i = 0; i < hosts->n; i++)
		spread->places[spread->n++].host = own && !strcmp(hosts->v[i], own) ? NULL : hosts->v[i];
	for (size_t i = 0; i < spread->n && r == 0; i++)
		if (spread->places[i].host && !spread->ways)
			r = ways_new(spread->cli, &spread->ways, err);
	return r;
}

static int ask_there(struct spread *spread, struct place *place)
{
	struct way *way;
	struct api *api;
	int r = way_open(spread->ways, place->host, &way, &place->err);

	if (r < 0) /* ENOENT and EREMOTE are an agent's words */
		return r == -ENOENT ? -EHOSTUNREACH : r;
	api = api_new(way_socket(way));
	api_call_it(api, place->host);
	r = spread->fn(spread->data, api, &place->err);
	if (r < 0)
		place->trouble = way_trouble(way);
	api_free(api);
	way_close(way);
	return r;
}

static void ask_place(void *data, size_t index)
{
	struct spread *spread = data;
	struct place *place = &spread->places[index];

	place->r = place->host ? ask_there(spread, place) : spread->fn(spread->data, spread->cli->api, &place->err);
}

static bool has_nothing(const struct place *place)
{
	return place->r == -ENOENT || place->r == -EREMOTE;
}

static void complain(struct spread *spread, const struct place *place)
{
	if (!place->host) {
		cli_failed(spread->cli, &place->err);
		return;
	}
	cli_note(spread->cli, "%s: %s", place->host, err_text(&place->err));
	if (place->trouble && !has_nothing(place))
		cli_note(spread->cli, "%s: %s", place->host, place->trouble);
}

/* A node that has moved meanwhile is nobody's fault, as long as somebody has nodes. */
static enum status conclude(struct spread *spread)
{
	size_t good = 0, bad = 0;

	for (size_t i = 0; i < spread->n; i++)
		good += spread->places[i].r >= 0;
	for (size_t i = 0; i < spread->n; i++) {
		const struct place *place = &spread->places[i];

		if (place->r >= 0 || (good && has_nothing(place)))
			continue;
		bad++;
		complain(spread, place);
	}
	return !bad ? STATUS_DONE : good ? STATUS_PARTLY : STATUS_FAILED;
}

enum status spread_each(struct cli *cli, const struct target *target, spread_fn fn, void *data)
{
	struct spread spread = { .cli = cli, .fn = fn, .data = data };
	_cleanup_strv_ struct strv hosts = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	enum status status;

	if (find_places(&spread, target, &hosts, &err) < 0)
		status = cli_failed(cli, &err);
	else {
		if (spread.n == 1)
			ask_place(&spread, 0);
		else
			remote_fan_out(spread.n, (unsigned)spread.n, ask_place, &spread);
		status = conclude(&spread);
	}
	for (size_t i = 0; i < spread.n; i++) {
		err_release(&spread.places[i].err);
		free(spread.places[i].trouble);
	}
	free(spread.places);
	ways_free(spread.ways);
	return status;
}
