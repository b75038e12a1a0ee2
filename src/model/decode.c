/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/decode.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

/* 1 with the value, 0 when it is absent and may be, -EINVAL when it is missing. */
static int find(const json_t *json, const char *member, bool required, json_t **ret, struct err *err)
{
	json_t *value = json_object_get(json, member);

	if (value && !json_is_null(value)) {
		*ret = value;
		return 1;
	}
	return required ? err_set(err, EINVAL, _("The member '%s' is missing"), member) : 0;
}

int decode_string(const json_t *json, const char *member, bool required, const char **ret, struct err *err)
{
	json_t *value = NULL;
	int r = find(json, member, required, &value, err);

	if (r <= 0)
		return r;
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return err_set(err, EINVAL, _("The member '%s' must be a string without NUL"), member);
	if (json_string_length(value) > DECODE_MOST_TEXT)
		return err_set(err, EINVAL, _("The member '%s' is longer than %d bytes"), member, DECODE_MOST_TEXT);
	*ret = json_string_value(value);
	return 0;
}

int decode_name(const json_t *json, const char *member, bool required, const char **ret, struct err *err)
{
	const char *name = NULL;
	int r = decode_string(json, member, required, &name, err);

	if (r < 0 || !name)
		return r;
	if (!text_is_name(name))
		return err_set(err, EINVAL, _("The member '%s' must be a name, and '%s' is none"), member, name);
	*ret = name;
	return 0;
}

int decode_integer(const json_t *json, const char *member, bool required, int64_t min, int64_t max, int64_t *ret,
		   struct err *err)
{
	json_t *value = NULL;
	int r = find(json, member, required, &value, err);

	if (r <= 0)
		return r;
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return err_set(err, EINVAL, _("The member '%s' must be a whole number between %lld and %lld"), member,
			       (long long)min, (long long)max);
	*ret = json_integer_value(value);
	return 0;
}

int decode_argv(const json_t *json, const char *member, size_t most, struct strv *ret, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	json_t *list = NULL, *element;
	size_t i;
	int r = decode_array(json, member, true, &list, err);

	if (r < 0)
		return r;
	if (!json_array_size(list) || json_array_size(list) > most)
		return err_set(err, EINVAL, _("The member '%s' must have 1 to %zu elements"), member, most);
	json_array_foreach(list, i, element)
	{
		if (!json_is_string(element) || strlen(json_string_value(element)) != json_string_length(element))
			return err_set(err, EINVAL, _("The member '%s' must be a list of strings without NUL"), member);
		strv_add(&argv, json_string_value(element));
	}
	if (!*argv.v[0])
		return err_set(err, EINVAL, _("The member '%s' must begin with the name of a program"), member);
	*ret = argv;
	argv = (struct strv){ 0 };
	return 0;
}

int decode_object(const json_t *json, const char *member, bool required, json_t **ret, struct err *err)
{
	json_t *value = NULL;
	int r = find(json, member, required, &value, err);

	if (r <= 0)
		return r;
	if (!json_is_object(value))
		return err_set(err, EINVAL, _("The member '%s' must be an object"), member);
	*ret = value;
	return 0;
}

int decode_array(const json_t *json, const char *member, bool required, json_t **ret, struct err *err)
{
	json_t *value = NULL;
	int r = find(json, member, required, &value, err);

	if (r <= 0)
		return r;
	if (!json_is_array(value))
		return err_set(err, EINVAL, _("The member '%s' must be a list"), member);
	*ret = value;
	return 0;
}

int decode_only(const json_t *json, const char *const *members, struct err *err)
{
	const char *name;
	json_t *value = NULL;

	json_object_foreach((json_t *)json, name, value)
	{
		size_t i = 0;

		while (members[i] && strcmp(members[i], name) != 0)
			i++;
		if (!members[i])
			return err_set(err, EINVAL, _("The member '%s' is unknown here"), name);
	}
	return 0;
}

json_t *decode_strv_json(const struct strv *strv)
{
	json_t *list = json_array();

	for (size_t i = 0; i < strv->n; i++)
		json_array_append_new(list, json_string(strv->v[i]));
	return list;
}
