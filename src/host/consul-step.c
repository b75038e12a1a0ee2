/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `consul`: certificates and configuration in place, the service running with them. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/run.h"
#include "consul/consul.h"
#include "host/consul-config.h"
#include "host/identity.h"
#include "host/pki.h"
#include "host/place.h"
#include "host/service.h"
#include "host/stamp.h"
#include "host/step.h"

#define ANSWER_MS 60000
#define AGENT_UNIT "tepuy-agent.service"
/* What `consul validate` judges before it is put in place: a directory as /etc/consul.d will be. */
#define TRIAL "/run/tepuy-setup-consul"

struct wish {
	struct pki_host host;
	struct strv servers;
	int64_t bootstrap_expect;
	const char *certificate, *ca, *sealed; /* borrowed */
	json_t *secrets;
	char *config;
	gid_t group; /* of Consul */
};

static void wish_release(struct wish *wish)
{
	strv_release(&wish->servers);
	json_decref(wish->secrets);
	pki_wipe(&wish->config);
}

static const char *secret(const struct wish *wish, const char *name)
{
	return json_string_value(json_object_get(wish->secrets, name));
}

static int read_servers(const json_t *input, struct wish *wish, struct err *err)
{
	const json_t *list, *server;
	size_t i;
	int r = input_list(input, "servers", &list, err);

	if (r < 0)
		return r;
	json_array_foreach(list, i, server)
	{
		if (!json_is_string(server) || !input_is_address(json_string_value(server)))
			return err_set(err, EINVAL, _("The input's 'servers' must be a list of addresses"));
		strv_add(&wish->servers, json_string_value(server));
	}
	if (!wish->servers.n)
		return err_set(err, EINVAL, _("The input's 'servers' is empty"));
	return 0;
}

static int read_wish(const json_t *input, struct wish *wish, struct err *err)
{
	static const char *const keys[] = { "name",        "address", "datacenter",
					    "server",      "servers", "bootstrap_expect",
					    "certificate", "ca",      "sealed",
					    NULL };
	int r = input_keys(input, keys, err);

	if (r == 0)
		r = identity_read(input, true, &wish->host, err);
	if (r == 0)
		r = read_servers(input, wish, err);
	if (r == 0)
		r = input_number(input, "bootstrap_expect", 1, 9, (int64_t)wish->servers.n, &wish->bootstrap_expect,
				 err);
	if (r == 0)
		r = input_text(input, "certificate", &wish->certificate, err);
	if (r == 0)
		r = input_text(input, "ca", &wish->ca, err);
	if (r == 0)
		r = input_text(input, "sealed", &wish->sealed, err);
	return r;
}

static char *utc(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return xstrdup(text);
}

static int check_time(const struct wish *wish, struct err *err)
{
	_cleanup_pki_info_ struct pki_info info = { 0 };
	_cleanup_(freep) char *from = NULL, *until = NULL, *here = NULL;
	int64_t now = clock_realtime_ms();
	int r = pki_info(wish->certificate, &info, err);

	if (r < 0 || (info.not_before <= now && now < info.not_after))
		return r;
	from = utc(info.not_before), until = utc(info.not_after), here = utc(now);
	return err_set(
	    err, EKEYEXPIRED,
	    _("The certificate is valid from %s to %s, and this host's clock says %s: set the clock, best by "
	      "NTP, or renew the certificate"),
	    from, until, here);
}

/* A host does not change from one cluster to another by mistake. */
static int check_cluster(const struct wish *wish, struct err *err)
{
	_cleanup_(freep) char *known = NULL;
	_cleanup_pki_info_ struct pki_info a = { 0 }, b = { 0 };
	int r = place_read_text(PLACE_HOST_CA, &known, err);

	if (r != 0)
		return r < 0 ? r : 0;
	if (pki_info(known, &a, NULL) < 0)
		return 0;
	r = pki_info(wish->ca, &b, err);
	if (r == 0 && strcmp(a.fingerprint, b.fingerprint) != 0)
		r = err_set(
		    err, EEXIST,
		    _("This host belongs to another cluster (authority %.16s…, not %.16s…): take it out of that "
		      "one first with 'leave'"),
		    a.fingerprint, b.fingerprint);
	return r;
}

