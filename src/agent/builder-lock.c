/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/builder-lock.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/i18n.h"
#include "base/log.h"
#include "base/thread.h"

/* Consul takes no less, and ends a session after up to twice that. */
#define TTL_MS 10000
#define RENEW_SECONDS 3
/* Nobody who lost the lock writes anything under it, so that nobody needs to be waited for. */
#define DELAY_MS 1
#define STACK ((size_t)256 << 10)

struct builder_lock {
	struct consul *consul;
	char *session;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t end;
	bool ending;
};

static bool wait_for_end(struct builder_lock *lock)
{
	struct timespec until;
	bool ending;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RENEW_SECONDS;
	pthread_mutex_lock(&lock->lock);
	while (!lock->ending && pthread_cond_timedwait(&lock->end, &lock->lock, &until) == 0)
		;
	ending = lock->ending;
	pthread_mutex_unlock(&lock->lock);
	return ending;
}

/* A session that is lost is no reason to stop: at worst another host makes the same. */
static void *keep_alive(void *data)
{
	struct builder_lock *lock = data;

	while (!wait_for_end(lock)) {
		_cleanup_err_ struct err err = ERR_INIT;

		if (consul_session_renew(lock->consul, lock->session, &err) < 0)
			log_debug("A builder's session is not renewed: %s", err_text(&err));
	}
	return NULL;
}

static int start_keeper(struct builder_lock *lock, struct err *err)
{
	pthread_condattr_t monotonic;
	pthread_attr_t attributes;
	int r;

	pthread_mutex_init(&lock->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&lock->end, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	r = thread_create(&lock->thread, &attributes, keep_alive, lock);
	pthread_attr_destroy(&attributes);
	return r ? err_errno(err, r, _("Cannot start a thread")) : 0;
}

int builder_lock_take(struct consul *consul, const char *key, const char *value, struct builder_lock **ret,
		      struct err *err)
{
	struct builder_lock *lock = xcalloc(1, sizeof(*lock));
	int r;

	lock->consul = consul;
	r = consul_session_create(consul, key, TTL_MS, DELAY_MS, true, &lock->session, err);
	if (r == 0)
		r = consul_kv_lock(consul, key, value, strlen(value), lock->session, err);
	if (r == 0)
		r = start_keeper(lock, err);
	if (r < 0) {
		if (lock->session)
			consul_session_destroy(consul, lock->session, NULL);
		free(lock->session);
		free(lock);
		return r;
	}
	*ret = lock;
	return 0;
}

void builder_lock_free(struct builder_lock *lock)
{
	if (!lock)
		return;
	pthread_mutex_lock(&lock->lock);
	lock->ending = true;
	pthread_cond_signal(&lock->end);
	pthread_mutex_unlock(&lock->lock);
	pthread_join(lock->thread, NULL);
	consul_session_destroy(lock->consul, lock->session, NULL); /* and with it the key */
	pthread_mutex_destroy(&lock->lock);
	pthread_cond_destroy(&lock->end);
	free(lock->session);
	free(lock);
}

void builder_lock_freep(struct builder_lock **lock)
{
	builder_lock_free(*lock);
}
