/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steps, each started by the end of the one before, by the watch on the key, or by a timer:
 *
 *   no session ── create ──▶ session ── acquire ──▶ held
 *       ▲                     │    ▲                 │
 *       │                     │    └─ not renewed, ──┤
 *       └── Consul says that ─┘       not ours any more
 *           it is over
 *
 * A timer renews the session every half TTL; another one, set at each answer, ends the belief in it (`confirmed`) when
 * a TTL has passed since the last renewal that was answered was sent: Consul cannot have ended it before. The session
 * is kept even then: once Consul is back and renews it, the key is still ours, whereas a new session would have to wait
 * until the old one expires.
 */
#include "consul/consul-lock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "consul/backoff.h"
#include "consul/consul-decode.h"
#include "consul/consul-encode.h"
#include "consul/consul-watch.h"
#include "consul/request.h"

#define DEFAULT_TTL_MS 15000
#define DEFAULT_LOCK_DELAY_MS 1000
#define GIVE_BACK_MS 1000 /* how long freeing may take */

struct consul_lock {
	struct http_loop *loop;
	struct consul *consul;
	char *key, *value;
	int64_t ttl_ms, lock_delay_ms;
	consul_lock_fn fn;
	void *data;

	char *session;  /* NULL: none */
	bool confirmed; /* renewed less than a TTL ago */
	bool held;
	bool key_taken;            /* by another session, as the watch told last */
	struct http_call *change;  /* create or acquire in flight */
	struct http_call *renewal; /* renew in flight */
	int64_t change_ms;         /* monotonic: when they were sent */
	int64_t renewal_ms;
	int64_t expiry_ms;          /* monotonic: end of `confirmed` */
	sd_event_source *step;      /* tries the next step again */
	sd_event_source *renew;     /* time to renew */
	sd_event_source *expiry;    /* the session may be over */
	struct consul_watch *watch; /* of the key; from the first session on */
	struct consul_backoff backoff, renew_backoff;
	bool *ret_freed; /* set when freed within fn */
};

static void next_step(struct consul_lock *lock);

