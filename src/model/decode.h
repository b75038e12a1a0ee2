/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Members of JSON objects that came from outside, one at a time, with sentences that name them. Each returns 0 or
 * -EINVAL; an optional member that is absent or null leaves `ret` as it was.
 */
#ifndef TEPUY_MODEL_DECODE_H
#define TEPUY_MODEL_DECODE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

#define DECODE_MOST_TEXT 4096

int decode_string(const json_t *json, const char *member, bool required, const char **ret,
		  struct err *err); /* borrowed */
int decode_name(const json_t *json, const char *member, bool required, const char **ret, struct err *err);
int decode_integer(const json_t *json, const char *member, bool required, int64_t min, int64_t max, int64_t *ret,
		   struct err *err);
int decode_argv(const json_t *json, const char *member, size_t most, struct strv *ret, struct err *err);
int decode_object(const json_t *json, const char *member, bool required, json_t **ret, struct err *err); /* borrowed */
int decode_array(const json_t *json, const char *member, bool required, json_t **ret, struct err *err);  /* borrowed */
/* The object has no members but these (ends with NULL). */
int decode_only(const json_t *json, const char *const *members, struct err *err);
/* An array of strings. A new reference. */
json_t *decode_strv_json(const struct strv *strv);

#endif
