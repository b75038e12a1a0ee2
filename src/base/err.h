/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors: a fallible function returns 0 (or a count) or a negative errno, and its last argument is a `struct err *`
 * that is untouched on success. Messages are whole sentences without a final full stop when they are to be wrapped:
 * "outer: inner". Callers may pass NULL when only the code matters.
 */
#ifndef TEPUY_BASE_ERR_H
#define TEPUY_BASE_ERR_H

#include "base/mem.h"

struct err {
	int code;      /* positive errno, 0: no error */
	char *message; /* owned, for a person, translated */
	char *file;    /* owned or NULL: where in a document */
	int line, column;
};

#define ERR_INIT ((struct err){ 0 })

/* Sets the error (replacing an earlier one) and returns -code. */
int err_set(struct err *err, int code, const char *format, ...) _printf_(3, 4);
/* As err_set, with ": " and the text of errno `code` at the end. */
int err_errno(struct err *err, int code, const char *format, ...) _printf_(3, 4);
/* Puts "prefix: " before the message and returns -code of what it wraps. */
int err_wrap(struct err *err, const char *format, ...) _printf_(2, 3);
/* The message, or the text of the code, never NULL. */
const char *err_text(const struct err *err);
void err_release(struct err *err);

#define _cleanup_err_ _cleanup_(err_release)

#endif