static int check_certificate(const struct wish *wish, struct err *err)
{
	_cleanup_(pki_wipe) char *key = NULL;
	int r = place_read_text(PLACE_HOST_KEY, &key, err);

	if (r == 1)
		r = err_set(err, ENOENT, _("This host has no key: run 'identity'"));
	if (r == 0 && !pki_is_key_of(wish->certificate, key))
		r = err_set(err, EBADMSG,
			    _("The certificate is not for this host's key: run 'identity' and 'sign' again"));
	if (r == 0)
		r = authority_recognises(wish->ca, wish->certificate, wish->host.name, err);
	if (r == 0 && !pki_fits(wish->certificate, &wish->host))
		r = err_set(
		    err, EBADMSG,
		    _("The certificate is for another name, address or role than this host's: run 'sign' again"));
	if (r == 0)
		r = check_time(wish, err);
	return r < 0 ? r : check_cluster(wish, err);
}

static bool is_gossip_key(const char *text)
{
	_cleanup_buf_ struct buf bytes = { 0 };

	return text && base64_decode(&bytes, text, strlen(text)) == 0 && (bytes.len == 16 || bytes.len == 32);
}

static int open_seal(struct wish *wish, struct err *err)
{
	int r = sealed_unpack(wish->sealed, wish->certificate, &wish->secrets, err);

	if (r < 0)
		return r;
	if (!is_gossip_key(secret(wish, "gossip")) ||
	    (wish->host.server && (!secret(wish, "ca_key") || !secret(wish, "management"))))
		return err_set(err, EBADMSG, _("What was sealed for this host lacks something: run 'sign' again"));
	return 0;
}

static int consul_group(gid_t *ret, struct err *err)
{
	struct group *group = getgrnam("consul");

	if (!group)
		return err_set(err, ENOENT, _("This host has no group consul: run 'consul-package'"));
	*ret = group->gr_gid;
	return 0;
}

static void make_config(struct wish *wish, const char *tls, char **ret)
{
	struct consul_config config = { .host = wish->host,
					.servers = &wish->servers,
					.bootstrap_expect = (int)wish->bootstrap_expect,
					.gossip = secret(wish, "gossip"),
					.management = secret(wish, "management"),
					.tls = tls,
					.data = PLACE_CONSUL_DATA };

	*ret = consul_config_text(&config);
}

/* The three files of Consul's TLS, in `directory`. */
static int write_tls(const struct wish *wish, const char *directory, bool *changed, struct err *err)
{
	_cleanup_(freep) char *key_path = xasprintf("%s/key.pem", directory);
	_cleanup_(freep) char *certificate_path = xasprintf("%s/cert.pem", directory);
	_cleanup_(freep) char *ca_path = xasprintf("%s/ca.pem", directory);
	_cleanup_(pki_wipe) char *key = NULL;
	int r = place_read_text(PLACE_HOST_KEY, &key, err);

	if (r == 0)
		r = place_directory(directory, wish->group, 0750, NULL, err);
	if (r == 0)
		r = place_write_text(key_path, key, wish->group, 0640, changed, err);
	if (r == 0)
		r = place_write_text(certificate_path, wish->certificate, wish->group, 0640, changed, err);
	return r < 0 ? r : place_write_text(ca_path, wish->ca, wish->group, 0640, changed, err);
}

