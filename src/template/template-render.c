/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "template/template-ops.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"

enum {
	MOST_OUTPUT = 16 << 20,
	MOST_LEVELS = 128,    /* sections and partials inside each other */
	MOST_STEPS = 1000000, /* ops executed: nested loops and partials that call themselves twice */
	MOST_PARTIALS = 1024, /* different ones, by name and indent */
	MOST_PARTIAL_TEXT = 16 << 20,
};

/* A partial as compiled for one indent: a loop needs it many times. */
struct partial {
	char *name, *indent;
	struct template *t; /* NULL: there is none of that name */
};

struct renderer {
	json_t *stack[MOST_LEVELS + 1]; /* contexts, innermost last; borrowed */
	size_t n_stack;
	int level;
	int steps;
	template_partial_fn partial;
	void *data;
	struct partial *partials;
	size_t n_partials, cap_partials, partial_text;
	struct buf *out;
	size_t out_before;
	struct err *err;
};

static int run_ops(struct renderer *r, const struct template *t, size_t from, size_t to);

static json_t *member(json_t *object, struct slice name)
{
	return json_is_object(object) ? json_object_getn(object, name.at, name.len) : NULL;
}

/* The first part of a dotted name is looked for from the innermost context outwards, the rest only in what it gave. */
static json_t *lookup(const struct renderer *r, struct slice name)
{
	const char *end = name.at + name.len, *dot = memchr(name.at, '.', name.len);
	struct slice part = { name.at, dot ? (size_t)(dot - name.at) : name.len };
	json_t *value = NULL;

	if (name.len == 1 && dot)
		return r->stack[r->n_stack - 1];
	for (size_t i = r->n_stack; i > 0 && !value; i--)
		value = member(r->stack[i - 1], part);
	while (value && dot) {
		part.at = dot + 1;
		dot = memchr(part.at, '.', (size_t)(end - part.at));
		part.len = (size_t)((dot ? dot : end) - part.at);
		value = member(value, part);
	}
	return value;
}

static bool is_true(const json_t *value)
{
	return value && !json_is_null(value) && !json_is_false(value) &&
	       !(json_is_array(value) && !json_array_size(value));
}

static int put(struct renderer *r, const char *text, size_t len)
{
	if (r->out->len - r->out_before + len > MOST_OUTPUT)
		return err_set(r->err, EFBIG, _("What the template renders is larger than 16 MiB"));
	buf_add(r->out, text, len);
	return 0;
}

size_t template_plain_number(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (strchr("0123456789+-e", *from))
			*to++ = *from;
		else if (to > text && to[-1] != '.')
			*to++ = '.';
	}
	*to = '\0';
	return (size_t)(to - text);
}

/* The shortest decimals that read back as the same number. */
static int put_real(struct renderer *r, double value)
{
	int precision = 15;
	char text[40];

	if (value == 0)
		value = 0; /* no "-0" */
	do
		snprintf(text, sizeof(text), "%.*g", precision, value);
	while (strtod(text, NULL) != value && precision++ < 17);
	return put(r, text, template_plain_number(text));
}

static int refuse(struct renderer *r, const json_t *value, struct slice name)
{
	if (json_is_array(value))
		return err_set(r->err, EINVAL, _("'%.*s' is a list, not text; a section {{#%.*s}} loops over it"),
			       (int)name.len, name.at, (int)name.len, name.at);
	return err_set(r->err, EINVAL, _("'%.*s' is a group of values, not text; name one of them"), (int)name.len,
		       name.at);
}

static int put_value(struct renderer *r, struct slice name)
{
	json_t *value = lookup(r, name);
	char text[32];
	int len;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return put(r, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		len = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return put(r, text, (size_t)len);
	case JSON_REAL:
		return put_real(r, json_real_value(value));
	case JSON_TRUE:
		return put(r, "true", 4);
	case JSON_FALSE:
		return put(r, "false", 5);
	case JSON_NULL:
		return 0;
	default:
		return refuse(r, value, name);
	}
}

static int run_body(struct renderer *r, const struct template *t, const struct op *op, json_t *context)
{
	size_t first = (size_t)(op - t->ops) + 1;
	int result;

	r->stack[r->n_stack++] = context;
	result = run_ops(r, t, first, op->end);
	r->n_stack--;
	return result;
}

static int run_section(struct renderer *r, const struct template *t, const struct op *op)
{
	json_t *value = lookup(r, op->text), *element;
	size_t i;
	int result = 0;

	if (op->kind == OP_INVERTED)
		return is_true(value) ? 0 : run_ops(r, t, (size_t)(op - t->ops) + 1, op->end);
	if (!is_true(value))
		return 0;
	if (!json_is_array(value))
		return run_body(r, t, op, value);
	json_array_foreach(value, i, element)
	{
		result = run_body(r, t, op, element);
		if (result < 0)
			break;
	}
	return result;
}

