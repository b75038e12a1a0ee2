/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Diagnostics of documents: what is wrong, where, and what was probably meant. They are collected, not printed: reading
 * goes on after an error, so that a person sees all of them at once. At most DIAG_MOST of each severity are kept.
 */
#ifndef TEPUY_MODEL_DIAG_H
#define TEPUY_MODEL_DIAG_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define DIAG_MOST 50

/* A run of characters in a document. */
struct place {
	const char *file; /* as the person named it; borrowed from the document */
	int line, column; /* from 1; columns count characters, not bytes; line 0: the file as a whole */
	int length;       /* characters, at least 1 */
};

enum diag_severity { DIAG_ERROR, DIAG_WARNING };

struct diag_item {
	enum diag_severity severity;
	char *file;
	int line, column, length; /* as in struct place */
	char *message;            /* a whole sentence without a final full stop */
	char *suggestion;         /* the word that was probably meant, or NULL; the message has it too */
};

struct diag_source;

/* Zero-initialised is empty. */
struct diag {
	struct diag_item *items;
	size_t n, cap;
	size_t n_errors, n_warnings; /* all that were found, also those that were not kept */
	struct diag_source *sources;
	size_t n_sources, cap_sources;
};

#define _cleanup_diag_ _cleanup_(diag_release)

/* Keeps a copy of a document's text, from which the formatter shows lines. A file that is known already is left. */
void diag_source(struct diag *diag, const char *file, const char *text, size_t len);

void diag_error(struct diag *diag, const struct place *place, const char *format, ...) _printf_(3, 4);
void diag_warning(struct diag *diag, const struct place *place, const char *format, ...) _printf_(3, 4);
/* An error whose sentence ends with "; did you mean 'x'?" when one of the candidates is near enough to `word`. */
void diag_unknown(struct diag *diag, const struct place *place, const char *word, const char *const *candidates,
		  size_t n, const char *format, ...) _printf_(6, 7);
/* An error about a file as a whole, from a function that failed; releases nothing. */
void diag_file(struct diag *diag, const char *file, const struct err *err);

/* Orders by file (as first met), line, column; equal places keep the order of their finding. */
void diag_sort(struct diag *diag);
/*
 * Sorts, then appends for each `file:line:column: error: sentence`, the source line and a line with a caret under the
 * place; with `colour` in ANSI sequences. Nothing from the document reaches the output as a control character.
 */
void diag_format(struct diag *diag, bool colour, struct buf *out);
/* The bytes that diag_source kept (borrowed, without a NUL behind them), or NULL. */
const char *diag_source_text(const struct diag *diag, const char *file, size_t *ret_len);
/* Sorts; [{"severity","file","line","column","length","message","suggestion"}], for `--json`. */
json_t *diag_to_json(struct diag *diag);
/* -EINVAL and "portal.yaml:3:9: the first error (and 2 more)" when there are errors, else 0. */
int diag_result(struct diag *diag, struct err *err);
void diag_release(struct diag *diag);

#endif
