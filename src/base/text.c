/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"

bool text_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

bool text_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein with transpositions of neighbours counted as one, on words of up to 63 bytes. */
static size_t distance(const char *a, const char *b)
{
	enum { MOST = 64 };
	size_t rows[3][MOST], *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	size_t n = strlen(a), m = strlen(b);

	if (n >= MOST || m >= MOST)
		return MOST;
	for (size_t j = 0; j <= m; j++)
		last[j] = j;
	for (size_t i = 1; i <= n; i++) {
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[m];
}

const char *text_suggest(const char *word, const char *const *candidates, size_t n)
{
	size_t best = strlen(word) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, candidates[i]);

		if (d < best || (d == best && !found)) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}

int text_u64(const char *s, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *s - '0', &value))
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits followed by one of the units. */
static int number_with_unit(const char *s, const struct unit *units, size_t n_units, uint64_t *ret)
{
	size_t digits = strspn(s, "0123456789");
	_cleanup_(freep) char *number = xstrndup(s, digits);
	uint64_t value;
	int r = text_u64(number, &value);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n_units; i++)
		if (!strcmp(s + digits, units[i].name))
			return __builtin_mul_overflow(value, units[i].factor, ret) ? -ERANGE : 0;
	return -EINVAL;
}

int text_duration_ms(const char *s, int64_t *ret_ms, struct err *err)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	uint64_t ms;

	if (number_with_unit(s, units, ARRAY_SIZE(units), &ms) < 0 || ms > INT64_MAX / 2)
		return err_set(err, EINVAL, _("'%s' is no duration; write it as 500ms, 10s, 5m, 2h or 7d"), s);
	*ret_ms = (int64_t)ms;
	return 0;
}

int text_size(const char *s, uint64_t *ret_bytes, struct err *err)
{
	static const struct unit units[] = {
		{ "", 1 }, { "K", 1ULL << 10 }, { "M", 1ULL << 20 }, { "G", 1ULL << 30 }, { "T", 1ULL << 40 },
	};
	uint64_t bytes;

	if (number_with_unit(s, units, ARRAY_SIZE(units), &bytes) < 0)
		return err_set(err, EINVAL, _("'%s' is no size; write it as 512M or 2G"), s);
	*ret_bytes = bytes;
	return 0;
}

char *text_ago(int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		ms = s = 0;
	if (s < 60)
		return xasprintf("%lld.%llds", (long long)s, (long long)(ms % 1000 / 100));
	if (s < 3600)
		return xasprintf("%lldm %llds", (long long)(s / 60), (long long)(s % 60));
	if (s < 86400)
		return xasprintf("%lldh %lldm", (long long)(s / 3600), (long long)(s % 3600 / 60));
	return xasprintf("%lldd %lldh", (long long)(s / 86400), (long long)(s % 86400 / 3600));
}

char *text_hex(const void *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = data;
	char *s = xmalloc(n * 2 + 1);

	for (size_t i = 0; i < n; i++) {
		s[i * 2] = digits[bytes[i] >> 4];
		s[i * 2 + 1] = digits[bytes[i] & 15];
	}
	s[n * 2] = '\0';
	return s;
}

bool text_is_name(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > 48 || *s < 'a' || *s > 'z' || s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* Length of the well-formed UTF-8 character at `s` (Unicode 15, table 3-7), 0: it is none. */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	if (s[0] == 0xe0)
		low = 0xa0; /* not longer than need be */
	else if (s[0] == 0xed)
		high = 0x9f; /* no surrogates */
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f; /* up to U+10FFFF */
	for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf)
		if (s[i] < low || s[i] > high)
			return 0;
	return length;
}

void text_printable(char *s, bool lines)
{
	while (*s) {
		size_t length = utf8_length((unsigned char *)s);

		/* U+0080 to U+009F are control characters too, which terminals obey. */
		if (length == 2 && (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0)
			s[0] = s[1] = '?';
		else if (length == 0 || ((unsigned char)*s < 32 && !(lines && (*s == '\n' || *s == '\t'))) || *s == 127)
			*s = '?';
		s += length ? length : 1;
	}
}
