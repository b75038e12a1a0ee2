/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/agent-run.h"

#include <errno.h>
#include <string.h>

#include "agent/acks.h"
#include "agent/firewall-keep.h"
#include "agent/give-back.h"
#include "agent/guests-keep.h"
#include "agent/instance.h"
#include "agent/node-trial.h"
#include "agent/peer-run.h"
#include "agent/proxy.h"
#include "agent/strays.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "consul/consul-decode.h"
#include "model/canonical.h"

#define REST_USEC (5000 * 1000ULL)

/*
 * A host gets nodes as soon as it says what it is: so it says first what it has that Consul does not know of, that no
 * number is given twice and no data is looked for elsewhere.
 */
static void tell_about_host(struct agent *agent)
{
	_cleanup_(freep) char *key = NULL, *address = NULL;

	if (agent->info_told || !agent->assignments_known || !agent->runtime_listed || !guests_are_known(agent))
		return;
	for (const struct instance *instance = agent->instances; instance; instance = instance->next)
		if (instance_is_unexplained(instance) && !instance->found_known)
			return; /* the watch tells when it is written */
	agent->info_told = true;
	key = xasprintf("tepuy/host/%s/info", agent->env.host);
	address = xasprintf("tepuy/address/%s", agent->env.host);
	kv_level_put(agent->kv, key, agent->info);
	kv_level_put(agent->kv, address, agent->env.address);
}

void agent_step_all(struct agent *agent)
{
	instances_step_all(agent);
	guests_look(agent);
	tell_about_host(agent);
	agent_plan_retry(agent);
	firewall_look(agent->firewall);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->retry_timer = sd_event_source_disable_unref(agent->retry_timer);
	agent_step_all(agent);
	return 0;
}

void agent_plan_retry(struct agent *agent)
{
	int64_t next = instances_next_retry(agent);

	agent->retry_timer = sd_event_source_disable_unref(agent->retry_timer);
	if (next != INT64_MAX)
		sd_event_add_time(agent->event, &agent->retry_timer, CLOCK_MONOTONIC, (uint64_t)(next + 1) * 1000, 0,
				  on_retry, agent);
}

static int on_rest(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->rest_timer = sd_event_source_disable_unref(agent->rest_timer);
	give_back_memory();
	return 0;
}

void agent_rest_soon(struct agent *agent)
{
	agent->rest_timer = sd_event_source_disable_unref(agent->rest_timer);
	sd_event_add_time_relative(agent->event, &agent->rest_timer, CLOCK_MONOTONIC, REST_USEC, 0, on_rest, agent);
}

/* --- the runtime --- */

struct look {
	struct agent *agent;
	uint64_t number;
	struct runtime_node *nodes;
	size_t n;
	struct strv strays;
	int r;
	struct err err;
};

static void look(void *data)
{
	struct look *job = data;
	struct runtime *rt = job->agent->env.runtime;

	job->r = rt->ops->list(rt, &job->nodes, &job->n, &job->err);
	if (job->r == 0 && rt->ops->strays)
		rt->ops->strays(rt, &job->strays, NULL);
}

static const struct runtime_node *node_of(const struct look *job, const struct instance *instance)
{
	for (size_t i = 0; i < job->n; i++) {
		const char *label = runtime_node_label(&job->nodes[i], RUNTIME_LABEL_INSTANCE);

		if (label && !strcmp(label, instance->id.text))
			return &job->nodes[i];
	}
	return NULL;
}

/* A trial that nobody is at any more. */
struct sweep {
	struct node_env *env;
	char *container, *label;
};

static void sweep(void *data)
{
	struct sweep *job = data;

	node_trial_sweep(job->env, job->container, job->label);
}

static void swept(void *data, bool dropped)
{
	struct sweep *job = data;

	(void)dropped;
	free(job->container);
	free(job->label);
	free(job);
}

