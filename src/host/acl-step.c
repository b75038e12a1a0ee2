/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `acl`: a token of least privilege for each host, sealed for it. */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "host/acl.h"
#include "host/identity.h"
#include "host/pki.h"
#include "host/place.h"

static int one_host(struct step *step, struct consul *consul, const char *ca, const json_t *row, json_t *hosts,
		    struct err *err)
{
	static const char *const keys[] = { "name", "certificate", NULL };
	_cleanup_json_ json_t *secrets = NULL;
	_cleanup_(pki_wipe) char *token = NULL;
	_cleanup_(freep) char *sealed = NULL;
	const char *name, *certificate;
	bool changed = false;
	int r = input_keys(row, keys, err);

	if (r == 0)
		r = input_name(row, "name", &name, err);
	if (r == 0)
		r = input_text(row, "certificate", &certificate, err);
	if (r == 0)
		r = authority_recognises(ca, certificate, name, err);
	if (r == 0)
		r = acl_host_token(consul, name, &token, &changed, err);
	if (r < 0)
		return r;
	secrets = json_pack("{s:s}", "token", token);
	r = sealed_pack(certificate, secrets, &sealed, err);
	if (r < 0)
		return r;
	if (changed) {
		step_begin(step, name, _("Making the token of %s"), name);
		step_done(step, _("%s has its token and its policy"), name);
	} else {
		step_unchanged(step, name, _("%s has its token and its policy"), name);
	}
	json_array_append_new(hosts, json_pack("{s:s, s:s}", "name", name, "sealed", sealed));
	return 0;
}

int step_acl(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "datacenter", "hosts", NULL };
	_cleanup_(consul_freep) struct consul *consul = NULL;
	_cleanup_json_ json_t *hosts = json_array();
	_cleanup_(freep) char *ca = NULL;
	const json_t *rows = NULL, *row;
	const char *datacenter;
	size_t i;
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = input_text_or_null(step->input, "datacenter", &datacenter, err);
	if (r == 0)
		r = input_list(step->input, "hosts", &rows, err);
	if (r == 0)
		r = authority_certificate(&ca, err);
	if (r == 0)
		r = acl_management(&consul, err);
	if (r == 0)
		r = acl_wait(step, consul, err);
	json_array_foreach(rows, i, row)
	{
		if (r < 0)
			break;
		r = one_host(step, consul, ca, row, hosts, err);
	}
	if (r == 0)
		*ret = json_pack("{s:O}", "hosts", hosts);
	return r;
}
