/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What tepuy stands on and what is of tepuy: runtime, Consul, the agent, its certificate, its firewall. */
#include <jansson.h>
#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/text.h"
#include "host/doctor-work.h"

#define API_LEAST_MINOR 41
#define DAYS_FINE 30
#define DAYS_LEAST 7
#define RULES 4 /* of the table that drop */

#define _cleanup_json_value_ _cleanup_(json_value_release)

static void json_value_release(json_t **json)
{
	json_decref(*json);
}

static const char *get(const struct doctor_view *view, const char *key)
{
	return facts_get(view->facts, key);
}

static bool has_leader(const struct doctor_view *view)
{
	return *get(view, "consul_leader") != '\0';
}

static void doctor_docker(const struct doctor_view *view, struct doctor_report *report)
{
	const char *fact = get(view, "docker");
	unsigned major, minor;
	char version[48];

	if (sscanf(fact, "%47s %u.%u", version, &major, &minor) != 3) {
		if (doctor_is_root(view) && !facts_has(view->facts, "tepuy") &&
		    strcmp(get(view, "docker_unit"), "active"))
			doctor_say(report, "runtime", DOCTOR_WARNING, _("Docker is installed and does not run"),
				   _("Start it: systemctl start docker; tepuy host apply does it too"));
		else if (doctor_is_root(view))
			doctor_say(report, "runtime", DOCTOR_FAILED, _("Docker is installed and does not answer"),
				   _("Look why: systemctl status docker; start it: systemctl start docker"));
		else
			doctor_say(report, "runtime", DOCTOR_UNKNOWN, _("Docker is installed; only root can ask it"),
				   NULL);
		return;
	}
	if (major < 1 || (major == 1 && minor < API_LEAST_MINOR))
		doctor_add(
		    report, "runtime", DOCTOR_FAILED,
		    xasprintf(_("Docker %s speaks API %u.%u; 1.%u is needed"), version, major, minor, API_LEAST_MINOR),
		    xstrdup(_("Install Debian 12's docker.io")));
	else
		doctor_add(report, "runtime", DOCTOR_OK,
			   xasprintf(_("Docker %s, API %u.%u, %s"), version, major, minor, get(view, "docker_storage")),
			   NULL);
}

/* Before its first update apt knows of no package at all. */
static bool knows_packages(const struct doctor_view *view)
{
	return !strcmp(get(view, "packages"), "listed");
}

void doctor_runtime(const struct doctor_view *view, struct doctor_report *report)
{
	const char *candidate = get(view, "docker_candidate");

	if (doctor_has_machines(view))
		return;
	if (facts_has(view->facts, "docker"))
		doctor_docker(view, report);
	else if (*candidate)
		doctor_add(report, "runtime", DOCTOR_OK,
			   xasprintf(_("Not installed yet; docker.io %s can be, by tepuy host apply"), candidate),
			   NULL);
	else if (!knows_packages(view))
		doctor_say(report, "runtime", DOCTOR_UNKNOWN, _("There is none, and apt does not know of any yet"),
			   _("Let apt read its sources: apt-get update; tepuy host apply does it too"));
	else
		doctor_say(report, "runtime", DOCTOR_FAILED, _("There is no Docker, and apt's sources have none"),
			   _("Run apt-get update, or add Debian 12's main section to apt's sources"));
}

void doctor_live_restore(const struct doctor_view *view, struct doctor_report *report)
{
	const char *live = get(view, "docker_live");

	if (doctor_has_machines(view))
		return;
	if (!strcmp(live, "true"))
		doctor_say(report, "live-restore", DOCTOR_OK, _("Nodes outlive a restart of Docker"), NULL);
	else if (!strcmp(live, "false"))
		doctor_say(
		    report, "live-restore", DOCTOR_WARNING, _("Nodes end when Docker is restarted, as by an upgrade"),
		    _("Put {\"live-restore\": true} into /etc/docker/daemon.json, then: systemctl reload docker"));
}

