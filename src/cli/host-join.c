/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/host-join.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "cli/host-step.h"
#include "cli/output.h"

enum { LEADER_MS = 60000, LEADER_PAUSE_MS = 500 };

static const char *name_of(const struct member *host)
{
	return host->host->item.name;
}

int join_identity(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *input =
	    json_pack("{s:s, s:s, s:s, s:b}", "name", name_of(host), "address", host->address, "datacenter",
		      cluster->hosts->consul.datacenter, "server", host->server);

	return host_step(cluster, host, "identity", input, &host->identity, err);
}

static bool is_configured(const struct member *host)
{
	return json_flag(json_object_get(host->identity, "consul"), "configured");
}

static bool is_new_server(const struct member *host)
{
	return host->server && host->selected && !is_configured(host);
}

static bool is_member_server(const struct member *host)
{
	return host->server && host->selected && is_configured(host);
}

static bool is_client(const struct member *host)
{
	return !host->server && host->selected;
}

static bool has_authority(const struct member *host)
{
	return !host->failed && *json_text(host->authority, "ca");
}

static int ask_authority(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *input =
	    json_pack("{s:s, s:b}", "datacenter", cluster->hosts->consul.datacenter, "create", false);

	return host_step(cluster, host, "authority", input, &host->authority, err);
}

static struct member *find(struct cluster *cluster, bool (*which)(const struct member *host))
{
	for (size_t i = 0; i < cluster->n; i++)
		if (!cluster->v[i].failed && which(&cluster->v[i]))
			return &cluster->v[i];
	return NULL;
}

/* Two authorities are two clusters: nobody but the operator knows which is the right one. */
static int refuse_two(struct cluster *cluster, struct err *err)
{
	const struct member *first = find(cluster, has_authority);

	for (size_t i = 0; first && i < cluster->n; i++) {
		const struct member *other = &cluster->v[i];

		if (has_authority(other) &&
		    strcmp(json_text(first->authority, "fingerprint"), json_text(other->authority, "fingerprint")))
			return err_set(
			    err, EEXIST,
			    _("%s and %s belong to two different clusters; run 'sudo tepuy setup leave' on the one "
			      "that is to join the other's, then run this again"),
			    name_of(first), name_of(other));
	}
	return 0;
}

static bool belongs_to_cluster(const struct member *host)
{
	return is_configured(host) || json_is_object(json_object_get(host->identity, "certificate"));
}

static int may_create(struct cluster *cluster, struct err *err)
{
	size_t asked = cluster_count(cluster, cluster_is_server), all = cluster->hosts->consul.servers.n;
	const struct member *member = find(cluster, belongs_to_cluster);

	if (member)
		return err_set(
		    err, EHOSTUNREACH,
		    _("%s belongs to a cluster, but none of the servers that could be asked has its authority; mend "
		      "the others of its servers, or run 'sudo tepuy setup leave' on %s if that cluster is no more"),
		    name_of(member), name_of(member));
	if (asked * 2 <= all)
		return err_set(
		    err, EHOSTUNREACH,
		    ngettext("There is no cluster yet, and only %zu of %zu server can be prepared; more than half of "
			     "them are needed to begin one: mend the others and run this again",
			     "There is no cluster yet, and only %zu of %zu servers can be prepared; more than half of "
			     "them are needed to begin one: mend the others and run this again",
			     all),
		    asked, all);
	return 0;
}

static int create_authority(struct cluster *cluster, struct err *err)
{
	struct member *host = find(cluster, cluster_is_server);
	_cleanup_json_ json_t *input = NULL;
	int r = may_create(cluster, err);

	if (r < 0 || !host)
		return r;
	input = json_pack("{s:s, s:b}", "datacenter", cluster->hosts->consul.datacenter, "create", true);
	r = host_step(cluster, host, "authority", input, &host->authority, err);
	return r < 0 ? err_wrap(err, "%s", name_of(host)) : 0;
}

