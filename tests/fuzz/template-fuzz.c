/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A template, then the context as JSON, then the text of every partial, with a line "---" between them. */
#include <stdint.h>
#include <string.h>

#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *next_part(const char **at, const char *end, size_t *ret_len)
{
	static const char between[] = "\n---\n";
	const char *part = *at, *stop = memmem(part, (size_t)(end - part), between, strlen(between));

	*ret_len = (size_t)((stop ? stop : end) - part);
	*at = stop ? stop + strlen(between) : end;
	return part;
}

static char *give_partial(void *data, const char *name)
{
	return strcmp(name, "none") ? xstrdup(data) : NULL;
}

static void visit(void *data, const char *name, int line, int column, int depth)
{
	(void)data;
	if (!*name || line < 1 || column < 1 || depth < 0 || depth > 64)
		abort();
}

static void render(const struct template *t, json_t *context, const char *partial)
{
	_cleanup_buf_ struct buf out = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r = template_render(t, context, give_partial, (void *)partial, &out, &err);

	if (r < 0 ? out.len || !err.file || err.line < 1 : out.len > 16 << 20)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size, *text, *json, *rest;
	_cleanup_(template_freep) struct template *t = NULL;
	_cleanup_(freep) char *partial = NULL;
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	size_t text_len, json_len, rest_len;
	json_t *context;

	if (!size)
		return 0;
	text = next_part(&at, end, &text_len);
	json = next_part(&at, end, &json_len);
	rest = next_part(&at, end, &rest_len);
	if (template_parse("fuzz", text, text_len, &t, &err) < 0)
		return 0;
	template_names(t, &names);
	template_each_name(t, visit, NULL);
	context = json_loadb(json, json_len, JSON_DECODE_ANY, NULL);
	partial = xstrndup(rest, rest_len);
	render(t, context, partial);
	json_decref(context);
	return 0;
}