static void look_at_trial(struct agent *agent, const struct runtime_node *node, const char *label)
{
	const struct instance *instance = instance_find(agent, label + strlen(NODE_TRIAL_LABEL));
	const char *owner = runtime_node_label(node, NODE_TRIAL_OWNER);
	struct sweep *job;

	if ((instance && instance->busy) || !owner || strcmp(owner, agent->env.state_dir) != 0)
		return;
	job = xcalloc(1, sizeof(*job));
	*job = (struct sweep){ &agent->env, xstrdup(node->id), xstrdup(label) };
	pool_submit(agent->pool, sweep, swept, job);
}

static void looked(struct look *job)
{
	struct agent *agent = job->agent;

	agent->runtime_listed = true;
	strays_found(agent, &job->strays);
	for (size_t i = 0; i < job->n; i++) {
		const char *label = runtime_node_label(&job->nodes[i], RUNTIME_LABEL_INSTANCE);

		if (label && text_starts(label, NODE_TRIAL_LABEL))
			look_at_trial(agent, &job->nodes[i], label);
		else if (label)
			instance_get(agent, label);
	}
	for (struct instance *instance = agent->instances; instance; instance = instance->next) {
		bool was_running = instance->container == CONTAINER_RUNNING;

		if (!instance_observe(instance, node_of(job, instance), job->number))
			agent->look_again |= !instance->busy;
		else if (was_running && instance->container == CONTAINER_EXITED) {
			instance->container = CONTAINER_RUNNING; /* its event was missed */
			instance_died(instance, instance->node.exit_code);
		}
	}
	agent_step_all(agent);
}

static int on_look_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->look_timer = sd_event_source_disable_unref(agent->look_timer);
	agent_look_at_runtime(agent);
	return 0;
}

static void look_free(struct look *job)
{
	runtime_nodes_free(job->nodes, job->n);
	strv_release(&job->strays);
	err_release(&job->err);
	free(job);
}

static void look_done(void *data, bool dropped)
{
	struct look *job = data;
	struct agent *agent = job->agent;

	if (dropped) {
		look_free(job);
		return;
	}
	agent->looking = false;
	if (job->r < 0) {
		log_warning("The runtime cannot be asked what runs: %s", err_text(&job->err));
		if (!agent->look_timer)
			sd_event_add_time_relative(agent->event, &agent->look_timer, CLOCK_MONOTONIC, 1000000, 0,
						   on_look_again, agent);
	} else
		looked(job);
	look_free(job);
	if (agent->look_again) {
		agent->look_again = false;
		agent_look_at_runtime(agent);
	}
}

void agent_look_at_runtime(struct agent *agent)
{
	struct look *job;

	if (agent->looking) {
		agent->look_again = true;
		return;
	}
	agent->looking = true;
	job = xcalloc(1, sizeof(*job));
	job->agent = agent;
	job->number = ++agent->looks;
	pool_submit(agent->pool, look, look_done, job);
}

void agent_on_runtime_event(void *data, const struct runtime_event *event)
{
	struct agent *agent = data;
	struct instance *instance = event->instance ? instance_find(agent, event->instance) : NULL;

	if (event->instance && text_starts(event->instance, NODE_TRIAL_LABEL))
		return;
	switch (event->kind) {
	case RUNTIME_DIED:
		if (!instance)
			return;
		instance_died(instance, event->exit_code);
		agent_step_all(agent);
		break;
	case RUNTIME_STARTED:
	case RUNTIME_REMOVED:
		if (instance && instance->busy)
			instance->missed = true;
		else
			agent_look_at_runtime(agent);
		break;
	case RUNTIME_RECONNECTED:
		agent_look_at_runtime(agent);
		break;
	}
}

/* --- Consul --- */

struct catalog_look {
	struct agent *agent;
	struct consul_services services;
	int r;
	struct err err;
};

static void look_at_catalog(struct agent *agent);

static void read_catalog(void *data)
{
	struct catalog_look *job = data;

	job->r = consul_agent_services(job->agent->env.consul, "Meta.tepuy == \"1\"", &job->services, &job->err);
}

