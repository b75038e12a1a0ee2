/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 (FIPS 180-4) of bytes that come in pieces; libcrypto does the work. */
#ifndef TEPUY_IMAGE_DIGEST_H
#define TEPUY_IMAGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define DIGEST_HEX 64 /* characters of a digest in hexadecimal */

struct digest; /* one running hash */

struct digest *digest_new(void); /* for digest_free */
void digest_add(struct digest *digest, const void *data, size_t len);
/* Ends the hash: 64 lower case hexadecimal characters, owned by the caller. Once per digest. */
char *digest_hex(struct digest *digest);
void digest_free(struct digest *digest);
void digest_freep(struct digest **digest);

#define _cleanup_digest_ _cleanup_(digest_freep)

char *digest_of(const void *data, size_t len);                         /* of bytes in memory; the caller owns it */
int digest_of_file(const char *path, char **ret_hex, struct err *err); /* of a regular file */
bool digest_valid(const char *hex); /* 64 lower case hexadecimal characters: safe as a file name */

#endif
