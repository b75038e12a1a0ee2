/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps `authority` and `sign`: the cluster's own certificate authority, on its servers. */
#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "host/identity.h"
#include "host/pki.h"
#include "host/place.h"
#include "host/step.h"

/* What a server has of the cluster. */
struct authority {
	char *ca, *ca_key, *gossip, *management;
};

static void authority_release(struct authority *authority)
{
	free(authority->ca);
	pki_wipe(&authority->ca_key);
	pki_wipe(&authority->gossip);
	pki_wipe(&authority->management);
}

#define _cleanup_authority_ _cleanup_(authority_release)

static int read_part(const char *path, char **ret, struct err *err)
{
	int r = place_read_text(path, ret, err);

	return r == 1 ? err_set(err, ENOENT,
				_("%s is missing: this host is not one of the servers that have the cluster's "
				  "authority; run 'authority', or choose another server"),
				path)
		      : r;
}

static int authority_load(struct authority *ret, struct err *err)
{
	_cleanup_authority_ struct authority found = { 0 };
	int r = read_part(PLACE_CA, &found.ca, err);

	if (r == 0)
		r = read_part(PLACE_CA_KEY, &found.ca_key, err);
	if (r == 0)
		r = read_part(PLACE_GOSSIP_KEY, &found.gossip, err);
	if (r == 0)
		r = read_part(PLACE_MANAGEMENT, &found.management, err);
	if (r < 0)
		return r;
	*ret = found;
	found = (struct authority){ 0 };
	return 0;
}

int authority_certificate(char **ret_ca, struct err *err)
{
	int r = place_read_text(PLACE_CA, ret_ca, err);

	if (r == 1)
		r = place_read_text(PLACE_HOST_CA, ret_ca, err);
	return r == 1
		   ? err_set(err, ENOENT, _("This host has no certificate of a cluster's authority: run 'authority'"))
		   : r;
}

int authority_recognises(const char *ca, const char *certificate, const char *name, struct err *err)
{
	int r = pki_signed_by(certificate, ca, err);

	if (r < 0)
		return r;
	if (!pki_has_name(certificate, name))
		return err_set(err, EBADMSG, _("The certificate given for host %s is not one of that name"), name);
	return 0;
}

int sealed_pack(const char *certificate, const json_t *secrets, char **ret_sealed, struct err *err)
{
	_cleanup_(pki_wipe) char *text = json_dumps(secrets, JSON_COMPACT | JSON_SORT_KEYS);

	return pki_seal(certificate, text, strlen(text), ret_sealed, err);
}

int sealed_unpack(const char *sealed, const char *certificate, json_t **ret, struct err *err)
{
	_cleanup_(pki_wipe) char *key = NULL;
	_cleanup_(pki_wipe_buf) struct buf text = { 0 };
	int r = place_read_text(PLACE_HOST_KEY, &key, err);
	json_t *secrets;

	if (r == 1)
		return err_set(err, ENOENT, _("This host has no key: run 'identity'"));
	if (r == 0)
		r = pki_open(sealed, certificate, key, &text, err);
	if (r < 0)
		return r;
	secrets = json_loadb(buf_text(&text), text.len, 0, NULL);
	if (!json_is_object(secrets)) {
		json_decref(secrets);
		return err_set(err, EBADMSG, _("What was sealed for this host cannot be understood"));
	}
	*ret = secrets;
	return 0;
}

int sealed_unpack_here(const char *sealed, json_t **ret, struct err *err)
{
	_cleanup_(freep) char *certificate = NULL;
	int r = place_read_text(PLACE_HOST_CERT, &certificate, err);

	if (r == 1)
		return err_set(err, ENOENT, _("This host has no certificate: run 'consul'"));
	return r < 0 ? r : sealed_unpack(sealed, certificate, ret, err);
}

static int make_gossip_key(char **ret, struct err *err)
{
	unsigned char bytes[32];
	struct buf text = { 0 };
	int r = pki_random(bytes, sizeof(bytes), err);

	if (r < 0)
		return r;
	base64_encode(&text, bytes, sizeof(bytes));
	*ret = buf_take(&text);
	return 0;
}

static int make_token(char **ret, struct err *err)
{
	unsigned char bytes[16];
	int r = pki_random(bytes, sizeof(bytes), err);

	if (r == 0)
		*ret = pki_uuid(bytes);
	return r;
}

/* Keeps what a run that was killed made. */
static int keep_or_make(const char *path, int (*make)(char **ret, struct err *err), char **ret, struct err *err)
{
	int r = place_read_text(path, ret, err);

	if (r == 1)
		r = make(ret, err);
	return r < 0 ? r : place_write_text(path, *ret, 0, 0600, NULL, err);
}

static int create(const char *datacenter, char **ret_ca, struct err *err)
{
	_cleanup_authority_ struct authority made = { 0 };
	int r = place_directory(PLACE_AUTHORITY, 0, 0700, NULL, err);

	if (r == 0)
		r = keep_or_make(PLACE_CA_KEY, pki_key_new, &made.ca_key, err);
	if (r == 0)
		r = keep_or_make(PLACE_GOSSIP_KEY, make_gossip_key, &made.gossip, err);
	if (r == 0)
		r = keep_or_make(PLACE_MANAGEMENT, make_token, &made.management, err);
	if (r == 0)
		r = pki_authority(made.ca_key, datacenter, clock_realtime_ms(), &made.ca, err);
	/* Last: without it there is no authority. */
	if (r == 0)
		r = place_write_text(PLACE_CA, made.ca, 0, 0644, NULL, err);
	if (r < 0)
		return r;
	*ret_ca = TAKE_PTR(made.ca);
	return 0;
}

