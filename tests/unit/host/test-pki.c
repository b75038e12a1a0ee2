/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys, certificates and seals of a cluster. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "host/pki.h"

/* A cluster with a server and a client, as the steps make them. */
struct cluster {
	char *ca_key, *ca;
	char *server_key, *server_request, *server;
	char *client_key, *client_request, *client;
};

static const struct pki_host server = { "srv1", "192.0.2.11", "canaima", true };
static const struct pki_host client = { "xen1", "2001:db8::21", "canaima", false };

static int make_cluster(void **state)
{
	struct cluster *c = xcalloc(1, sizeof(*c));
	int64_t now = clock_realtime_ms();

	assert_int_equal(pki_key_new(&c->ca_key, NULL), 0);
	assert_int_equal(pki_authority(c->ca_key, "canaima", now, &c->ca, NULL), 0);
	assert_int_equal(pki_key_new(&c->server_key, NULL), 0);
	assert_int_equal(pki_request(c->server_key, server.name, &c->server_request, NULL), 0);
	assert_int_equal(pki_issue(c->ca, c->ca_key, c->server_request, &server, now, &c->server, NULL), 0);
	assert_int_equal(pki_key_new(&c->client_key, NULL), 0);
	assert_int_equal(pki_request(c->client_key, client.name, &c->client_request, NULL), 0);
	assert_int_equal(pki_issue(c->ca, c->ca_key, c->client_request, &client, now, &c->client, NULL), 0);
	*state = c;
	return 0;
}

static int free_cluster(void **state)
{
	struct cluster *c = *state;
	char **texts[] = { &c->ca_key, &c->ca,         &c->server_key,     &c->server_request,
			   &c->server, &c->client_key, &c->client_request, &c->client };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		pki_wipe(texts[i]);
	free(c);
	return 0;
}

static void a_certificate_fits_its_host_only(void **state)
{
	const struct cluster *c = *state;
	struct pki_host other = server;

	assert_true(pki_fits(c->server, &server));
	assert_true(pki_fits(c->client, &client));
	other.name = "srv2";
	assert_false(pki_fits(c->server, &other));
	other = server, other.address = "192.0.2.12";
	assert_false(pki_fits(c->server, &other));
	other = server, other.server = false;
	assert_false(pki_fits(c->server, &other));
	other = server, other.datacenter = "merida";
	assert_false(pki_fits(c->server, &other));
}

/* A client that could call itself a server would be believed by all others. */
static void only_servers_have_the_servers_name(void **state)
{
	const struct cluster *c = *state;

	assert_true(pki_has_name(c->server, "server.canaima.consul"));
	assert_false(pki_has_name(c->client, "server.canaima.consul"));
	assert_true(pki_has_name(c->client, "xen1"));
	assert_true(pki_has_name(c->client, "localhost"));
	assert_false(pki_has_name(c->client, "srv1"));
}

static void a_certificate_lasts_a_year(void **state)
{
	_cleanup_pki_info_ struct pki_info info = { 0 };
	const struct cluster *c = *state;
	int64_t now = clock_realtime_ms();

	assert_int_equal(pki_info(c->server, &info, NULL), 0);
	assert_true(info.not_before < now && now - info.not_before < PKI_DAY_MS);
	assert_true(info.not_after > now + (PKI_HOST_DAYS - 1) * PKI_DAY_MS);
	assert_true(info.not_after < now + (PKI_HOST_DAYS + 1) * PKI_DAY_MS);
	assert_string_equal(info.common_name, "srv1");
	assert_int_equal(strlen(info.fingerprint), 64);
}

static void another_authority_is_not_believed(void **state)
{
	_cleanup_(pki_wipe) char *key = NULL, *ca = NULL;
	const struct cluster *c = *state;

	/* The same name, another key. */
	assert_int_equal(pki_key_new(&key, NULL), 0);
	assert_int_equal(pki_authority(key, "canaima", clock_realtime_ms(), &ca, NULL), 0);
	assert_int_equal(pki_signed_by(c->server, c->ca, NULL), 0);
	assert_int_equal(pki_signed_by(c->server, ca, NULL), -EBADMSG);
	/* A host's certificate signs nothing. */
	assert_int_equal(pki_signed_by(c->client, c->server, NULL), -EBADMSG);
}

