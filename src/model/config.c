/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/config.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "model/scalar.h"

#define PATTERN_MOST 256
#define PATTERN_MOST_COST 1000

/* Copies that glibc makes of what stands before a repetition: 2 for +, the upper bound for {n,m}. */
static unsigned long repetition(const char *p)
{
	unsigned long bound = 0, value = 0;

	if (*p == '+')
		return 2;
	if (*p != '{')
		return 1;
	for (p++; *p && *p != '}'; p++) {
		value = *p >= '0' && *p <= '9' && value < 100000 ? value * 10 + (unsigned long)(*p - '0') : 0;
		if (value > bound)
			bound = value;
	}
	return bound < 2 ? 2 : bound;
}

int pattern_check(const char *pattern, struct err *err)
{
	unsigned long cost = 1;
	regex_t regex;
	int r;

	if (strlen(pattern) > PATTERN_MOST)
		return err_set(err, EINVAL, _("the pattern is longer than %d bytes"), PATTERN_MOST);
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && p[1] >= '1' && p[1] <= '9')
			return err_set(err, EINVAL, _("the pattern has a back-reference, which takes unbounded time"));
		if (*p == '\\' && p[1])
			p++;
		else
			cost *= repetition(p);
		if (cost > PATTERN_MOST_COST)
			return err_set(err, EINVAL, _("the pattern repeats too much; use * or smaller bounds"));
	}
	r = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (r) {
		char why[128];

		regerror(r, &regex, why, sizeof(why));
		return err_set(err, EINVAL, _("the pattern is no POSIX extended regular expression: %s"), why);
	}
	regfree(&regex);
	return 0;
}

