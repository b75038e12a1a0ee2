/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/guests-keep.h"

#include "agent/agent-run.h"
#include "agent/guests.h"
#include "agent/instance.h"
#include "base/log.h"

struct job {
	struct agent *agent;
	struct guest *there;
	size_t n;
	struct strv keep;
	int r;
	struct err err;
};

static void work(void *data)
{
	struct job *job = data;

	job->r = guests_level(job->agent->env.guests, job->there, job->n, &job->keep, &job->err);
}

static void job_free(struct job *job)
{
	for (size_t i = 0; i < job->n; i++) {
		free(job->there[i].instance);
		free(job->there[i].addresses);
	}
	free(job->there);
	strv_release(&job->keep);
	err_release(&job->err);
	free(job);
}

static int on_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->guests_timer = sd_event_source_disable_unref(agent->guests_timer);
	guests_look(agent);
	return 0;
}

static void done(void *data, bool dropped)
{
	struct job *job = data;
	struct agent *agent = job->agent;

	if (!dropped) {
		agent->guests_looking = false;
		if (job->r < 0) {
			log_debug("The addresses of this host's machines are not level: %s", err_text(&job->err));
			agent->guests_changed = true;
			if (!agent->guests_timer)
				sd_event_add_time_relative(agent->event, &agent->guests_timer, CLOCK_MONOTONIC, 1000000,
							   0, on_again, agent);
		} else {
			agent->guests_known = true;
			agent_step_all(agent);
		}
	}
	job_free(job);
}

void guests_changed(struct agent *agent)
{
	agent->guests_changed = true;
}

bool guests_are_known(const struct agent *agent)
{
	return !agent->env.guests || agent->guests_known;
}

/* An instance that may exist or is to exist keeps what it has. */
static void add(struct job *job, const struct instance *instance)
{
	if (instance->assignment || instance->busy || instance->container != CONTAINER_NONE)
		strv_add(&job->keep, instance->id.text);
	if (instance->container != CONTAINER_NONE && instance->addresses)
		job->there[job->n++] =
		    (struct guest){ .instance = xstrdup(instance->id.text), .addresses = xstrdup(instance->addresses) };
}

void guests_look(struct agent *agent)
{
	struct job *job;
	size_t n = 0;

	if (!agent->env.guests || !agent->guests_changed || agent->guests_looking || agent->guests_timer ||
	    !agent->runtime_listed || !agent->assignments_known || agent->env.other_schema)
		return;
	agent->guests_changed = false;
	agent->guests_looking = true;
	for (const struct instance *instance = agent->instances; instance; instance = instance->next)
		n++;
	job = xcalloc(1, sizeof(*job));
	job->agent = agent;
	job->there = xcalloc(n, sizeof(*job->there));
	for (const struct instance *instance = agent->instances; instance; instance = instance->next)
		add(job, instance);
	pool_submit(agent->pool, work, done, job);
}
