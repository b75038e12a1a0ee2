/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading documents into structs, as the rows of their tables say. */
#include <errno.h>
#include <regex.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "model/scalar.h"
#include "model/schema.h"

#define MOST_SUGGESTED 64

static int read_key(const struct key *key, const struct yaml_node *node, struct diag *diag, void *object);

static void *field_of(void *object, const struct key *key)
{
	return (char *)object + key->offset;
}

static size_t *count_of(void *object, const struct key *key)
{
	return (size_t *)((char *)object + key->count);
}

static void store_integer(void *field, size_t size, int64_t value)
{
	switch (size) {
	case 1:
		*(int8_t *)field = (int8_t)value;
		break;
	case 2:
		*(int16_t *)field = (int16_t)value;
		break;
	case 4:
		*(int32_t *)field = (int32_t)value;
		break;
	case 8:
		*(int64_t *)field = value;
		break;
	default:
		abort();
	}
}

static void store_text(void *field, const char *text)
{
	char **to = field;

	free(*to);
	*to = xstrdup(text);
}

static bool matches(const char *pattern, const char *text)
{
	regex_t regex;
	bool found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		abort(); /* the tables' own patterns */
	found = regexec(&regex, text, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static int check_pattern(const struct yaml_node *node, const char *pattern, const char *expected, struct diag *diag)
{
	if (!pattern || matches(pattern, node->text))
		return 0;
	diag_error(diag, &node->place, _("'%s' is not %s"), node->text, _(expected));
	return -EINVAL;
}

static int check_name(const struct yaml_node *node, struct diag *diag)
{
	if (text_is_name(node->text))
		return 0;
	diag_error(
	    diag, &node->place,
	    _("'%s' is no name; a name has 1 to 48 lower case letters, digits and hyphens and begins with a letter"),
	    node->text);
	return -EINVAL;
}

/* No empty, `.` or `..` parts and no control characters: what is compared and mounted must have one spelling. */
static bool is_normal_path(const char *path)
{
	const char *part = path, *end;

	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			return false;
	for (;; part = end + 1) {
		size_t n;

		end = strchrnul(part, '/');
		n = (size_t)(end - part);
		if (n == 0 || (n == 1 && *part == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!*end)
			return true;
	}
}

static int check_path(const struct key *key, const struct yaml_node *node, struct diag *diag)
{
	const char *path = node->text;

	if (strlen(path) > 1024) {
		diag_error(diag, &node->place, _("the path is longer than 1024 bytes"));
		return -EINVAL;
	}
	if (key->type == KEY_PATH && (*path != '/' || !is_normal_path(path + 1))) {
		diag_error(diag, &node->place,
			   _("'%s' is no absolute path in its plain form, such as /srv/data: without '..', '//' and a "
			     "final '/'"),
			   path);
		return -EINVAL;
	}
	if (key->type == KEY_FILE && (*path == '/' || !is_normal_path(path))) {
		diag_error(diag, &node->place,
			   _("'%s' is no path inside the recipe's directory, such as files/site: without '..' and not "
			     "absolute"),
			   path);
		return -EINVAL;
	}
	return 0;
}

static int read_string(const struct key *key, const struct yaml_node *node, struct diag *diag, void *field)
{
	const char *text;
	int r = scalar_string(node, diag, &text);

	if (r == 0 && key->type == KEY_NAME)
		r = check_name(node, diag);
	if (r == 0 && (key->type == KEY_PATH || key->type == KEY_FILE))
		r = check_path(key, node, diag);
	if (r == 0)
		r = check_pattern(node, key->pattern, key->expected, diag);
	if (r == 0 && key->max && strlen(text) > (size_t)key->max) {
		diag_error(diag, &node->place, _("'%s' is longer than %lld bytes"), key->name, (long long)key->max);
		r = -EINVAL;
	}
	if (r == 0)
		store_text(field, text);
	return r;
}

static int read_choice(const struct key *key, const struct yaml_node *node, struct diag *diag, void *field)
{
	_cleanup_buf_ struct buf list = { 0 };
	const char *text;
	size_t n = 0;
	int r = scalar_string(node, diag, &text);

	if (r < 0)
		return r;
	for (; key->choices[n]; n++) {
		buf_printf(&list, "%s%s", n ? ", " : "", key->choices[n]);
		if (strcmp(key->choices[n], text) != 0)
			continue;
		if (key->type == KEY_WORD)
			store_text(field, text);
		else
			store_integer(field, key->size, (int64_t)n);
		return 0;
	}
	diag_unknown(diag, &node->place, text, key->choices, n, _("'%s' is not one of %s"), text, buf_text(&list));
	return -EINVAL;
}

static int read_integer(const struct key *key, const struct yaml_node *node, struct diag *diag, void *field)
{
	int64_t value = 0;
	int r;

	if (key->type == KEY_DURATION)
		r = scalar_duration(node, key->min, key->max, diag, &value);
	else if (key->type == KEY_SIZE)
		r = scalar_size(node, key->min, key->max, diag, &value);
	else if (key->type == KEY_MODE)
		r = scalar_mode(node, diag, &value);
	else
		r = scalar_integer(node, key->min, key->max, diag, &value);
	if (r == 0)
		store_integer(field, key->size, value);
	return r;
}

static bool is_language(const char *s)
{
	return strlen(s) == 2 && s[0] >= 'a' && s[0] <= 'z' && s[1] >= 'a' && s[1] <= 'z';
}

static int read_translations(const struct yaml_node *node, struct diag *diag, json_t *texts)
{
	int result = 0;

	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *language = node->entries[i].key;
		const char *text;

		if (!is_language(language->text)) {
			diag_error(diag, &language->place, _("'%s' is no language; write two letters, as en or es"),
				   language->text);
			result = -EINVAL;
		} else if (scalar_string(node->entries[i].value, diag, &text) < 0) {
			result = -EINVAL;
		} else {
			json_object_set_new(texts, language->text, json_string(text));
		}
	}
	return result;
}

static int read_text(const struct yaml_node *node, struct diag *diag, json_t **field)
{
	json_t *texts = json_object();
	const char *text;
	int r;

	if (node->kind == YAML_MAPPING) {
		r = read_translations(node, diag, texts);
	} else {
		r = scalar_string(node, diag, &text);
		if (r == 0)
			json_object_set_new(texts, "en", json_string(text));
	}
	json_decref(*field);
	*field = texts;
	return r;
}

static int check_elements(const struct key *key, const struct yaml_node *node, struct diag *diag)
{
	size_t most = key->max ? (size_t)key->max : SCHEMA_MOST_ELEMENTS;

	if (node->n <= most)
		return 0;
	diag_error(diag, &node->place, _("'%s' has %zu elements, and can have %zu at most"), key->name, node->n, most);
	return -EINVAL;
}

static int read_strings(const struct key *key, const struct yaml_node *node, struct diag *diag, struct strv *strv)
{
	int result = 0;

	if (node->kind != YAML_SEQUENCE)
		return scalar_expected(node,
				       key->type == KEY_STRINGS
					   ? _("a list of texts")
					   : _("a program and its arguments as a list, [program, argument]"),
				       diag);
	if (check_elements(key, node, diag) < 0)
		return -EINVAL;
	for (size_t i = 0; i < node->n; i++) {
		const char *text;

		if (scalar_string(node->items[i], diag, &text) < 0 ||
		    check_pattern(node->items[i], key->pattern, key->expected, diag) < 0)
			result = -EINVAL;
		else
			strv_add(strv, text);
	}
	if (key->type != KEY_STRINGS && (!node->n || (strv->n && !*strv->v[0]))) {
		diag_error(diag, &node->place, _("the list must begin with the name of a program"));
		return -EINVAL;
	}
	return result;
}

static int read_argvs(const struct key *key, const struct yaml_node *node, struct diag *diag, void *object)
{
	struct strv *argvs;
	int result = 0;

	if (node->kind != YAML_SEQUENCE)
		return scalar_expected(node, _("a list of programs and their arguments, [[program, argument]]"), diag);
	if (check_elements(key, node, diag) < 0)
		return -EINVAL;
	argvs = xcalloc(node->n, sizeof(*argvs));
	*(struct strv **)field_of(object, key) = argvs;
	*count_of(object, key) = node->n;
	for (size_t i = 0; i < node->n; i++)
		if (read_strings(key, node->items[i], diag, &argvs[i]) < 0)
			result = -EINVAL;
	return result;
}

static int read_values(const struct yaml_node *node, struct diag *diag, const struct yaml_node **field)
{
	if (node->kind != YAML_MAPPING)
		return scalar_expected(node, _("a set of keys"), diag);
	*field = node;
	return 0;
}

static int check_map_key(const struct schema *schema, const struct yaml_node *key, struct diag *diag)
{
	if (!schema->key_pattern)
		return check_name(key, diag);
	return check_pattern(key, schema->key_pattern, schema->key_expected, diag);
}

/* Lists and maps of objects. Elements that have errors are kept, so that they can be referred to. */
static int read_objects(const struct key *key, const struct yaml_node *node, struct diag *diag, void *object)
{
	const struct schema *schema = key->object;
	bool map = key->type == KEY_MAP;
	int result = 0;
	char *elements;

	if (node->kind != (map ? YAML_MAPPING : YAML_SEQUENCE))
		return scalar_expected(node, map ? _("a set of keys") : _("a list"), diag);
	if (check_elements(key, node, diag) < 0)
		return -EINVAL;
	elements = xcalloc(node->n, schema->size);
	*(char **)field_of(object, key) = elements;
	*count_of(object, key) = node->n;
	for (size_t i = 0; i < node->n; i++) {
		struct model_item *item = (struct model_item *)(elements + i * schema->size);
		const struct yaml_node *value = map ? node->entries[i].value : node->items[i];

		if (map) {
			item->name = xstrdup(node->entries[i].key->text);
			item->key = node->entries[i].key;
			if (check_map_key(schema, item->key, diag) < 0)
				result = -EINVAL;
		}
		if (schema_read(schema, value, diag, item) < 0)
			result = -EINVAL;
	}
	return result;
}

static int read_key(const struct key *key, const struct yaml_node *node, struct diag *diag, void *object)
{
	void *field = field_of(object, key);

	switch (key->type) {
	case KEY_STRING:
	case KEY_NAME:
	case KEY_PATH:
	case KEY_FILE:
		return read_string(key, node, diag, field);
	case KEY_TEXT:
		return read_text(node, diag, field);
	case KEY_INTEGER:
	case KEY_DURATION:
	case KEY_SIZE:
	case KEY_MODE:
		return read_integer(key, node, diag, field);
	case KEY_NUMBER:
		return scalar_number(node, key->min, key->max, diag, field);
	case KEY_BOOLEAN:
		return scalar_boolean(node, diag, field);
	case KEY_CHOICE:
	case KEY_WORD:
		return read_choice(key, node, diag, field);
	case KEY_STRINGS:
	case KEY_ARGV:
		return read_strings(key, node, diag, field);
	case KEY_ARGVS:
		return read_argvs(key, node, diag, object);
	case KEY_VALUE:
		*(const struct yaml_node **)field = node;
		return 0;
	case KEY_VALUES:
		return read_values(node, diag, field);
	case KEY_OBJECT:
		return schema_read(key->object, node, diag, field);
	case KEY_LIST:
	case KEY_MAP:
		return read_objects(key, node, diag, object);
	}
	return -EINVAL;
}

static void fill_defaults(const struct schema *schema, void *object)
{
	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct key *key = &schema->keys[i];
		struct diag none = { 0 };
		struct yaml_node node = { .kind = YAML_SCALAR, .text = (char *)key->fallback, .place = { .file = "" } };

		/* A default is trusted to be what it says, so that "1.0" is as good as if it were in quotes. */
		node.quoted = key->type == KEY_STRING || key->type == KEY_WORD || key->type == KEY_CHOICE;
		if (key->type == KEY_OBJECT)
			fill_defaults(key->object, field_of(object, key));
		else if (key->fallback && read_key(key, &node, &none, object) < 0)
			abort(); /* an error in the table */
		diag_release(&none);
	}
}

static const struct key *find_key(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n_keys; i++)
		if (!strcmp(schema->keys[i].name, name))
			return &schema->keys[i];
	return NULL;
}

