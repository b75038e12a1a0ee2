/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Characters of documents: UTF-8, places, and how wide things are on a terminal. */
#ifndef TEPUY_MODEL_YAML_TEXT_H
#define TEPUY_MODEL_YAML_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "model/diag.h"

/* One character of valid or invalid UTF-8: its bytes (at least 1 unless `len` is 0), or -EILSEQ. */
int utf8_decode(const char *s, size_t len, uint32_t *ret);
/* Columns of a terminal that a character takes: 0, 1 or 2. Independent of the locale. */
int utf8_width(uint32_t c);
/*
 * Whether the bytes are text that a document may have. -EINVAL with a diagnostic at the place of the first byte that is
 * not: invalid UTF-8, NUL, control characters, and the line separators that editors do not count as lines.
 */
int text_check(const char *file, const char *text, size_t len, struct diag *diag);

#endif
