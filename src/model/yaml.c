/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/yaml.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "model/yaml-text.h"

/* A collection that is being read. */
struct level {
	struct yaml_node *node;
	struct yaml_node *key; /* mapping: a key that waits for its value */
};

struct anchor {
	char *name;
	struct yaml_node *node;
};

struct reader {
	struct yaml_document *document;
	struct diag *diag;
	struct level levels[YAML_MOST_DEPTH];
	int depth;
	struct anchor *anchors;
	size_t n_anchors, cap_anchors;
	bool ended; /* the first document is over */
};

static struct place place_of(const struct reader *reader, const yaml_mark_t *start, const yaml_mark_t *end)
{
	struct place place = {
		.file = reader->document->file,
		.line = (int)start->line + 1,
		.column = (int)start->column + 1,
		.length = 1,
	};

	if (end && end->line == start->line && end->column > start->column)
		place.length = (int)(end->column - start->column);
	return place;
}

static int refuse(struct reader *reader, const yaml_event_t *event, const char *why)
{
	struct place place = place_of(reader, &event->start_mark, &event->end_mark);

	diag_error(reader->diag, &place, "%s", why);
	return -EINVAL;
}

static struct yaml_node *new_node(struct reader *reader, const yaml_event_t *event, enum yaml_kind kind)
{
	struct yaml_document *document = reader->document;
	struct yaml_node *node;

	if (document->n_nodes >= YAML_MOST_NODES) {
		refuse(reader, event, _("the document has more than 100,000 values; split it"));
		return NULL;
	}
	node = xcalloc(1, sizeof(*node));
	document->nodes = grow_array(document->nodes, document->n_nodes, &document->cap_nodes, sizeof(node));
	document->nodes[document->n_nodes++] = node;
	node->kind = kind;
	node->weight = 1;
	node->place = place_of(reader, &event->start_mark, kind == YAML_SCALAR ? &event->end_mark : NULL);
	return node;
}

static struct anchor *find_anchor(struct reader *reader, const char *name)
{
	for (size_t i = 0; i < reader->n_anchors; i++)
		if (!strcmp(reader->anchors[i].name, name))
			return &reader->anchors[i];
	return NULL;
}

/* A later anchor of the same name replaces the earlier one, as YAML says. */
static int add_anchor(struct reader *reader, const yaml_event_t *event, const yaml_char_t *name, struct yaml_node *node)
{
	struct anchor *anchor;

	if (!name)
		return 0;
	anchor = find_anchor(reader, (const char *)name);
	if (anchor) {
		anchor->node = node;
		return 0;
	}
	if (reader->n_anchors >= YAML_MOST_ANCHORS)
		return refuse(reader, event, _("the document has more than 1,000 anchors; write the values out"));
	reader->anchors = grow_array(reader->anchors, reader->n_anchors, &reader->cap_anchors, sizeof(*anchor));
	reader->anchors[reader->n_anchors++] = (struct anchor){ .name = xstrdup((const char *)name), .node = node };
	return 0;
}

static int add_key(struct reader *reader, const yaml_event_t *event, struct yaml_node *key)
{
	if (key->kind != YAML_SCALAR)
		return refuse(reader, event, _("a key must be a word, not a list or a set of keys"));
	if (!strcmp(key->text, "<<") && !key->quoted)
		return refuse(reader, event, _("merge keys (<<) are not understood; write the keys out"));
	if (!*key->text)
		return refuse(reader, event, _("a key is missing before ':'"));
	reader->levels[reader->depth - 1].key = key;
	return 0;
}

static void append(struct yaml_node *parent, struct yaml_node *key, struct yaml_node *value)
{
	if (parent->kind == YAML_SEQUENCE) {
		parent->items = grow_array(parent->items, parent->n, &parent->cap, sizeof(*parent->items));
		parent->items[parent->n++] = value;
		return;
	}
	parent->entries = grow_array(parent->entries, parent->n, &parent->cap, sizeof(*parent->entries));
	parent->entries[parent->n++] = (struct yaml_entry){ .key = key, .value = value };
}

/* Puts a finished or an opened node where it belongs. Weights are added when collections close. */
static int attach(struct reader *reader, const yaml_event_t *event, struct yaml_node *node)
{
	struct level *level = reader->depth ? &reader->levels[reader->depth - 1] : NULL;

	if (!level) {
		reader->document->root = node;
		return 0;
	}
	if (level->node->kind == YAML_MAPPING && !level->key)
		return add_key(reader, event, node);
	append(level->node, level->key, node);
	level->key = NULL;
	return 0;
}

