/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How things are written for people and for programs: width, colour, time, JSON. */
#ifndef TEPUY_CLI_OUTPUT_H
#define TEPUY_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "model/canonical.h"

enum colour { PLAIN, GREEN, YELLOW, RED, DIM, BOLD };

/* Columns that a UTF-8 text takes on a terminal; our own colour sequences take none. */
size_t output_width(const char *text);
/* Bytes of the longest start of `text` that fits into `columns`. */
size_t output_fit(const char *text, size_t columns);
/* Appends `text`, coloured if `use`. */
void output_colour(struct buf *to, bool use, enum colour colour, const char *text);
/* Appends `text` broken at spaces to lines of `columns`, each behind `indent` spaces. */
void output_wrap(struct buf *to, const char *text, size_t indent, size_t columns);
/* "2026-11-22 14:41:25" in local time. The caller owns it. */
char *output_time(int64_t ms);
/* "5m 2s" since then, "" for 0. The caller owns it. */
char *output_since(int64_t ms);

/* Indented, keys in the order in which they were set; the caller keeps `json`. */
void output_json(FILE *to, const json_t *json);
void output_json_line(FILE *to, const json_t *json);
/*
 * Gives a stream's reader what was written so far. A reader that has gone ends the program as SIGPIPE does, also where
 * that is ignored; -errno for other trouble.
 */
int output_flush(FILE *to, struct err *err);

/* Members of JSON that came from elsewhere: "" or 0 when absent or of another type. Borrowed. */
const char *json_text(const json_t *object, const char *key);
int64_t json_number(const json_t *object, const char *key);
bool json_flag(const json_t *object, const char *key);
/* The words from `first` on as an array; NULL with -EINVAL in `err` when one is not UTF-8, which JSON cannot carry. */
json_t *json_words(const struct strv *words, size_t first, struct err *err);

#endif
