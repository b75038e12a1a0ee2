/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/kv-level.h"

#include <string.h>

#include "base/log.h"

#define RETRY_USEC (1000 * 1000ULL)

struct entry {
	struct entry *next;
	struct kv_level *level;
	char *key;
	char *value; /* NULL: to be deleted */
	bool dirty;  /* changed since the write in flight began, or that write failed */
	struct http_call *call;
};

struct kv_level {
	struct http_loop *loop;
	const struct consul *consul;
	struct entry *first;
	sd_event_source *timer;
	bool held;
};

struct kv_level *kv_level_new(struct http_loop *loop, const struct consul *consul)
{
	struct kv_level *level = xcalloc(1, sizeof(*level));

	level->loop = loop;
	level->consul = consul;
	return level;
}

static void entry_free(struct entry *entry)
{
	http_call_cancel(entry->call);
	free(entry->key);
	free(entry->value);
	free(entry);
}

void kv_level_free(struct kv_level *level)
{
	struct entry *entry;

	if (!level)
		return;
	while ((entry = level->first)) {
		level->first = entry->next;
		entry_free(entry);
	}
	sd_event_source_disable_unref(level->timer);
	free(level);
}

static void forget(struct entry *entry)
{
	struct entry **at = &entry->level->first;

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	entry_free(entry);
}

static void send(struct entry *entry);

static int on_retry(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source, (void)usec;
	kv_level_retry(data);
	return 0;
}

static void retry_later(struct kv_level *level)
{
	int enabled = SD_EVENT_OFF;

	if (level->timer)
		sd_event_source_get_enabled(level->timer, &enabled);
	if (enabled != SD_EVENT_OFF)
		return;
	level->timer = sd_event_source_disable_unref(level->timer);
	sd_event_add_time_relative(http_loop_event(level->loop), &level->timer, CLOCK_MONOTONIC, RETRY_USEC, 0,
				   on_retry, level);
}

static void on_written(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct entry *entry = data;

	entry->call = NULL;
	if (r == 0)
		consul_note(entry->level->consul, reply);
	if (r < 0 || reply->status != 200) {
		log_debug("%s is not written yet: %s", entry->key, r < 0 ? err_text(err) : buf_text(&reply->body));
		entry->dirty = true;
		retry_later(entry->level);
	} else if (entry->dirty)
		send(entry);
	else
		forget(entry);
}

static void send(struct entry *entry)
{
	_cleanup_(freep) char *path = xasprintf("/v1/kv/%s", entry->key);
	struct http_request request = { .method = entry->value ? "PUT" : "DELETE", .path = path, .timeout_ms = 10000 };

	if (entry->level->held)
		return; /* stays dirty */
	if (entry->value) {
		request.body = entry->value;
		request.body_len = strlen(entry->value);
	}
	entry->dirty = false;
	entry->call = http_loop_start(entry->level->loop, consul_base(entry->level->consul),
				      consul_token(entry->level->consul), &request, on_written, entry);
}

static void want(struct kv_level *level, const char *key, const char *value)
{
	struct entry *entry = level->first;

	while (entry && strcmp(entry->key, key))
		entry = entry->next;
	if (!entry) {
		entry = xcalloc(1, sizeof(*entry));
		entry->next = level->first;
		entry->level = level;
		entry->key = xstrdup(key);
		level->first = entry;
	}
	free(entry->value);
	entry->value = xstrdup(value);
	entry->dirty = true;
	if (!entry->call)
		send(entry);
}

void kv_level_put(struct kv_level *level, const char *key, const char *value)
{
	want(level, key, value);
}

void kv_level_delete(struct kv_level *level, const char *key)
{
	want(level, key, NULL);
}

void kv_level_hold(struct kv_level *level, bool held)
{
	level->held = held;
	if (!held)
		kv_level_retry(level);
}

void kv_level_retry(struct kv_level *level)
{
	for (struct entry *entry = level->first; entry; entry = entry->next)
		if (entry->dirty && !entry->call)
			send(entry);
}