static int read_entry(const struct schema *schema, const struct yaml_entry *entry, struct diag *diag, void *object)
{
	const struct key *key = find_key(schema, entry->key->text);
	const char *names[MOST_SUGGESTED];
	size_t n = 0;

	if (!key) {
		for (; n < schema->n_keys && n < MOST_SUGGESTED; n++)
			names[n] = schema->keys[n].name;
		diag_unknown(diag, &entry->key->place, entry->key->text, names, n, _("unknown key '%s'"),
			     entry->key->text);
		return -EINVAL;
	}
	if (yaml_is_null(entry->value) && key->type != KEY_VALUE) {
		diag_error(diag, &entry->key->place, _("key '%s' has no value"), key->name);
		return -EINVAL;
	}
	return read_key(key, entry->value, diag, object);
}

static const char *meant_key(const struct schema *schema, const char *name)
{
	const char *names[MOST_SUGGESTED];
	size_t n = 0;

	for (; n < schema->n_keys && n < MOST_SUGGESTED; n++)
		names[n] = schema->keys[n].name;
	return text_suggest(name, names, n);
}

/* An unknown key that probably is this one was reported already: that the key is missing as well is noise. */
static bool is_misspelt(const struct schema *schema, const struct yaml_node *node, const struct key *key)
{
	for (size_t i = 0; i < node->n && i < MOST_SUGGESTED; i++) {
		const char *name = node->entries[i].key->text, *meant;

		if (find_key(schema, name))
			continue;
		meant = meant_key(schema, name);
		if (meant && !strcmp(meant, key->name))
			return true;
	}
	return false;
}

