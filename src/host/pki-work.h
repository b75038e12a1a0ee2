/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by pki.c, pki-issue.c and seal.c only: between PEM text and libcrypto's objects. */
#ifndef TEPUY_HOST_PKI_WORK_H
#define TEPUY_HOST_PKI_WORK_H

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "host/pki.h"

#define DEFINE_FREEP(type, function)                                                                                   \
	static inline void function##p(type **object)                                                                  \
	{                                                                                                              \
		function(*object);                                                                                     \
	}

DEFINE_FREEP(BIO, BIO_free_all)
DEFINE_FREEP(EVP_PKEY, EVP_PKEY_free)
DEFINE_FREEP(X509, X509_free)
DEFINE_FREEP(X509_REQ, X509_REQ_free)
DEFINE_FREEP(CMS_ContentInfo, CMS_ContentInfo_free)

#define _cleanup_bio_ _cleanup_(BIO_free_allp)
#define _cleanup_key_ _cleanup_(EVP_PKEY_freep)
#define _cleanup_x509_ _cleanup_(X509_freep)
#define _cleanup_request_ _cleanup_(X509_REQ_freep)
#define _cleanup_cms_ _cleanup_(CMS_ContentInfo_freep)

/* "sentence: libcrypto's own words" and -code; empties libcrypto's queue of errors. */
int pki_error(struct err *err, int code, const char *what);

int pki_read_key(const char *text, EVP_PKEY **ret, struct err *err);
int pki_read_certificate(const char *text, X509 **ret, struct err *err);
int pki_read_request(const char *text, X509_REQ **ret, struct err *err);
/* The text in a memory BIO; the caller owns it. */
char *pki_bio_text(BIO *bio);
/* The subjectAltName that a host's certificate has, in OpenSSL's words ("DNS:srv1,IP:192.0.2.1"). The caller owns it.
 */
char *pki_host_names(const struct pki_host *host);

#endif
