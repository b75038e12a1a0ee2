/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * This host's certificate and the cluster's authority, from a directory with ca.pem, host.pem and host-key.pem, for
 * the side that listens (GnuTLS, as libmicrohttpd's TLS is that). They are read anew when they have changed, so that a
 * renewed certificate counts from the next connection on. May be used by several threads at once.
 */
#ifndef TEPUY_AGENT_PEER_TLS_H
#define TEPUY_AGENT_PEER_TLS_H

#include <gnutls/gnutls.h>

#include "base/err.h"
#include "http/http.h"

#define PEER_CA_FILE "ca.pem"
#define PEER_CERT_FILE "host.pem"
#define PEER_KEY_FILE "host-key.pem"

struct peer_tls;
struct peer_identity; /* one reading of the files */

/* -ENOENT a file is missing, -EACCES the key may be read by everybody, -EINVAL they do not go together. */
int peer_tls_new(const char *dir, struct peer_tls **ret, struct err *err);
void peer_tls_free(struct peer_tls *tls); /* NULL is fine; identities that are in use live on */

/*
 * Makes the session of a client that just connected one that is only come to terms with if the client shows a
 * certificate of the authority, valid now and meant for clients. Returns what must be given back with
 * peer_identity_unref after the session's end, NULL when nothing was arranged: then the client must be sent away.
 */
struct peer_identity *peer_tls_demand(struct peer_tls *tls, gnutls_session_t session);
void peer_identity_unref(struct peer_identity *identity);

/* Whether the session's client has shown such a certificate. */
bool peer_tls_shown(gnutls_session_t session);
/* The common name in it, for messages; the caller owns it; never NULL. */
char *peer_tls_name(gnutls_session_t session);

/* The same files for the side that connects, which reads them itself. The caller frees with peer_tls_files_release. */
void peer_tls_files(const char *dir, struct http_tls *ret);
void peer_tls_files_release(struct http_tls *files);

#endif
