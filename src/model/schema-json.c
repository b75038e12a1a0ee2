/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JSON Schema (draft 2020-12) from the tables, for editors: https://json-schema.org/draft/2020-12 */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "model/scalar.h"
#include "model/schema.h"

#define NAME_PATTERN "^[a-z]([a-z0-9-]{0,46}[a-z0-9])?$"

static void define(json_t *definitions, const struct schema *schema);

static json_t *typed(const char *type)
{
	return json_pack("{s:s}", "type", type);
}

static json_t *pattern_json(const char *pattern)
{
	return pattern ? json_pack("{s:s,s:s}", "type", "string", "pattern", pattern) : typed("string");
}

static json_t *choices_json(const struct key *key)
{
	json_t *words = json_array();

	for (size_t i = 0; key->choices[i]; i++)
		json_array_append_new(words, json_string(key->choices[i]));
	return json_pack("{s:o}", "enum", words);
}

static json_t *number_json(const struct key *key)
{
	json_t *json = typed(key->type == KEY_INTEGER ? "integer" : "number");

	if (key->min || key->max) {
		json_object_set_new(json, "minimum", json_integer(key->min));
		if (key->max != INT64_MAX)
			json_object_set_new(json, "maximum", json_integer(key->max));
	}
	return json;
}

/* A text, or a text for each language. */
static json_t *text_json(void)
{
	return json_pack("{s:[{s:s},{s:s,s:{s:{s:s}},s:b}]}", "anyOf", "type", "string", "type", "object",
			 "patternProperties", "^[a-z]{2}$", "type", "string", "additionalProperties", 0);
}

static json_t *list_json(json_t *items, bool not_empty)
{
	json_t *json = json_pack("{s:s,s:o}", "type", "array", "items", items);

	if (not_empty)
		json_object_set_new(json, "minItems", json_integer(1));
	return json;
}

static json_t *reference(const struct schema *schema, json_t *definitions)
{
	_cleanup_(freep) char *path = xasprintf("#/$defs/%s", schema->name);

	define(definitions, schema);
	return json_pack("{s:s}", "$ref", path);
}

static json_t *map_json(const struct schema *schema, json_t *definitions)
{
	return json_pack("{s:s,s:{s:s},s:o}", "type", "object", "propertyNames", "pattern",
			 schema->key_pattern ? schema->key_pattern : NAME_PATTERN, "additionalProperties",
			 reference(schema, definitions));
}

static json_t *most_elements(const struct key *key)
{
	return json_integer(key->max ? key->max : SCHEMA_MOST_ELEMENTS);
}

static json_t *value_json(const struct key *key, json_t *definitions)
{
	json_t *json;

	switch (key->type) {
	case KEY_STRING:
		json = pattern_json(key->pattern);
		if (key->max)
			json_object_set_new(json, "maxLength", json_integer(key->max));
		return json;
	case KEY_NAME:
		return pattern_json(NAME_PATTERN);
	case KEY_PATH:
		return pattern_json("^/[^/]+(/[^/]+)*$");
	case KEY_FILE:
		return pattern_json("^[^/]+(/[^/]+)*$");
	case KEY_TEXT:
		return text_json();
	case KEY_INTEGER:
	case KEY_NUMBER:
		return number_json(key);
	case KEY_BOOLEAN:
		return typed("boolean");
	case KEY_CHOICE:
	case KEY_WORD:
		return choices_json(key);
	case KEY_DURATION:
		return pattern_json("^[0-9]+(ms|s|m|h|d)$");
	case KEY_SIZE:
		return json_pack("{s:[o,o]}", "anyOf", typed("integer"), pattern_json("^[0-9]+[KMGT]?$"));
	case KEY_MODE:
		return json_pack("{s:[o,o]}", "anyOf", typed("integer"), pattern_json("^[0-7]{3,4}$"));
	case KEY_STRINGS:
		return list_json(pattern_json(key->pattern), false);
	case KEY_ARGV:
		return list_json(typed("string"), true);
	case KEY_ARGVS:
		return list_json(list_json(typed("string"), true), false);
	case KEY_VALUE:
		return json_object();
	case KEY_VALUES:
		return typed("object");
	case KEY_OBJECT:
		return reference(key->object, definitions);
	case KEY_LIST:
		json = list_json(reference(key->object, definitions), false);
		json_object_set_new(json, "maxItems", most_elements(key));
		return json;
	case KEY_MAP:
		json = map_json(key->object, definitions);
		json_object_set_new(json, "maxProperties", most_elements(key));
		return json;
	}
	return json_object();
}

/* The default in JSON's own type, so that editors insert what the reader takes. */
static json_t *default_json(const struct key *key)
{
	if (key->type == KEY_INTEGER || key->type == KEY_NUMBER || key->type == KEY_BOOLEAN)
		return json_loads(key->fallback, JSON_DECODE_ANY, NULL);
	return json_string(key->fallback);
}

static json_t *key_json(const struct key *key, json_t *definitions)
{
	json_t *json = value_json(key, definitions);

	if (key->description)
		json_object_set_new(json, "description", json_string(_(key->description)));
	if (key->fallback)
		json_object_set_new(json, "default", default_json(key));
	return json;
}

/* Exactly one of some keys. */
static json_t *one_of_json(const struct schema *schema)
{
	json_t *list = json_array();

	for (size_t i = 0; schema->one_of[i]; i++)
		json_array_append_new(list, json_pack("{s:[s]}", "required", schema->one_of[i]));
	return list;
}

static json_t *object_json(const struct schema *schema, json_t *definitions)
{
	json_t *properties, *required, *json;

	if (schema->scalar)
		return key_json(&schema->keys[0], definitions);
	properties = json_object();
	required = json_array();
	for (size_t i = 0; i < schema->n_keys; i++) {
		json_object_set_new(properties, schema->keys[i].name, key_json(&schema->keys[i], definitions));
		if (schema->keys[i].required)
			json_array_append_new(required, json_string(schema->keys[i].name));
	}
	json = json_pack("{s:s,s:s,s:o,s:b,s:o}", "type", "object", "description", _(schema->description), "properties",
			 properties, "additionalProperties", 0, "required", required);
	if (schema->one_of)
		json_object_set_new(json, "oneOf", one_of_json(schema));
	return json;
}

/* Tables do not contain themselves, so this ends. */
static void define(json_t *definitions, const struct schema *schema)
{
	if (!json_object_get(definitions, schema->name))
		json_object_set_new(definitions, schema->name, object_json(schema, definitions));
}

int schema_json(const char *document, json_t **ret, struct err *err)
{
	const struct schema *schema = schema_find(document);
	json_t *definitions, *body, *json;

	if (!schema)
		return err_set(err, ENOENT, _("There is no document '%s'; the documents are recipe, service and hosts"),
			       document);
	definitions = json_object();
	body = object_json(schema, definitions);
	json = json_pack("{s:s,s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title", schema->name);
	json_object_update(json, body);
	json_decref(body);
	json_object_set_new(json, "$defs", definitions);
	*ret = json;
	return 0;
}