void doctor_consul(const struct doctor_view *view, struct doctor_report *report)
{
	const char *version = get(view, "consul"), *candidate = get(view, "consul_candidate");

	if (!facts_has(view->facts, "consul")) {
		if (*candidate)
			doctor_add(report, "consul", DOCTOR_OK,
				   xasprintf(_("Not installed yet; %s can be, by tepuy host apply"), candidate), NULL);
		else if (!knows_packages(view))
			doctor_say(report, "consul", DOCTOR_UNKNOWN,
				   _("Not installed, and apt does not know of it yet"),
				   _("Let apt read its sources: apt-get update; tepuy host apply does it too"));
		else
			doctor_say(
			    report, "consul", DOCTOR_WARNING, _("Not installed, and not in apt's sources"),
			    _("tepuy host apply takes it from Debian 11 on the same mirror, or from a package that "
			      "you give"));
		return;
	}
	if (has_leader(view))
		doctor_add(report, "consul", DOCTOR_OK,
			   xasprintf(_("Consul %s; the leader is %s"), version, get(view, "consul_leader")), NULL);
	else if (facts_has(view->facts, "consul_leader"))
		doctor_add(report, "consul", DOCTOR_FAILED, xasprintf(_("Consul %s knows no leader"), version),
			   xstrdup(_("More than half of Consul's servers must run and reach each other: 8300-8302")));
	else if (!strcmp(get(view, "consul_unit"), "active"))
		doctor_add(report, "consul", DOCTOR_FAILED, xasprintf(_("Consul %s runs and does not answer"), version),
			   xstrdup(_("Look why: journalctl -u consul; curl must be installed to ask it")));
	else if (facts_has(view->facts, "agent_unit"))
		doctor_add(report, "consul", DOCTOR_FAILED,
			   xasprintf(_("Consul %s is installed and does not run"), version),
			   xstrdup(_("Start it: systemctl start consul; or run tepuy host apply")));
	else
		doctor_add(report, "consul", DOCTOR_OK,
			   xasprintf(_("Consul %s is installed and not set up yet; tepuy host apply does it"), version),
			   NULL);
}

void doctor_members(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_strv_ struct strv failed = { 0 };
	_cleanup_(freep) char *list = NULL;
	size_t alive = doctor_alive(view);

	if (!has_leader(view))
		return;
	for (size_t i = 0; i < view->facts->n; i++) {
		const struct fact *fact = &view->facts->list[i];
		size_t len = strlen(fact->value);

		if (!strcmp(fact->key, "member") && len > 2 && !strcmp(fact->value + len - 2, " 4"))
			strv_take(&failed, xstrndup(fact->value, strcspn(fact->value, " ")));
	}
	list = strv_join(&failed, ", ");
	if (failed.n)
		doctor_add(report, "members", DOCTOR_WARNING,
			   xasprintf(_("Of %zu hosts these are away: %s"), alive + failed.n, list),
			   xstrdup(_("Look after them; one that never comes back: tepuy host remove")));
	else if (alive)
		doctor_add(report, "members", DOCTOR_OK, xasprintf(_("All hosts of the cluster are alive: %zu"), alive),
			   NULL);
	else
		doctor_say(report, "members", DOCTOR_UNKNOWN, _("Consul does not show who is in the cluster"),
			   _("Ask as root, who may read this host's token"));
}

/* 200 and 404 are answers, 403 is a refusal. */
static bool answers(const char *status)
{
	return !strcmp(status, "200") || !strcmp(status, "404");
}

static void doctor_open(const struct doctor_view *view, struct doctor_report *report)
{
	bool alone = doctor_alive(view) <= 1;

	doctor_say(report, "acl", alone ? DOCTOR_WARNING : DOCTOR_FAILED,
		   alone ? _("Consul answers everybody on this host, without a token")
			 : _("Consul answers everybody without a token"),
		   _("Turn Consul's access lists on: tepuy host apply does"));
}

void doctor_acl(const struct doctor_view *view, struct doctor_report *report)
{
	const char *anonymous = get(view, "consul_anonymous"), *ours = get(view, "consul_key"),
		   *token = get(view, "consul_token");
	const char *again = _("Run tepuy host apply: it makes the token anew");

	if (!has_leader(view))
		return;
	if (answers(anonymous))
		doctor_open(view, report);
	else if (!strcmp(token, "unreadable"))
		doctor_say(report, "acl", DOCTOR_UNKNOWN, _("Consul asks for a token; only root can read this host's"),
			   NULL);
	else if (!*token)
		doctor_say(report, "acl", DOCTOR_FAILED, _("Consul asks for a token, and this host has none"), again);
	else if (answers(ours))
		doctor_say(report, "acl", DOCTOR_OK, _("Consul answers this host's token and nobody without one"),
			   NULL);
	else if (!strcmp(ours, "403"))
		doctor_say(report, "acl", DOCTOR_FAILED, _("Consul refuses this host's token"), again);
	else
		doctor_say(report, "acl", DOCTOR_UNKNOWN, _("Consul did not answer"), NULL);
}

static bool is_set(const struct doctor_view *view, const char *name)
{
	const char *value = facts_of(view->facts, "consul_setting", name);

	return value && !strcmp(value, "true");
}

