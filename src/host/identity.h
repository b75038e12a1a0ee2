/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: who a host is, and what is sealed for it. */
#ifndef TEPUY_HOST_IDENTITY_H
#define TEPUY_HOST_IDENTITY_H

#include "host/pki.h"
#include "host/step.h"

/* "name", "address", "server" and, if asked, "datacenter" of an input; strings are borrowed from it. */
int identity_read(const json_t *object, bool with_datacenter, struct pki_host *ret, struct err *err);

/* Base64 of the object, sealed for the certificate's key. */
int sealed_pack(const char *certificate, const json_t *secrets, char **ret_sealed, struct err *err);
/* What was sealed for this host: opened with its key and the certificate. The caller owns the object. */
int sealed_unpack(const char *sealed, const char *certificate, json_t **ret, struct err *err);
/* As sealed_unpack with the certificate that is in place. */
int sealed_unpack_here(const char *sealed, json_t **ret, struct err *err);

/* Is it a certificate of this cluster for a host of that name? -EBADMSG: no. */
int authority_recognises(const char *ca, const char *certificate, const char *name, struct err *err);
/* The CA certificate of the cluster that this host knows; -ENOENT with what to do. */
int authority_certificate(char **ret_ca, struct err *err);

#endif
