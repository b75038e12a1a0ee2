/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The step `identity`: this host's key, which never leaves it, a request for a certificate, and what is here now. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "host/consul-config.h"
#include "host/identity.h"
#include "host/pki.h"
#include "host/place.h"
#include "host/service.h"

int identity_read(const json_t *object, bool with_datacenter, struct pki_host *ret, struct err *err)
{
	struct pki_host host = { .datacenter = ret->datacenter };
	int r = input_name(object, "name", &host.name, err);

	if (r == 0)
		r = input_address(object, "address", &host.address, err);
	if (r == 0 && with_datacenter)
		r = input_name(object, "datacenter", &host.datacenter, err);
	if (r == 0)
		r = input_flag(object, "server", false, &host.server, err);
	if (r == 0)
		*ret = host;
	return r;
}

static int ensure_key(struct step *step, char **ret_key, struct err *err)
{
	_cleanup_(pki_wipe) char *key = NULL;
	int r = place_read_text(PLACE_HOST_KEY, &key, err);

	if (r < 0)
		return r;
	if (r == 0) {
		step_unchanged(step, "key", _("This host has its key"));
		*ret_key = TAKE_PTR(key);
		return place_write_text(PLACE_HOST_KEY, *ret_key, 0, 0600, NULL, err);
	}
	step_begin(step, "key", _("Making this host's key"));
	r = place_directory(PLACE_TLS, 0, 0755, NULL, err);
	if (r == 0)
		r = pki_key_new(&key, err);
	if (r == 0)
		r = place_write_text(PLACE_HOST_KEY, key, 0, 0600, NULL, err);
	if (r < 0)
		return r;
	step_done(step, _("%s is made"), PLACE_HOST_KEY);
	*ret_key = TAKE_PTR(key);
	return 0;
}

/* What there is of a certificate for this key, or null. */
static json_t *certificate_now(const char *key)
{
	_cleanup_(freep) char *pem = NULL, *ca = NULL;
	_cleanup_pki_info_ struct pki_info info = { 0 }, issuer = { 0 };

	if (place_read_text(PLACE_HOST_CERT, &pem, NULL) != 0 || place_read_text(PLACE_HOST_CA, &ca, NULL) != 0)
		return json_null();
	if (!pki_is_key_of(pem, key) || pki_info(pem, &info, NULL) < 0 || pki_info(ca, &issuer, NULL) < 0)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:s}", "pem", pem, "not_before", (json_int_t)info.not_before, "not_after",
			 (json_int_t)info.not_after, "issuer", issuer.fingerprint);
}

static json_t *consul_now(void)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_json_ json_t *config = NULL;
	const char *datacenter;

	if (place_read(PLACE_CONSUL_CONFIG, &text, NULL) == 0)
		config = json_loadb(buf_text(&text), text.len, 0, NULL);
	datacenter = json_string_value(json_object_get(config, "datacenter"));
	return json_pack("{s:b, s:b, s:s?}", "configured", config != NULL, "running", service_active(CONSUL_UNIT),
			 "datacenter", datacenter);
}

int step_identity(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "name", "address", "datacenter", "server", NULL };
	_cleanup_(pki_wipe) char *key = NULL;
	_cleanup_(freep) char *request = NULL;
	struct pki_host host = { 0 };
	int r = input_keys(step->input, keys, err);

	if (r == 0)
		r = identity_read(step->input, true, &host, err);
	if (r == 0)
		r = ensure_key(step, &key, err);
	if (r == 0)
		r = pki_request(key, host.name, &request, err);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s, s:o, s:o, s:I}", "csr", request, "certificate", certificate_now(key), "consul",
			 consul_now(), "clock", (json_int_t)clock_realtime_ms());
	return 0;
}
