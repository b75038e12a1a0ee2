/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/canonical.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/text.h"

/*
 * cpus is the one real number of our documents: 2 and 2.0 are the same limit and must give the same text, and jansson
 * would keep them apart.
 */
static json_t *plain_numbers(const json_t *value)
{
	const char *key;
	json_t *copy, *element;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		copy = json_object();
		json_object_foreach((json_t *)value, key, element)
		    json_object_set_new(copy, key, plain_numbers(element));
		return copy;
	case JSON_ARRAY:
		copy = json_array();
		json_array_foreach((json_t *)value, i, element) json_array_append_new(copy, plain_numbers(element));
		return copy;
	case JSON_REAL: {
		double real = json_real_value(value);

		if (real > -9007199254740992.0 && real < 9007199254740992.0 && real == (double)(json_int_t)real)
			return json_integer((json_int_t)real);
		return json_real(real);
	}
	default:
		return json_incref((json_t *)value);
	}
}

char *json_canonical(const json_t *value)
{
	_cleanup_json_ json_t *plain = plain_numbers(value);
	char *text = json_dumps(plain, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		abort(); /* memory, or nesting over 2048, which no reader of ours lets in */
	return text;
}

char *json_fingerprint(const json_t *value)
{
	_cleanup_(freep) char *text = json_canonical(value);
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)text, strlen(text), digest);
	return text_hex(digest, sizeof(digest));
}

void json_decrefpp(json_t **value)
{
	json_decref(*value);
}