bool pattern_matches(const char *pattern, const char *text)
{
	regex_t regex;
	bool found;

	if (pattern_check(pattern, NULL) < 0 || regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		return false;
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static int check_count(const struct recipe_config *declared, const struct yaml_node *node, size_t n, struct diag *diag)
{
	const char *format = declared->type == CONFIG_LIST ? _("'%s' must have at least %lld elements, and has %zu")
							   : _("'%s' must have at least %lld characters, and has %zu");

	if (declared->has_min && (int64_t)n < declared->min) {
		diag_error(diag, &node->place, format, declared->item.name, (long long)declared->min, n);
		return -EINVAL;
	}
	format = declared->type == CONFIG_LIST ? _("'%s' can have %lld elements at most, and has %zu")
					       : _("'%s' can have %lld characters at most, and has %zu");
	if (declared->has_max && (int64_t)n > declared->max) {
		diag_error(diag, &node->place, format, declared->item.name, (long long)declared->max, n);
		return -EINVAL;
	}
	return 0;
}

/* A text by itself or in a list: what the enum and the pattern say. */
static int check_text(const struct recipe_config *declared, const struct yaml_node *node, const char *text,
		      struct diag *diag)
{
	if (declared->choices.n && !strv_has(&declared->choices, text)) {
		_cleanup_(freep) char *list = strv_join(&declared->choices, ", ");

		diag_unknown(diag, &node->place, text, (const char *const *)declared->choices.v, declared->choices.n,
			     _("'%s' is not one of %s, the values of '%s'"), text, list, declared->item.name);
		return -EINVAL;
	}
	if (declared->pattern && !pattern_matches(declared->pattern, text)) {
		diag_error(diag, &node->place, _("'%s' does not match the pattern of '%s': %s"), text,
			   declared->item.name, declared->pattern);
		return -EINVAL;
	}
	return 0;
}

static size_t count_characters(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static int string_value(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag,
			json_t **ret)
{
	const char *text;
	int r = scalar_string(node, diag, &text);

	if (r == 0)
		r = check_text(declared, node, text, diag);
	if (r == 0)
		r = check_count(declared, node, count_characters(text), diag);
	if (r == 0)
		*ret = json_string(text);
	return r;
}

static int list_value(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag,
		      json_t **ret)
{
	json_t *list;
	int r;

	if (node->kind != YAML_SEQUENCE)
		return scalar_expected(node, _("a list of texts"), diag);
	if (node->n > SCHEMA_MOST_ELEMENTS) {
		diag_error(diag, &node->place, _("'%s' has %zu elements, and can have %d at most"), declared->item.name,
			   node->n, SCHEMA_MOST_ELEMENTS);
		return -EINVAL;
	}
	r = check_count(declared, node, node->n, diag);
	list = json_array();
	for (size_t i = 0; i < node->n; i++) {
		const char *text;

		if (scalar_string(node->items[i], diag, &text) < 0 ||
		    check_text(declared, node->items[i], text, diag) < 0)
			r = -EINVAL;
		else
			json_array_append_new(list, json_string(text));
	}
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

static int number_value(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag,
			json_t **ret)
{
	int64_t min = declared->has_min ? declared->min : declared->type == CONFIG_INTEGER ? INT64_MIN : 0;
	int64_t max = declared->has_max ? declared->max : INT64_MAX;
	int64_t value;
	int r;

	if (declared->type == CONFIG_SIZE)
		r = scalar_size(node, min, max, diag, &value);
	else if (declared->type == CONFIG_DURATION)
		r = scalar_duration(node, min, max, diag, &value);
	else
		r = scalar_integer(node, min, max, diag, &value);
	if (r == 0)
		*ret = json_integer(value);
	return r;
}

static int boolean_value(const struct yaml_node *node, struct diag *diag, json_t **ret)
{
	bool value;
	int r = scalar_boolean(node, diag, &value);

	if (r == 0)
		*ret = json_boolean(value);
	return r;
}

static int secret_value(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag,
			json_t **ret)
{
	const struct yaml_node *name = yaml_get(node, "secret");
	const char *text;
	int r;

	if (!name || node->n != 1) {
		diag_error(
		    diag, &node->place,
		    _("'%s' is a secret: write {secret: NAME} here and NAME under secrets, never the value itself"),
		    declared->item.name);
		return -EINVAL;
	}
	r = scalar_string(name, diag, &text);
	if (r < 0)
		return r;
	*ret = json_pack("{s:s,s:s?}", "secret", text, "owner", declared->owner);
	return 0;
}

int config_value(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag, json_t **ret)
{
	switch (declared->type) {
	case CONFIG_STRING:
		return string_value(declared, node, diag, ret);
	case CONFIG_LIST:
		return list_value(declared, node, diag, ret);
	case CONFIG_BOOLEAN:
		return boolean_value(node, diag, ret);
	case CONFIG_SECRET:
		return secret_value(declared, node, diag, ret);
	case CONFIG_INTEGER:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		break;
	}
	return number_value(declared, node, diag, ret);
}

/* A bound is written like a value of the type; the bounds of texts and lists count. */
static bool read_bound(const struct recipe_config *declared, const struct yaml_node *node, struct diag *diag,
		       int64_t *ret)
{
	switch (declared->type) {
	case CONFIG_SIZE:
		return scalar_size(node, 0, 0, diag, ret) == 0;
	case CONFIG_DURATION:
		return scalar_duration(node, 0, 0, diag, ret) == 0;
	case CONFIG_INTEGER:
		return scalar_integer(node, 0, 0, diag, ret) == 0;
	case CONFIG_STRING:
	case CONFIG_LIST:
		return scalar_integer(node, 0, INT64_MAX, diag, ret) == 0;
	case CONFIG_BOOLEAN:
	case CONFIG_SECRET:
		break;
	}
	return false;
}

static void refuse_key(const struct recipe_config *declared, const char *key, struct diag *diag)
{
	if (yaml_get(declared->item.node, key))
		diag_error(diag, yaml_place(declared->item.node, key), _("key '%s' has no meaning for the type %s"),
			   key, config_type_name(declared->type));
}

static void refuse_keys(const struct recipe_config *declared, struct diag *diag)
{
	bool text = declared->type == CONFIG_STRING || declared->type == CONFIG_LIST;

	if (!text) {
		refuse_key(declared, "enum", diag);
		refuse_key(declared, "pattern", diag);
	}
	if (declared->type == CONFIG_BOOLEAN || declared->type == CONFIG_SECRET) {
		refuse_key(declared, "min", diag);
		refuse_key(declared, "max", diag);
	}
	if (declared->type == CONFIG_SECRET)
		refuse_key(declared, "default", diag);
	else
		refuse_key(declared, "owner", diag);
}

void config_declare(struct recipe_config *declared, struct diag *diag)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (declared->item.node->kind != YAML_MAPPING)
		return;
	refuse_keys(declared, diag);
	if (declared->min_node)
		declared->has_min = read_bound(declared, declared->min_node, diag, &declared->min);
	if (declared->max_node)
		declared->has_max = read_bound(declared, declared->max_node, diag, &declared->max);
	if (declared->has_min && declared->has_max && declared->min > declared->max)
		diag_error(diag, &declared->max_node->place, _("max is less than min"));
	if (declared->pattern && pattern_check(declared->pattern, &err) < 0) {
		diag_error(diag, item_place(&declared->item, "pattern"), "%s", err_text(&err));
		free(TAKE_PTR(declared->pattern));
	}
	if (declared->default_node && declared->type != CONFIG_SECRET)
		config_value(declared, declared->default_node, diag, &declared->fallback);
	if (declared->default_node && declared->required)
		diag_warning(diag, item_place(&declared->item, "required"),
			     _("a value that is required needs no default"));
}
