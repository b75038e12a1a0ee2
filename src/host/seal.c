/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must be secret between hosts, as CMS authenticated enveloped data: AES-256-GCM, its key agreed by ECDH. */
#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/i18n.h"
#include "host/pki-work.h"
#include "host/pki.h"

static STACK_OF(X509) * only(X509 *certificate)
{
	STACK_OF(X509) *list = sk_X509_new_null();

	if (list && sk_X509_push(list, certificate) <= 0) {
		sk_X509_free(list);
		list = NULL;
	}
	return list;
}

int pki_seal(const char *certificate_text, const void *data, size_t len, char **ret_sealed, struct err *err)
{
	_cleanup_x509_ X509 *certificate = NULL;
	_cleanup_cms_ CMS_ContentInfo *cms = NULL;
	_cleanup_bio_ BIO *in = BIO_new_mem_buf(data, (int)len), *out = BIO_new(BIO_s_mem());
	_cleanup_buf_ struct buf text = { 0 };
	STACK_OF(X509) * receivers;
	char *der;
	long der_len;
	int r = pki_read_certificate(certificate_text, &certificate, err);

	if (r < 0)
		return r;
	receivers = only(certificate);
	if (in && out && receivers)
		cms = CMS_encrypt(receivers, in, EVP_aes_256_gcm(), CMS_BINARY);
	sk_X509_free(receivers);
	if (!cms || i2d_CMS_bio(out, cms) != 1)
		return pki_error(err, EIO, _("Cannot seal what a host must know"));
	der_len = BIO_get_mem_data(out, &der);
	base64_encode(&text, der, (size_t)der_len);
	*ret_sealed = buf_take(&text);
	return 0;
}

int pki_open(const char *sealed, const char *certificate_text, const char *key_text, struct buf *ret, struct err *err)
{
	_cleanup_x509_ X509 *certificate = NULL;
	_cleanup_key_ EVP_PKEY *key = NULL;
	_cleanup_cms_ CMS_ContentInfo *cms = NULL;
	_cleanup_bio_ BIO *in = NULL, *out = BIO_new(BIO_s_mem());
	_cleanup_buf_ struct buf der = { 0 };
	char *data;
	long len;
	int r = pki_read_certificate(certificate_text, &certificate, err);

	if (r == 0)
		r = pki_read_key(key_text, &key, err);
	if (r < 0)
		return r;
	if (strnlen(sealed, PKI_MOST * 4) == PKI_MOST * 4 || base64_decode(&der, sealed, strlen(sealed)) < 0)
		return err_set(err, EINVAL, _("What was sealed for this host is no base64"));
	in = BIO_new_mem_buf(der.data, (int)der.len);
	cms = in ? d2i_CMS_bio(in, NULL) : NULL;
	if (!cms || !out || CMS_decrypt(cms, key, certificate, NULL, out, CMS_BINARY) != 1)
		return pki_error(err, EBADMSG,
				 _("What was sealed for this host cannot be opened with its key: run 'identity' and "
				   "'sign' again"));
	len = BIO_get_mem_data(out, &data);
	buf_add(ret, data, (size_t)len);
	return 0;
}