static int check_required(const struct schema *schema, const struct yaml_node *node, struct diag *diag)
{
	int result = 0;

	for (size_t i = 0; i < schema->n_keys; i++) {
		const struct key *key = &schema->keys[i];

		if (!key->required || yaml_get(node, key->name))
			continue;
		if (!is_misspelt(schema, node, key))
			diag_error(diag, &node->place, _("key '%s' is missing here"), key->name);
		result = -EINVAL;
	}
	return result;
}

static int check_one_of(const struct schema *schema, const struct yaml_node *node, struct diag *diag)
{
	_cleanup_buf_ struct buf list = { 0 };
	int found = 0;

	if (!schema->one_of)
		return 0;
	for (size_t i = 0; schema->one_of[i]; i++) {
		buf_printf(&list, "%s%s", i ? ", " : "", schema->one_of[i]);
		found += yaml_get(node, schema->one_of[i]) != NULL;
	}
	if (found == 1)
		return 0;
	diag_error(diag, &node->place,
		   found ? _("only one of these keys can be here: %s") : _("one of these keys must be here: %s"),
		   buf_text(&list));
	return -EINVAL;
}

int schema_read(const struct schema *schema, const struct yaml_node *node, struct diag *diag, void *object)
{
	struct model_item *item = object;
	int result = 0;

	fill_defaults(schema, object);
	item->node = node;
	if (schema->scalar)
		return read_key(&schema->keys[0], node, diag, object);
	if (node->kind != YAML_MAPPING)
		return scalar_expected(node, _("a set of keys"), diag);
	for (size_t i = 0; i < node->n; i++)
		if (read_entry(schema, &node->entries[i], diag, object) < 0)
			result = -EINVAL;
	if (check_required(schema, node, diag) < 0)
		result = -EINVAL;
	if (check_one_of(schema, node, diag) < 0)
		result = -EINVAL;
	return result;
}

