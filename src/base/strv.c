/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/strv.h"

#include <string.h>

#include "base/buf.h"

void strv_take(struct strv *strv, char *s)
{
	strv->v = grow_array(strv->v, strv->n + 1, &strv->cap, sizeof(*strv->v));
	strv->v[strv->n++] = s;
	strv->v[strv->n] = NULL;
}

void strv_add(struct strv *strv, const char *s)
{
	strv_take(strv, xstrdup(s));
}

void strv_addf(struct strv *strv, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	strv_take(strv, xvasprintf(format, ap));
	va_end(ap);
}

void strv_add_all(struct strv *strv, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, strv);
	while ((s = va_arg(ap, const char *)))
		strv_add(strv, s);
	va_end(ap);
}

void strv_copy(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		strv_add(to, from->v[i]);
}

bool strv_has(const struct strv *strv, const char *s)
{
	for (size_t i = 0; i < strv->n; i++)
		if (!strcmp(strv->v[i], s))
			return true;
	return false;
}

bool strv_equal(const struct strv *a, const struct strv *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]))
			return false;
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *strv)
{
	if (strv->n)
		qsort(strv->v, strv->n, sizeof(*strv->v), compare);
}

bool strv_has_sorted(const struct strv *sorted, const char *s)
{
	return sorted->n && bsearch(&s, sorted->v, sorted->n, sizeof(*sorted->v), compare);
}

char *strv_join(const struct strv *strv, const char *between)
{
	struct buf buf = { 0 };

	for (size_t i = 0; i < strv->n; i++) {
		if (i)
			buf_adds(&buf, between);
		buf_adds(&buf, strv->v[i]);
	}
	return buf_take(&buf);
}

void strv_release(struct strv *strv)
{
	if (!strv)
		return;
	for (size_t i = 0; i < strv->n; i++)
		free(strv->v[i]);
	free(strv->v);
	*strv = (struct strv){ 0 };
}
