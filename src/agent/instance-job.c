/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/instance-job.h"

#include <errno.h>
#include <string.h>

#include "agent/collect.h"
#include "agent/exec-checks.h"
#include "agent/firewall-keep.h"
#include "agent/guests.h"
#include "agent/node-image.h"
#include "agent/node-launch.h"
#include "agent/node-trial.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

#define LOG_LINES 20
#define LOG_MOST 4096
/* How long we ask ourselves whether a new node is well before Consul's checks are left to find out. */
#define PROBE_MS 2000
/* How often one that is not is asked again: often while someone may be waiting for it, then now and then. */
#define LOOK_MS 2000
#define LOOKS_OFTEN 30
#define LOOK_LATER_MS 30000

struct job {
	struct instance *instance;
	struct node_env *env;
	enum converge_step step;
	/* copies */
	struct instance_id id;
	struct node_spec *spec;
	json_t *context;
	char *container;
	struct registration registration;
	/* results */
	int r;
	bool tried; /* the image is there, and its templates were tried */
	struct err err;
	struct runtime_node node;
	char *trouble; /* which checks do not pass, NULL: none, or not asked */
	char *log;
};

static void job_free(struct job *job)
{
	instance_id_release(&job->id);
	node_spec_free(job->spec);
	json_decref(job->context);
	free(job->container);
	registration_release(&job->registration);
	err_release(&job->err);
	runtime_node_release(&job->node);
	free(job->trouble);
	free(job->log);
	free(job);
}

static void diagnose(struct job *job)
{
	job->trouble = probe_trouble(job->env, job->container, &job->registration);
}

static int probe(struct job *job)
{
	bool healthy = probe_until_healthy(job->env, job->container, &job->registration, PROBE_MS);

	if (!healthy)
		diagnose(job);
	return registration_apply(job->env, job->container, &job->registration, healthy, &job->err);
}

/*
 * One node of a component tells for all: they differ in their names only, and each one's files are validated again
 * before it starts.
 */
static int prepare(struct job *job, const struct node_job *node)
{
	int r = node_image_build(job->env, job->spec, &job->err);

	if (r == 0 && job->id.n == 1 && !job->container) {
		job->tried = true;
		r = node_trial(node, &job->err);
	}
	return r;
}

static int work_on(struct job *job, const struct node_job *node)
{
	switch (job->step) {
	case CONVERGE_PREPARE:
		return prepare(job, node);
	case CONVERGE_LAUNCH:
		return node_launch(node, &job->node, &job->err);
	case CONVERGE_PROBE:
		return probe(job);
	case CONVERGE_DIAGNOSE:
		diagnose(job);
		break;
	case CONVERGE_REGISTER:
		return registration_apply(job->env, job->container, &job->registration, false, &job->err);
	case CONVERGE_CONFIGURE:
		return node_configure(node, &job->err);
	case CONVERGE_RESIZE:
		return node_resize(node, &job->err);
	case CONVERGE_DEREGISTER:
		return consul_service_deregister(job->env->consul, job->id.catalog_id, &job->err);
	case CONVERGE_STOP:
		return node_stop(node, &job->err);
	case CONVERGE_REMOVE:
		return node_remove(node, &job->err);
	case CONVERGE_NOTHING:
	case CONVERGE_FORGET:
		break;
	}
	return 0;
}

static char *failure_log(struct job *job, const struct node_job *node)
{
	if (job->step == CONVERGE_PREPARE && job->tried)
		return xstrdup(""); /* the error has the validation's own words */
	if (job->step == CONVERGE_PREPARE)
		return node_build_tail(job->env, job->spec->bundle, LOG_MOST);
	return node_log_tail(node, LOG_LINES, LOG_MOST);
}

static void work(void *data)
{
	struct job *job = data;
	struct node_job node = {
		.env = job->env, .id = &job->id, .spec = job->spec, .context = job->context, .container = job->container
	};

	/* The last words of one that ended are read before it starts again. */
	if (job->step == CONVERGE_LAUNCH && job->container)
		job->log = node_log_tail(&node, LOG_LINES, LOG_MOST);
	job->r = work_on(job, &node);
	if (job->r < 0 || job->trouble) {
		free(job->log);
		job->log = failure_log(job, &node);
	}
	if (job->log)
		text_printable(job->log, true);
}

