/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys and certificates of a cluster, as functions of data: EC P-256 keys, X.509 v3 certificates (RFC 5280), requests
 * (PKCS #10), all as PEM text; and sealing: CMS (RFC 5083, 5753) to the holder of a certificate's key. libcrypto does
 * the work. Texts are at most PKI_MOST bytes. Errors: -EINVAL, the text is not what it should be; -EBADMSG, it is but
 * does not fit (wrong key, wrong signer); -EIO, libcrypto failed.
 */
#ifndef TEPUY_HOST_PKI_H
#define TEPUY_HOST_PKI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define PKI_MOST ((size_t)64 << 10)
#define PKI_DAY_MS (INT64_C(86400) * 1000)
#define PKI_HOST_DAYS 365
#define PKI_AUTHORITY_DAYS 3650
#define PKI_RENEW_DAYS 30 /* with less left a certificate is renewed */

/* What a host's certificate must say. */
struct pki_host {
	const char *name, *address, *datacenter;
	bool server;
};

struct pki_info {
	int64_t not_before, not_after; /* ms since the epoch */
	char *fingerprint;             /* sha256 of the DER, lower case hexadecimal */
	char *common_name;             /* or NULL */
};

#define _cleanup_pki_info_ _cleanup_(pki_info_release)

void pki_info_release(struct pki_info *info);

/* A new private key. The caller owns the text, and wipes it with pki_wipe. */
int pki_key_new(char **ret_key, struct err *err);
/* A request signed by the key, with the name in it. */
int pki_request(const char *key, const char *name, char **ret_request, struct err *err);
/* A new authority: its certificate, self-signed, that may sign certificates only. */
int pki_authority(const char *key, const char *datacenter, int64_t now, char **ret_ca, struct err *err);
/* A host's certificate for the key of a request, whose own signature is checked. Nothing but the key is taken from it.
 */
int pki_issue(const char *ca, const char *ca_key, const char *request, const struct pki_host *host, int64_t now,
	      char **ret_certificate, struct err *err);

int pki_info(const char *certificate, struct pki_info *ret, struct err *err);
/* Is the certificate signed by the authority, whatever the time? -EBADMSG: no. */
int pki_signed_by(const char *certificate, const char *ca, struct err *err);
/* Does the certificate, or the request, have this key's public half? */
bool pki_is_key_of(const char *certificate, const char *key);
bool pki_same_key(const char *certificate, const char *request);
/* Does it say exactly what a certificate of this host must say? */
bool pki_fits(const char *certificate, const struct pki_host *host);
/* Is the DNS name in it? */
bool pki_has_name(const char *certificate, const char *name);

/* Base64 of CMS data that only the holder of the certificate's key can open. */
int pki_seal(const char *certificate, const void *data, size_t len, char **ret_sealed, struct err *err);
/* Appends what was sealed. -EBADMSG: it was sealed for another key, or was changed on the way. */
int pki_open(const char *sealed, const char *certificate, const char *key, struct buf *ret, struct err *err);

int pki_random(void *to, size_t len, struct err *err);
char *pki_uuid(const unsigned char random[16]); /* version 4; the caller owns it */
void pki_wipe(char **secret);                   /* for _cleanup_: overwrites and frees */
void pki_wipe_buf(struct buf *secret);

#endif
