/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/scalar.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/i18n.h"
#include "base/text.h"

#define DIGITS "0123456789"

const char *yaml_kind_name(const struct yaml_node *node)
{
	switch (node->kind) {
	case YAML_SEQUENCE:
		return _("a list");
	case YAML_MAPPING:
		return _("a set of keys");
	case YAML_SCALAR:
		break;
	}
	return yaml_is_null(node) ? _("nothing") : _("a text");
}

int scalar_expected(const struct yaml_node *node, const char *what, struct diag *diag)
{
	diag_error(diag, &node->place, _("expected %s here, not %s"), what, yaml_kind_name(node));
	return -EINVAL;
}

static bool is_truth_word(const char *s)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(s, words[i]))
			return true;
	return false;
}

static bool is_decimal(const char *s)
{
	s += *s == '-';
	if (*s == '0')
		return !s[1];
	return *s && !s[strspn(s, DIGITS)];
}

/* Digits, and `:` between groups of one or two of them: YAML 1.1 counts these in base 60. */
static bool is_sexagesimal(const char *s)
{
	size_t n = strspn(s, DIGITS "_");

	if (!n || s[n] != ':')
		return false;
	while (s[n] == ':') {
		size_t digits = strspn(s + n + 1, DIGITS);

		if (digits < 1 || digits > 2 || (digits == 2 && s[n + 1] > '5'))
			return false;
		n += 1 + digits;
	}
	return !s[n] || (s[n] == '.' && !s[n + 1 + strspn(s + n + 1, DIGITS)]);
}

static bool is_float(const char *s)
{
	size_t n = strspn(s, DIGITS "_"), fraction = 0;

	if (s[n] == '.')
		fraction = 1 + strspn(s + n + 1, DIGITS "_");
	if (n + fraction < 1 || (n == 0 && fraction < 2))
		return false;
	s += n + fraction;
	if ((*s == 'e' || *s == 'E') && strspn(s + 1, "+-") < 2) {
		s += 1 + strspn(s + 1, "+-");
		return *s && !s[strspn(s, DIGITS)];
	}
	return !*s;
}

/* A text that some reader of YAML takes for a number whose usual spelling is another. */
static bool is_disguised_number(const char *s)
{
	if (is_decimal(s))
		return false;
	s += *s == '-' || *s == '+';
	if (!strcasecmp(s, ".inf") || !strcasecmp(s, ".nan"))
		return true;
	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o' || s[1] == 'b'))
		return s[2] && !s[2 + strspn(s + 2, "0123456789abcdefABCDEF_")];
	return (strpbrk(s, DIGITS) && is_float(s)) || is_sexagesimal(s);
}

int scalar_string(const struct yaml_node *node, struct diag *diag, const char **ret)
{
	if (node->kind != YAML_SCALAR)
		return scalar_expected(node, _("a text"), diag);
	if (!node->quoted && !*node->text) {
		diag_error(diag, &node->place, _("the value is missing; an empty text is written \"\""));
		return -EINVAL;
	}
	if (!node->quoted && (yaml_is_null(node) || is_truth_word(node->text))) {
		diag_error(diag, &node->place, _("YAML does not read a plain %s as a text; put it in quotes: \"%s\""),
			   node->text, node->text);
		return -EINVAL;
	}
	if (!node->quoted && is_disguised_number(node->text))
		diag_warning(diag, &node->place,
			     _("other YAML programs read a plain %s as a number; put it in quotes: \"%s\""), node->text,
			     node->text);
	*ret = node->text;
	return 0;
}

/* The text of a value that must be plain. */
static int plain_text(const struct yaml_node *node, const char *what, struct diag *diag, const char **ret)
{
	if (node->kind != YAML_SCALAR || yaml_is_null(node))
		return scalar_expected(node, what, diag);
	if (node->quoted) {
		diag_error(diag, &node->place,
			   _("expected %s here, and a value in quotes is a text; remove the quotes"), what);
		return -EINVAL;
	}
	*ret = node->text;
	return 0;
}

