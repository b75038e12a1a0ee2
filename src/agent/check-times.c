/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/check-times.h"

#include <pthread.h>
#include <string.h>

#include "base/text.h"

struct seen {
	char *name; /* "host id" */
	enum consul_status status;
	int64_t since_ms;
};

struct check_times {
	pthread_mutex_t lock;
	struct seen *list; /* under the lock; sorted by name */
	size_t n;
	bool told; /* once at least */
};

struct check_times *check_times_new(void)
{
	struct check_times *times = xcalloc(1, sizeof(*times));

	pthread_mutex_init(&times->lock, NULL);
	return times;
}

static void list_free(struct seen *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
	free(list);
}

void check_times_free(struct check_times *times)
{
	if (!times)
		return;
	list_free(times->list, times->n);
	pthread_mutex_destroy(&times->lock);
	free(times);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->name, ((const struct seen *)b)->name);
}

static const struct seen *find(const struct check_times *times, const char *name)
{
	const struct seen key = { .name = (char *)name };

	return times->n ? bsearch(&key, times->list, times->n, sizeof(key), by_name) : NULL;
}

static char *name_of(const char *node, const char *id)
{
	return xasprintf("%s %s", node, id);
}

/* A check that is new has its status from now; at the first look nobody knows since when. */
static int64_t since(const struct check_times *times, const struct seen *now, int64_t now_ms)
{
	const struct seen *before = find(times, now->name);

	if (before && before->status == now->status)
		return before->since_ms;
	return times->told ? now_ms : 0;
}

/*
 * Consul takes a dead server out of its catalog, and the check with it: its host is dead for as long as that was
 * critical. `list` has its first `n` sorted, and room for all that are known.
 */
static size_t keep_dead(const struct check_times *times, struct seen *list, size_t n, int64_t now_ms)
{
	size_t all = n;

	for (size_t i = 0; i < times->n; i++) {
		const struct seen *before = &times->list[i];
		bool dead = before->status == CONSUL_CRITICAL;

		if (!text_ends(before->name, " serfHealth") || (n && bsearch(before, list, n, sizeof(*list), by_name)))
			continue;
		list[all++] = (struct seen){ .name = xstrdup(before->name),
					     .status = CONSUL_CRITICAL,
					     .since_ms = dead ? before->since_ms : now_ms };
	}
	return all;
}

static struct seen *take_checks(const struct consul_checks *checks, size_t room, size_t *ret_n)
{
	struct seen *list = xcalloc(checks->n + room + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < checks->n; i++) {
		const struct consul_check *check = &checks->v[i];

		if (check->node && check->id)
			list[n++] = (struct seen){ .name = name_of(check->node, check->id), .status = check->status };
	}
	qsort(list, n, sizeof(*list), by_name);
	*ret_n = n;
	return list;
}

void check_times_update(struct check_times *times, const struct consul_checks *checks, int64_t now_ms)
{
	struct seen *list;
	size_t n, all;

	pthread_mutex_lock(&times->lock);
	list = take_checks(checks, times->n, &n);
	for (size_t i = 0; i < n; i++)
		list[i].since_ms = since(times, &list[i], now_ms);
	all = keep_dead(times, list, n, now_ms);
	qsort(list, all, sizeof(*list), by_name);
	list_free(times->list, times->n);
	times->list = list;
	times->n = all;
	times->told = true;
	pthread_mutex_unlock(&times->lock);
}

int64_t check_times_since(struct check_times *times, const char *node, const char *id, enum consul_status status)
{
	_cleanup_(freep) char *name = name_of(node, id);
	const struct seen *seen;
	int64_t since_ms = 0;

	pthread_mutex_lock(&times->lock);
	seen = find(times, name);
	if (seen && seen->status == status)
		since_ms = seen->since_ms;
	pthread_mutex_unlock(&times->lock);
	return since_ms;
}
