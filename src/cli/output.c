/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"

/* The next character of UTF-8; a byte that is none counts as one character. Returns its length. */
static size_t next_character(const char *text, uint32_t *ret)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
	uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);

	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*ret = 0xfffd;
			return 1;
		}
		c = c << 6 | (s[i] & 0x3f);
	}
	*ret = c;
	return len;
}

/* The C locale knows no width beyond ASCII: what wcwidth() cannot tell is taken as one column. */
static size_t character_width(uint32_t c)
{
	int width = c < 128 ? 1 : wcwidth((wchar_t)c);

	return width < 0 ? 1 : (size_t)width;
}

/* Length of one of our own colour sequences at the start of the text, 0 when there is none. */
static size_t colour_length(const char *text)
{
	return text[0] == '\033' && text[1] == '[' ? strcspn(text, "m") + 1 : 0;
}

size_t output_width(const char *text)
{
	size_t width = 0;
	uint32_t c;

	while (*text) {
		size_t colour = colour_length(text);

		text += colour ? colour : next_character(text, &c);
		width += colour ? 0 : character_width(c);
	}
	return width;
}

size_t output_fit(const char *text, size_t columns)
{
	size_t at = 0, width = 0;
	uint32_t c;

	while (text[at]) {
		size_t colour = colour_length(text + at), len = colour ? colour : next_character(text + at, &c);

		width += colour ? 0 : character_width(c);
		if (width > columns)
			break;
		at += len;
	}
	return at;
}

void output_colour(struct buf *to, bool use, enum colour colour, const char *text)
{
	static const char *const codes[] = { "", "\033[32m", "\033[33m", "\033[31m", "\033[2m", "\033[1m" };

	use = use && colour != PLAIN;
	if (use)
		buf_adds(to, codes[colour]);
	buf_adds(to, text);
	if (use)
		buf_adds(to, "\033[0m");
}

void output_wrap(struct buf *to, const char *text, size_t indent, size_t columns)
{
	size_t used = 0;

	while (*text) {
		size_t len = strcspn(text, " ");
		_cleanup_(freep) char *word = xstrndup(text, len);
		size_t width = output_width(word);

		if (used && indent + used + 1 + width > columns) {
			buf_addc(to, '\n');
			used = 0;
		}
		buf_printf(to, "%*s%s", used ? 1 : (int)indent, "", word);
		used += width + (used ? 1 : 0);
		text += len;
		text += strspn(text, " ");
	}
	buf_addc(to, '\n');
}

char *output_time(int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[32] = "-";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%F %T", &tm);
	return xstrdup(text);
}

char *output_since(int64_t ms)
{
	return ms > 0 ? text_ago(clock_realtime_ms() - ms) : xstrdup("");
}

json_t *json_words(const struct strv *words, size_t first, struct err *err)
{
	json_t *array = json_array();

	for (size_t i = first; i < words->n; i++) {
		if (json_array_append_new(array, json_string(words->v[i])) == 0)
			continue;
		json_decref(array);
		err_set(err, EINVAL, _("A word of the command is not text in UTF-8"));
		return NULL;
	}
	return array;
}

void output_json(FILE *to, const json_t *json)
{
	json_dumpf(json, to, JSON_INDENT(2));
	fputc('\n', to);
}

void output_json_line(FILE *to, const json_t *json)
{
	json_dumpf(json, to, JSON_COMPACT);
	fputc('\n', to);
	fflush(to);
}

int output_flush(FILE *to, struct err *err)
{
	int code = fflush(to) == EOF ? errno : ferror(to) ? EIO : 0;

	if (code == EPIPE) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	return code ? err_errno(err, code, _("Cannot write the output")) : 0;
}

const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

bool json_flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

int64_t json_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}