static void launched(struct instance *instance, struct job *job)
{
	runtime_node_release(&instance->node);
	instance->node = job->node;
	job->node = (struct runtime_node){ 0 };
	instance->container = instance->node.state == RUNTIME_RUNNING ? CONTAINER_RUNNING : CONTAINER_EXITED;
	instance->launched_ms = clock_monotonic_ms();
	instance->proven = instance->unwell = instance->stopped = false;
	if (instance->failures) {
		free(instance->log);
		instance->log = TAKE_PTR(job->log);
	}
	free(instance->files);
	instance->files = json_fingerprint(job->context);
	free(instance->addresses);
	instance->addresses = xstrdup(runtime_node_label(&instance->node, GUESTS_LABEL));
	free(TAKE_PTR(instance->limits));
	if (!job->container) { /* it is new */
		instance->limits = node_limits_text(job->spec);
		free(instance->made_of);
		free(instance->keepsake);
		instance->made_of = xstrdup(job->spec->fingerprint);
		instance->keepsake = node_keepsake(job->spec);
	}
	if (instance->container == CONTAINER_EXITED) {
		instance->container = CONTAINER_RUNNING;
		instance_died(instance, instance->node.exit_code);
	}
}

/* What its checks said goes with its state to Consul, whose own record of a check's words may be minutes old. */
static void note_trouble(struct instance *instance, struct job *job)
{
	int64_t pause_ms = instance->looks < LOOKS_OFTEN ? LOOK_MS : LOOK_LATER_MS;

	instance->unwell = job->trouble != NULL;
	instance_succeeded(instance);
	if (!job->trouble) {
		instance->looks = 0;
		return;
	}
	instance->looks++;
	instance->look_ms = clock_monotonic_ms() + pause_ms;
	free(instance->why);
	free(instance->log);
	instance->why = xasprintf(_("It does not pass its checks: %s"), job->trouble);
	instance->log = TAKE_PTR(job->log);
	agent_plan_retry(instance->agent);
}

static void succeeded(struct instance *instance, struct job *job)
{
	switch (job->step) {
	case CONVERGE_PREPARE:
		instance->image_ready = true;
		break;
	case CONVERGE_LAUNCH:
		launched(instance, job);
		return; /* a launch that ends at once is no success */
	case CONVERGE_PROBE:
	case CONVERGE_REGISTER:
		instance->registered = true;
		instance->proven = instance->container == CONTAINER_RUNNING;
		free(instance->level);
		instance->level = instance->proven ? registration_digest(&job->registration) : NULL;
		if (job->step == CONVERGE_REGISTER)
			break;
		note_trouble(instance, job);
		return;
	case CONVERGE_DIAGNOSE:
		note_trouble(instance, job);
		return;
	case CONVERGE_CONFIGURE:
		free(instance->files);
		instance->files = json_fingerprint(job->context);
		break;
	case CONVERGE_RESIZE:
		free(instance->limits);
		instance->limits = node_limits_text(job->spec);
		break;
	case CONVERGE_DEREGISTER:
		instance->registered = false;
		break;
	case CONVERGE_STOP:
		instance->container = CONTAINER_EXITED;
		instance->proven = false;
		instance->stopped = true;
		break;
	case CONVERGE_REMOVE:
		instance->container = CONTAINER_NONE;
		runtime_node_release(&instance->node);
		free(TAKE_PTR(instance->made_of));
		free(TAKE_PTR(instance->keepsake));
		free(TAKE_PTR(instance->addresses));
		collect_images(instance->agent);
		break;
	case CONVERGE_NOTHING:
	case CONVERGE_FORGET:
		break;
	}
	instance_succeeded(instance);
}

/* Consul or the runtime is away: no fault of the node's. */
static bool nobody_answered(const struct job *job)
{
	switch (job->step) {
	case CONVERGE_PROBE:
	case CONVERGE_REGISTER:
	case CONVERGE_DEREGISTER:
		return true; /* these speak with Consul only */
	default:
		return job->r == -ECONNREFUSED || job->r == -ECONNRESET || job->r == -EAGAIN || job->r == -EPROTO;
	}
}

static void failed(struct instance *instance, struct job *job)
{
	bool final =
	    job->step == CONVERGE_PREPARE || job->r == -EADDRINUSE || job->r == -EADDRNOTAVAIL || job->r == -ENOENT;

	if (nobody_answered(job)) {
		log_warning("%s: %s must wait: %s", instance->id.text, converge_step_name(job->step),
			    err_text(&job->err));
		instance->retry_ms = clock_monotonic_ms() + 1000;
		free(instance->why);
		instance->why = xstrdup(err_text(&job->err));
	} else if (job->step == CONVERGE_PREPARE && !instance->assignment)
		instance_succeeded(instance); /* nobody wants it any more: there is nothing to try again */
	else
		instance_failed(instance, err_text(&job->err), TAKE_PTR(job->log), 1000, final);
	/* It goes on with what it has: that it cannot get more is told, but is no reason to replace it. */
	if (job->step == CONVERGE_RESIZE)
		instance->failed = false;
	/* Its files can wait for their next try; what Consul is told of it cannot. */
	if (job->step == CONVERGE_CONFIGURE) {
		instance->files_retry_ms = instance->retry_ms;
		instance->retry_ms = 0;
	}
	/* It may have been done in part: nobody may take it for stopped before the runtime has said so. */
	if (job->step == CONVERGE_LAUNCH || job->step == CONVERGE_STOP || job->step == CONVERGE_REMOVE)
		instance->container = CONTAINER_UNKNOWN;
	agent_look_at_runtime(instance->agent);
}