void doctor_encryption(const struct doctor_view *view, struct doctor_report *report)
{
	bool server = is_set(view, "Server"), gossip = is_set(view, "encrypted");
	bool tls = is_set(view, "VerifyOutgoing") && is_set(view, "VerifyServerHostname") &&
		   (!server || is_set(view, "VerifyIncoming") || is_set(view, "VerifyIncomingRPC"));

	if (!has_leader(view) || doctor_alive(view) <= 1)
		return;
	if (strcmp(get(view, "consul_self"), "200"))
		doctor_say(report, "encryption", DOCTOR_UNKNOWN, _("Consul does not show how it is set up"), NULL);
	else if (gossip && tls)
		doctor_say(report, "encryption", DOCTOR_OK,
			   _("Consul encrypts gossip, and checks certificates on its RPC"), NULL);
	else
		doctor_say(report, "encryption", DOCTOR_FAILED,
			   gossip ? _("Consul's RPC does not check certificates")
			   : tls  ? _("Consul's gossip is not encrypted")
				  : _("Consul speaks in the clear between hosts"),
			   _("Run tepuy host apply: it gives the hosts keys and certificates"));
}

/* A port that nobody holds is free to be taken. */
void doctor_ports(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_strv_ struct strv wrong = { 0 };
	_cleanup_(freep) char *list = NULL, *peer = xasprintf("%u", view->peer_port);
	bool any = false, untold = false;

	for (size_t i = 0; i < view->facts->n; i++) {
		const char *value = view->facts->list[i].value;
		char port[8], state[8], holder[64] = "";
		const char *owner;

		if (strcmp(view->facts->list[i].key, "port") || sscanf(value, "%7s %7s %63s", port, state, holder) < 2)
			continue;
		any = true;
		owner = strcmp(port, peer) ? "consul" : "tepuy";
		if (!strcmp(state, "held") && !*holder)
			untold = true;
		else if (!strcmp(state, "held") && strcmp(holder, owner))
			strv_addf(&wrong, _("%s by %s"), port, holder);
	}
	list = strv_join(&wrong, ", ");
	if (wrong.n)
		doctor_add(report, "ports", DOCTOR_FAILED, xasprintf(_("Ports that are needed are held: %s"), list),
			   xstrdup(_("Stop what holds them, or give it other ports")));
	else if (!any)
		doctor_say(report, "ports", DOCTOR_UNKNOWN, _("The machine does not say who holds its ports"), NULL);
	else if (untold)
		doctor_say(report, "ports", DOCTOR_UNKNOWN, _("Ports are held; only root can see by whom"), NULL);
	else
		doctor_say(report, "ports", DOCTOR_OK, _("The ports that are needed are free, or held by who should"),
			   NULL);
}

