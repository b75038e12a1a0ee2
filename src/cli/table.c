/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/table.h"

#include <string.h>

#include "base/strv.h"
#include "base/text.h"

enum { MOST_COLUMNS = 12 };

struct table {
	struct strv cells; /* the first row are the headers */
	enum colour *colours;
	size_t cap, columns, widths[MOST_COLUMNS];
};

void table_add(struct table *table, enum colour colour, const char *text)
{
	char *safe = xstrdup(*text ? text : "-");
	size_t column = table->cells.n % table->columns, width;

	text_printable(safe, false);
	width = output_width(safe);
	if (width > table->widths[column])
		table->widths[column] = width;
	table->colours = grow_array(table->colours, table->cells.n, &table->cap, sizeof(*table->colours));
	table->colours[table->cells.n] = colour;
	strv_take(&table->cells, safe);
}

void table_addf(struct table *table, enum colour colour, const char *format, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	table_add(table, colour, text);
}

struct table *table_new(const char *header, ...)
{
	struct table *table = xcalloc(1, sizeof(*table));
	const char *headers[MOST_COLUMNS];
	va_list ap;

	va_start(ap, header);
	for (const char *h = header; h && table->columns < MOST_COLUMNS; h = va_arg(ap, const char *))
		headers[table->columns++] = h;
	va_end(ap);
	for (size_t i = 0; i < table->columns; i++)
		table_add(table, BOLD, headers[i]);
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	strv_release(&table->cells);
	free(table->colours);
	free(table);
}

void table_freep(struct table **table)
{
	table_free(*table);
}

void table_render(const struct table *table, bool colour, size_t indent, struct buf *to)
{
	for (size_t i = 0; i < table->cells.n; i++) {
		size_t column = i % table->columns;
		const char *text = table->cells.v[i];

		if (column == 0)
			buf_printf(to, "%*s", (int)indent, "");
		output_colour(to, colour, table->colours[i], text);
		if (column + 1 == table->columns)
			buf_addc(to, '\n');
		else
			buf_printf(to, "%*s", (int)(table->widths[column] - output_width(text) + 2), "");
	}
}