static void done(void *data, bool dropped)
{
	struct job *job = data;
	struct instance *instance = job->instance;

	instance->busy = false;
	instance->seen_after = instance->agent->looks;
	if (dropped) {
		job_free(job);
		return;
	}
	if (job->r < 0)
		failed(instance, job);
	else
		succeeded(instance, job);
	instance->doing = CONVERGE_NOTHING;
	if (instance->missed)
		agent_look_at_runtime(instance->agent);
	instance->missed = false;
	if (instance->registered && instance->container == CONTAINER_EXITED)
		instance_report_death(instance, instance->node.exit_code);
	job_free(job);
	agent_rest_soon(instance->agent);
	firewall_look(instance->agent->firewall);
	instance_step(instance);
}

void instance_begin(struct instance *instance, enum converge_step step, json_t *context)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->instance = instance;
	job->env = &instance->agent->env;
	job->step = step;
	instance_id_parse(instance->id.text, &job->id, NULL);
	if (instance->assignment || instance->spec) {
		_cleanup_json_ json_t *json = node_spec_to_json(instance->spec);

		node_spec_from_json(json, &job->spec, NULL);
	}
	job->context = context ? json_deep_copy(context) : NULL;
	job->container = xstrdup(instance->container == CONTAINER_NONE ? NULL : instance->node.id);
	instance_registration(instance, &job->registration);
	if (step == CONVERGE_DEREGISTER || step == CONVERGE_STOP || step == CONVERGE_REMOVE)
		exec_checks_stop(instance->exec_checks);
	instance->busy = true;
	instance->doing = step;
	/* Many may wait for one image to be made, here or elsewhere: nodes that run must not wait with them. */
	pool_submit_as(instance->agent->pool, step == CONVERGE_PREPARE ? POOL_SLOW : POOL_QUICK, work, done, job);
}

static void on_told(void *data, int r, struct http_reply *reply, struct err *err)
{
	(void)data, (void)reply;
	if (r < 0)
		log_debug("Consul was not told of an end: %s", err_text(err));
}

void instance_report_death(struct instance *instance, int exit_code)
{
	_cleanup_(freep) char *path = xasprintf("/v1/agent/check/update/%s:running", instance->id.catalog_id);
	_cleanup_json_ json_t *body = NULL;
	_cleanup_(freep) char *text = NULL,
			      *output = xasprintf(_("The main process ended with exit status %d."), exit_code);
	struct http_request request = { .method = "PUT", .path = path };

	if (!instance->registered)
		return;
	body = json_pack("{ss ss}", "Status", "critical", "Output", output);
	text = json_canonical(body);
	request.body = text;
	request.body_len = strlen(text);
	http_loop_start(instance->agent->loop, consul_base(instance->agent->env.consul),
			consul_token(instance->agent->env.consul), &request, on_told, NULL);
}

/* The log of a node that ended for good, read by a thread. */
struct last_words {
	struct agent *agent;
	struct instance_id id;
	char *container, *log;
};

static void read_last_words(void *data)
{
	struct last_words *words = data;
	struct node_job node = { .env = &words->agent->env, .id = &words->id, .container = words->container };

	words->log = node_log_tail(&node, LOG_LINES, LOG_MOST);
	if (words->log)
		text_printable(words->log, true);
}

static void take_last_words(void *data, bool dropped)
{
	struct last_words *words = data;
	struct instance *instance = dropped ? NULL : instance_find(words->agent, words->id.text);

	if (instance)
		instance_last_words(instance, TAKE_PTR(words->log));
	instance_id_release(&words->id);
	free(words->container);
	free(words->log);
	free(words);
}

void instance_ask_last_words(struct instance *instance)
{
	struct last_words *words = xcalloc(1, sizeof(*words));

	words->agent = instance->agent;
	instance_id_parse(instance->id.text, &words->id, NULL);
	words->container = xstrdup(instance->node.id);
	pool_submit(instance->agent->pool, read_last_words, take_last_words, words);
}