static void set_timer(sd_event_source *timer, int64_t ms)
{
	sd_event_source_set_time_relative(timer, ms > 0 ? (uint64_t)ms * 1000 : 0);
	sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void stop_timer(sd_event_source *timer)
{
	sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

/* Calls back if that is news; false when it freed the lock. */
static bool set_held(struct consul_lock *lock, bool held, const struct err *err)
{
	bool freed = false;

	if (lock->held == held)
		return true;
	lock->held = held;
	lock->ret_freed = &freed;
	lock->fn(lock->data, held, err);
	if (!freed)
		lock->ret_freed = NULL;
	return !freed;
}

static void put(struct consul_lock *lock, const char *path, const char *body, http_done done, struct http_call **call)
{
	struct http_request request = { .method = "PUT",
					.path = path,
					.body = body,
					.body_len = body ? strlen(body) : 0,
					.timeout_ms = lock->ttl_ms / 2 };

	*call =
	    http_loop_start(lock->loop, consul_base(lock->consul), consul_token(lock->consul), &request, done, lock);
}

/* -ENOENT is Consul's word only: of a connection it would mean that a socket is not there. */
static int reply_error(const struct consul_lock *lock, int r, const struct http_reply *reply, struct err *err)
{
	if (r < 0)
		return r == -ENOENT ? -ECONNREFUSED : r;
	consul_note(lock->consul, reply);
	return consul_reply_error(reply, err);
}

/* Reads the reply's JSON if it is one of success. The caller owns *ret. */
static int reply_json(const struct consul_lock *lock, int r, const struct http_reply *reply, json_t **ret,
		      struct err *err)
{
	r = reply_error(lock, r, reply, err);
	return r < 0 ? r : consul_json(buf_text(&reply->body), reply->body.len, ret, err);
}

static void retry(struct consul_lock *lock)
{
	set_timer(lock->step, consul_backoff_next(&lock->backoff));
}

/* The session is not known to live. What is in flight to get the key no longer matters. */
static void unconfirmed(struct consul_lock *lock)
{
	lock->confirmed = false;
	stop_timer(lock->expiry);
	stop_timer(lock->step);
	http_call_cancel(TAKE_PTR(lock->change));
}

/* Consul says that the session does not exist: begin again. */
static void session_over(struct consul_lock *lock, struct err *err)
{
	unconfirmed(lock);
	free(TAKE_PTR(lock->session));
	stop_timer(lock->renew);
	http_call_cancel(TAKE_PTR(lock->renewal));
	retry(lock);
	err_wrap(err, _("The session of the lock %s is over"), lock->key);
	set_held(lock, false, err);
}

static int on_expiry(sd_event_source *source, uint64_t now, void *data)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct consul_lock *lock = data;

	(void)source, (void)now;
	unconfirmed(lock);
	err_set(&err, ETIMEDOUT, _("Consul did not renew the session of the lock %s in time"), lock->key);
	set_held(lock, false, &err);
	return 0;
}

/* Consul confirmed the session for a request that was sent at `sent_ms`. */
static void session_alive(struct consul_lock *lock, int64_t sent_ms)
{
	lock->confirmed = true;
	lock->expiry_ms = sent_ms + lock->ttl_ms;
	consul_backoff_reset(&lock->renew_backoff);
	set_timer(lock->renew, lock->ttl_ms / 2);
	set_timer(lock->expiry, lock->expiry_ms - clock_monotonic_ms());
	if (!lock->held)
		next_step(lock);
}

static void on_renewed(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct consul_lock *lock = data;

	lock->renewal = NULL;
	r = reply_error(lock, r, reply, err);
	if (r == 0)
		session_alive(lock, lock->renewal_ms);
	else if (r == -ENOENT)
		session_over(lock, err);
	else
		set_timer(lock->renew, consul_backoff_next(&lock->renew_backoff));
}

static int on_renew(sd_event_source *source, uint64_t now, void *data)
{
	struct consul_lock *lock = data;
	_cleanup_(freep) char *id = http_encode(lock->session);
	_cleanup_(freep) char *path = xasprintf("/v1/session/renew/%s", id);

	(void)source, (void)now;
	lock->renewal_ms = clock_monotonic_ms();
	put(lock, path, NULL, on_renewed, &lock->renewal);
	return 0;
}

static void on_acquired(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct consul_lock *lock = data;
	json_t *json = NULL;
	bool got;

	lock->change = NULL;
	r = reply_json(lock, r, reply, &json, err);
	got = json_is_true(json);
	json_decref(json);
	if (r == -ENOENT) { /* "invalid session" */
		session_over(lock, err);
		return;
	}
	if (r < 0) {
		retry(lock);
		return;
	}
	consul_backoff_reset(&lock->backoff);
	if (got) {
		set_held(lock, true, NULL);
		return;
	}
	/* The watch tells when the holder goes; a free key that is refused is in its lock-delay, which nothing tells.
	 */
	if (!lock->key_taken)
		set_timer(lock->step, lock->lock_delay_ms);
	err_set(err, EBUSY, _("The lock %s is not ours any more"), lock->key);
	set_held(lock, false, err);
}

static void acquire(struct consul_lock *lock)
{
	_cleanup_(freep) char *id = http_encode(lock->session);
	_cleanup_(freep) char *query = xasprintf("acquire=%s", id);
	_cleanup_(freep) char *path = consul_kv_path(lock->key, query);

	stop_timer(lock->step);
	lock->change_ms = clock_monotonic_ms();
	put(lock, path, lock->value, on_acquired, &lock->change);
}

/*
 * What the watch tells may be older than an acquire that was just answered. So the key is never given up on its word:
 * acquire is asked again, which for the holder changes nothing and says the truth.
 */
static void on_key(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs keys = { 0 };
	struct consul_lock *lock = data;
	const char *holder;
	bool ours;

	(void)index;
	if (err || consul_decode_kvs(value, &keys, NULL) < 0)
		return;
	holder = keys.n ? keys.v[0].session : NULL;
	ours = holder && lock->session && !strcmp(holder, lock->session);
	lock->key_taken = holder && !ours;
	if (!lock->confirmed || lock->change || (lock->held && ours))
		return;
	if (lock->held || !lock->key_taken)
		acquire(lock);
	else
		stop_timer(lock->step);
}

static void on_created(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct consul_lock *lock = data;
	json_t *json = NULL;

	lock->change = NULL;
	r = reply_json(lock, r, reply, &json, err);
	if (r == 0)
		r = consul_decode_session(json, &lock->session, err);
	json_decref(json);
	if (r < 0) {
		retry(lock);
		return;
	}
	consul_backoff_reset(&lock->backoff);
	session_alive(lock, lock->change_ms);
}

static void create(struct consul_lock *lock)
{
	_cleanup_(freep) char *body = consul_encode_session(lock->key, lock->ttl_ms, lock->lock_delay_ms, false);

	lock->change_ms = clock_monotonic_ms();
	put(lock, "/v1/session/create", body, on_created, &lock->change);
}

static void next_step(struct consul_lock *lock)
{
	if (lock->change)
		return;
	if (!lock->session)
		create(lock);
	else if (lock->confirmed)
		acquire(lock);
}

static int on_step(sd_event_source *source, uint64_t now, void *data)
{
	(void)source, (void)now;
	next_step(data);
	return 0;
}

static int add_timer(struct consul_lock *lock, sd_event_source **ret, sd_event_time_handler_t fn)
{
	int r = sd_event_add_time(http_loop_event(lock->loop), ret, CLOCK_MONOTONIC, 0, 1000, fn, lock);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int lock_sources(struct consul_lock *lock, struct err *err)
{
	_cleanup_(freep) char *path = consul_kv_path(lock->key, NULL);
	int r = add_timer(lock, &lock->step, on_step);

	if (r >= 0)
		r = add_timer(lock, &lock->renew, on_renew);
	if (r >= 0)
		r = add_timer(lock, &lock->expiry, on_expiry);
	if (r < 0)
		return err_errno(err, -r, _("Cannot compete for the lock %s in Consul"), lock->key);
	return consul_watch_new(lock->loop, lock->consul, path, on_key, lock, &lock->watch, err);
}

/* A key that loses its session gets a lock-delay, one that is released does not: so release first. */
static void give_back(const struct consul_lock *lock, const char *session)
{
	_cleanup_(freep) char *id = http_encode(session), *query = xasprintf("release=%s", id);
	_cleanup_(freep) char *release = consul_kv_path(lock->key, query);
	_cleanup_(freep) char *destroy = xasprintf("/v1/session/destroy/%s", id);
	const char *paths[] = { release, destroy };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_(http_reply_release) struct http_reply reply = { 0 };
		struct http_request request = { .method = "PUT", .path = paths[i], .timeout_ms = GIVE_BACK_MS / 2 };

		consul_exchange(lock->consul, &request, &reply, NULL);
	}
}

int consul_lock_new(struct http_loop *loop, struct consul *consul, const struct consul_lock_options *options,
		    consul_lock_fn fn, void *data, struct consul_lock **ret, struct err *err)
{
	_cleanup_(consul_lock_freep) struct consul_lock *lock = xcalloc(1, sizeof(*lock));
	int r;

	lock->loop = loop;
	lock->consul = consul;
	lock->key = xstrdup(options->key);
	lock->value = xstrdup(options->value ? options->value : "");
	lock->ttl_ms = options->ttl_ms ? options->ttl_ms : DEFAULT_TTL_MS;
	lock->lock_delay_ms = options->lock_delay_ms ? options->lock_delay_ms : DEFAULT_LOCK_DELAY_MS;
	lock->fn = fn;
	lock->data = data;
	r = lock_sources(lock, err);
	if (r < 0)
		return r;
	if (options->previous)
		give_back(lock, options->previous);
	create(lock);
	*ret = TAKE_PTR(lock);
	return 0;
}

void consul_lock_free(struct consul_lock *lock)
{
	if (!lock)
		return;
	if (lock->ret_freed)
		*lock->ret_freed = true;
	http_call_cancel(lock->change);
	http_call_cancel(lock->renewal);
	consul_watch_free(lock->watch);
	sd_event_source_disable_unref(lock->step);
	sd_event_source_disable_unref(lock->renew);
	sd_event_source_disable_unref(lock->expiry);
	if (lock->session)
		give_back(lock, lock->session);
	free(lock->session);
	free(lock->key);
	free(lock->value);
	free(lock);
}

void consul_lock_freep(struct consul_lock **lock)
{
	consul_lock_free(*lock);
}

bool consul_lock_held(const struct consul_lock *lock)
{
	/* The clock counts too: a process that was stopped for a while asks before its loop has seen the timer. */
	return lock->held && clock_monotonic_ms() < lock->expiry_ms;
}

const char *consul_lock_session(const struct consul_lock *lock)
{
	return consul_lock_held(lock) ? lock->session : NULL;
}
