/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A table whose columns are as wide as their widest cell on a terminal, whatever the script. */
#ifndef TEPUY_CLI_TABLE_H
#define TEPUY_CLI_TABLE_H

#include "cli/output.h"

struct table;

/* The headers, up to NULL; they are the number of columns. */
struct table *table_new(const char *header, ...) __attribute__((sentinel));
void table_free(struct table *table);
void table_freep(struct table **table);
/* The next cell, rows first. The text is copied and made safe for a terminal; "" is shown as "-". */
void table_add(struct table *table, enum colour colour, const char *text);
void table_addf(struct table *table, enum colour colour, const char *format, ...) _printf_(3, 4);
/* Appends the table, each line behind `indent` spaces; the last column is not padded. */
void table_render(const struct table *table, bool colour, size_t indent, struct buf *to);

#endif
