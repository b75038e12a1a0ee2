/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making keys, requests and certificates. */
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/i18n.h"
#include "host/pki-work.h"
#include "host/pki.h"

/* Clocks of machines differ: a certificate is valid a little before it was made. */
#define BEFORE_MS (INT64_C(3600) * 1000)

char *pki_host_names(const struct pki_host *host)
{
	_cleanup_buf_ struct buf names = { 0 };

	buf_printf(&names, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1,IP:%s", host->name, host->address);
	if (host->server)
		buf_printf(&names, ",DNS:server.%s.consul", host->datacenter);
	return buf_take(&names);
}

int pki_key_new(char **ret_key, struct err *err)
{
	_cleanup_key_ EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_mem());

	if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return pki_error(err, EIO, _("Cannot make a private key"));
	*ret_key = pki_bio_text(bio);
	return 0;
}

static int set_name(X509_NAME *name, const char *common_name)
{
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
}

int pki_request(const char *key_text, const char *name, char **ret_request, struct err *err)
{
	_cleanup_key_ EVP_PKEY *key = NULL;
	_cleanup_request_ X509_REQ *request = X509_REQ_new();
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_mem());
	int r = pki_read_key(key_text, &key, err);

	if (r < 0)
		return r;
	if (!request || !bio || set_name(X509_REQ_get_subject_name(request), name) != 1 ||
	    X509_REQ_set_pubkey(request, key) != 1 || X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
	    PEM_write_bio_X509_REQ(bio, request) != 1)
		return pki_error(err, EIO, _("Cannot make a certificate request"));
	*ret_request = pki_bio_text(bio);
	return 0;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool set_serial(X509 *certificate)
{
	unsigned char bytes[16];
	BIGNUM *number;
	bool set;

	if (pki_random(bytes, sizeof(bytes), NULL) < 0)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always as long (RFC 5280, 4.1.2.2) */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return set;
}

static X509 *certificate_new(EVP_PKEY *key, const char *name, int64_t now, int days)
{
	_cleanup_x509_ X509 *certificate = X509_new();
	time_t from = (time_t)((now - BEFORE_MS) / 1000);

	if (!certificate || X509_set_version(certificate, 2) != 1 || !set_serial(certificate) ||
	    set_name(X509_get_subject_name(certificate), name) != 1 || X509_set_pubkey(certificate, key) != 1 ||
	    !X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &from) ||
	    !X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, &from))
		return NULL;
	return TAKE_PTR(certificate);
}

/* Signs it and gives its text. */
static int complete(X509 *certificate, X509 *issuer, EVP_PKEY *issuer_key, char **ret, struct err *err)
{
	_cleanup_bio_ BIO *bio = BIO_new(BIO_s_mem());

	if (X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) != 1 ||
	    !add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") ||
	    X509_sign(certificate, issuer_key, EVP_sha256()) <= 0 || !bio || PEM_write_bio_X509(bio, certificate) != 1)
		return pki_error(err, EIO, _("Cannot sign a certificate"));
	*ret = pki_bio_text(bio);
	return 0;
}

int pki_authority(const char *key_text, const char *datacenter, int64_t now, char **ret_ca, struct err *err)
{
	_cleanup_(freep) char *name = xasprintf("tepuy %s", datacenter);
	_cleanup_key_ EVP_PKEY *key = NULL;
	_cleanup_x509_ X509 *ca = NULL;
	int r = pki_read_key(key_text, &key, err);

	if (r < 0)
		return r;
	ca = certificate_new(key, name, now, PKI_AUTHORITY_DAYS);
	if (!ca || !add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_extension(ca, ca, NID_subject_key_identifier, "hash"))
		return pki_error(err, EIO, _("Cannot make the certificate of an authority"));
	return complete(ca, ca, key, ret_ca, err);
}

static bool add_host_extensions(X509 *certificate, X509 *ca, const struct pki_host *host)
{
	_cleanup_(freep) char *names = pki_host_names(host);

	return add_extension(certificate, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       /* keyAgreement: what is sealed for the host is sealed by ECDH with this key. */
	       add_extension(certificate, ca, NID_key_usage, "critical,digitalSignature,keyAgreement") &&
	       add_extension(certificate, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_extension(certificate, ca, NID_subject_key_identifier, "hash") &&
	       add_extension(certificate, ca, NID_subject_alt_name, names);
}

int pki_issue(const char *ca_text, const char *ca_key_text, const char *request_text, const struct pki_host *host,
	      int64_t now, char **ret_certificate, struct err *err)
{
	_cleanup_x509_ X509 *ca = NULL, *certificate = NULL;
	_cleanup_key_ EVP_PKEY *ca_key = NULL;
	_cleanup_request_ X509_REQ *request = NULL;
	EVP_PKEY *key;
	int r = pki_read_certificate(ca_text, &ca, err);

	if (r == 0)
		r = pki_read_key(ca_key_text, &ca_key, err);
	if (r == 0)
		r = pki_read_request(request_text, &request, err);
	if (r < 0)
		return r;
	if (EVP_PKEY_eq(X509_get0_pubkey(ca), ca_key) != 1)
		return pki_error(err, EBADMSG, _("The authority's key does not belong to its certificate"));
	key = X509_REQ_get0_pubkey(request);
	if (!key || X509_REQ_verify(request, key) != 1)
		return pki_error(err, EBADMSG, _("The certificate request is not signed by its own key"));
	if (!EVP_PKEY_is_a(key, "EC"))
		return err_set(err, EINVAL, _("The certificate request has a key that is not an EC key"));
	certificate = certificate_new(key, host->name, now, PKI_HOST_DAYS);
	if (!certificate || !add_host_extensions(certificate, ca, host))
		return pki_error(err, EIO, _("Cannot make a host's certificate"));
	return complete(certificate, ca, ca_key, ret_certificate, err);
}
