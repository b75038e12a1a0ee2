/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mustache (the public specification, without lambdas and inheritance), without HTML escaping: {{x}}, {{{x}}} and
 * {{&x}} are the same, as configuration files are not HTML.
 */
#ifndef TEPUY_TEMPLATE_TEMPLATE_H
#define TEPUY_TEMPLATE_TEMPLATE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct template;

/* `name` is the file's name for errors, which carry line and column. At most 1 MiB of text, 64 levels. */
int template_parse(const char *name, const char *text, size_t len, struct template **ret, struct err *err);
void template_free(struct template *t);
void template_freep(struct template **t);

/* Gives a partial's text (owned by the caller of the callback) or NULL when there is none. */
typedef char *(*template_partial_fn)(void *data, const char *name);

/* Renders with `context` (borrowed). `partial` may be NULL. Output is capped at 16 MiB (-EFBIG). */
int template_render(const struct template *t, json_t *context, template_partial_fn partial, void *data, struct buf *out,
                    struct err *err);
/* Dotted names that the template uses, outermost sections first: for lint. */
void template_names(const struct template *t, struct strv *ret);

#endif
