/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "template/template-ops.h"

#include <string.h>

void template_free(struct template *t)
{
	if (!t)
		return;
	free(t->name);
	free(t->text);
	free(t->ops);
	free(t);
}

void template_freep(struct template **t)
{
	template_free(*t);
}

int template_place(struct err *err, int code, const char *file, int line, int column)
{
	if (!err)
		return -code;
	free(err->file);
	err->file = xstrdup(file);
	err->line = line;
	err->column = column;
	return -code;
}

static bool is_section(const struct op *op)
{
	return op->kind == OP_SECTION || op->kind == OP_INVERTED;
}

void template_each_name(const struct template *t, template_name_fn fn, void *data)
{
	size_t ends[TEMPLATE_MOST_LEVELS];
	int depth = 0;

	for (size_t i = 0; i < t->n_ops; i++) {
		const struct op *op = &t->ops[i];
		_cleanup_(freep) char *name = NULL;

		while (depth > 0 && ends[depth - 1] <= i)
			depth--;
		if (op->kind != OP_VALUE && !is_section(op))
			continue;
		name = xstrndup(op->text.at, op->text.len);
		fn(data, name, op->line, op->column, depth);
		if (is_section(op))
			ends[depth++] = op->end;
	}
}

struct collector {
	struct strv *names;
	json_t *seen; /* an object used as a set */
};

static void collect(void *data, const char *name, int line, int column, int depth)
{
	struct collector *c = data;

	(void)line;
	(void)column;
	(void)depth;
	/* Names that are no UTF-8 cannot be keys: they are in no context either. */
	if (!strcmp(name, ".") || json_object_get(c->seen, name) || json_object_set_new(c->seen, name, json_true()) < 0)
		return;
	strv_add(c->names, name);
}

void template_names(const struct template *t, struct strv *ret)
{
	struct collector c = { .names = ret, .seen = json_object() };

	template_each_name(t, collect, &c);
	json_decref(c.seen);
}
