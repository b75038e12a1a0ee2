/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_BASE_TEXT_H
#define TEPUY_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);

/* The nearest of `n` candidates by edit distance, or NULL when none is near enough to be what was meant. */
const char *text_suggest(const char *word, const char *const *candidates, size_t n);

/* "500ms", "10s", "5m", "2h", "7d" to milliseconds. -EINVAL with a sentence that names the text. */
int text_duration_ms(const char *s, int64_t *ret_ms, struct err *err);
/* "512", "64K", "512M", "2G", "1T" (powers of 1024) to bytes. */
int text_size(const char *s, uint64_t *ret_bytes, struct err *err);
/* Decimal digits only, no sign, no space. -EINVAL or -ERANGE. */
int text_u64(const char *s, uint64_t *ret);

/* "1.2s", "3m 20s", "2h 5m", "4d": for people. The caller owns the string. */
char *text_ago(int64_t ms);
/* Lower case hexadecimal of `n` bytes. The caller owns the string. */
char *text_hex(const void *data, size_t n);

/* A name of a service, component, recipe, link, volume, port, host: [a-z][a-z0-9-]*, 1 to 48 bytes, no final '-'. */
bool text_is_name(const char *s);

/*
 * Makes a string safe for a terminal and for JSON: control characters (except newline and tab when `lines`) and bytes
 * that are no UTF-8 become '?'.
 */
void text_printable(char *s, bool lines);

#endif
