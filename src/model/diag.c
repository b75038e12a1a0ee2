/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/diag.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

struct diag_source {
	char *file;
	char *text; /* len bytes; NULL: never read */
	size_t len;
};

static struct diag_source *find_source(const struct diag *diag, const char *file)
{
	for (size_t i = 0; i < diag->n_sources; i++)
		if (!strcmp(diag->sources[i].file, file))
			return &diag->sources[i];
	return NULL;
}

void diag_source(struct diag *diag, const char *file, const char *text, size_t len)
{
	struct diag_source *source = find_source(diag, file);

	if (!source) {
		diag->sources = grow_array(diag->sources, diag->n_sources, &diag->cap_sources, sizeof(*source));
		source = &diag->sources[diag->n_sources++];
		*source = (struct diag_source){ .file = xstrdup(file) };
	}
	if (source->text || !text)
		return;
	source->text = xmalloc(len); /* not a string: it may be what is no text at all */
	memcpy(source->text, text, len);
	source->len = len;
}

/* Takes ownership of `message`. */
static void add(struct diag *diag, enum diag_severity severity, const struct place *place, char *message,
		const char *suggestion)
{
	size_t *found = severity == DIAG_ERROR ? &diag->n_errors : &diag->n_warnings;
	struct diag_item *item;

	if ((*found)++ >= DIAG_MOST) {
		free(message);
		return;
	}
	diag_source(diag, place->file, NULL, 0);
	text_printable(message, false);
	diag->items = grow_array(diag->items, diag->n, &diag->cap, sizeof(*item));
	item = &diag->items[diag->n++];
	*item = (struct diag_item){
		.severity = severity,
		.file = xstrdup(place->file),
		.line = place->line,
		.column = place->column,
		.length = place->length > 0 ? place->length : 1,
		.message = message,
		.suggestion = xstrdup(suggestion),
	};
}

void diag_error(struct diag *diag, const struct place *place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(diag, DIAG_ERROR, place, xvasprintf(format, ap), NULL);
	va_end(ap);
}

void diag_warning(struct diag *diag, const struct place *place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(diag, DIAG_WARNING, place, xvasprintf(format, ap), NULL);
	va_end(ap);
}

void diag_unknown(struct diag *diag, const struct place *place, const char *word, const char *const *candidates,
		  size_t n, const char *format, ...)
{
	const char *meant = diag->n_errors < DIAG_MOST ? text_suggest(word, candidates, n) : NULL;
	_cleanup_(freep) char *sentence = NULL;
	va_list ap;

	va_start(ap, format);
	sentence = xvasprintf(format, ap);
	va_end(ap);
	if (!meant)
		add(diag, DIAG_ERROR, place, TAKE_PTR(sentence), NULL);
	else
		add(diag, DIAG_ERROR, place, xasprintf(_("%s; did you mean '%s'?"), sentence, meant), meant);
}

void diag_file(struct diag *diag, const char *file, const struct err *err)
{
	struct place place = { .file = file, .length = 1 };

	diag_error(diag, &place, "%s", err_text(err));
}

static int compare_numbers(long long a, long long b)
{
	return (a > b) - (a < b);
}

static int compare_items(const struct diag *diag, const struct diag_item *x, const struct diag_item *y)
{
	int r = compare_numbers(find_source(diag, x->file) - diag->sources, find_source(diag, y->file) - diag->sources);

	if (!r)
		r = compare_numbers(x->line, y->line);
	return r ? r : compare_numbers(x->column, y->column);
}

void diag_sort(struct diag *diag)
{
	/* An insertion sort is stable, and there are a hundred items at most. */
	for (size_t i = 1; i < diag->n; i++) {
		struct diag_item item = diag->items[i];
		size_t j = i;

		for (; j > 0 && compare_items(diag, &diag->items[j - 1], &item) > 0; j--)
			diag->items[j] = diag->items[j - 1];
		diag->items[j] = item;
	}
}

json_t *diag_to_json(struct diag *diag)
{
	json_t *list = json_array();

	diag_sort(diag);
	for (size_t i = 0; i < diag->n; i++) {
		const struct diag_item *item = &diag->items[i];

		json_array_append_new(list,
				      json_pack("{s:s,s:s,s:i,s:i,s:i,s:s,s:s?}", "severity",
						item->severity == DIAG_ERROR ? "error" : "warning", "file", item->file,
						"line", item->line, "column", item->column, "length", item->length,
						"message", item->message, "suggestion", item->suggestion));
	}
	return list;
}

int diag_result(struct diag *diag, struct err *err)
{
	if (!diag->n_errors)
		return 0;
	diag_sort(diag);
	for (size_t i = 0; i < diag->n; i++) {
		const struct diag_item *item = &diag->items[i];

		if (item->severity != DIAG_ERROR)
			continue;
		if (diag->n_errors == 1)
			return err_set(err, EINVAL, "%s:%d:%d: %s", item->file, item->line, item->column,
				       item->message);
		return err_set(err, EINVAL,
			       ngettext("%s:%d:%d: %s (and %zu more error)", "%s:%d:%d: %s (and %zu more errors)",
					diag->n_errors - 1),
			       item->file, item->line, item->column, item->message, diag->n_errors - 1);
	}
	return -EINVAL;
}

const char *diag_source_text(const struct diag *diag, const char *file, size_t *ret_len)
{
	const struct diag_source *source = find_source(diag, file);

	if (!source || !source->text)
		return NULL;
	*ret_len = source->len;
	return source->text;
}

void diag_release(struct diag *diag)
{
	for (size_t i = 0; i < diag->n; i++) {
		free(diag->items[i].file);
		free(diag->items[i].message);
		free(diag->items[i].suggestion);
	}
	for (size_t i = 0; i < diag->n_sources; i++) {
		free(diag->sources[i].file);
		free(diag->sources[i].text);
	}
	free(diag->items);
	free(diag->sources);
	*diag = (struct diag){ 0 };
}
