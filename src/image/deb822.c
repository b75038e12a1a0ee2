/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/deb822.h"

#include <string.h>
#include <strings.h>

#define BLANKS " \t"

static void take_line(struct deb822 *paragraph, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *value;

	while (len && strchr(" \t\r", line[len - 1]))
		len--;
	if (strchr(BLANKS, line[0])) {
		char **last = paragraph->values.n ? &paragraph->values.v[paragraph->values.n - 1] : NULL;

		if (last) {
			char *longer = xasprintf("%s\n%.*s", *last, (int)len, line);

			free(*last);
			*last = longer;
		}
		return;
	}
	if (!colon || colon >= line + len)
		return;
	value = colon + 1 + strspn(colon + 1, BLANKS);
	strv_take(&paragraph->names, xstrndup(line, (size_t)(colon - line)));
	strv_take(&paragraph->values, value < line + len ? xstrndup(value, (size_t)(line + len - value)) : xstrdup(""));
}

bool deb822_next(const char **text, struct deb822 *ret)
{
	struct deb822 paragraph = { 0 };

	while (**text) {
		const char *line = *text;
		size_t len = strcspn(line, "\n");

		*text += len + (line[len] == '\n');
		if (len && line[0] == '#')
			continue;
		if (strspn(line, " \t\r") < len)
			take_line(&paragraph, line, len);
		else if (paragraph.names.n)
			break;
	}
	if (!paragraph.names.n)
		return false;
	*ret = paragraph;
	return true;
}

const char *deb822_get(const struct deb822 *paragraph, const char *name)
{
	for (size_t i = 0; i < paragraph->names.n; i++)
		if (strcasecmp(paragraph->names.v[i], name) == 0)
			return paragraph->values.v[i];
	return NULL;
}

void deb822_release(struct deb822 *paragraph)
{
	strv_release(&paragraph->names);
	strv_release(&paragraph->values);
	*paragraph = (struct deb822){ 0 };
}

void deb822_words(const char *text, struct strv *ret)
{
	while (text && *text) {
		size_t n;

		text += strspn(text, " \t\r\n");
		n = strcspn(text, " \t\r\n");
		if (n)
			strv_take(ret, xstrndup(text, n));
		text += n;
	}
}
