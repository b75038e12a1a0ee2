/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mustache (the public specification, without lambdas and inheritance), without HTML escaping: {{x}}, {{{x}}} and
 * {{&x}} are the same, as configuration files are not HTML.
 *
 * False is only what the specification calls so: false, null, a missing name and an empty list. "" and 0 are true.
 * Errors of both steps carry file, line and column (in characters, from 1) of the tag that is at fault; line 0 when it
 * is the file as a whole.
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

/* Gives a partial's text (owned by the caller of the callback) or NULL when there is none, which renders as nothing. */
typedef char *(*template_partial_fn)(void *data, const char *name);

/*
 * Renders with `context` (borrowed), appending to `out`, which is as it was on failure. `partial` may be NULL. Output
 * is capped at 16 MiB (-EFBIG), sections and partials at 128 levels and all work at a million steps (-ELOOP). A list
 * or an object where text should be is -EINVAL.
 */
int template_render(const struct template *t, json_t *context, template_partial_fn partial, void *data, struct buf *out,
		    struct err *err);

/* Dotted names that the template uses, each once, in order (a section before what is in it): for lint. */
void template_names(const struct template *t, struct strv *ret);

/* As template_names, each use with its place; `depth` counts the sections around it (0: the name is a root's). */
typedef void (*template_name_fn)(void *data, const char *name, int line, int column, int depth);
void template_each_name(const struct template *t, template_name_fn fn, void *data);

#endif
