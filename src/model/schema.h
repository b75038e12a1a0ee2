/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One table of keys per document and per object in it. The table drives reading into structs, defaults, bounds, unknown
 * keys and their suggestions, releasing, the JSON Schema for editors, and the manual page.
 *
 * Every struct that is read begins with a `struct model_item`. A field's place in its struct is part of the row, so
 * that reading needs no code per key; what a row cannot say (references, "only with") is checked by recipe.c,
 * service.c and hosts.c afterwards.
 */
#ifndef TEPUY_MODEL_SCHEMA_H
#define TEPUY_MODEL_SCHEMA_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"
#include "model/yaml.h"

enum key_type {               /* field in the struct */
		KEY_STRING,   /* char * */
		KEY_NAME,     /* char *: text_is_name() */
		KEY_TEXT,     /* json_t *: {"en": …, "es": …}; a plain string is English */
		KEY_INTEGER,  /* any integer type; min and max must fit it */
		KEY_NUMBER,   /* double */
		KEY_BOOLEAN,  /* bool */
		KEY_CHOICE,   /* int or enum: index into choices */
		KEY_WORD,     /* char *: one of choices */
		KEY_DURATION, /* int64_t: milliseconds */
		KEY_SIZE,     /* int64_t: bytes */
		KEY_MODE,     /* mode_t: octal */
		KEY_PATH,     /* char *: absolute, normal form, not / */
		KEY_FILE,     /* char *: relative to the document's directory, inside it */
		KEY_STRINGS,  /* struct strv: each matches pattern */
		KEY_ARGV,     /* struct strv: at least the program */
		KEY_ARGVS,    /* struct strv * and size_t count */
		KEY_VALUE,    /* const struct yaml_node *: anything, looked at later */
		KEY_VALUES,   /* const struct yaml_node *: a mapping from names to anything */
		KEY_OBJECT,   /* the object's struct, embedded; absent: item.node is NULL, defaults are filled in */
		KEY_LIST,     /* array of the object's struct and size_t count */
		KEY_MAP,      /* the same, with item.name from the key */
};

struct key {
	const char *name;
	enum key_type type;
	bool required;
	const char *fallback; /* the default, as one would write it; NULL: none (zero, NULL, empty) */
	/* Value, milliseconds or bytes; both 0: no bounds. STRING: max bytes, 0: any. Lists and maps: max elements, 0:
	 * SCHEMA_MOST_ELEMENTS. */
	int64_t min, max;
	const char *const *choices;  /* ends with NULL */
	const char *pattern;         /* POSIX ERE that is also a JavaScript one: whole text, written with ^ and $ */
	const char *expected;        /* N_(): what the pattern stands for, "the name of a Debian package" */
	const struct schema *object; /* OBJECT, LIST, MAP */
	size_t offset, size, count;  /* of the field; of the number of elements */
	const char *description;     /* N_(): one sentence or two, without markup */
};

struct schema {
	const char *name; /* "component": the definition's name in JSON Schema */
	const struct key *keys;
	size_t n_keys;
	size_t size;               /* of the struct */
	bool scalar;               /* the value itself is keys[0], there is no mapping around it */
	const char *const *one_of; /* exactly one of these keys must be there; ends with NULL */
	const char *key_pattern;   /* MAP: what its keys look like; NULL: names */
	const char *key_expected;  /* N_() */
	const char *key_label;     /* "<component>": the key in the manual's paths */
	const char *description;   /* N_() */
};

/* Begins every struct that is read from a document. The nodes live as long as the document. */
struct model_item {
	char *name;                   /* MAP: its key */
	const struct yaml_node *key;  /* MAP: where */
	const struct yaml_node *node; /* its mapping (or scalar); NULL: it was not written */
};

#define SCHEMA_MOST_ELEMENTS 256

#define KEY_FIELD(type, field) .offset = offsetof(type, field), .size = sizeof(((type *)0)->field)
#define KEY_FIELDS(type, field, number)                                                                                \
	.offset = offsetof(type, field), .size = sizeof(((type *)0)->field), .count = offsetof(type, number)

/*
 * Reads a mapping into a zeroed struct. Goes on after errors, which are in `diag`; what could not be read keeps its
 * default. Returns 0, or -EINVAL when there was an error. Release with schema_release in both cases.
 */
int schema_read(const struct schema *schema, const struct yaml_node *node, struct diag *diag, void *object);
/* Frees all that the fields own and zeroes the struct. */
void schema_release(const struct schema *schema, void *object);
/* Where the value of a key of an item is, for errors. */
const struct place *item_place(const struct model_item *item, const char *key);

/* "recipe", "service" or "hosts"; NULL for another. */
const struct schema *schema_find(const char *document);
/*
 * Calls `fn` for every key of a document, parents first, in the order of the table. `path` is dotted:
 * "components.<component>.update.order", lists as "checks[].http", maps of plain values as "env.<NAME>". A non-zero
 * return of `fn` ends the walk and is returned.
 */
int schema_walk(const struct schema *schema, int (*fn)(void *data, const char *path, const struct key *key),
		void *data);
/* The type for people: "duration (10s)", translated. */
const char *key_type_name(enum key_type type);
/* JSON Schema (draft 2020-12) of a document. -ENOENT for an unknown one. */
int schema_json(const char *document, json_t **ret, struct err *err);

extern const struct schema recipe_schema, service_schema, hosts_schema, check_schema;

#endif
