/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/schema.h"

#include <string.h>

#include "base/i18n.h"

const struct schema *schema_find(const char *document)
{
	static const struct schema *const documents[] = { &recipe_schema, &service_schema, &hosts_schema };

	for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
		if (!strcmp(documents[i]->name, document))
			return documents[i];
	return NULL;
}

static int walk(const struct schema *schema, const char *prefix, int (*fn)(void *, const char *, const struct key *),
		void *data)
{
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct key *key = &schema->keys[i];
		_cleanup_(freep) char *path = xasprintf("%s%s%s", prefix, *prefix ? "." : "", key->name);
		_cleanup_(freep) char *below = NULL;
		int r = fn(data, path, key);

		if (r)
			return r;
		if (!key->object)
			continue;
		if (key->type == KEY_MAP)
			below = xasprintf("%s.%s", path, key->object->key_label ? key->object->key_label : "<name>");
		else
			below = xasprintf("%s%s", path, key->type == KEY_LIST ? "[]" : "");
		r = key->object->scalar ? fn(data, below, &key->object->keys[0]) : walk(key->object, below, fn, data);
		if (r)
			return r;
	}
	return 0;
}

int schema_walk(const struct schema *schema, int (*fn)(void *data, const char *path, const struct key *key), void *data)
{
	return walk(schema, "", fn, data);
}

const char *key_type_name(enum key_type type)
{
	static const char *const names[] = {
		[KEY_STRING] = N_("text"),
		[KEY_NAME] = N_("name"),
		[KEY_TEXT] = N_("text, or {en: text, es: text}"),
		[KEY_INTEGER] = N_("whole number"),
		[KEY_NUMBER] = N_("number"),
		[KEY_BOOLEAN] = N_("true or false"),
		[KEY_CHOICE] = N_("one of"),
		[KEY_WORD] = N_("one of"),
		[KEY_DURATION] = N_("duration (500ms, 10s, 5m)"),
		[KEY_SIZE] = N_("size (512M, 2G)"),
		[KEY_MODE] = N_("octal mode (0644)"),
		[KEY_PATH] = N_("absolute path"),
		[KEY_FILE] = N_("path inside the recipe"),
		[KEY_STRINGS] = N_("list of texts"),
		[KEY_ARGV] = N_("program and arguments"),
		[KEY_ARGVS] = N_("list of programs and arguments"),
		[KEY_VALUE] = N_("value"),
		[KEY_VALUES] = N_("values by name"),
		[KEY_OBJECT] = N_("keys"),
		[KEY_LIST] = N_("list"),
		[KEY_MAP] = N_("keys by name"),
	};

	return _(names[type]);
}