/* What Consul itself says about the new files, beside the host's own ones, before they are put in place. */
static int validate(const struct wish *wish, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = 30000 };
	_cleanup_buf_ struct buf output = { 0 };
	_cleanup_(pki_wipe) char *trial = NULL;
	int r = place_remove(TRIAL, err);

	if (r == 0)
		r = place_directory(TRIAL, 0, 0700, NULL, err);
	if (r == 0)
		r = write_tls(wish, TRIAL "/tls", NULL, err);
	make_config((struct wish *)wish, TRIAL "/tls", &trial);
	if (r == 0)
		r = place_write_text(TRIAL "/tepuy.json", trial, 0, 0600, NULL, err);
	if (r == 0) {
		strv_add_all(&run.argv, "consul", "validate", "-quiet", TRIAL "/tepuy.json", NULL);
		r = run_checked(&run, &output, err);
		if (r < 0)
			err_wrap(err, _("Consul refuses its new configuration"));
	}
	place_remove(TRIAL, NULL);
	return r;
}

/* A file as it must be. Paths are constants, texts borrowed. */
struct file {
	const char *path, *text;
	mode_t mode;
	bool consul; /* its group may read it */
};

enum { MOST_FILES = 10 };

/* All files but the key, which Consul gets a copy of. Consul's configuration is the last: it names the others. */
static size_t list_files(const struct wish *wish, const char *key, struct file *files)
{
	const struct file server[] = {
		{ PLACE_CA_KEY, secret(wish, "ca_key"), 0600, false },
		{ PLACE_GOSSIP_KEY, secret(wish, "gossip"), 0600, false },
		{ PLACE_MANAGEMENT, secret(wish, "management"), 0600, false },
		{ PLACE_CA, wish->ca, 0644, false },
	};
	const struct file all[] = {
		{ PLACE_HOST_CA, wish->ca, 0644, false },
		{ PLACE_HOST_CERT, wish->certificate, 0644, false },
		{ PLACE_CONSUL_TLS "/key.pem", key, 0640, true },
		{ PLACE_CONSUL_TLS "/cert.pem", wish->certificate, 0640, true },
		{ PLACE_CONSUL_TLS "/ca.pem", wish->ca, 0640, true },
		{ PLACE_CONSUL_CONFIG, wish->config, 0640, true },
	};
	size_t n = 0;

	for (size_t i = 0; wish->host.server && i < ARRAY_SIZE(server); i++)
		files[n++] = server[i];
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		files[n++] = all[i];
	return n;
}

static int write_files(const struct wish *wish, const struct file *files, size_t n, struct err *err)
{
	int r = 0;

	if (!place_holds(PLACE_CONSUL_CONFIG, wish->config, strlen(wish->config)))
		r = validate(wish, err);
	if (r == 0)
		r = place_directory(PLACE_TLS, 0, 0755, NULL, err);
	if (r == 0)
		r = place_directory(PLACE_CONSUL_TLS, wish->group, 0750, NULL, err);
	if (r == 0 && wish->host.server)
		r = place_directory(PLACE_AUTHORITY, 0, 0700, NULL, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = place_write_text(files[i].path, files[i].text, files[i].consul ? wish->group : 0, files[i].mode,
				     NULL, err);
	return r;
}

/* Before anything is written: what does the Consul that runs have? */
static void adopt(void)
{
	_cleanup_buf_ struct buf config = { 0 }, certificate = { 0 };
	_cleanup_strv_ struct strv tls = { 0 }, all = { 0 };
	_cleanup_(pki_wipe) char *essence = NULL;

	strv_add_all(&tls, PLACE_CONSUL_TLS "/key.pem", PLACE_CONSUL_TLS "/cert.pem", PLACE_CONSUL_TLS "/ca.pem", NULL);
	strv_add(&all, PLACE_CONSUL_CONFIG);
	if (place_read(PLACE_CONSUL_CONFIG, &config, NULL) == 0)
		essence = consul_config_essence(buf_text(&config));
	if (essence)
		stamp_adopt(CONSUL_UNIT, "config", essence, &all);
	if (place_read(PLACE_CONSUL_TLS "/cert.pem", &certificate, NULL) == 0)
		stamp_adopt(CONSUL_UNIT, "tls", buf_text(&certificate), &tls);
}

static int put_files(struct step *step, const struct wish *wish, struct err *err)
{
	_cleanup_(pki_wipe) char *key = NULL;
	struct file files[MOST_FILES];
	bool same = true;
	size_t n;
	int r = place_read_text(PLACE_HOST_KEY, &key, err);

	if (r < 0)
		return r;
	n = list_files(wish, key, files);
	for (size_t i = 0; i < n; i++)
		same &= place_is(files[i].path, files[i].text, files[i].consul ? wish->group : 0, files[i].mode);
	if (same) {
		step_unchanged(step, "files", _("Certificates and Consul's configuration are in place"));
		return 0;
	}
	step_begin(step, "files", _("Writing certificates and Consul's configuration"));
	r = write_files(wish, files, n, err);
	if (r == 0)
		step_done(step, _("Certificates and Consul's configuration are written"));
	return r;
}

/* A server answers before it has a leader: the others may not be there yet. */
static int wait_for_consul(struct step *step, bool server, char **ret_leader, struct err *err)
{
	_cleanup_(consul_freep) struct consul *consul = consul_new(NULL, NULL, NULL);
	int64_t until = clock_monotonic_ms() + ANSWER_MS;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		_cleanup_(freep) char *text = NULL;
		int r = consul_leader(consul, ret_leader, &why);

		if (r == 0 || (server && r == -EAGAIN))
			return 0;
		text =
		    xasprintf(_("Consul was started and finds no server of its cluster (%s): is TCP port 8300 and "
				"TCP and UDP port 8301 open between the hosts, and their clocks right? See journalctl "
				"-u consul"),
			      err_text(&why));
		r = step_pause(step, until, text, err);
		if (r < 0)
			return r;
		step_waiting(step, _("Waiting for Consul"));
	}
}

