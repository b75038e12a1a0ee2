/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading keys, requests and certificates, and asking what they say. */
#include "host/pki.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/i18n.h"
#include "base/text.h"
#include "host/pki-work.h"

int pki_error(struct err *err, int code, const char *what)
{
	unsigned long number = ERR_peek_last_error();
	const char *why = number ? ERR_reason_error_string(number) : NULL;
	int r = why ? err_set(err, code, "%s: %s", what, why) : err_set(err, code, "%s", what);

	ERR_clear_error();
	return r;
}

static BIO *text_bio(const char *text)
{
	size_t len = strnlen(text, PKI_MOST + 1);

	return len > PKI_MOST ? NULL : BIO_new_mem_buf(text, (int)len);
}

/* No key of ours has a password; without this libcrypto would ask the terminal for one. */
static int no_password(char *to, int size, int writing, void *data)
{
	(void)to, (void)size, (void)writing, (void)data;
	return -1;
}

int pki_read_key(const char *text, EVP_PKEY **ret, struct err *err)
{
	_cleanup_bio_ BIO *bio = text_bio(text);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

	if (!key)
		return pki_error(err, EINVAL, _("This is no private key in PEM"));
	*ret = key;
	return 0;
}

int pki_read_certificate(const char *text, X509 **ret, struct err *err)
{
	_cleanup_bio_ BIO *bio = text_bio(text);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;

	if (!certificate)
		return pki_error(err, EINVAL, _("This is no certificate in PEM"));
	*ret = certificate;
	return 0;
}

int pki_read_request(const char *text, X509_REQ **ret, struct err *err)
{
	_cleanup_bio_ BIO *bio = text_bio(text);
	X509_REQ *request = bio ? PEM_read_bio_X509_REQ(bio, NULL, no_password, NULL) : NULL;

	if (!request)
		return pki_error(err, EINVAL, _("This is no certificate request in PEM"));
	*ret = request;
	return 0;
}

char *pki_bio_text(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	return xstrndup(data, (size_t)len);
}

static int64_t time_ms(const ASN1_TIME *time)
{
	struct tm tm = { 0 };

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static char *common_name(X509 *certificate)
{
	char name[256];
	int len = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));

	return len > 0 ? xstrdup(name) : NULL;
}

int pki_info(const char *text, struct pki_info *ret, struct err *err)
{
	_cleanup_x509_ X509 *certificate = NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int r = pki_read_certificate(text, &certificate, err);

	if (r < 0)
		return r;
	if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1)
		return pki_error(err, EIO, _("Cannot hash a certificate"));
	*ret = (struct pki_info){
		.not_before = time_ms(X509_get0_notBefore(certificate)),
		.not_after = time_ms(X509_get0_notAfter(certificate)),
		.fingerprint = text_hex(digest, len),
		.common_name = common_name(certificate),
	};
	return 0;
}

void pki_info_release(struct pki_info *info)
{
	free(info->fingerprint);
	free(info->common_name);
	*info = (struct pki_info){ 0 };
}

int pki_signed_by(const char *text, const char *ca_text, struct err *err)
{
	_cleanup_x509_ X509 *certificate = NULL, *ca = NULL;
	int r = pki_read_certificate(text, &certificate, err);

	if (r == 0)
		r = pki_read_certificate(ca_text, &ca, err);
	if (r < 0)
		return r;
	if (X509_check_issued(ca, certificate) != X509_V_OK || X509_verify(certificate, X509_get0_pubkey(ca)) != 1)
		return pki_error(err, EBADMSG, _("The certificate is not signed by this cluster's authority"));
	return 0;
}

bool pki_is_key_of(const char *certificate_text, const char *key_text)
{
	_cleanup_x509_ X509 *certificate = NULL;
	_cleanup_key_ EVP_PKEY *key = NULL;
	bool same;

	if (pki_read_certificate(certificate_text, &certificate, NULL) < 0 || pki_read_key(key_text, &key, NULL) < 0)
		return false;
	same = EVP_PKEY_eq(X509_get0_pubkey(certificate), key) == 1;
	ERR_clear_error();
	return same;
}

bool pki_same_key(const char *certificate_text, const char *request_text)
{
	_cleanup_x509_ X509 *certificate = NULL;
	_cleanup_request_ X509_REQ *request = NULL;
	bool same;

	if (pki_read_certificate(certificate_text, &certificate, NULL) < 0 ||
	    pki_read_request(request_text, &request, NULL) < 0)
		return false;
	same = EVP_PKEY_eq(X509_get0_pubkey(certificate), X509_REQ_get0_pubkey(request)) == 1;
	ERR_clear_error();
	return same;
}

/* The bytes of an extension's value as they stand in a certificate. */
static bool same_extension(X509 *a, X509_EXTENSION *wanted)
{
	int at = X509_get_ext_by_NID(a, NID_subject_alt_name, -1);
	X509_EXTENSION *found = at >= 0 ? X509_get_ext(a, at) : NULL;

	return found && ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(found), X509_EXTENSION_get_data(wanted)) == 0;
}

bool pki_fits(const char *text, const struct pki_host *host)
{
	_cleanup_(freep) char *names = pki_host_names(host), *common = NULL;
	_cleanup_x509_ X509 *certificate = NULL;
	X509_EXTENSION *wanted;
	bool fits;

	if (pki_read_certificate(text, &certificate, NULL) < 0)
		return false;
	wanted = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	common = common_name(certificate);
	fits = wanted && common && !strcmp(common, host->name) && same_extension(certificate, wanted);
	X509_EXTENSION_free(wanted);
	ERR_clear_error();
	return fits;
}

bool pki_has_name(const char *text, const char *name)
{
	_cleanup_x509_ X509 *certificate = NULL;

	return pki_read_certificate(text, &certificate, NULL) == 0 &&
	       X509_check_host(certificate, name, strlen(name),
			       X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

int pki_random(void *to, size_t len, struct err *err)
{
	if (RAND_priv_bytes(to, (int)len) != 1)
		return pki_error(err, EIO, _("The system gives no random numbers"));
	return 0;
}

char *pki_uuid(const unsigned char r[16])
{
	return xasprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1], r[2], r[3],
			 r[4], r[5], (r[6] & 0x0f) | 0x40, r[7], (r[8] & 0x3f) | 0x80, r[9], r[10], r[11], r[12], r[13],
			 r[14], r[15]);
}

void pki_wipe(char **secret)
{
	if (*secret)
		OPENSSL_cleanse(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

void pki_wipe_buf(struct buf *secret)
{
	if (secret->data)
		OPENSSL_cleanse(secret->data, secret->cap);
	buf_release(secret);
}
