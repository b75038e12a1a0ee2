/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Diagnostics as lines for a terminal. */
#include <string.h>

#include "base/i18n.h"
#include "model/diag.h"
#include "model/yaml-text.h"

#define INDENT "    "
#define MOST_SHOWN 120 /* characters of a source line; of a longer one the part around the place is shown */

struct colours {
	const char *error, *warning, *bold, *caret, *none;
};

static const struct colours plain = { "", "", "", "", "" };
static const struct colours ansi = { "\033[1;31m", "\033[1;35m", "\033[1m", "\033[1;32m", "\033[0m" };

/* The bytes of line `number`, without its end. An empty run when there is no such line. */
static void find_line(const char *text, size_t len, int number, const char **ret, size_t *ret_len)
{
	const char *end = text + len, *p = text, *q;

	for (;; p = q) {
		for (q = p; q < end && *q != '\n' && *q != '\r'; q++)
			;
		if (--number == 0 || q == end)
			break;
		q += *q == '\r' && q + 1 < end && q[1] == '\n' ? 2 : 1;
	}
	*ret = p;
	*ret_len = number ? 0 : (size_t)(q - p);
}

/* One character; what is no text becomes '?', so that a file cannot send sequences to a terminal. */
static int next_character(const char *s, size_t len, uint32_t *ret)
{
	int n = utf8_decode(s, len, ret);

	if (n < 0 || (*ret < 32 && *ret != '\t') || (*ret >= 0x7f && *ret < 0xa0)) {
		*ret = '?';
		return n < 0 ? 1 : n;
	}
	return n;
}

/*
 * Walks the shown part of the line: the characters go to `shown`, and blanks as wide as they are, or carets under the
 * place, to `under`. A tab stays a tab in both, so that they stay level whatever the terminal's tab stops.
 */
static void show_line(const char *line, size_t len, const struct diag_item *item, struct buf *shown, struct buf *under)
{
	int first = item->column > MOST_SHOWN - 40 ? item->column - 60 : 1, last = first + MOST_SHOWN - 1;
	int column = 1, end = item->column + item->length;

	if (first > 1) {
		buf_adds(shown, "…");
		buf_addc(under, ' ');
	}
	for (size_t i = 0; i < len || column <= item->column; column++) {
		uint32_t c = ' ';
		int n = i < len ? next_character(line + i, len - i, &c) : 0;
		int width = utf8_width(c);

		if (column > last) {
			buf_adds(shown, "…");
			return;
		}
		if (column >= first) {
			if (c == '?' || !n)
				buf_addc(shown, (char)c);
			else
				buf_add(shown, line + i, (size_t)n);
			if (column >= item->column && column < end)
				buf_adds(under, column == item->column ? (width == 2 ? "^~" : "^")
								       : (width == 2 ? "~~" : "~"));
			else if (column < item->column)
				buf_adds(under, c == '\t' ? "\t" : (width == 2 ? "  " : width ? " " : ""));
		}
		i += (size_t)n;
	}
}

static void trim_right(struct buf *buf)
{
	while (buf->len && buf->data[buf->len - 1] == ' ')
		buf->data[--buf->len] = '\0';
}

static void format_source(const struct diag *diag, const struct diag_item *item, const struct colours *colours,
			  struct buf *out)
{
	_cleanup_buf_ struct buf shown = { 0 }, under = { 0 };
	const char *text, *line;
	size_t len, line_len;

	text = diag_source_text(diag, item->file, &len);
	if (!text || item->line < 1)
		return;
	find_line(text, len, item->line, &line, &line_len);
	if (!line_len)
		return;
	show_line(line, line_len, item, &shown, &under);
	trim_right(&shown);
	buf_printf(out, INDENT "%s\n" INDENT "%s%s%s\n", buf_text(&shown), colours->caret, buf_text(&under),
		   colours->none);
}

static void format_item(const struct diag *diag, const struct diag_item *item, const struct colours *colours,
			struct buf *out)
{
	bool error = item->severity == DIAG_ERROR;

	buf_printf(out, "%s%s", colours->bold, item->file);
	if (item->line > 0)
		buf_printf(out, ":%d:%d", item->line, item->column);
	buf_printf(out, ":%s %s%s:%s %s\n", colours->none, error ? colours->error : colours->warning,
		   error ? _("error") : _("warning"), colours->none, item->message);
	format_source(diag, item, colours, out);
}

static size_t hidden(size_t found)
{
	return found > DIAG_MOST ? found - DIAG_MOST : 0;
}

void diag_format(struct diag *diag, bool colour, struct buf *out)
{
	size_t n;

	diag_sort(diag);
	for (size_t i = 0; i < diag->n; i++)
		format_item(diag, &diag->items[i], colour ? &ansi : &plain, out);
	n = hidden(diag->n_errors);
	if (n)
		buf_printf(out, ngettext("%zu more error is not shown.\n", "%zu more errors are not shown.\n", n), n);
	n = hidden(diag->n_warnings);
	if (n)
		buf_printf(out, ngettext("%zu more warning is not shown.\n", "%zu more warnings are not shown.\n", n),
			   n);
}