/* Of two equal keys in sorted order the later one in the document is the one that is refused. */
static int compare_keys(const void *a, const void *b)
{
	const struct yaml_node *x = *(struct yaml_node *const *)a, *y = *(struct yaml_node *const *)b;
	int r = strcmp(x->text, y->text);

	if (!r)
		r = (x->place.line > y->place.line) - (x->place.line < y->place.line);
	return r ? r : (x->place.column > y->place.column) - (x->place.column < y->place.column);
}

static int check_keys(struct reader *reader, const struct yaml_node *mapping)
{
	_cleanup_(freep) struct yaml_node **keys = xcalloc(mapping->n, sizeof(*keys));
	int r = 0;

	for (size_t i = 0; i < mapping->n; i++)
		keys[i] = mapping->entries[i].key;
	qsort(keys, mapping->n, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < mapping->n; i++) {
		if (strcmp(keys[i]->text, keys[i - 1]->text) != 0)
			continue;
		diag_error(reader->diag, &keys[i]->place, _("key '%s' is here twice; the first one is in line %d"),
			   keys[i]->text, keys[i - 1]->place.line);
		r = -EINVAL;
	}
	return r;
}

static void add_weight(struct yaml_node *parent, const struct yaml_node *child)
{
	parent->weight += child->weight;
	if (child->height + 1 > parent->height)
		parent->height = child->height + 1;
}

/* All nodes exist by now, so that a sum of weights is bounded by the square of the cap: it cannot wrap. */
static int close_collection(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_node *node = reader->levels[--reader->depth].node;

	for (size_t i = 0; i < node->n; i++) {
		if (node->kind == YAML_MAPPING)
			add_weight(node, node->entries[i].key);
		add_weight(node, node->kind == YAML_MAPPING ? node->entries[i].value : node->items[i]);
	}
	node->open = false;
	if (node->weight > YAML_MOST_NODES)
		return refuse(reader, event,
			      _("the aliases repeat too much: the document has more than 100,000 values"));
	if (reader->depth + node->height > YAML_MOST_DEPTH)
		return refuse(reader, event, _("the document is nested more than 64 levels deep"));
	return node->kind == YAML_MAPPING ? check_keys(reader, node) : 0;
}

static int open_collection(struct reader *reader, const yaml_event_t *event, enum yaml_kind kind,
			   const yaml_char_t *anchor)
{
	struct yaml_node *node;
	int r;

	if (reader->depth >= YAML_MOST_DEPTH)
		return refuse(reader, event, _("the document is nested more than 64 levels deep"));
	node = new_node(reader, event, kind);
	if (!node)
		return -EINVAL;
	node->open = true;
	r = attach(reader, event, node);
	if (r < 0)
		return r;
	reader->levels[reader->depth++] = (struct level){ .node = node };
	return add_anchor(reader, event, anchor, node);
}

static int read_scalar(struct reader *reader, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct yaml_node *node;
	int r;

	if (memchr(value, '\0', len))
		return refuse(reader, event, _("a text must not have the character NUL"));
	node = new_node(reader, event, YAML_SCALAR);
	if (!node)
		return -EINVAL;
	node->text = xstrndup(value, len);
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	r = attach(reader, event, node);
	return r < 0 ? r : add_anchor(reader, event, event->data.scalar.anchor, node);
}

static int read_alias(struct reader *reader, const yaml_event_t *event)
{
	const struct anchor *anchor = find_anchor(reader, (const char *)event->data.alias.anchor);

	if (!anchor)
		return refuse(reader, event, _("this alias has no anchor (&name) before it"));
	if (anchor->node->open)
		return refuse(reader, event, _("this alias stands inside the value that it repeats"));
	return attach(reader, event, anchor->node);
}

static const yaml_char_t *event_tag(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.tag;
	default:
		return NULL;
	}
}

static int read_event(struct reader *reader, const yaml_event_t *event)
{
	if (event_tag(event))
		return refuse(reader, event, _("tags (!name) are not understood; remove it"));
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return reader->ended ? refuse(reader, event, _("the file has more than one document; keep one")) : 0;
	case YAML_DOCUMENT_END_EVENT:
		reader->ended = true;
		return 0;
	case YAML_ALIAS_EVENT:
		return read_alias(reader, event);
	case YAML_SCALAR_EVENT:
		return read_scalar(reader, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(reader, event, YAML_SEQUENCE, event->data.sequence_start.anchor);
	case YAML_MAPPING_START_EVENT:
		return open_collection(reader, event, YAML_MAPPING, event->data.mapping_start.anchor);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_collection(reader, event);
	default:
		return 0;
	}
}