int join_find_authority(struct cluster *cluster, bool create, struct err *err)
{
	int r;

	cluster_each(cluster, cluster_is_server, ask_authority);
	r = refuse_two(cluster, err);
	if (r == 0 && !find(cluster, has_authority))
		r = create ? create_authority(cluster, err)
			   : err_set(err, ENOENT,
				     _("None of the servers that could be reached has the cluster's authority; mend "
				       "the others, "
				       "or run 'tepuy host apply' first"));
	if (r < 0)
		cluster_fail_all(cluster, err);
	return r;
}

/* Those after which it is the host that is lost, not the request that is wrong. */
static bool is_lost(int r)
{
	return r == -ETIMEDOUT || r == -EHOSTUNREACH || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE;
}

int join_on_authority(struct cluster *cluster, const char *step, const json_t *input, json_t **ret, struct err *err)
{
	int r = -ENOENT;

	for (;;) {
		struct member *host = find(cluster, has_authority);
		struct err own = ERR_INIT;

		if (!host)
			return r == -ENOENT
				   ? err_set(err, ENOENT, _("No server with the cluster's authority can be reached"))
				   : r;
		r = host_step(cluster, host, step, input, ret, &own);
		if (r == 0)
			return 0;
		err_set(err, -r, "%s: %s", name_of(host), err_text(&own));
		if (!is_lost(r)) {
			err_release(&own);
			return r;
		}
		cluster_fail(cluster, host, &own);
	}
}

/* Gives each host its entry of an answer {"hosts":[{"name",…}]}, in the member at `offset`. */
static void hand_out(struct cluster *cluster, const json_t *answer, size_t offset)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(answer, "hosts"), i, entry)
	{
		struct member *host = cluster_find(cluster, json_text(entry, "name"));
		json_t **to;

		if (!host)
			continue;
		to = (json_t **)((char *)host + offset);
		json_decref(*to);
		*to = json_incref(entry);
	}
}

static int sign_request(struct cluster *cluster, json_t *requests, const struct member *host)
{
	const json_t *certificate = json_object_get(host->identity, "certificate");
	json_t *pem = json_object_get(certificate, "pem");

	(void)cluster;
	return json_array_append_new(requests, json_pack("{s:s, s:b, s:s, s:O, s:O}", "name", name_of(host), "server",
							 host->server, "address", host->address, "csr",
							 json_object_get(host->identity, "csr"), "certificate",
							 pem ? pem : json_null()));
}

int join_sign(struct cluster *cluster, bool renew, struct err *err)
{
	_cleanup_json_ json_t *input = NULL, *answer = NULL;
	json_t *requests = json_array();
	int r;

	input = json_pack("{s:s, s:b, s:o}", "datacenter", cluster->hosts->consul.datacenter, "renew", renew,
			  "requests", requests);
	for (size_t i = 0; i < cluster->n; i++)
		if (!cluster->v[i].failed && cluster->v[i].selected && cluster->v[i].identity)
			sign_request(cluster, requests, &cluster->v[i]);
	r = join_on_authority(cluster, "sign", input, &answer, err);
	if (r < 0) {
		cluster_fail_all(cluster, err);
		return r;
	}
	hand_out(cluster, answer, offsetof(struct member, signature));
	return 0;
}

static json_t *server_addresses(const struct cluster *cluster)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cluster->n; i++)
		if (cluster->v[i].server && cluster->v[i].address)
			json_array_append_new(list, json_string(cluster->v[i].address));
	return list;
}

/* A new cluster begins with the servers that are there; for one that has begun the number says nothing any more. */
static size_t expected_servers(const struct cluster *cluster)
{
	return cluster_count(cluster, is_member_server) ? cluster->hosts->consul.servers.n
							: cluster_count(cluster, cluster_is_server);
}

static int configure_consul(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *input = NULL;

	if (!host->signature)
		return err_set(err, EPROTO, _("The cluster's authority gave it no certificate; run this again"));
	input =
	    json_pack("{s:s, s:s, s:s, s:b, s:o, s:I, s:O, s:O, s:O}", "name", name_of(host), "address", host->address,
		      "datacenter", cluster->hosts->consul.datacenter, "server", host->server, "servers",
		      server_addresses(cluster), "bootstrap_expect", (json_int_t)expected_servers(cluster),
		      "certificate", json_object_get(host->signature, "certificate"), "ca",
		      json_object_get(host->signature, "ca"), "sealed", json_object_get(host->signature, "sealed"));
	if (!input)
		return err_set(err, EPROTO,
			       _("The cluster's authority gave an answer that is none; upgrade its tepuy first"));
	return host_step(cluster, host, "consul", input, &host->consul, err);
}