static void a_key_belongs_to_its_certificate(void **state)
{
	const struct cluster *c = *state;

	assert_true(pki_is_key_of(c->server, c->server_key));
	assert_false(pki_is_key_of(c->server, c->client_key));
	assert_true(pki_same_key(c->client, c->client_request));
	assert_false(pki_same_key(c->client, c->server_request));
	assert_false(pki_is_key_of("no certificate", c->server_key));
}

static void a_request_with_another_signature_is_refused(void **state)
{
	_cleanup_(freep) char *request = NULL, *certificate = NULL;
	const struct cluster *c = *state;
	size_t end;

	/* One character of the signature, near the end of the text. */
	request = xstrdup(c->server_request);
	end = (size_t)(strstr(request, "\n-----END") - request) - 8;
	request[end] = request[end] == 'A' ? 'B' : 'A';
	assert_true(pki_issue(c->ca, c->ca_key, request, &server, clock_realtime_ms(), &certificate, NULL) < 0);
	assert_null(certificate);
	assert_int_equal(
	    pki_issue(c->ca, c->client_key, c->server_request, &server, clock_realtime_ms(), &certificate, NULL),
	    -EBADMSG);
}

static void what_is_sealed_only_its_host_opens(void **state)
{
	static const char secret[] = "{\"gossip\":\"k\"}";
	_cleanup_(freep) char *sealed = NULL;
	_cleanup_buf_ struct buf opened = { 0 }, nothing = { 0 };
	const struct cluster *c = *state;

	assert_int_equal(pki_seal(c->client, secret, strlen(secret), &sealed, NULL), 0);
	assert_null(strstr(sealed, secret));
	assert_int_equal(pki_open(sealed, c->client, c->client_key, &opened, NULL), 0);
	assert_string_equal(buf_text(&opened), secret);
	assert_int_equal(pki_open(sealed, c->server, c->server_key, &nothing, NULL), -EBADMSG);
	assert_int_equal(nothing.len, 0);
}

static void a_seal_that_was_changed_does_not_open(void **state)
{
	static const char secret[] = "a token";
	_cleanup_(freep) char *sealed = NULL;
	_cleanup_buf_ struct buf opened = { 0 };
	const struct cluster *c = *state;
	size_t at;

	assert_int_equal(pki_seal(c->client, secret, strlen(secret), &sealed, NULL), 0);
	at = strlen(sealed) - 8;
	sealed[at] = sealed[at] == 'A' ? 'B' : 'A';
	assert_true(pki_open(sealed, c->client, c->client_key, &opened, NULL) < 0);
	assert_int_equal(opened.len, 0);
	assert_int_equal(pki_open("not base64!", c->client, c->client_key, &opened, NULL), -EINVAL);
	assert_true(pki_open("AAAA", c->client, c->client_key, &opened, NULL) < 0);
}

static void a_uuid_looks_like_one(void **state)
{
	const unsigned char ones[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	_cleanup_(freep) char *uuid = pki_uuid(ones);

	(void)state;
	assert_string_equal(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_fits_its_host_only),
		cmocka_unit_test(only_servers_have_the_servers_name),
		cmocka_unit_test(a_certificate_lasts_a_year),
		cmocka_unit_test(another_authority_is_not_believed),
		cmocka_unit_test(a_key_belongs_to_its_certificate),
		cmocka_unit_test(a_request_with_another_signature_is_refused),
		cmocka_unit_test(what_is_sealed_only_its_host_opens),
		cmocka_unit_test(a_seal_that_was_changed_does_not_open),
		cmocka_unit_test(a_uuid_looks_like_one),
	};

	return cmocka_run_group_tests(tests, make_cluster, free_cluster);
}