const struct place *item_place(const struct model_item *item, const char *key)
{
	const struct yaml_node *node = item->node;

	if (node->kind == YAML_MAPPING && yaml_get(node, key))
		return yaml_place(node, key);
	return item->key ? &item->key->place : &node->place;
}

static void release_elements(const struct key *key, void *object)
{
	char *elements = *(char **)field_of(object, key);
	size_t *n = count_of(object, key);

	for (size_t i = 0; i < *n; i++) {
		if (key->type == KEY_ARGVS)
			strv_release((struct strv *)elements + i);
		else
			schema_release(key->object, elements + i * key->object->size);
	}
	free(elements);
	*n = 0;
}

static void release_key(const struct key *key, void *object)
{
	void *field = field_of(object, key);

	switch (key->type) {
	case KEY_STRING:
	case KEY_NAME:
	case KEY_PATH:
	case KEY_FILE:
	case KEY_WORD:
		free(*(char **)field);
		break;
	case KEY_TEXT:
		json_decref(*(json_t **)field);
		break;
	case KEY_STRINGS:
	case KEY_ARGV:
		strv_release(field);
		break;
	case KEY_OBJECT:
		schema_release(key->object, field);
		break;
	case KEY_ARGVS:
	case KEY_LIST:
	case KEY_MAP:
		release_elements(key, object);
		break;
	default:
		break;
	}
}

void schema_release(const struct schema *schema, void *object)
{
	struct model_item *item = object;

	for (size_t i = 0; i < schema->n_keys; i++)
		release_key(&schema->keys[i], object);
	free(item->name);
	memset(object, 0, schema->size);
}
