/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/facts.h"

#include <string.h>

#include "base/text.h"

static size_t key_length(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && (line[n] == '_' || (line[n] >= 'a' && line[n] <= 'z')))
		n++;
	return n && n < 64 && n < len && line[n] == '=' ? n : 0;
}

static void take_line(struct facts *facts, const char *line, size_t len)
{
	size_t key = key_length(line, len);
	struct fact *fact;

	if (!key || facts->n == FACTS_MOST)
		return;
	facts->list = grow_array(facts->list, facts->n, &facts->cap, sizeof(*facts->list));
	fact = &facts->list[facts->n++];
	fact->key = xstrndup(line, key);
	fact->value = xstrndup(line + key + 1, len - key - 1);
	text_printable(fact->value, false);
}

void facts_parse(const char *text, size_t len, struct facts *ret)
{
	struct facts facts = { 0 };

	if (len > FACTS_MOST_BYTES)
		len = FACTS_MOST_BYTES;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		take_line(&facts, text, line);
		text += line;
		len -= line;
		if (end) {
			text++;
			len--;
		}
	}
	*ret = facts;
}

void facts_release(struct facts *facts)
{
	for (size_t i = 0; i < facts->n; i++) {
		free(facts->list[i].key);
		free(facts->list[i].value);
	}
	free(facts->list);
	*facts = (struct facts){ 0 };
}

static const char *find(const struct facts *facts, const char *key)
{
	for (size_t i = facts->n; i > 0; i--)
		if (!strcmp(facts->list[i - 1].key, key))
			return facts->list[i - 1].value;
	return NULL;
}

const char *facts_get(const struct facts *facts, const char *key)
{
	const char *value = find(facts, key);

	return value ? value : "";
}

bool facts_has(const struct facts *facts, const char *key)
{
	return find(facts, key) != NULL;
}

const char *facts_of(const struct facts *facts, const char *key, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < facts->n; i++) {
		const char *value = facts->list[i].value;

		if (!strcmp(facts->list[i].key, key) && !strncmp(value, word, len) && value[len] == ' ')
			return value + len + 1;
	}
	return NULL;
}

int64_t facts_number(const struct facts *facts, const char *key)
{
	const char *text = find(facts, key);
	uint64_t value;

	if (!text || text_u64(text, &value) < 0 || value > INT64_MAX)
		return -1;
	return (int64_t)value;
}
