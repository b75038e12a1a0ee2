/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/xen-journal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_LINE (8u << 20)

void xen_journal_release(struct xen_journal *journal)
{
	buf_release(&journal->line);
}

/* A text, or an array of bytes where it is no UTF-8. */
static void take_message(const json_t *message, struct buf *to)
{
	const json_t *byte;
	size_t i;

	if (json_is_string(message))
		buf_add(to, json_string_value(message), json_string_length(message));
	json_array_foreach(message, i, byte) buf_addc(to, (char)json_integer_value(byte));
}

/* "2026-11-22T14:41:54.894366Z " */
static void add_time(struct buf *to, const char *microseconds)
{
	long long us = microseconds ? atoll(microseconds) : 0;
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	char text[32];

	if (us < 0 || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	buf_printf(to, "%s.%06lldZ ", text, us % 1000000);
}

static int take_line(struct xen_journal *journal)
{
	json_auto_t *root = json_loadb(journal->line.data, journal->line.len, JSON_ALLOW_NUL, NULL);
	const char *priority = json_string_value(json_object_get(root, "PRIORITY"));
	const json_t *message = json_object_get(root, "MESSAGE");
	_cleanup_buf_ struct buf text = { 0 };
	int r;

	if (!json_is_object(root) || !message)
		return 0;
	if (journal->timestamps)
		add_time(&text, json_string_value(json_object_get(root, "__REALTIME_TIMESTAMP")));
	take_message(message, &text);
	buf_addc(&text, '\n');
	/* Standard error is logged at "err", the rest at "info" (xen-unit.c). */
	r = journal->fn(journal->data, priority && atoi(priority) <= 3 ? 2 : 1, text.data, text.len);
	journal->failure = r < 0 ? r : 0;
	return journal->failure;
}

int xen_journal_feed(struct xen_journal *journal, const char *bytes, size_t len)
{
	int r = 0;

	while (len && r == 0) {
		const char *end = memchr(bytes, '\n', len);
		size_t part = end ? (size_t)(end - bytes) : len;

		if (journal->line.len + part > MOST_LINE)
			return -EBADMSG;
		buf_add(&journal->line, bytes, part);
		if (!end)
			return 0;
		if (journal->line.len)
			r = take_line(journal);
		buf_consume(&journal->line, journal->line.len);
		bytes += part + 1;
		len -= part + 1;
	}
	return r;
}