/* 16777216 as 16M: the largest unit that leaves a whole number. */
static char *size_text(int64_t bytes)
{
	static const char units[] = "KMGT";
	int unit = 0;

	while (unit < 4 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	return xasprintf("%lld%.*s", (long long)bytes, unit > 0, units + (unit > 0 ? unit - 1 : 0));
}

static int check_bounds(const struct yaml_node *node, int64_t value, int64_t min, int64_t max, struct diag *diag)
{
	if ((!min && !max) || (value >= min && value <= max))
		return 0;
	if (max == INT64_MAX)
		diag_error(diag, &node->place, _("%s is too small; it must be at least %lld"), node->text,
			   (long long)min);
	else if (min == INT64_MIN)
		diag_error(diag, &node->place, _("%s is too large; it must be at most %lld"), node->text,
			   (long long)max);
	else
		diag_error(diag, &node->place, _("%s is out of bounds; it must be between %lld and %lld"), node->text,
			   (long long)min, (long long)max);
	return -EINVAL;
}

static int decimal(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t value;

	if (text_u64(s + negative, &value) < 0 || value > INT64_MAX)
		return -ERANGE;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return 0;
}

int scalar_integer(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, int64_t *ret)
{
	const char *text;
	int64_t value;
	int r = plain_text(node, _("a whole number"), diag, &text);

	if (r < 0)
		return r;
	if (!is_decimal(text)) {
		diag_error(diag, &node->place,
			   is_disguised_number(text)
			       ? _("%s is read as different numbers by different programs; write decimal digits only, "
				   "without leading zeros")
			       : _("'%s' is not a whole number; write decimal digits, such as 80"),
			   text);
		return -EINVAL;
	}
	if (decimal(text, &value) < 0) {
		diag_error(diag, &node->place, _("%s is too large a number"), text);
		return -EINVAL;
	}
	r = check_bounds(node, value, min, max, diag);
	if (r == 0)
		*ret = value;
	return r;
}

/* Digits with at most one dot between them; no exponent, no sign. At most 15 characters, so that strtod is exact. */
static bool is_plain_number(const char *s)
{
	size_t n = strspn(s, DIGITS);

	if (!n || strlen(s) > 15 || (n > 1 && *s == '0'))
		return false;
	return !s[n] || (s[n] == '.' && s[n + 1] && !s[n + 1 + strspn(s + n + 1, DIGITS)]);
}

static double to_double(const char *s)
{
	double value = 0, unit = 1;
	bool fraction = false;

	/* Not strtod: it reads the decimal point of the locale. */
	for (; *s; s++) {
		if (*s == '.') {
			fraction = true;
			continue;
		}
		value = value * 10 + (*s - '0');
		if (fraction)
			unit *= 10;
	}
	return value / unit;
}

int scalar_number(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, double *ret)
{
	const char *text;
	double value;
	int r = plain_text(node, _("a number"), diag, &text);

	if (r < 0)
		return r;
	if (!is_plain_number(text)) {
		diag_error(diag, &node->place, _("'%s' is not a number; write it as 2 or 0.5"), text);
		return -EINVAL;
	}
	value = to_double(text);
	if ((min || max) && (value < (double)min || value > (double)max)) {
		diag_error(diag, &node->place, _("%s is out of bounds; it must be between %lld and %lld"), text,
			   (long long)min, (long long)max);
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

int scalar_boolean(const struct yaml_node *node, struct diag *diag, bool *ret)
{
	const char *text;
	int r = plain_text(node, _("true or false"), diag, &text);

	if (r < 0)
		return r;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
		diag_error(diag, &node->place, _("'%s' is neither true nor false; write one of these two words"), text);
		return -EINVAL;
	}
	*ret = *text == 't';
	return 0;
}

int scalar_duration(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, int64_t *ret_ms)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t value;

	if (node->kind != YAML_SCALAR || yaml_is_null(node))
		return scalar_expected(node, _("a duration such as 10s"), diag);
	if (is_decimal(node->text) && *node->text != '-') {
		diag_error(diag, &node->place, _("%s has no unit; write it as %sms, %ss or %sm"), node->text,
			   node->text, node->text, node->text);
		return -EINVAL;
	}
	if (text_duration_ms(node->text, &value, &err) < 0) {
		diag_error(diag, &node->place, "%s", err_text(&err));
		return -EINVAL;
	}
	if ((min || max) && (value < min || value > max)) {
		_cleanup_(freep) char *least = text_ago(min), *most = text_ago(max);

		diag_error(diag, &node->place, _("%s is out of bounds; it must be between %s and %s"), node->text,
			   least, most);
		return -EINVAL;
	}
	*ret_ms = value;
	return 0;
}

int scalar_size(const struct yaml_node *node, int64_t min, int64_t max, struct diag *diag, int64_t *ret_bytes)
{
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t value;

	if (node->kind != YAML_SCALAR || yaml_is_null(node))
		return scalar_expected(node, _("a size such as 512M"), diag);
	if ((node->text[0] == '0' && node->text[1]) || text_size(node->text, &value, &err) < 0 || value > INT64_MAX) {
		diag_error(diag, &node->place, _("'%s' is no size; write it as 512M or 2G"), node->text);
		return -EINVAL;
	}
	if ((min || max) && ((int64_t)value < min || (int64_t)value > max)) {
		_cleanup_(freep) char *least = size_text(min), *most = size_text(max);

		if (max == INT64_MAX)
			diag_error(diag, &node->place, _("%s is too small; it must be at least %s"), node->text, least);
		else
			diag_error(diag, &node->place, _("%s is out of bounds; it must be between %s and %s"),
				   node->text, least, most);
		return -EINVAL;
	}
	*ret_bytes = (int64_t)value;
	return 0;
}

int scalar_mode(const struct yaml_node *node, struct diag *diag, int64_t *ret)
{
	size_t n;

	if (node->kind != YAML_SCALAR || yaml_is_null(node))
		return scalar_expected(node, _("a file mode such as 0644"), diag);
	n = strlen(node->text);
	if (n < 3 || n > 4 || node->text[strspn(node->text, "01234567")]) {
		diag_error(diag, &node->place, _("'%s' is no file mode; write three or four octal digits, as 0644"),
			   node->text);
		return -EINVAL;
	}
	*ret = strtol(node->text, NULL, 8);
	return 0;
}