static int find_or_create(struct step *step, const char *datacenter, bool may_create, char **ret_ca, struct err *err)
{
	int r = place_read_text(PLACE_CA, ret_ca, err);

	if (r < 0)
		return r;
	if (r == 0 || !may_create) {
		step_unchanged(step, "authority",
			       r == 0 ? _("This host has the cluster's authority") : _("This host has no authority"));
		return 0;
	}
	if (place_exists(PLACE_HOST_CA))
		return err_set(
		    err, EEXIST,
		    _("This host belongs to a cluster whose authority is on its servers: ask those, or take the "
		      "host out of that cluster with 'leave'"));
	step_begin(step, "authority", _("Making the authority of the cluster %s"), datacenter);
	r = create(datacenter, ret_ca, err);
	if (r == 0)
		step_done(step, _("The authority of the cluster %s is made"), datacenter);
	return r;
}

int step_authority(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "datacenter", "create", NULL };
	_cleanup_pki_info_ struct pki_info info = { 0 };
	_cleanup_(freep) char *ca = NULL;
	const char *datacenter;
	bool may_create;
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_name(step->input, "datacenter", &datacenter, err);
	if (r == 0)
		r = input_flag(step->input, "create", false, &may_create, err);
	if (r == 0)
		r = find_or_create(step, datacenter, may_create, &ca, err);
	if (r == 0 && ca)
		r = pki_info(ca, &info, err);
	if (r == 0)
		*ret = json_pack("{s:s?, s:s?}", "ca", ca, "fingerprint", info.fingerprint);
	return r;
}

/* May the host keep the certificate that it has? */
static bool still_good(const struct authority *authority, const struct pki_host *host, const char *request,
		       const char *certificate, int64_t now)
{
	_cleanup_pki_info_ struct pki_info info = { 0 };

	return certificate && pki_info(certificate, &info, NULL) == 0 && info.not_before <= now &&
	       info.not_after - now > PKI_RENEW_DAYS * PKI_DAY_MS && pki_same_key(certificate, request) &&
	       pki_fits(certificate, host) && pki_signed_by(certificate, authority->ca, NULL) == 0;
}

static json_t *secrets_for(const struct authority *authority, bool server)
{
	if (!server)
		return json_pack("{s:s}", "gossip", authority->gossip);
	return json_pack("{s:s, s:s, s:s}", "gossip", authority->gossip, "ca_key", authority->ca_key, "management",
			 authority->management);
}

static int sign_one(struct step *step, const struct authority *authority, const struct pki_host *host,
		    const char *request, const char *had, bool renew, json_t *hosts, struct err *err)
{
	_cleanup_json_ json_t *secrets = secrets_for(authority, host->server);
	_cleanup_(freep) char *certificate = NULL, *sealed = NULL;
	int64_t now = clock_realtime_ms();
	bool keep = !renew && still_good(authority, host, request, had, now);
	int r = 0;

	if (keep) {
		certificate = xstrdup(had);
		step_unchanged(step, host->name, _("The certificate of %s is good"), host->name);
	} else {
		step_begin(step, host->name, _("Signing a certificate for %s"), host->name);
		r = pki_issue(authority->ca, authority->ca_key, request, host, now, &certificate, err);
		if (r < 0)
			return r;
	}
	r = sealed_pack(certificate, secrets, &sealed, err);
	if (r < 0)
		return r;
	if (!keep)
		step_done(step, _("%s has a certificate for %d days"), host->name, PKI_HOST_DAYS);
	return json_array_append_new(hosts,
				     json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", host->name, "certificate",
					       certificate, "ca", authority->ca, "sealed", sealed, "issued", !keep));
}

static int sign_request(struct step *step, const struct authority *authority, const char *datacenter,
			const json_t *request, bool renew, json_t *hosts, struct err *err)
{
	static const char *const keys[] = { "name", "server", "address", "csr", "certificate", NULL };
	struct pki_host host = { .datacenter = datacenter };
	const char *csr = "", *had = NULL;
	int r = input_keys(request, keys, err);

	if (r == 0)
		r = identity_read(request, false, &host, err);
	if (r == 0)
		r = input_text(request, "csr", &csr, err);
	if (r == 0)
		r = input_text_or_null(request, "certificate", &had, err);
	return r < 0 ? r : sign_one(step, authority, &host, csr, had, renew, hosts, err);
}

int step_sign(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "datacenter", "renew", "requests", NULL };
	_cleanup_authority_ struct authority authority = { 0 };
	_cleanup_json_ json_t *hosts = json_array();
	const json_t *requests = NULL, *request;
	const char *datacenter;
	bool renew;
	size_t i;
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_name(step->input, "datacenter", &datacenter, err);
	if (r == 0)
		r = input_flag(step->input, "renew", false, &renew, err);
	if (r == 0)
		r = input_list(step->input, "requests", &requests, err);
	if (r == 0)
		r = authority_load(&authority, err);
	json_array_foreach(requests, i, request)
	{
		if (r < 0)
			break;
		r = sign_request(step, &authority, datacenter, request, renew, hosts, err);
	}
	if (r < 0)
		return r;
	*ret = json_pack("{s:O}", "hosts", hosts);
	return 0;
}