static int bring_up(struct step *step, const struct wish *wish, char **ret_leader, struct err *err)
{
	_cleanup_(pki_wipe) char *essence = consul_config_essence(wish->config);
	bool active = service_active(CONSUL_UNIT);
	bool restart = active && !stamp_is(CONSUL_UNIT, "config", essence);
	bool reload = active && !stamp_is(CONSUL_UNIT, "tls", wish->certificate);
	int r = service_bring_up(step, CONSUL_UNIT, restart, reload, err);

	if (r == 0) {
		stamp_set(CONSUL_UNIT, "config", essence);
		stamp_set(CONSUL_UNIT, "tls", wish->certificate);
		r = wait_for_consul(step, wish->host.server, ret_leader, err);
	}
	if (r == 0 && step->item)
		step_done(step, *ret_leader ? _("Consul answers and knows a leader") : _("Consul answers"));
	return r;
}

/* tepuy's agent reads its certificate when it starts; its nodes do not notice. */
static int tell_agent(struct step *step, const struct wish *wish, struct err *err)
{
	int r;

	if (!service_active(AGENT_UNIT))
		return 0;
	if (stamp_is(AGENT_UNIT, "tls", wish->certificate)) {
		step_unchanged(step, "agent", _("tepuy-agent has this certificate"));
		return 0;
	}
	step_begin(step, "agent", _("Restarting tepuy-agent for its new certificate"));
	r = service_do("restart", AGENT_UNIT, err);
	if (r < 0)
		return r;
	stamp_set(AGENT_UNIT, "tls", wish->certificate);
	step_done(step, _("tepuy-agent has its new certificate"));
	return 0;
}

int step_consul(struct step *step, json_t **ret, struct err *err)
{
	_cleanup_(wish_release) struct wish wish = { 0 };
	_cleanup_(freep) char *leader = NULL;
	int r = read_wish(step->input, &wish, err);

	if (r == 0)
		r = check_certificate(&wish, err);
	if (r == 0)
		r = open_seal(&wish, err);
	if (r == 0)
		r = consul_group(&wish.group, err);
	if (r < 0)
		return r;
	make_config(&wish, PLACE_CONSUL_TLS, &wish.config);
	adopt();
	r = put_files(step, &wish, err);
	if (r == 0)
		r = bring_up(step, &wish, &leader, err);
	if (r == 0)
		r = tell_agent(step, &wish, err);
	if (r == 0)
		*ret = json_pack("{s:s?}", "leader", leader);
	return r;
}
