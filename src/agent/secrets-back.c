/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/secrets-back.h"

#include "agent/instance.h"
#include "agent/node-secrets.h"
#include "base/log.h"

#define RETRY_USEC (1000 * 1000ULL)

struct job {
	struct agent *agent;
	struct strv instances; /* their texts */
	int r;
	struct err err;
};

static void work(void *data)
{
	struct job *job = data;

	job->r = node_secrets_give_back(&job->agent->env, &job->instances, &job->err);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->secrets_timer = sd_event_source_disable_unref(agent->secrets_timer);
	secrets_back_begin(agent);
	return 0;
}

static void given(struct agent *agent, const struct strv *instances)
{
	for (size_t i = 0; i < instances->n; i++) {
		struct instance *instance = instance_find(agent, instances->v[i]);

		if (instance)
			instance->secrets_given = true;
	}
	instances_step_all(agent);
}

static void done(void *data, bool dropped)
{
	struct job *job = data;
	struct agent *agent = job->agent;

	if (!dropped) {
		agent->giving_secrets = false;
		if (job->r == 0)
			given(agent, &job->instances);
		else {
			log_warning("Consul lost its data and does not take back the secrets of nodes that run here; "
				    "it is tried again: %s",
				    err_text(&job->err));
			sd_event_add_time_relative(agent->event, &agent->secrets_timer, CLOCK_MONOTONIC, RETRY_USEC, 0,
						   on_retry, agent);
		}
	}
	strv_release(&job->instances);
	err_release(&job->err);
	free(job);
}

void secrets_back_begin(struct agent *agent)
{
	struct job *job;

	if (agent->giving_secrets || agent->secrets_timer || agent->env.other_schema)
		return;
	job = xcalloc(1, sizeof(*job));
	job->agent = agent;
	for (const struct instance *instance = agent->instances; instance; instance = instance->next)
		if (instance_is_unexplained(instance) && !instance->secrets_given)
			strv_add(&job->instances, instance->id.text);
	agent->giving_secrets = true;
	pool_submit(agent->pool, work, done, job);
}

void secrets_back_stop(struct agent *agent)
{
	agent->secrets_timer = sd_event_source_disable_unref(agent->secrets_timer);
}