static bool knows_leader(const struct member *host)
{
	return *json_text(host->consul, "leader");
}

/*
 * One server of a cluster after another: the next one is touched once this one knows a leader again, if the one before
 * it did; a cluster that has none yet cannot be broken.
 */
static int configure_member(struct cluster *cluster, struct member *host, struct err *err)
{
	int64_t end = clock_monotonic_ms() + LEADER_MS;
	bool had_leader = false;
	int r;

	for (size_t i = 0; i < cluster->n; i++)
		had_leader = had_leader || knows_leader(&cluster->v[i]);
	r = configure_consul(cluster, host, err);
	while (r == 0 && had_leader && !knows_leader(host) && clock_monotonic_ms() < end) {
		cluster_say(cluster, host, PROGRESS_WORKING, _("waiting until Consul knows its leader again"));
		nanosleep(&(struct timespec){ .tv_nsec = LEADER_PAUSE_MS * 1000000L }, NULL);
		r = configure_consul(cluster, host, err);
	}
	if (r == 0 && had_leader && !knows_leader(host))
		return err_set(err, ETIMEDOUT,
			       _("Consul knows no leader after it was configured; see 'journalctl -u consul' there"));
	return r;
}

void join_consul(struct cluster *cluster)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (cluster_one_by_one(cluster, is_member_server, configure_member, &err) < 0) {
		struct err why = ERR_INIT;

		/* What did not bear one server's change must not get the next one's. */
		err_set(&why, ECANCELED, _("It was not begun, as a server before it failed: %s"), err_text(&err));
		cluster_fail_all(cluster, &why);
		err_release(&why);
		return;
	}
	cluster_each(cluster, is_new_server, configure_consul);
	cluster_each(cluster, is_client, configure_consul);
}

json_t *join_certificates(const struct cluster *cluster)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cluster->n; i++) {
		const struct member *host = &cluster->v[i];
		json_t *certificate = json_object_get(host->signature, "certificate");

		if (!certificate)
			certificate = json_object_get(json_object_get(host->identity, "certificate"), "pem");
		if (!host->failed && host->selected && certificate)
			json_array_append_new(
			    list, json_pack("{s:s, s:O}", "name", name_of(host), "certificate", certificate));
	}
	return list;
}

void join_hand_out_tokens(struct cluster *cluster, const json_t *answer)
{
	hand_out(cluster, answer, offsetof(struct member, token));
}

int join_tokens(struct cluster *cluster, struct err *err)
{
	_cleanup_json_ json_t *answer = NULL,
			      *input = json_pack("{s:s, s:o}", "datacenter", cluster->hosts->consul.datacenter, "hosts",
						 join_certificates(cluster));
	int r = join_on_authority(cluster, "acl", input, &answer, err);

	if (r < 0) {
		cluster_fail_all(cluster, err);
		return r;
	}
	join_hand_out_tokens(cluster, answer);
	return 0;
}

static int start_agent(struct cluster *cluster, struct member *host, struct err *err)
{
	_cleanup_json_ json_t *input = NULL;
	json_t *labels = json_object();

	for (size_t i = 0; i < host->host->n_labels; i++)
		json_object_set_new(labels, host->host->labels[i].item.name, json_string(host->host->labels[i].value));
	input = json_pack("{s:s, s:s, s:s, s:o, s:O}", "name", name_of(host), "address", host->address, "runtime",
			  host->host->runtime, "labels", labels, "sealed", json_object_get(host->token, "sealed"));
	if (!input)
		return err_set(err, EPROTO, _("The cluster's authority gave it no token; run this again"));
	return host_step(cluster, host, "agent", input, &host->agent, err);
}

void join_agents(struct cluster *cluster)
{
	cluster_each(cluster, cluster_is_selected, start_agent);
}
