/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The API's endless answers: events and the state of a service, told as Consul tells of them. Each has its own small
 * event loop in its own thread.
 */
#include <errno.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "agent/api-call.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "consul/consul-decode.h"
#include "consul/consul-watch.h"
#include "model/canonical.h"

/* An empty line so often shows the reader that we are there. */
#define HEARTBEAT_MS 15000
/* How long one read may wait before it looks whether the agent ends. */
#define TURN_USEC (1000 * 1000ULL)
#define MOST_WATCHES 3

struct feed {
	const struct node_env *env;
	const _Atomic bool *stopping;
	char *service; /* NULL: all (events) */
	sd_event *event;
	struct http_loop *loop;
	struct consul_watch *watches[MOST_WATCHES];
	struct buf out;
	bool dirty; /* something changed: make the next line */
	char *last; /* text of the last state */
	int64_t tail, said_ms;
	void (*fill)(struct feed *feed);
	struct consul_kvs kvs; /* events */
	struct strv known;     /* keys of those of the last answer, sorted */
	bool told;
};

static void feed_free(void *data)
{
	struct feed *feed = data;

	for (size_t i = 0; i < MOST_WATCHES; i++)
		consul_watch_free(feed->watches[i]);
	http_loop_free(feed->loop);
	sd_event_unref(feed->event);
	buf_release(&feed->out);
	consul_kvs_release(&feed->kvs);
	strv_release(&feed->known);
	free(feed->service);
	free(feed->last);
	free(feed);
}

static ssize_t give(struct feed *feed, char *to, size_t size)
{
	size_t n = feed->out.len < size ? feed->out.len : size;

	memcpy(to, feed->out.data, n);
	buf_consume(&feed->out, n);
	feed->said_ms = clock_monotonic_ms();
	return (ssize_t)n;
}

static ssize_t feed_read(void *data, char *to, size_t size)
{
	struct feed *feed = data;

	while (!feed->out.len) {
		if (*feed->stopping)
			return -ENODATA;
		if (sd_event_run(feed->event, TURN_USEC) < 0)
			return -EIO;
		/* All that is at hand, before a line is made of it. */
		while (sd_event_run(feed->event, 0) > 0)
			;
		if (feed->dirty) {
			feed->dirty = false;
			feed->fill(feed);
		}
		if (!feed->out.len && clock_monotonic_ms() - feed->said_ms > HEARTBEAT_MS)
			buf_addc(&feed->out, '\n');
	}
	return give(feed, to, size);
}

static void on_change(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct feed *feed = data;

	(void)value, (void)index;
	feed->dirty |= !err;
}

static int feed_new(struct api_call *call, const char *service, struct feed **ret, struct err *err)
{
	struct feed *feed = xcalloc(1, sizeof(*feed));
	int r;

	*feed = (struct feed){ .env = call->env, .stopping = call->stopping, .service = xstrdup(service) };
	feed->said_ms = clock_monotonic_ms();
	r = sd_event_new(&feed->event);
	r = r < 0 ? err_errno(err, -r, _("Cannot start a stream")) : http_loop_new(feed->event, &feed->loop, err);
	if (r < 0) {
		feed_free(feed);
		return r;
	}
	*ret = feed;
	return 0;
}

static int feed_watch(struct feed *feed, size_t i, const char *path, consul_watch_fn fn, struct err *err)
{
	return consul_watch_new(feed->loop, feed->env->consul, path, fn, feed, &feed->watches[i], err);
}

static void feed_start(struct api_call *call, struct feed *feed)
{
	call->stream = (struct api_stream){ .read = feed_read, .free = feed_free, .data = feed };
}

/* --- the state of a service --- */

static void fill_state(struct feed *feed)
{
	_cleanup_json_ json_t *json = NULL;
	char *text;

	if (api_service_json(feed->env, feed->service, &json, NULL) < 0)
		return; /* Consul is away; its return is a change */
	text = json_canonical(json);
	if (!feed->last || strcmp(text, feed->last)) {
		buf_adds(&feed->out, text);
		buf_addc(&feed->out, '\n');
	}
	free(feed->last);
	feed->last = text;
}

