/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A recipe as JSON, by its table: what is read by rows is also shown by rows. */
#include <string.h>

#include "model/decode.h"
#include "model/recipe.h"

static json_t *object_json(const struct schema *schema, const void *object);

static int64_t load_integer(const void *field, size_t size)
{
	switch (size) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	case 4:
		return *(const int32_t *)field;
	default:
		return *(const int64_t *)field;
	}
}

static json_t *elements_json(const struct key *key, const void *object)
{
	const char *elements = *(const char *const *)((const char *)object + key->offset);
	size_t n = *(const size_t *)((const char *)object + key->count);
	json_t *json = key->type == KEY_MAP ? json_object() : json_array();

	for (size_t i = 0; i < n; i++) {
		const struct model_item *item;

		if (key->type == KEY_ARGVS) {
			json_array_append_new(json, decode_strv_json((const struct strv *)elements + i));
			continue;
		}
		item = (const void *)(elements + i * key->object->size);
		if (key->type == KEY_MAP)
			json_object_set_new(json, item->name, object_json(key->object, item));
		else
			json_array_append_new(json, object_json(key->object, item));
	}
	return json;
}

static json_t *mode_json(int64_t mode)
{
	char text[8];

	snprintf(text, sizeof(text), "%04o", (unsigned)mode & 07777);
	return mode ? json_string(text) : json_null();
}

static json_t *text_json(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *key_json(const struct key *key, const void *object)
{
	const void *field = (const char *)object + key->offset;

	switch (key->type) {
	case KEY_STRING:
	case KEY_NAME:
	case KEY_WORD:
	case KEY_PATH:
	case KEY_FILE:
		return text_json(*(char *const *)field);
	case KEY_TEXT:
		return *(json_t *const *)field ? json_incref(*(json_t *const *)field) : json_null();
	case KEY_INTEGER:
	case KEY_DURATION:
	case KEY_SIZE:
		return json_integer(load_integer(field, key->size));
	case KEY_MODE:
		return mode_json(load_integer(field, key->size));
	case KEY_NUMBER:
		return json_real(*(const double *)field);
	case KEY_BOOLEAN:
		return json_boolean(*(const bool *)field);
	case KEY_CHOICE:
		return json_string(key->choices[load_integer(field, key->size)]);
	case KEY_STRINGS:
	case KEY_ARGV:
		return decode_strv_json(field);
	case KEY_OBJECT:
		return object_json(key->object, field);
	case KEY_ARGVS:
	case KEY_LIST:
	case KEY_MAP:
		return elements_json(key, object);
	case KEY_VALUE:
	case KEY_VALUES:
		break; /* what became of them is put in by their owner */
	}
	return NULL;
}

static json_t *object_json(const struct schema *schema, const void *object)
{
	json_t *json;

	if (schema->scalar)
		return key_json(&schema->keys[0], object);
	json = json_object();
	for (size_t i = 0; i < schema->n_keys; i++) {
		json_t *value = key_json(&schema->keys[i], object);

		if (value)
			json_object_set_new(json, schema->keys[i].name, value);
	}
	return json;
}

/* Values of declared configurations are kept read, in the declared type. */
static void add_config(const struct recipe *recipe, json_t *config)
{
	for (size_t i = 0; i < recipe->n_config; i++) {
		const struct recipe_config *declared = &recipe->config[i];
		json_t *json = json_object_get(config, declared->item.name);

		json_object_set(json, "default", declared->fallback ? declared->fallback : json_null());
		json_object_set_new(json, "min", declared->has_min ? json_integer(declared->min) : json_null());
		json_object_set_new(json, "max", declared->has_max ? json_integer(declared->max) : json_null());
	}
}

json_t *recipe_to_json(const struct recipe *recipe)
{
	json_t *json = object_json(&recipe_schema, recipe);
	json_t *checks = json_array();

	add_config(recipe, json_object_get(json, "config"));
	for (size_t i = 0; i < recipe->n_checks; i++)
		json_array_append_new(checks, check_to_json(&recipe->checks[i]));
	json_object_set_new(json, "checks", checks);
	if (!recipe->haproxy.item.node)
		json_object_set_new(json, "haproxy", json_null());
	json_object_set_new(json, "directory", text_json(recipe->directory));
	return json;
}
