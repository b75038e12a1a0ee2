/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of strings that it owns, followed by NULL: an argv. Zero-initialised is empty (v is then NULL). */
#ifndef TEPUY_BASE_STRV_H
#define TEPUY_BASE_STRV_H

#include <stdbool.h>

#include "base/mem.h"

struct strv {
	char **v;
	size_t n, cap;
};

#define _cleanup_strv_ _cleanup_(strv_release)

void strv_add(struct strv *strv, const char *s);
void strv_addf(struct strv *strv, const char *format, ...) _printf_(2, 3);
void strv_take(struct strv *strv, char *s); /* takes ownership of `s` */
void strv_add_all(struct strv *strv, ...) __attribute__((sentinel));
void strv_copy(struct strv *to, const struct strv *from); /* appends copies */
bool strv_has(const struct strv *strv, const char *s);
bool strv_equal(const struct strv *a, const struct strv *b);
void strv_sort(struct strv *strv);                              /* bytewise */
bool strv_has_sorted(const struct strv *sorted, const char *s); /* of one that strv_sort sorted */
char *strv_join(const struct strv *strv, const char *between);
void strv_release(struct strv *strv);

#endif
