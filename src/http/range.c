/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "http/range.h"

#include <string.h>
#include <strings.h>

/* Digits only; false when there is none or the number is too large. `*at` goes behind them. */
static bool read_number(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t number = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (p == *at)
		return false;
	*at = p;
	*ret = number;
	return true;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* "bytes=5-", "bytes=5-9", "bytes=-5"; the last is the body's end. False: malformed, or several. */
static bool read_asked(const char *value, uint64_t size, struct http_part *ret)
{
	uint64_t from = 0, last = UINT64_MAX;
	const char *p = skip_blanks(value);
	bool first;

	if (strncasecmp(p, "bytes=", 6) != 0)
		return false;
	p = skip_blanks(p + 6);
	first = read_number(&p, &from);
	if (*p++ != '-')
		return false;
	if (*p >= '0' && *p <= '9' && !read_number(&p, &last))
		return false;
	if (*skip_blanks(p) || (!first && last == UINT64_MAX) || (first && last < from))
		return false;
	if (!first) {
		from = last > size ? 0 : size - last;
		*ret = (struct http_part){ last ? from : size, size - from, size };
		return true;
	}
	*ret = (struct http_part){ from, 0, size };
	if (from < size)
		ret->len = last >= size ? size - from : last - from + 1;
	return true;
}

enum http_range http_range_asked(const char *value, uint64_t size, struct http_part *ret)
{
	struct http_part part = { 0 };

	if (!value || !read_asked(value, size, &part)) {
		*ret = (struct http_part){ 0, size, size };
		return HTTP_RANGE_WHOLE;
	}
	if (part.from >= size)
		return HTTP_RANGE_BEYOND;
	*ret = part;
	return HTTP_RANGE_PART;
}

bool http_range_given(const char *value, struct http_part *ret)
{
	uint64_t from, last, total = HTTP_TOTAL_UNKNOWN;
	const char *p = skip_blanks(value);

	if (strncasecmp(p, "bytes ", 6) != 0)
		return false;
	p = skip_blanks(p + 6);
	if (!read_number(&p, &from) || *p++ != '-' || !read_number(&p, &last) || *p++ != '/')
		return false;
	if (*p == '*')
		p++;
	else if (!read_number(&p, &total) || total == HTTP_TOTAL_UNKNOWN)
		return false;
	if (p[strspn(p, " \t\r\n")] || last < from || last >= total)
		return false;
	*ret = (struct http_part){ from, last - from + 1, total };
	return true;
}
