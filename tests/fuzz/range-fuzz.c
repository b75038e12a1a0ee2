/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first 8 bytes are a body's size, the rest a Range and at the same time a Content-Range: no part leaves its body.
 */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(const struct http_part *part)
{
	if (part->len > part->total || part->from > part->total - part->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_part part = { 0 };
	uint64_t body;

	if (size < sizeof(body))
		return 0;
	memcpy(&body, data, sizeof(body));
	_cleanup_(freep) char *text = xstrndup((const char *)data + sizeof(body), size - sizeof(body));
	if (http_range_asked(text, body, &part) != HTTP_RANGE_BEYOND) {
		hold(&part);
		if (part.total != body)
			abort();
	}
	if (http_range_given(text, &part)) {
		hold(&part);
		if (!part.len)
			abort();
	}
	return 0;
}