/* Puts `indent` before each line of the partial's own text, never inside what it renders. */
static void indent_lines(const char *text, const char *indent, struct buf *ret)
{
	while (*text) {
		size_t line = strcspn(text, "\n");

		line += text[line] == '\n';
		buf_adds(ret, indent);
		buf_add(ret, text, line);
		text += line;
	}
}

static int load_partial(struct renderer *r, struct partial *partial)
{
	_cleanup_(freep) char *text = r->partial ? r->partial(r->data, partial->name) : NULL;
	_cleanup_buf_ struct buf indented = { 0 };
	size_t lines = 1, len;

	if (!text)
		return 0;
	for (const char *s = text; (s = strchr(s, '\n')); s++)
		lines++;
	len = strlen(text);
	r->partial_text += len + lines * strlen(partial->indent);
	if (len > TEMPLATE_MOST_TEXT || r->partial_text > MOST_PARTIAL_TEXT)
		return err_set(r->err, EFBIG, _("The partial '%s' is too large"), partial->name);
	indent_lines(text, partial->indent, &indented);
	return template_parse(partial->name, buf_text(&indented), indented.len, &partial->t, r->err);
}

/* Finds the compiled partial or compiles it now. `ret` is NULL when there is none of that name. */
static int find_partial(struct renderer *r, const struct op *op, const struct template **ret)
{
	_cleanup_(freep) char *name = xstrndup(op->text.at, op->text.len);
	_cleanup_(freep) char *indent = xstrndup(op->indent.len ? op->indent.at : "", op->indent.len);
	struct partial *partial;
	int result;

	for (size_t i = 0; i < r->n_partials; i++) {
		if (!strcmp(r->partials[i].name, name) && !strcmp(r->partials[i].indent, indent)) {
			*ret = r->partials[i].t;
			return 0;
		}
	}
	if (r->n_partials == MOST_PARTIALS)
		return err_set(r->err, ELOOP, _("The template uses more than %d partials"), MOST_PARTIALS);
	r->partials = grow_array(r->partials, r->n_partials, &r->cap_partials, sizeof(*r->partials));
	partial = &r->partials[r->n_partials++];
	*partial = (struct partial){ .name = TAKE_PTR(name), .indent = TAKE_PTR(indent) };
	result = load_partial(r, partial);
	if (result == 0)
		*ret = partial->t;
	return result;
}

static int run_partial(struct renderer *r, const struct op *op)
{
	const struct template *partial = NULL;
	int result = find_partial(r, op, &partial);

	return result < 0 || !partial ? result : run_ops(r, partial, 0, partial->n_ops);
}

static int run_nested(struct renderer *r, const struct template *t, const struct op *op)
{
	int result;

	if (r->level == MOST_LEVELS)
		return err_set(r->err, ELOOP, _("Sections and partials are nested more than %d deep here"),
			       MOST_LEVELS);
	r->level++;
	result = op->kind == OP_PARTIAL ? run_partial(r, op) : run_section(r, t, op);
	r->level--;
	return result;
}

static int run_op(struct renderer *r, const struct template *t, const struct op *op)
{
	if (++r->steps > MOST_STEPS)
		return err_set(r->err, ELOOP, _("Loops in the template take too many steps"));
	switch (op->kind) {
	case OP_TEXT:
		return put(r, op->text.at, op->text.len);
	case OP_VALUE:
		return put_value(r, op->text);
	default:
		return run_nested(r, t, op);
	}
}

static int run_ops(struct renderer *r, const struct template *t, size_t from, size_t to)
{
	for (size_t i = from; i < to;) {
		const struct op *op = &t->ops[i];
		int result = run_op(r, t, op);

		if (result < 0) {
			/* The innermost tag is the place; outer ones keep it. */
			return r->err && r->err->file ? result
						      : template_place(r->err, -result, t->name, op->line, op->column);
		}
		i = op->kind == OP_SECTION || op->kind == OP_INVERTED ? op->end : i + 1;
	}
	return 0;
}

static void release_partials(struct renderer *r)
{
	for (size_t i = 0; i < r->n_partials; i++) {
		free(r->partials[i].name);
		free(r->partials[i].indent);
		template_free(r->partials[i].t);
	}
	free(r->partials);
}

int template_render(const struct template *t, json_t *context, template_partial_fn partial, void *data, struct buf *out,
		    struct err *err)
{
	struct renderer r = { .stack = { context },
			      .n_stack = 1,
			      .partial = partial,
			      .data = data,
			      .out = out,
			      .out_before = out->len,
			      .err = err };
	int result = run_ops(&r, t, 0, t->n_ops);

	release_partials(&r);
	if (result < 0 && out->data) {
		out->len = r.out_before;
		out->data[out->len] = '\0';
	}
	return result;
}
