/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/collect.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "agent/instance.h"
#include "agent/peers.h"
#include "base/clock.h"
#include "base/log.h"
#include "model/canonical.h"

#define PAUSE_MS (3600 * 1000LL)
#define YOUNG_MS (86400 * 1000LL)

struct job {
	struct agent *agent;
	struct strv keep; /* bundles */
	int r;
	struct err err;
};

static void keep_bundle(struct strv *keep, const char *bundle)
{
	if (bundle && !strv_has(keep, bundle))
		strv_add(keep, bundle);
}

/* Every revision that is kept can be rolled back to, and so needs its images. */
static int keep_revisions(struct job *job)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r = consul_kv_list(job->agent->env.consul, "tepuy/revision/", &kvs, &job->err);

	for (size_t i = 0; i < kvs.n; i++) {
		_cleanup_json_ json_t *spec = json_loadb(kvs.v[i].value, kvs.v[i].len, 0, NULL);
		json_t *component;
		const char *name;

		json_object_foreach(json_object_get(spec, "components"), name, component)
		{
			keep_bundle(&job->keep, json_string_value(json_object_get(component, "bundle")));
		}
	}
	return r;
}

static void work(void *data)
{
	struct job *job = data;
	struct runtime *rt = job->agent->env.runtime;
	_cleanup_strv_ struct strv images = { 0 };

	job->r = keep_revisions(job);
	if (job->r == 0)
		job->r = image_collect(job->agent->env.store, &job->keep, YOUNG_MS, &images, &job->err);
	if (job->r == 0 && rt->ops->prune)
		job->r = rt->ops->prune(rt, &images, &job->err);
	if (job->r == 0 && job->agent->env.peers && !job->agent->env.other_schema)
		job->r = peers_level(job->agent->env.peers, &job->err);
}

static void done(void *data, bool dropped)
{
	struct job *job = data;

	if (!dropped && job->r < 0)
		log_debug("Unused images stay for now: %s", err_text(&job->err));
	strv_release(&job->keep);
	err_release(&job->err);
	free(job);
}

void collect_images(struct agent *agent)
{
	int64_t now = clock_monotonic_ms();
	struct job *job;

	if (agent->collected_ms && now - agent->collected_ms < PAUSE_MS)
		return;
	agent->collected_ms = now;
	job = xcalloc(1, sizeof(*job));
	job->agent = agent;
	for (const struct instance *instance = agent->instances; instance; instance = instance->next)
		if (instance->spec)
			keep_bundle(&job->keep, instance->spec->bundle);
	pool_submit(agent->pool, work, done, job);
}