static int get_watch(struct api_call *call, struct err *err)
{
	const char *service = call->query(call, "service");
	_cleanup_(freep) char *keys = NULL;
	struct feed *feed;
	int r;

	if (!service || !text_is_name(service))
		return err_set(err, EINVAL, _("The request does not say which service to watch"));
	keys = xasprintf("/v1/kv/tepuy/service/%s/?recurse", service);
	r = feed_new(call, service, &feed, err);
	if (r < 0)
		return r;
	feed->fill = fill_state;
	r = feed_watch(feed, 0, keys, on_change, err);
	if (r == 0)
		r = feed_watch(feed, 1, "/v1/kv/tepuy/host/?recurse", on_change, err);
	if (r == 0)
		r = feed_watch(feed, 2, "/v1/health/state/any", on_change, err);
	if (r < 0)
		feed_free(feed);
	else
		feed_start(call, feed);
	return r;
}

/* --- events --- */

static const char *time_part(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? slash + 1 : key;
}

static int by_time(const void *a, const void *b)
{
	return strcmp(time_part(((const struct consul_kv *)a)->key), time_part(((const struct consul_kv *)b)->key));
}

static void add_event(struct feed *feed, const struct consul_kv *kv)
{
	_cleanup_(freep) char *service = xstrdup(kv->key + strlen("tepuy/event/"));
	_cleanup_json_ json_t *event = json_loadb(kv->value, kv->len, 0, NULL);
	_cleanup_(freep) char *text = NULL;

	if (!json_is_object(event))
		return;
	service[strcspn(service, "/")] = '\0';
	json_object_set_new(event, "service", json_string(service));
	text = json_canonical(event);
	buf_adds(&feed->out, text);
	buf_addc(&feed->out, '\n');
}

/* New is what the last answer did not have. Its time tells nothing of that: hosts' clocks differ. */
static void fill_events(struct feed *feed)
{
	struct strv keys = { 0 };
	size_t from = 0;

	if (feed->kvs.n)
		qsort(feed->kvs.v, feed->kvs.n, sizeof(*feed->kvs.v), by_time);
	if (!feed->told && feed->tail >= 0 && (size_t)feed->tail < feed->kvs.n)
		from = feed->kvs.n - (size_t)feed->tail;
	for (size_t i = 0; i < feed->kvs.n; i++) {
		if (i >= from && !strv_has_sorted(&feed->known, feed->kvs.v[i].key))
			add_event(feed, &feed->kvs.v[i]);
		strv_add(&keys, feed->kvs.v[i].key);
	}
	strv_sort(&keys);
	strv_release(&feed->known);
	feed->known = keys;
	feed->told = true;
}

static void on_events(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct feed *feed = data;
	struct consul_kvs kvs = { 0 };

	(void)index;
	if (err || consul_decode_kvs(value, &kvs, NULL) < 0)
		return;
	consul_kvs_release(&feed->kvs);
	feed->kvs = kvs;
	feed->dirty = true;
}

/* Those that are there, and the end. */
static int events_now(struct api_call *call, struct feed *feed, const char *prefix, struct err *err)
{
	int r = consul_kv_list(call->env->consul, prefix, &feed->kvs, err);

	if (r < 0)
		return r;
	fill_events(feed);
	call->text = buf_take(&feed->out);
	return 0;
}

static int get_events(struct api_call *call, struct err *err)
{
	const char *service = call->query(call, "service"), *follow = call->query(call, "follow");
	const char *tail = call->query(call, "tail");
	_cleanup_(freep) char *prefix = NULL, *path = NULL;
	uint64_t lines = 0;
	struct feed *feed;
	int r;

	if (service && !text_is_name(service))
		return err_set(err, EINVAL, _("'%s' cannot be the name of a service"), service);
	if (tail && text_u64(tail, &lines) < 0)
		return err_set(err, EINVAL, _("tail must be a number"));
	prefix = service ? xasprintf("tepuy/event/%s/", service) : xstrdup("tepuy/event/");
	path = xasprintf("/v1/kv/%s?recurse", prefix);
	r = feed_new(call, service, &feed, err);
	if (r < 0)
		return r;
	feed->fill = fill_events;
	feed->tail = tail ? (int64_t)lines : -1;
	if (!follow || strcmp(follow, "1")) {
		r = events_now(call, feed, prefix, err);
		feed_free(feed);
		return r;
	}
	r = feed_watch(feed, 0, path, on_events, err);
	if (r < 0)
		feed_free(feed);
	else
		feed_start(call, feed);
	return r;
}

const struct api_route api_stream_routes[] = {
	{ "GET", "/v1/watch", get_watch },
	{ "GET", "/v1/events", get_events },
	{ 0 },
};
