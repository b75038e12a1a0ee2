/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/peer-tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"

#define HANDSHAKE_MS 10000

/* By which a change of the files is noticed. */
struct stamp {
	struct timespec changed[3];
	ino_t inode[3];
};

struct peer_identity {
	_Atomic unsigned references;
	gnutls_certificate_credentials_t credentials;
};

struct peer_tls {
	char *ca, *cert, *key;
	pthread_mutex_t lock;
	struct peer_identity *present;
	struct stamp stamp;  /* of `present` */
	struct stamp failed; /* of files that could not be used, which was said once */
};

void peer_tls_files(const char *dir, struct http_tls *ret)
{
	*ret = (struct http_tls){ .ca_file = fs_join(dir, PEER_CA_FILE),
				  .cert_file = fs_join(dir, PEER_CERT_FILE),
				  .key_file = fs_join(dir, PEER_KEY_FILE) };
}

void peer_tls_files_release(struct http_tls *files)
{
	free((char *)files->ca_file);
	free((char *)files->cert_file);
	free((char *)files->key_file);
	*files = (struct http_tls){ 0 };
}

void peer_identity_unref(struct peer_identity *identity)
{
	if (!identity || --identity->references)
		return;
	gnutls_certificate_free_credentials(identity->credentials);
	free(identity);
}

static int read_stamp(const struct peer_tls *tls, struct stamp *ret, struct err *err)
{
	const char *const paths[] = { tls->ca, tls->cert, tls->key };
	struct stamp stamp = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct stat st;

		if (stat(paths[i], &st) < 0)
			return err_errno(err, errno, _("Cannot read %s"), paths[i]);
		if (paths[i] == tls->key && (st.st_mode & 07))
			return err_set(err, EACCES, _("%s holds a key and may be read by everybody; give it mode 0600"),
				       paths[i]);
		stamp.changed[i] = st.st_ctim; /* a file that was replaced or written to */
		stamp.inode[i] = st.st_ino;
	}
	*ret = stamp;
	return 0;
}

static bool same(const struct stamp *a, const struct stamp *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->inode); i++)
		if (a->inode[i] != b->inode[i] || a->changed[i].tv_sec != b->changed[i].tv_sec ||
		    a->changed[i].tv_nsec != b->changed[i].tv_nsec)
			return false;
	return true;
}

static int read_identity(const struct peer_tls *tls, struct peer_identity **ret, struct err *err)
{
	struct peer_identity *identity = xcalloc(1, sizeof(*identity));
	int r;

	identity->references = 1;
	if (gnutls_certificate_allocate_credentials(&identity->credentials) < 0)
		abort(); /* only for want of memory */
	r = gnutls_certificate_set_x509_trust_file(identity->credentials, tls->ca, GNUTLS_X509_FMT_PEM);
	if (r <= 0)
		r = err_set(err, EINVAL, _("%s holds no certificate of an authority"), tls->ca);
	else {
		r = gnutls_certificate_set_x509_key_file(identity->credentials, tls->cert, tls->key,
							 GNUTLS_X509_FMT_PEM);
		if (r < 0)
			r = err_set(err, EINVAL, _("The certificate %s and the key %s cannot be used: %s"), tls->cert,
				    tls->key, gnutls_strerror(r));
	}
	if (r < 0)
		peer_identity_unref(identity);
	else
		*ret = identity;
	return r < 0 ? r : 0;
}

/* Takes the files as they are now; what cannot be used leaves the present ones in place. The lock is held. */
static int refresh(struct peer_tls *tls, struct err *err)
{
	struct peer_identity *identity = NULL;
	struct stamp stamp;
	int r = read_stamp(tls, &stamp, err);

	if (r < 0 || (tls->present && same(&stamp, &tls->stamp)))
		return r;
	r = read_identity(tls, &identity, err);
	if (r < 0) {
		tls->failed = stamp;
		return r;
	}
	if (tls->present)
		log_info("The host's certificate was renewed.");
	peer_identity_unref(tls->present);
	tls->present = identity;
	tls->stamp = stamp;
	return 0;
}

int peer_tls_new(const char *dir, struct peer_tls **ret, struct err *err)
{
	struct peer_tls *tls = xcalloc(1, sizeof(*tls));
	int r;

	tls->ca = fs_join(dir, PEER_CA_FILE);
	tls->cert = fs_join(dir, PEER_CERT_FILE);
	tls->key = fs_join(dir, PEER_KEY_FILE);
	pthread_mutex_init(&tls->lock, NULL);
	r = refresh(tls, err);
	if (r < 0)
		peer_tls_free(tls);
	else
		*ret = tls;
	return r;
}

void peer_tls_free(struct peer_tls *tls)
{
	if (!tls)
		return;
	peer_identity_unref(tls->present);
	pthread_mutex_destroy(&tls->lock);
	free(tls->ca);
	free(tls->cert);
	free(tls->key);
	free(tls);
}

static struct peer_identity *present(struct peer_tls *tls)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct stamp failed;

	pthread_mutex_lock(&tls->lock);
	failed = tls->failed;
	/* Files that are being replaced one by one do not go together for a moment. */
	if (refresh(tls, &err) < 0 && !same(&failed, &tls->failed))
		log_warning("The host's certificate cannot be renewed, the one before stays in use: %s",
			    err_text(&err));
	struct peer_identity *identity = tls->present;

	identity->references++;
	pthread_mutex_unlock(&tls->lock);
	return identity;
}

struct peer_identity *peer_tls_demand(struct peer_tls *tls, gnutls_session_t session)
{
	static gnutls_typed_vdata_st purpose[] = { { .type = GNUTLS_DT_KEY_PURPOSE_OID,
						     .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT } };
	struct peer_identity *identity = present(tls);

	if (!identity || gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->credentials) < 0) {
		peer_identity_unref(identity);
		return NULL;
	}
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	gnutls_session_set_verify_cert2(session, purpose, ARRAY_SIZE(purpose), 0);
	gnutls_handshake_set_timeout(session, HANDSHAKE_MS);
	return identity;
}

bool peer_tls_shown(gnutls_session_t session)
{
	unsigned n = 0;

	return gnutls_certificate_type_get2(session, GNUTLS_CTYPE_CLIENT) == GNUTLS_CRT_X509 &&
	       gnutls_certificate_get_peers(session, &n) && n && gnutls_session_get_verify_cert_status(session) == 0;
}

char *peer_tls_name(gnutls_session_t session)
{
	unsigned n = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
	gnutls_x509_crt_t certificate;
	char name[256] = "?";
	size_t size = sizeof(name) - 1;

	if (chain && n && gnutls_x509_crt_init(&certificate) == 0) {
		if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) < 0 ||
		    gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) < 0)
			strcpy(name, "?");
		gnutls_x509_crt_deinit(certificate);
	}
	name[sizeof(name) - 1] = '\0';
	text_printable(name, false);
	return xstrdup(name);
}
