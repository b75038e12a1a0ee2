/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/exec-checks.h"

#include <string.h>

#include "base/log.h"
#include "model/canonical.h"

/* One check with its timer. A job in flight holds a reference, so that it may outlive its instance. */
struct exec_check {
	struct exec_check *next;
	struct exec_checks *owner; /* NULL: dropped */
	sd_event_source *timer;
	bool busy;
	char *told;             /* what Consul was last told, NULL: nothing that it took */
	struct http_call *call; /* that tells it now */
	/* the job's own */
	struct node_env *env;
	char *container;
	struct registration_check check;
	struct probe probe;
};

struct exec_checks {
	struct instance *instance;
	char *level; /* digest of the registration that they were made from */
	struct exec_check *first;
};

static void check_destroy(struct exec_check *check)
{
	sd_event_source_disable_unref(check->timer);
	http_call_cancel(check->call);
	free(check->told);
	free(check->container);
	free(check->check.id);
	free(check->check.name);
	check_release(&check->check.check);
	probe_release(&check->probe);
	free(check);
}

void exec_checks_stop(struct exec_checks *checks)
{
	struct exec_check *check;

	if (!checks)
		return;
	while ((check = checks->first)) {
		checks->first = check->next;
		check->owner = NULL;
		check->timer = sd_event_source_disable_unref(check->timer);
		if (!check->busy)
			check_destroy(check);
	}
	free(checks->level);
	checks->level = NULL;
}

void exec_checks_free(struct exec_checks *checks)
{
	exec_checks_stop(checks);
	free(checks);
}

static void work(void *data)
{
	struct exec_check *check = data;

	probe_check(check->env, check->container, &check->check, &check->probe);
}

static void on_told(void *data, int r, struct http_reply *reply, struct err *err)
{
	struct exec_check *check = data;

	check->call = NULL;
	if (r == 0 && reply->status == 200)
		return;
	log_debug("Consul was not told of %s: %s", check->check.id, r < 0 ? err_text(err) : buf_text(&reply->body));
	free(TAKE_PTR(check->told)); /* the next turn tells it again */
}

static void tell(struct exec_check *check)
{
	_cleanup_(freep) char *path = xasprintf("/v1/agent/check/update/%s", check->check.id), *text = NULL;
	_cleanup_json_ json_t *body =
	    json_pack("{ss ss}", "Status", consul_status_name(check->probe.status), "Output", check->probe.output);
	struct agent *agent = check->owner->instance->agent;
	struct http_request request = { .method = "PUT", .path = path };

	text = json_canonical(body);
	if (check->call || (check->told && !strcmp(check->told, text)))
		return; /* one at a time, so that none overtakes another; the next turn tells the newer */
	request.body = text;
	request.body_len = strlen(text);
	check->call = http_loop_start(agent->loop, consul_base(agent->env.consul), consul_token(agent->env.consul),
				      &request, on_told, check);
	free(check->told);
	check->told = TAKE_PTR(text);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *data);

static void plan_turn(struct exec_check *check, int64_t after_ms)
{
	check->timer = sd_event_source_disable_unref(check->timer);
	sd_event_add_time_relative(check->owner->instance->agent->event, &check->timer, CLOCK_MONOTONIC,
				   (uint64_t)after_ms * 1000, 0, on_turn, check);
}

static void done(void *data, bool dropped)
{
	struct exec_check *check = data;

	check->busy = false;
	if (!check->owner) {
		check_destroy(check);
		return;
	}
	if (dropped)
		return;
	tell(check);
	probe_release(&check->probe);
	plan_turn(check, check->check.check.interval);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *data)
{
	struct exec_check *check = data;

	(void)source, (void)usec;
	check->busy = true;
	pool_submit_as(check->owner->instance->agent->pool, POOL_CHECKS, work, done, check);
	return 0;
}

static void add(struct exec_checks *checks, const struct registration_check *from)
{
	struct exec_check *check = xcalloc(1, sizeof(*check));
	_cleanup_json_ json_t *json = check_to_json(&from->check);

	check_from_json(json, &check->check.check, NULL);
	check->check.id = xstrdup(from->id);
	check->check.name = xstrdup(from->name);
	check->owner = checks;
	check->env = &checks->instance->agent->env;
	check->container = xstrdup(checks->instance->node.id);
	check->next = checks->first;
	checks->first = check;
	plan_turn(check, 0);
}

void exec_checks_start(struct instance *instance)
{
	_cleanup_(registration_release) struct registration registration = { 0 };
	_cleanup_(freep) char *level = NULL;

	if (!instance_registration(instance, &registration))
		return;
	if (!instance->exec_checks) {
		instance->exec_checks = xcalloc(1, sizeof(*instance->exec_checks));
		instance->exec_checks->instance = instance;
	}
	level = registration_digest(&registration);
	if (instance->exec_checks->level && !strcmp(instance->exec_checks->level, level))
		return;
	exec_checks_stop(instance->exec_checks);
	instance->exec_checks->level = TAKE_PTR(level);
	for (size_t i = 0; i < registration.n_checks; i++)
		if (registration.checks[i].check.kind == CHECK_EXEC)
			add(instance->exec_checks, &registration.checks[i]);
}
