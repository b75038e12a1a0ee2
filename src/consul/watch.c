/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "consul/consul-watch.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "consul/backoff.h"
#include "consul/consul-decode.h"

/*
 * Consul answers at the latest after WAIT and a sixteenth of it. The time limit of the request is for a Consul that
 * hangs: one that dies is noticed at once.
 */
#define WAIT "5m"
#define REQUEST_TIMEOUT_MS (6 * 60 * 1000)

/*
 * Two guards against keeping Consul and us busy. Answers at once that say nothing new are a fault, of Consul or of a
 * proxy before it: after a few, wait longer and longer. In a storm of real changes a short pause lets several of them
 * come in one answer.
 */
#define MOST_IDLE_REPLIES 10
#define AT_ONCE_MS 500
#define STORM_REPLIES 25
#define STORM_WINDOW_MS 250
#define STORM_PAUSE_MS 5

struct consul_watch {
	struct http_loop *loop;
	const struct consul *consul;
	char *path;
	consul_watch_fn fn;
	void *data;
	struct http_call *call; /* in flight, or NULL */
	sd_event_source *retry; /* armed while no call is in flight */
	struct consul_backoff backoff;
	uint64_t index; /* to ask with; 0: answer at once */
	bool told;      /* has a value been told? */
	bool away;
	uint64_t told_index;
	uint64_t told_hash;    /* of the body */
	int64_t asked_ms;      /* monotonic */
	unsigned idle_replies; /* at once and without news, in a row */
	int64_t window_start_ms;
	unsigned window_replies;
	bool *ret_freed; /* set when freed within fn */
};

static void ask(struct consul_watch *watch);

static uint64_t hash_bytes(const char *bytes, size_t len)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
	return hash;
}

/* Calls back; false when that freed the watch. */
static bool tell(struct consul_watch *watch, const json_t *value, uint64_t index, const struct err *err)
{
	bool freed = false;

	watch->ret_freed = &freed;
	watch->fn(watch->data, value, index, err);
	if (!freed)
		watch->ret_freed = NULL;
	return !freed;
}

static void ask_later(struct consul_watch *watch, int64_t ms)
{
	sd_event_source_set_time_relative(watch->retry, (uint64_t)ms * 1000);
	sd_event_source_set_enabled(watch->retry, SD_EVENT_ONESHOT);
}

static void went_wrong(struct consul_watch *watch, const struct err *err)
{
	bool first = !watch->away;

	watch->away = true;
	/* What comes back may have another history: ask for the present value. */
	watch->index = 0;
	ask_later(watch, consul_backoff_next(&watch->backoff));
	if (first)
		tell(watch, NULL, 0, err);
}

/* How long to wait before asking again: 0 unless one of the guards says so. */
static int64_t pause_ms(struct consul_watch *watch, bool news)
{
	int64_t now = clock_monotonic_ms();

	if (!news && now - watch->asked_ms < AT_ONCE_MS) {
		if (++watch->idle_replies > MOST_IDLE_REPLIES)
			return consul_backoff_next(&watch->backoff);
		return 0;
	}
	watch->idle_replies = 0;
	consul_backoff_reset(&watch->backoff);
	if (now - watch->window_start_ms >= STORM_WINDOW_MS) {
		watch->window_start_ms = now;
		watch->window_replies = 0;
	}
	return ++watch->window_replies > STORM_REPLIES ? STORM_PAUSE_MS : 0;
}

/* An index that goes backwards means that Consul's state is another one (restored, or restarted without its data). */
static void advance_index(struct consul_watch *watch, uint64_t index)
{
	watch->index = index < watch->index ? 0 : index;
}

static void take_value(struct consul_watch *watch, const struct http_reply *reply, const json_t *value)
{
	uint64_t hash = hash_bytes(buf_text(&reply->body), reply->body.len) ^ (uint64_t)reply->status;
	bool news = !watch->told || watch->away || reply->index != watch->told_index || hash != watch->told_hash;
	int64_t pause = pause_ms(watch, news);

	watch->away = false;
	watch->told = true;
	watch->told_index = reply->index;
	watch->told_hash = hash;
	advance_index(watch, reply->index);
	if (pause)
		ask_later(watch, pause);
	else
		ask(watch);
	if (news)
		tell(watch, value, reply->index, NULL);
}

static void on_reply(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct consul_watch *watch = data;
	json_t *value = NULL;

	watch->call = NULL;
	if (r == 0)
		consul_note(watch->consul, reply);
	/* Consul says 404 for a key that is not there, with an index. Without one the endpoint cannot be watched. */
	if (r == 0 && (reply->status != 404 || !reply->index))
		r = consul_reply_error(reply, err);
	if (r == 0 && !reply->index)
		r = err_set(err, EINVAL, _("Consul does not tell its changes"));
	if (r == 0 && reply->status != 404)
		r = consul_json(buf_text(&reply->body), reply->body.len, &value, err);
	if (r == 0)
		take_value(watch, reply, value);
	else {
		err_wrap(err, _("Cannot watch %s in Consul"), watch->path);
		went_wrong(watch, err);
	}
	json_decref(value);
}

static void ask(struct consul_watch *watch)
{
	struct http_request request = {
		.method = "GET",
		.timeout_ms = REQUEST_TIMEOUT_MS,
		.most = CONSUL_MOST_REPLY,
		/* The index is of the Consul that was asked: one that came back without its data may not reach it for
		   long. */
		.once = true,
	};
	_cleanup_(freep) char *path = NULL;
	char join = strchr(watch->path, '?') ? '&' : '?';

	if (watch->index)
		path = xasprintf("%s%cindex=%" PRIu64 "&wait=" WAIT, watch->path, join, watch->index);
	request.path = path ? path : watch->path;
	watch->asked_ms = clock_monotonic_ms();
	watch->call = http_loop_start(watch->loop, consul_base(watch->consul), consul_token(watch->consul), &request,
				      on_reply, watch);
}

static int on_retry(sd_event_source *source, uint64_t now, void *data)
{
	(void)source, (void)now;
	ask(data);
	return 0;
}

int consul_watch_new(struct http_loop *loop, const struct consul *consul, const char *path, consul_watch_fn fn,
		     void *data, struct consul_watch **ret, struct err *err)
{
	_cleanup_(consul_watch_freep) struct consul_watch *watch = xcalloc(1, sizeof(*watch));
	int r;

	watch->loop = loop;
	watch->consul = consul;
	watch->path = xstrdup(path);
	watch->fn = fn;
	watch->data = data;
	r = sd_event_add_time(http_loop_event(loop), &watch->retry, CLOCK_MONOTONIC, 0, 1000, on_retry, watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->retry, SD_EVENT_OFF);
	if (r < 0)
		return err_errno(err, -r, _("Cannot watch %s in Consul"), path);
	ask(watch);
	*ret = TAKE_PTR(watch);
	return 0;
}

void consul_watch_free(struct consul_watch *watch)
{
	if (!watch)
		return;
	if (watch->ret_freed)
		*watch->ret_freed = true;
	http_call_cancel(watch->call);
	sd_event_source_disable_unref(watch->retry);
	free(watch->path);
	free(watch);
}

void consul_watch_freep(struct consul_watch **watch)
{
	consul_watch_free(*watch);
}

bool consul_watch_fresh(const struct consul_watch *watch)
{
	return watch->told && !watch->away;
}
