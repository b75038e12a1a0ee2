/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/wish.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "agent/builder-lock.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "image/digest.h"
#include "model/canonical.h"

#define TAKER "/taker"
/* Any host that can takes it on at once; the rest is for one that is just being started. */
#define NOBODY_MS 20000
/* How long Consul holds an answer back: an agent that ends shall not wait. */
#define WATCH_MS 5000
/* A session of this host's agent before a kill -9 may still have the key. */
#define MOST_TRIES 5

struct wish {
	const struct wish_request *request;
	struct builder_lock *lock;
	char *key;
	uint64_t index;
};

static char *value_of(const struct wish_request *request)
{
	_cleanup_json_ json_t *json = json_pack("{sb ss}", "machine", true, "recipe", request->recipe);

	return json_canonical(json);
}

static void end_predecessor(const struct wish *wish)
{
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };

	if (consul_kv_get(wish->request->consul, wish->key, &kv, NULL) == 0 && kv.session)
		consul_session_destroy(wish->request->consul, kv.session, NULL);
	nanosleep(&(struct timespec){ .tv_nsec = 200 * 1000 * 1000 }, NULL);
}

int wish_new(const struct wish_request *request, struct wish **ret, struct err *err)
{
	_cleanup_(wish_freep) struct wish *wish = xcalloc(1, sizeof(*wish));
	_cleanup_(freep) char *value = value_of(request);
	int r = -ESTALE;

	wish->request = request;
	wish->key = xasprintf(WISH_PREFIX "%s/%s", request->host, request->bundle);
	for (int i = 0; r == -ESTALE && i < MOST_TRIES && !*request->stopping; i++) {
		_cleanup_err_ struct err why = ERR_INIT;

		if (i)
			end_predecessor(wish);
		r = builder_lock_take(request->consul, wish->key, value, &wish->lock, &why);
		if (r < 0 && (r != -ESTALE || i + 1 == MOST_TRIES))
			err_set(err, -r, "%s", err_text(&why));
	}
	if (r == 0)
		*ret = TAKE_PTR(wish);
	else if (*request->stopping)
		return err_set(err, ECANCELED, _("The agent ends"));
	return r;
}

void wish_free(struct wish *wish)
{
	if (!wish)
		return;
	builder_lock_free(wish->lock);
	free(wish->key);
	free(wish);
}

void wish_freep(struct wish **wish)
{
	wish_free(*wish);
}

/* Who is at the wish of that key: borrowed, NULL: nobody. */
static const char *taker_of(const struct consul_kvs *kvs, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < kvs->n; i++)
		if (text_starts(kvs->v[i].key, key) && !strcmp(kvs->v[i].key + len, TAKER) && kvs->v[i].session)
			return kvs->v[i].value;
	return NULL;
}

static void tell_of(const struct wish *wish, const char *taker)
{
	_cleanup_(freep) char *line =
	    xasprintf(_("waiting for %s, which makes the image of %s for this host"), taker, wish->request->recipe);

	wish->request->tell(wish->request->tell_data, false, line);
}

int wish_wait(struct wish *wish, struct err *err)
{
	const struct wish_request *request = wish->request;
	int64_t until = clock_monotonic_ms() + NOBODY_MS;
	bool taken = false;

	while (!*request->stopping && clock_monotonic_ms() < request->deadline) {
		_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
		int64_t left = until - clock_monotonic_ms();
		const char *taker;
		int r = consul_kv_wait(request->consul, wish->key, wish->index,
				       taken || left > WATCH_MS ? WATCH_MS : (left > 1 ? left : 1), &kvs, err);

		if (r == -EAGAIN)
			continue;
		if (r < 0)
			return r;
		wish->index = kvs.index;
		taker = taker_of(&kvs, wish->key);
		if (taker && !taken)
			tell_of(wish, taker);
		if (!taker && taken)
			return 1;
		taken = taker != NULL;
		if (!taken && clock_monotonic_ms() >= until)
			return 0;
	}
	return 0;
}

/* --- the other side --- */

bool wish_read(const struct consul_kvs *kvs, size_t i, const char *self, struct wish_seen *ret)
{
	const struct consul_kv *kv = &kvs->v[i];
	const char *host = text_starts(kv->key, WISH_PREFIX) ? kv->key + strlen(WISH_PREFIX) : NULL;
	const char *slash = host ? strchr(host, '/') : NULL;
	_cleanup_(freep) char *name = slash ? xstrndup(host, (size_t)(slash - host)) : NULL;
	_cleanup_json_ json_t *json = NULL;

	if (!name || !*name || !strcmp(name, self) || !digest_valid(slash + 1) || !kv->session ||
	    taker_of(kvs, kv->key))
		return false;
	json = json_loadb(kv->value, kv->len, 0, NULL);
	if (!json_is_object(json))
		return false;
	*ret = (struct wish_seen){ .id = xasprintf("%s %s", kv->key, kv->session),
				   .host = TAKE_PTR(name),
				   .bundle = xstrdup(slash + 1),
				   .machine = json_is_true(json_object_get(json, "machine")),
				   .taker = xasprintf("%s" TAKER, kv->key) };
	return true;
}

void wish_seen_release(struct wish_seen *seen)
{
	free(seen->id);
	free(seen->host);
	free(seen->bundle);
	free(seen->taker);
	*seen = (struct wish_seen){ 0 };
}
