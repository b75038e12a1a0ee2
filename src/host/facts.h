/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a machine says of itself: the output of facts.sh, lines KEY=VALUE. It may have come from a machine that is not
 * well, with anything before, between and behind: what is no fact is left out, and everything is bounded.
 */
#ifndef TEPUY_HOST_FACTS_H
#define TEPUY_HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define FACTS_MOST_BYTES (256 << 10)
#define FACTS_MOST 1024

/* The script: given to `sh -s -- PORT…` as standard input; the ports are those whose holders it tells. */
extern const char facts_script[];

struct fact {
	char *key;   /* [a-z_]+ */
	char *value; /* printable */
};

struct facts {
	struct fact *list; /* in the order of the text */
	size_t n, cap;
};

#define _cleanup_facts_ _cleanup_(facts_release)

void facts_parse(const char *text, size_t len, struct facts *ret);
void facts_release(struct facts *facts);

/* The last value of a key, "" when there is none. Borrowed. */
const char *facts_get(const struct facts *facts, const char *key);
bool facts_has(const struct facts *facts, const char *key);
/* The value behind `word` and a space in the first fact of that key that begins so; NULL: none. Borrowed. */
const char *facts_of(const struct facts *facts, const char *key, const char *word);
/* Decimal digits, else -1. */
int64_t facts_number(const struct facts *facts, const char *key);

#endif
