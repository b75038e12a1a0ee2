/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One text for one value: sorted keys, no spaces, UTF-8 as it is. Two programs that mean the same hash the same. */
#ifndef TEPUY_MODEL_CANONICAL_H
#define TEPUY_MODEL_CANONICAL_H

#include <jansson.h>

/* The caller owns the string. A number that is integral is written without a fraction. */
char *json_canonical(const json_t *value);
/* sha256 of the canonical text, 64 lower case hexadecimal digits. The caller owns the string. */
char *json_fingerprint(const json_t *value);

/* For _cleanup_: drops the reference, accepts NULL. */
void json_decrefpp(json_t **value);

#define _cleanup_json_ _cleanup_(json_decrefpp)

#endif
