/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/wishes.h"

#include <errno.h>
#include <string.h>

#include "agent/builder-lock.h"
#include "agent/node-image.h"
#include "agent/wish.h"
#include "base/log.h"
#include "consul/consul-decode.h"

/* At once; what they have in common, as the base, is made by the first. */
#define MOST_JOBS 4

struct wishes {
	struct agent *agent;
	struct strv begun; /* ids of wishes that this host is or was at, as long as they are there */
	unsigned jobs;
};

struct job {
	struct wishes *wishes;
	struct wish_seen seen;
	bool other; /* another host was faster, or Consul is away: it may be this one's turn later */
};

struct wishes *wishes_new(struct agent *agent)
{
	struct wishes *wishes = xcalloc(1, sizeof(*wishes));

	wishes->agent = agent;
	return wishes;
}

void wishes_free(struct wishes *wishes)
{
	if (!wishes)
		return;
	strv_release(&wishes->begun);
	free(wishes);
}

static void work(void *data)
{
	struct job *job = data;
	const struct node_env *env = &job->wishes->agent->env;
	_cleanup_(builder_lock_freep) struct builder_lock *lock = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = builder_lock_take(env->consul, job->seen.taker, env->host, &lock, &err);

	job->other = r < 0;
	if (r < 0) {
		log_debug("The wish of %s is left alone: %s", job->seen.host, err_text(&err));
		return;
	}
	log_info("The host %s wishes for an image of the recipe %.12s; it is made here.", job->seen.host,
		 job->seen.bundle);
	r = node_image_build_for(env, job->seen.bundle, job->seen.machine, &err);
	if (r < 0 && r != -ECANCELED)
		log_warning("The image of the recipe %.12s that the host %s wishes for cannot be made here: %s",
			    job->seen.bundle, job->seen.host, err_text(&err));
}

static void forget(struct wishes *wishes, const char *id)
{
	struct strv rest = { 0 };

	for (size_t i = 0; i < wishes->begun.n; i++)
		if (strcmp(wishes->begun.v[i], id) != 0)
			strv_add(&rest, wishes->begun.v[i]);
	strv_release(&wishes->begun);
	wishes->begun = rest;
}

static void done(void *data, bool dropped)
{
	struct job *job = data;

	if (!dropped) {
		job->wishes->jobs--;
		if (job->other)
			forget(job->wishes, job->seen.id);
	}
	wish_seen_release(&job->seen);
	free(job);
}

static void take_on(struct wishes *wishes, struct wish_seen *seen)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->wishes = wishes;
	job->seen = *seen;
	*seen = (struct wish_seen){ 0 };
	strv_add(&wishes->begun, job->seen.id);
	wishes->jobs++;
	pool_submit_as(wishes->agent->pool, POOL_SLOW, work, done, job);
}

/* Those that are gone are forgotten. */
static void prune(struct wishes *wishes, const struct consul_kvs *kvs)
{
	struct strv rest = { 0 };

	for (size_t i = 0; i < kvs->n; i++) {
		_cleanup_(freep) char *id =
		    kvs->v[i].session ? xasprintf("%s %s", kvs->v[i].key, kvs->v[i].session) : NULL;

		if (id && strv_has(&wishes->begun, id))
			strv_add(&rest, id);
	}
	strv_release(&wishes->begun);
	wishes->begun = rest;
}

void wishes_on_keys(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	struct wishes *wishes = data;

	(void)index;
	if (err || consul_decode_kvs(value, &kvs, NULL) < 0)
		return;
	prune(wishes, &kvs);
	for (size_t i = 0; i < kvs.n && wishes->jobs < MOST_JOBS; i++) {
		struct wish_seen seen = { 0 };

		if (!wish_read(&kvs, i, wishes->agent->env.host, &seen))
			continue;
		if (!strv_has(&wishes->begun, seen.id))
			take_on(wishes, &seen);
		wish_seen_release(&seen);
	}
}