/* Registrations that neither a container nor an assignment explains are ghosts: converge takes them away. */
static void find_ghosts(struct agent *agent, const struct consul_services *services)
{
	for (size_t i = 0; i < services->n; i++) {
		const struct strv *meta = &services->v[i].meta;
		const char *service = consul_meta(meta, "service"), *component = consul_meta(meta, "component");
		const char *n = consul_meta(meta, "node"), *gen = consul_meta(meta, "gen");
		_cleanup_(freep) char *text = NULL;

		if (!service || !component || !n || !gen)
			continue;
		text = xasprintf("%s/%s/%s.%s", service, component, n, gen);
		instance_get(agent, text);
	}
}

static int on_catalog_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->catalog_timer = sd_event_source_disable_unref(agent->catalog_timer);
	look_at_catalog(agent);
	return 0;
}

static void catalog_looked(void *data, bool dropped)
{
	struct catalog_look *job = data;
	struct agent *agent = job->agent;

	if (!dropped && job->r < 0) {
		log_debug("The local catalog cannot be read: %s", err_text(&job->err));
		if (!agent->catalog_timer)
			sd_event_add_time_relative(agent->event, &agent->catalog_timer, CLOCK_MONOTONIC, 1000000, 0,
						   on_catalog_again, agent);
	} else if (!dropped) {
		agent->catalog_known = true;
		find_ghosts(agent, &job->services);
		instances_observe_catalog(agent, &job->services);
		agent_step_all(agent);
	}
	consul_services_release(&job->services);
	err_release(&job->err);
	free(job);
}

static void look_at_catalog(struct agent *agent)
{
	struct catalog_look *job = xcalloc(1, sizeof(*job));

	job->agent = agent;
	pool_submit(agent->pool, read_catalog, catalog_looked, job);
}

static void consul_is_back(struct agent *agent)
{
	if (agent->consul_away)
		log_info("Consul is back.");
	agent->consul_away = false;
	kv_level_retry(agent->kv);
	guests_changed(agent);
	/* A Consul that was restored from a snapshot has forgotten what was said since. */
	for (struct instance *instance = agent->instances; instance; instance = instance->next)
		instance->report_again = true, instance->found_told = instance->secrets_given = false;
	look_at_catalog(agent);
	agent_level_peers(agent);
}

static bool knows_host(const struct agent *agent, const struct consul_kvs *kvs)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/host/%s/info", agent->env.host);

	for (size_t i = 0; i < kvs->n; i++)
		if (!strcmp(kvs->v[i].key, key))
			return true;
	return false;
}

static bool is_removed(const struct consul_kv *admin)
{
	_cleanup_json_ json_t *json = json_loadb(admin->value, admin->len, 0, NULL);

	return json_is_true(json_object_get(json, "removed"));
}

/*
 * A Consul that does not know the host has lost its data; one that knows the host and of the instance neither an
 * assignment nor the state key that was there before has an older copy of it. What we had to say since then still comes
 * there, and would look like an instance whose assignment was taken away: it is taken back, and explains nothing.
 */
static void note_orphan(struct instance *instance, bool host_is_known)
{
	bool ours = instance->assignment && instance->state_created != instance->state_before;
	bool forgotten = instance->orphaned || !host_is_known || !instance->explained || ours;

	instance->orphaned = !instance->mentioned && forgotten;
	if (!instance->orphaned)
		return;
	if (instance->has_state)
		instance_take_back(instance);
	instance->explained = false;
}

/* What Consul said last; what it says now follows. */
static void forget_answer(struct instance *instance)
{
	instance->mentioned = instance->explained = instance->found_known = false;
	instance->state_before = instance->state_created;
	instance->state_created = 0;
}

/*
 * What Consul does not mention at all is not explained, and nothing unexplained is removed: a Consul that lost its data
 * must not take the nodes with it.
 */
