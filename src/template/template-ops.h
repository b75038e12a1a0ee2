/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The compiled form, shared by the parser and the renderer: one flat array, a section knows where its body ends. */
#ifndef TEPUY_TEMPLATE_TEMPLATE_OPS_H
#define TEPUY_TEMPLATE_TEMPLATE_OPS_H

#include "template/template.h"

enum {
	TEMPLATE_MOST_TEXT = 1 << 20,
	TEMPLATE_MOST_LEVELS = 64,
};

enum op_kind { OP_TEXT, OP_VALUE, OP_SECTION, OP_INVERTED, OP_PARTIAL };

/* A run of bytes in the template's own text. */
struct slice {
	const char *at;
	size_t len;
};

struct op {
	enum op_kind kind;
	struct slice text;   /* literal text, or the name in the tag */
	struct slice indent; /* OP_PARTIAL alone on its line: the blanks before it */
	size_t end;          /* sections: index of the first op behind the body */
	int line, column;    /* of the tag's first character */
};

struct template
{
	char *name;
	char *text; /* what all slices point into */
	struct op *ops;
	size_t n_ops, cap_ops;
};

/* Sets a place in `err` beside the code and message that it has; returns -code. */
int template_place(struct err *err, int code, const char *file, int line, int column);

/* Writes a number's decimal point as '.', in place, whatever (and however long) the locale's is. Returns its length. */
size_t template_plain_number(char *text);

#endif
