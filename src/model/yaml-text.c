/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/yaml-text.h"

#include <errno.h>
#include <stdbool.h>

#include "base/i18n.h"

/* Bytes of the sequence that begins with `lead`, and the bits of the character that it holds; 0: no lead byte. */
static int sequence_length(unsigned char lead, uint32_t *ret_bits)
{
	static const struct {
		unsigned char mask, value;
		int bytes;
	} leads[] = { { 0x80, 0x00, 1 }, { 0xe0, 0xc0, 2 }, { 0xf0, 0xe0, 3 }, { 0xf8, 0xf0, 4 } };

	for (size_t i = 0; i < ARRAY_SIZE(leads); i++)
		if ((lead & leads[i].mask) == leads[i].value) {
			*ret_bits = lead & (unsigned char)~leads[i].mask;
			return leads[i].bytes;
		}
	return 0;
}

int utf8_decode(const char *s, size_t len, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = 0;
	int bytes;

	if (!len)
		return -EILSEQ;
	bytes = sequence_length((unsigned char)*s, &c);
	if (!bytes || (size_t)bytes > len)
		return -EILSEQ;
	for (int i = 1; i < bytes; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return -EILSEQ;
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return -EILSEQ;
	*ret = c;
	return bytes;
}

struct range {
	uint32_t first, last;
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

int utf8_width(uint32_t c)
{
	static const struct range none[] = { { 0x300, 0x36f },   { 0x1ab0, 0x1aff }, { 0x200b, 0x200f },
					     { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff } };
	static const struct range two[] = { { 0x1100, 0x115f },  { 0x2e80, 0xa4cf },   { 0xac00, 0xd7a3 },
					    { 0xf900, 0xfaff },  { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },
					    { 0xffe0, 0xffe6 },  { 0x1f300, 0x1f64f }, { 0x1f900, 0x1f9ff },
					    { 0x20000, 0x3fffd } };

	if (in_ranges(c, none, ARRAY_SIZE(none)))
		return 0;
	return in_ranges(c, two, ARRAY_SIZE(two)) ? 2 : 1;
}

static bool is_allowed(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	if (c >= 0x7f && c < 0xa0)
		return false;
	/* YAML 1.1 counts these as ends of lines and editors do not: places would lie. */
	return c != 0x2028 && c != 0x2029 && c != 0xfeff && c < 0xfffe + (c > 0xffff) * 0x110000u;
}

int text_check(const char *file, const char *text, size_t len, struct diag *diag)
{
	struct place place = { .file = file, .line = 1, .column = 1, .length = 1 };

	for (size_t i = 0; i < len;) {
		uint32_t c;
		int n = utf8_decode(text + i, len - i, &c);

		if (n < 0) {
			diag_error(diag, &place, _("the file is not UTF-8 text: byte 0x%02x does not belong here"),
				   (unsigned char)text[i]);
			return -EINVAL;
		}
		if (!is_allowed(c)) {
			diag_error(diag, &place, _("the file is not text: it has the control character U+%04X"), c);
			return -EINVAL;
		}
		i += (size_t)n;
		place.column++;
		if (c == '\n' || (c == '\r' && (i >= len || text[i] != '\n'))) {
			place.line++;
			place.column = 1;
		}
	}
	return 0;
}