static void take_assignments(struct agent *agent, const struct consul_kvs *kvs)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/host/%s/", agent->env.host);
	bool removed = false, host_is_known = knows_host(agent, kvs);
	size_t forgotten = 0;

	for (struct instance *instance = agent->instances; instance; instance = instance->next)
		forget_answer(instance);
	for (size_t i = 0; i < kvs->n; i++) {
		const char *key = kvs->v[i].key + strlen(prefix);
		struct instance *instance;

		if (!text_starts(kvs->v[i].key, prefix))
			continue;
		if (text_starts(key, "node/") && (instance = instance_get(agent, key + strlen("node/")))) {
			instance->mentioned = true;
			instance_assign(instance, kvs->v[i].value);
		} else if (text_starts(key, "state/") && (instance = instance_get(agent, key + strlen("state/"))))
			instance_take_state(instance, &kvs->v[i]);
		else if (!strcmp(key, "admin"))
			removed = is_removed(&kvs->v[i]);
		else if (text_starts(key, "found/") && (instance = instance_get(agent, key + strlen("found/"))))
			instance->found_known = true;
	}
	if (removed && !agent->removed)
		log_warning("This host was taken out of the cluster: nodes that are still here are taken away, their "
			    "volumes stay. 'tepuy host uncordon %s' takes the host in again.",
			    agent->env.host);
	agent->removed = removed;
	for (struct instance *instance = agent->instances; instance; instance = instance->next) {
		note_orphan(instance, host_is_known);
		/* Not yet, or not any more: a copy may have been restored while Consul was up. */
		if (!instance->found_known)
			instance->found_told = instance->secrets_given = false;
		forgotten += !removed && instance->assignment && !instance->mentioned && !instance->explained &&
			     instance->container == CONTAINER_RUNNING;
		if (!instance->mentioned)
			instance_assign(instance, NULL);
		/* Gone though it was said: the deletion of an earlier one of this name came after it. */
		if (instance->mentioned && !instance->explained && instance->reported)
			instance->report_again = true;
		if (acks_observe(instance, kvs))
			proxy_update(instance);
	}
	if (forgotten)
		log_warning("Consul knows nothing any more of %zu nodes that run here: it seems to have lost its data. "
			    "They run on; restore Consul's data, or run 'tepuy up' for their services.",
			    forgotten);
}

void agent_consul_away(struct agent *agent, const struct err *err)
{
	if (err->code != EACCES) /* of that token.c speaks */
		log_warning("Consul is away, nodes run on as last told: %s", err_text(err));
	agent->consul_away = true;
}

void agent_on_host_keys(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	struct agent *agent = data;

	(void)index;
	if (err) {
		agent_consul_away(agent, err);
		return;
	}
	if (consul_decode_kvs(value, &kvs, &why) < 0) {
		log_error("The assignments cannot be read: %s", err_text(&why));
		return;
	}
	if (agent->consul_away || !agent->catalog_known)
		consul_is_back(agent);
	if (!knows_host(agent, &kvs)) { /* it may have lost more */
		agent->info_told = agent->guests_known = false;
		guests_changed(agent);
	}
	take_assignments(agent, &kvs);
	agent->assignments_known = true;
	agent_step_all(agent);
}

void agent_on_service_keys(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	struct agent *agent = data;

	(void)index;
	if (err || consul_decode_kvs(value, &kvs, NULL) < 0)
		return;
	added_checks_read(&kvs, &agent->added);
	agent->added_known = true;
	agent_step_all(agent);
}

void agent_on_checks(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_checks_ struct consul_checks checks = { 0 };
	struct agent *agent = data;

	(void)index;
	if (!err && consul_decode_checks(value, &checks, NULL) == 0)
		check_times_update(agent->env.times, &checks, clock_realtime_ms());
}

void agent_on_link(void *data, const char *link_service, const char *link_component)
{
	/* The link ends with its last user, which may be gone after its step. */
	_cleanup_(freep) char *service = xstrdup(link_service), *component = xstrdup(link_component);
	struct agent *agent = data;

	for (struct instance *instance = agent->instances, *next; instance; instance = next) {
		next = instance->next;
		if (strcmp(instance->id.service, service) || !instance->spec || !instance->using_links)
			continue;
		for (size_t i = 0; i < instance->spec->n_links; i++)
			if (!strcmp(instance->spec->links[i].component, component)) {
				instance_link_changed(instance);
				break;
			}
	}
	agent_plan_retry(agent);
}