static const char *member(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

void doctor_agent(const struct doctor_view *view, struct doctor_report *report)
{
	_cleanup_json_value_ json_t *json = json_loads(get(view, "agent"), 0, NULL);
	const json_t *agent = json_object_get(json, "agent");
	const char *version = member(agent, "version");

	if (!facts_has(view->facts, "tepuy")) {
		doctor_say(report, "agent", DOCTOR_WARNING, _("tepuy is not on this machine yet"),
			   _("Make it a host: tepuy host apply"));
		return;
	}
	if (!json_is_object(agent) && !doctor_is_root(view))
		doctor_say(report, "agent", DOCTOR_UNKNOWN, _("Only root and the group tepuy can ask the agent"), NULL);
	else if (!json_is_object(agent))
		doctor_say(report, "agent", DOCTOR_FAILED,
			   strcmp(get(view, "agent_unit"), "active") ? _("The agent does not run")
								     : _("The agent runs and does not answer"),
			   _("Look why: journalctl -u tepuy-agent; start it: systemctl start tepuy-agent"));
	else if (strcmp(version, view->version))
		doctor_add(report, "agent", DOCTOR_WARNING,
			   xasprintf(_("The agent is of version %s, this tepuy of %s"), version, view->version),
			   xstrdup(_("Bring them together: tepuy host upgrade")));
	else if (*member(agent, "trouble"))
		doctor_say(report, "agent", DOCTOR_FAILED, member(agent, "trouble"), NULL);
	else if (!json_is_object(json_object_get(agent, "consul")) ||
		 !*member(json_object_get(agent, "consul"), "version"))
		doctor_add(report, "agent", DOCTOR_WARNING,
			   xasprintf(_("The agent of %s runs and does not reach Consul"), member(agent, "host")),
			   xstrdup(_("Nodes run on as last told; see what is said of Consul")));
	else
		doctor_add(report, "agent", DOCTOR_OK,
			   xasprintf(_("Version %s, as host %s (%s)"), version, member(agent, "host"),
				     member(agent, "address")),
			   NULL);
}

/* Days until the certificate ends, negative when it has. -1: it is no certificate. */
static int days_left(const char *base64, int64_t now_ms, int *ret)
{
	_cleanup_buf_ struct buf der = { 0 };
	const unsigned char *at;
	time_t now = (time_t)(now_ms / 1000);
	ASN1_TIME *reference;
	X509 *certificate;
	int seconds = 0, ok;

	if (base64_decode(&der, base64, strlen(base64)) < 0 || !der.len)
		return -1;
	at = (const unsigned char *)der.data;
	certificate = d2i_X509(NULL, &at, (long)der.len);
	if (!certificate)
		return -1;
	reference = ASN1_TIME_set(NULL, now);
	ok = reference && ASN1_TIME_diff(ret, &seconds, reference, X509_get0_notAfter(certificate));
	if (ok && !*ret && seconds < 0)
		*ret = -1;
	ASN1_TIME_free(reference);
	X509_free(certificate);
	return ok ? 0 : -1;
}

void doctor_certificate(const struct doctor_view *view, struct doctor_report *report)
{
	const char *renew = _("Renew it: tepuy host apply does what is due");
	int days;

	if (!facts_has(view->facts, "certificate"))
		return;
	if (days_left(get(view, "certificate"), view->now_ms, &days) < 0)
		doctor_say(report, "certificate", DOCTOR_FAILED, _("The host's certificate cannot be read"), renew);
	else if (days < 0)
		doctor_add(report, "certificate", DOCTOR_FAILED,
			   xasprintf(_("The host's certificate ended %d days ago"), -days), xstrdup(renew));
	else
		doctor_add(report, "certificate",
			   days < DAYS_LEAST  ? DOCTOR_FAILED
			   : days < DAYS_FINE ? DOCTOR_WARNING
					      : DOCTOR_OK,
			   xasprintf(_("The host's certificate is good for %d days"), days),
			   days < DAYS_FINE ? xstrdup(renew) : NULL);
}

/* Members that are alive and not among the table's hosts. */
static void shut_out(const struct doctor_view *view, struct strv *to)
{
	const char *hosts = get(view, "firewall_hosts");

	for (size_t i = 0; i < view->facts->n; i++) {
		char name[128], address[64], status[8];
		const char *at = hosts;

		if (strcmp(view->facts->list[i].key, "member") || strchr(view->facts->list[i].value, ':') ||
		    sscanf(view->facts->list[i].value, "%127s %63s %7s", name, address, status) != 3 ||
		    strcmp(status, "1"))
			continue;
		while ((at = strstr(at, address)) != NULL) {
			size_t len = strlen(address);

			if ((at == hosts || at[-1] == ' ') && (!at[len] || at[len] == ' '))
				break;
			at += len;
		}
		if (!at)
			strv_add(to, name);
	}
}

static void doctor_table(const struct doctor_view *view, struct doctor_report *report)
{
	const char *restart = _("Restart the agent, which makes it anew: systemctl restart tepuy-agent");
	_cleanup_strv_ struct strv out = { 0 };
	_cleanup_(freep) char *list = NULL;

	shut_out(view, &out);
	list = strv_join(&out, ", ");
	if (facts_number(view->facts, "firewall") != RULES)
		doctor_say(report, "firewall", DOCTOR_FAILED, _("The table inet tepuy is not as the agent makes it"),
			   restart);
	else if (out.n)
		doctor_add(report, "firewall", DOCTOR_FAILED,
			   xasprintf(_("The table inet tepuy does not know these hosts: %s"), list), xstrdup(restart));
	else
		doctor_say(report, "firewall", DOCTOR_OK,
			   _("Ports that no service publishes are for the cluster's hosts only"), NULL);
}

void doctor_firewall(const struct doctor_view *view, struct doctor_report *report)
{
	const char *fact = get(view, "firewall");
	size_t alive = doctor_alive(view);

	if (!facts_has(view->facts, "tepuy") || !has_leader(view))
		return;
	if (!strcmp(fact, "no-nft"))
		doctor_say(report, "firewall", alive == 1 ? DOCTOR_WARNING : DOCTOR_FAILED,
			   _("nft is not there: ports that no service publishes are open to everybody"),
			   _("Install it: apt-get install nftables"));
	else if (!*fact)
		doctor_say(report, "firewall", DOCTOR_UNKNOWN, _("Only root can see the firewall"), NULL);
	else if (strcmp(fact, "absent"))
		doctor_table(view, report);
	else if (!alive)
		doctor_say(report, "firewall", DOCTOR_UNKNOWN,
			   _("There is no table inet tepuy, and Consul does not show whether there are other hosts"),
			   NULL);
	else if (alive == 1)
		doctor_say(report, "firewall", DOCTOR_OK,
			   _("No table is needed on the only host as long as no node runs, or "
			     "nodes' ports are bound to Docker's own bridge"),
			   NULL);
	else
		doctor_say(
		    report, "firewall", DOCTOR_FAILED,
		    _("The table inet tepuy is not there: ports that no service publishes are open to everybody"),
		    _("See what the agent says of it: journalctl -u tepuy-agent"));
}