/* libyaml's own words, which are English, behind a sentence that is not. */
static int refuse_syntax(struct reader *reader, const yaml_parser_t *parser)
{
	struct place place = place_of(reader, &parser->problem_mark, NULL);
	const char *problem = parser->problem ? parser->problem : "";

	if (!strcmp(problem, "found character that cannot start any token"))
		diag_error(
		    reader->diag, &place,
		    _("this is not valid YAML: the character cannot stand here; indent with spaces, not tabs, and "
		      "quote texts that begin with one of @ ` %%"));
	else if (parser->context)
		diag_error(reader->diag, &place, _("this is not valid YAML: %s, %s (line %zu)"), problem,
			   parser->context, parser->context_mark.line + 1);
	else
		diag_error(reader->diag, &place, _("this is not valid YAML: %s"), problem);
	return -EINVAL;
}

static int read_events(struct reader *reader, yaml_parser_t *parser)
{
	for (;;) {
		yaml_event_t event;
		bool last;
		int r;

		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(reader, parser);
		r = read_event(reader, &event);
		last = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (r < 0 || last)
			return r;
	}
}

static int read_document(struct reader *reader, const char *text, size_t len)
{
	struct place place = { .file = reader->document->file, .line = 1, .column = 1, .length = 1 };
	yaml_parser_t parser;
	int r;

	if (!yaml_parser_initialize(&parser))
		abort();
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	r = read_events(reader, &parser);
	yaml_parser_delete(&parser);
	for (size_t i = 0; i < reader->n_anchors; i++)
		free(reader->anchors[i].name);
	free(reader->anchors);
	if (r == 0 && !reader->document->root) {
		diag_error(reader->diag, &place, _("the file is empty"));
		return -EINVAL;
	}
	return r;
}

static int refuse_size(const char *file, struct diag *diag)
{
	struct place whole = { .file = file, .length = 1 };

	diag_error(diag, &whole, _("the file is larger than 1 MiB, which no document of this kind needs"));
	return -EINVAL;
}

int yaml_parse(const char *file, const char *text, size_t len, struct diag *diag, struct yaml_document **ret)
{
	_cleanup_(yaml_tree_freep) struct yaml_document *document = xcalloc(1, sizeof(*document));
	struct reader reader = { .document = document, .diag = diag };
	int r;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3; /* a byte order mark, as some editors write it */
		len -= 3;
	}
	if (len > YAML_MOST_BYTES)
		return refuse_size(file, diag);
	diag_source(diag, file, text, len);
	document->file = xstrdup(file);
	document->text = xstrndup(text, len);
	document->len = len;
	r = text_check(file, text, len, diag);
	if (r == 0)
		r = read_document(&reader, text, len);
	if (r == 0)
		*ret = TAKE_PTR(document);
	return r;
}

int yaml_load(const char *file, struct diag *diag, struct yaml_document **ret)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_buf_ struct buf text = { 0 };
	int r = fs_read(file, YAML_MOST_BYTES + 3, &text, &err);

	if (r == -EFBIG)
		return refuse_size(file, diag);
	if (r < 0) {
		diag_file(diag, file, &err);
		return r;
	}
	return yaml_parse(file, buf_text(&text), text.len, diag, ret);
}

void yaml_tree_free(struct yaml_document *document)
{
	if (!document)
		return;
	for (size_t i = 0; i < document->n_nodes; i++) {
		free(document->nodes[i]->text);
		free(document->nodes[i]->kind == YAML_MAPPING ? (void *)document->nodes[i]->entries
							      : (void *)document->nodes[i]->items);
		free(document->nodes[i]);
	}
	free(document->nodes);
	free(document->file);
	free(document->text);
	free(document);
}

void yaml_tree_freep(struct yaml_document **document)
{
	yaml_tree_free(*document);
}

static const struct yaml_entry *find_entry(const struct yaml_node *node, const char *key)
{
	if (!node || node->kind != YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < node->n; i++)
		if (!strcmp(node->entries[i].key->text, key))
			return &node->entries[i];
	return NULL;
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
	const struct yaml_entry *entry = find_entry(node, key);

	return entry ? entry->value : NULL;
}

const struct place *yaml_place(const struct yaml_node *node, const char *key)
{
	const struct yaml_entry *entry = find_entry(node, key);

	if (!entry)
		return &node->place;
	return yaml_is_null(entry->value) ? &entry->key->place : &entry->value->place;
}

bool yaml_is_null(const struct yaml_node *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (node->kind != YAML_SCALAR || node->quoted)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(node->text, words[i]))
			return true;
	return false;
}
