/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files that implement docker-json.h only. */
#ifndef TEPUY_RUNTIME_DOCKER_JSON_PARSE_H
#define TEPUY_RUNTIME_DOCKER_JSON_PARSE_H

#include <jansson.h>

#include "base/err.h"
#include "base/strv.h"

/* Parses a document whose top is of this type; `what`, marked by N_(), names it in the message. */
int docker_parse(const char *json, size_t len, json_type type, const char *what, json_t **ret, struct err *err);
/* The string at a key, borrowed, or NULL when it is absent, empty or something else. */
const char *docker_text(const json_t *object, const char *key);
/* The text of a value, sorted keys and no spaces; the caller owns it. Takes the reference. */
char *docker_dump(json_t *value);
/* An array of the strings. */
json_t *docker_strings(const struct strv *strv);
/* Appends the strings of an array (NULL or something else: none). */
void docker_take_strings(const json_t *array, struct strv *to);

#endif
