/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Authorities and certificates for tests, made as they are needed. All functions fail the test when they cannot. */
#ifndef TEPUY_TESTS_CERTIFICATES_H
#define TEPUY_TESTS_CERTIFICATES_H

#include <gnutls/x509.h>
#include <stdbool.h>
#include <time.h>

struct authority {
	gnutls_x509_crt_t certificate;
	gnutls_x509_privkey_t key;
};

void authority_init(struct authority *authority, const char *name);
void authority_release(struct authority *authority);
/* ca.pem, host.pem and host-key.pem in `dir`: valid until `until`, for 127.0.0.1, for servers and, if `client`, for
 * clients. */
void authority_issue(const struct authority *authority, const char *dir, const char *name, bool client, time_t until);

#endif
