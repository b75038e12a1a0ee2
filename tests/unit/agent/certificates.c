/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "certificates.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"

static gnutls_x509_privkey_t make_key(void)
{
	gnutls_x509_privkey_t key;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(
	    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	return key;
}

static gnutls_x509_crt_t begin_certificate(const char *name, gnutls_x509_privkey_t key, time_t until)
{
	static unsigned char serial;
	gnutls_x509_crt_t certificate;

	serial++;
	assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
	gnutls_x509_crt_set_version(certificate, 3);
	gnutls_x509_crt_set_serial(certificate, &serial, 1);
	gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
	gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 7200);
	gnutls_x509_crt_set_expiration_time(certificate, until);
	gnutls_x509_crt_set_key(certificate, key);
	return certificate;
}

void authority_init(struct authority *authority, const char *name)
{
	authority->key = make_key();
	authority->certificate = begin_certificate(name, authority->key, time(NULL) + 3600);
	gnutls_x509_crt_set_basic_constraints(authority->certificate, 1, -1);
	assert_int_equal(
	    gnutls_x509_crt_sign2(authority->certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0),
	    0);
}

void authority_release(struct authority *authority)
{
	gnutls_x509_crt_deinit(authority->certificate);
	gnutls_x509_privkey_deinit(authority->key);
}

static void write_pem(const char *dir, const char *name, gnutls_datum_t *pem)
{
	_cleanup_(freep) char *path = fs_join(dir, name);

	assert_int_equal(fs_write(path, pem->data, pem->size, 0600, NULL), 0);
	gnutls_free(pem->data);
}

void authority_issue(const struct authority *authority, const char *dir, const char *name, bool client, time_t until)
{
	gnutls_x509_privkey_t key = make_key();
	gnutls_x509_crt_t certificate = begin_certificate(name, key, until);
	gnutls_datum_t pem = { 0 };
	struct in_addr loopback = { .s_addr = htonl(INADDR_LOOPBACK) };

	gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, &loopback, sizeof(loopback),
					     GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (client)
		gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT, 0);
	assert_int_equal(
	    gnutls_x509_crt_sign2(certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(authority->certificate, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_pem(dir, "ca.pem", &pem);
	assert_int_equal(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_pem(dir, "host.pem", &pem);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_pem(dir, "host-key.pem", &pem);
	gnutls_x509_crt_deinit(certificate);
	gnutls_x509_privkey_deinit(key);
}
