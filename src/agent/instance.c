/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/instance.h"

#include <errno.h>
#include <string.h>

#include "agent/acks.h"
#include "agent/exec-checks.h"
#include "agent/guests-keep.h"
#include "agent/guests.h"
#include "agent/instance-job.h"
#include "agent/node-context.h"
#include "agent/node-files.h"
#include "agent/node-image.h"
#include "agent/node-launch.h"
#include "agent/node-script.h"
#include "agent/proxy.h"
#include "agent/secrets-back.h"
#include "agent/start-order.h"
#include "base/clock.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

/* A node that ran so long before it ended is started again at once. */
#define STEADY_MS 10000
#define ORDER_LOOK_MS 2000 /* what waits for another one's start looks again */
/* A first end may be a hiccup; so many in a row are a failure to tell the leader. */
#define ENDS_THAT_FAIL 3
/* So long the file of a proxy that is up to date already waits for further changes. */
#define FILES_PAUSE_MS 500

struct instance *instance_find(struct agent *agent, const char *text)
{
	struct instance *instance = agent->instances;

	while (instance && strcmp(instance->id.text, text))
		instance = instance->next;
	return instance;
}

struct instance *instance_get(struct agent *agent, const char *text)
{
	struct instance *instance = instance_find(agent, text);
	_cleanup_err_ struct err err = ERR_INIT;
	struct instance_id id;

	if (instance)
		return instance;
	if (instance_id_parse(text, &id, &err) < 0) {
		log_warning("%s", err_text(&err));
		return NULL;
	}
	instance = xcalloc(1, sizeof(*instance));
	instance->agent = agent;
	instance->id = id;
	instance->container = agent->runtime_listed ? CONTAINER_NONE : CONTAINER_UNKNOWN;
	instance->next = agent->instances;
	agent->instances = instance;
	return instance;
}

static void drop_links(struct instance *instance)
{
	for (size_t i = 0; instance->using_links && i < instance->spec->n_links; i++)
		links_drop(instance->agent->links, instance->id.service, instance->spec->links[i].component);
	instance->using_links = false;
}

static void use_links(struct instance *instance)
{
	if (instance->using_links || !instance->spec || !instance->assignment ||
	    instance->spec->desired == NODE_PREPARE)
		return;
	instance->using_links = true;
	for (size_t i = 0; i < instance->spec->n_links; i++)
		links_use(instance->agent->links, instance->id.service, instance->spec->links[i].component);
}

void instance_free(struct instance *instance)
{
	struct instance **at = &instance->agent->instances;

	while (*at != instance)
		at = &(*at)->next;
	*at = instance->next;
	guests_drop(instance->agent->env.guests, instance->id.text);
	guests_changed(instance->agent);
	drop_links(instance);
	exec_checks_free(instance->exec_checks);
	proxy_free(instance->proxy);
	acks_free(instance->acks);
	runtime_node_release(&instance->node);
	node_spec_free(instance->spec);
	instance_id_release(&instance->id);
	free(instance->assignment);
	free(instance->made_of);
	free(instance->addresses);
	free(instance->keepsake);
	free(instance->level);
	free(instance->files);
	free(instance->limits);
	free(instance->proxy_socket);
	free(instance->why);
	free(instance->log);
	free(instance->reported);
	free(instance);
}

static void forgive(struct instance *instance)
{
	instance->failures = 0;
	instance->retry_ms = instance->files_retry_ms = 0;
	instance->failed = false;
	free(TAKE_PTR(instance->why));
	free(TAKE_PTR(instance->log));
}

static struct node_spec *parse_assignment(const struct instance *instance, const char *assignment)
{
	_cleanup_json_ json_t *json = json_loads(assignment, 0, NULL);
	_cleanup_err_ struct err err = ERR_INIT;
	struct node_spec *spec = NULL;

	if (node_spec_from_json(json, &spec, &err) < 0)
		log_error("The assignment of %s cannot be read: %s", instance->id.text, err_text(&err));
	return spec;
}

void instance_assign(struct instance *instance, const char *assignment)
{
	struct node_spec *spec;

	if (!assignment) {
		if (instance->assignment)
			forgive(instance);
		free(TAKE_PTR(instance->assignment));
		return;
	}
	if (instance->assignment && !strcmp(instance->assignment, assignment))
		return;
	spec = parse_assignment(instance, assignment);
	if (!spec)
		return; /* as last told */
	drop_links(instance);
	node_spec_free(instance->spec);
	instance->spec = spec;
	free(instance->assignment);
	instance->assignment = xstrdup(assignment);
	forgive(instance);
}

/* What the agent needs of what the runtime says. */
static void copy_node(struct runtime_node *to, const struct runtime_node *from)
{
	*to = (struct runtime_node){ .id = xstrdup(from->id),
				     .name = xstrdup(from->name),
				     .address = xstrdup(from->address),
				     .state = from->state,
				     .exit_code = from->exit_code,
				     .ports = xcalloc(from->n_ports, sizeof(*from->ports)),
				     .n_ports = from->n_ports };
	for (size_t i = 0; i < from->n_ports; i++) {
		to->ports[i] = from->ports[i];
		to->ports[i].name = xstrdup(from->ports[i].name);
		to->ports[i].address = xstrdup(from->ports[i].address);
	}
}

static const char *label_of(const struct runtime_node *node, const char *key)
{
	return node ? runtime_node_label(node, key) : NULL;
}

bool instance_observe(struct instance *instance, const struct runtime_node *node, uint64_t look)
{
	bool was_unknown;

	if (instance->busy || look <= instance->seen_after) {
		instance->missed = instance->busy;
		return false;
	}
	runtime_node_release(&instance->node);
	was_unknown = instance->container == CONTAINER_UNKNOWN;
	instance->container = CONTAINER_NONE;
	free(instance->made_of);
	free(instance->addresses);
	free(instance->keepsake);
	instance->addresses = xstrdup(label_of(node, GUESTS_LABEL));
	instance->made_of = xstrdup(label_of(node, RUNTIME_LABEL_SPEC));
	instance->keepsake = xstrdup(label_of(node, RUNTIME_LABEL_ASSIGNMENT));
	if (node) {
		copy_node(&instance->node, node);
		instance->container = node->state == RUNTIME_RUNNING   ? CONTAINER_RUNNING
				      : node->state == RUNTIME_CREATED ? CONTAINER_CREATED
								       : CONTAINER_EXITED;
	}
	instance->stopped &= instance->container != CONTAINER_RUNNING;
	if (instance->container != CONTAINER_RUNNING)
		instance->proven = false;
	else if (was_unknown && instance->registered)
		instance->proven = true; /* the catalog was read before the runtime: Consul's checks judge it */
	return true;
}

/* Back off: 0, 1, 2, 4 … 30 s for starts, from 2 s for what will hardly mend itself. */
static void back_off(struct instance *instance, int64_t first_ms)
{
	int64_t wait = first_ms;

	for (unsigned i = 1; i < instance->failures && wait < 30000; i++)
		wait *= 2;
	instance->retry_ms = clock_monotonic_ms() + (wait > 30000 ? 30000 : wait);
}

void instance_died(struct instance *instance, int exit_code)
{
	instance->missed = instance->busy;
	instance->seen_after = instance->agent->looks;
	if (instance->container != CONTAINER_RUNNING || instance->doing == CONVERGE_STOP ||
	    instance->doing == CONVERGE_REMOVE)
		return;
	if (instance->assignment)
		log_info("%s ended with exit status %d.", instance->id.text, exit_code);
	instance->container = CONTAINER_EXITED;
	instance->proven = instance->unwell = false;
	free(instance->level);
	instance->level = NULL;
	exec_checks_stop(instance->exec_checks);
	instance_report_death(instance, exit_code);
	if (clock_monotonic_ms() - instance->launched_ms > STEADY_MS)
		instance->failures = 0;
	if (instance->failures++)
		back_off(instance, 1000);
	free(instance->why);
	if (exit_code == NODE_SCRIPT_INVALID)
		instance->why =
		    xasprintf(_("A file made from its templates does not validate; 'tepuy logs %s/%s' says why"),
			      instance->id.service, instance->id.node);
	else
		instance->why = xasprintf(_("Its main process ended with exit status %d"), exit_code);
	/* Whoever reads that it failed reads its last words with it: it is told when they are known. */
	instance->failed = instance->failures >= ENDS_THAT_FAIL && instance->log;
	if (instance->failures >= ENDS_THAT_FAIL && !instance->log)
		instance_ask_last_words(instance);
}

void instance_last_words(struct instance *instance, char *log)
{
	if (instance->failures < ENDS_THAT_FAIL) { /* it works meanwhile */
		free(log);
		return;
	}
	if (log) {
		free(instance->log);
		instance->log = log;
	}
	instance->failed = true;
	instance_step(instance);
}

json_t *instance_context(const struct instance *instance)
{
	const struct node_spec *spec = instance->spec;
	struct members *members = xcalloc(spec->n_links, sizeof(*members));
	json_t *context = NULL;
	size_t known = 0;

	while (known < spec->n_links &&
	       links_members(instance->agent->links, instance->id.service, spec->links[known].component,
			     spec->links[known].port, &members[known]) == 0)
		known++;
	if (known == spec->n_links)
		context =
		    node_context(&instance->id, spec, members, instance->agent->env.host, instance->agent->env.address);
	for (size_t i = 0; i < known; i++)
		members_release(&members[i]);
	free(members);
	return context;
}

static void add_stand_in(const struct instance *instance, const struct node_link *link, struct members *to)
{
	to->list = xreallocarray(to->list, to->n + 1, sizeof(*to->list));
	to->list[to->n++] = (struct member){
		.instance = xasprintf("%s/%s/1.1", instance->id.service, link->component),
		.server = xasprintf("%s-1.1", link->component),
		.node = xasprintf("%s/1", link->component),
		.host = xstrdup(instance->agent->env.host),
		.address = xstrdup(instance->agent->env.address),
		.n = 1,
		.gen = 1,
		.port = 1,
		.health = MEMBER_PASSING,
		.output = xstrdup(""),
	};
}

/*
 * To try its templates with before it is wanted: a link has the members that are known, or one that stands for those to
 * come, as it has one when the node starts, and some programs take no empty list.
 */
static json_t *trial_context(const struct instance *instance)
{
	const struct node_spec *spec = instance->spec;
	struct members *members = xcalloc(spec->n_links, sizeof(*members));
	json_t *context;

	for (size_t i = 0; i < spec->n_links; i++) {
		const struct node_link *link = &spec->links[i];
		bool serves = false;

		links_members(instance->agent->links, instance->id.service, link->component, link->port, &members[i]);
		for (size_t j = 0; j < members[i].n; j++)
			serves |= member_serves(&members[i].list[j]);
		if (!serves)
			add_stand_in(instance, link, &members[i]);
	}
	context = node_context(&instance->id, spec, members, instance->agent->env.host, instance->agent->env.address);
	for (size_t i = 0; i < spec->n_links; i++)
		members_release(&members[i]);
	free(members);
	return context;
}

bool instance_registration(const struct instance *instance, struct registration *ret)
{
	_cleanup_(freep) struct check *added = NULL;
	size_t n_added;

	if (!instance->spec || instance->container != CONTAINER_RUNNING)
		return false;
	added = added_checks_for(&instance->agent->added, &instance->id, &n_added);
	registration_build(&instance->id, instance->spec, &instance->node, instance->agent->env.host,
			   instance->agent->env.address, added, n_added, ret);
	return true;
}

/* Looks up, once its recipe is on this host, what an agent that was restarted does not know. */
static void learn(struct instance *instance)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;

	if (instance->learned || !instance->spec || !bundle_present(instance->agent->env.store, instance->spec->bundle))
		return;
	if (node_recipe(&instance->agent->env, instance->spec, &recipe, NULL) < 0)
		return;
	instance->learned = true;
	instance->proxy_socket = xstrdup(recipe->haproxy.socket);
	instance->files = node_files_context(&instance->agent->env, &instance->id);
}

static bool is_level(const struct instance *instance)
{
	_cleanup_(registration_release) struct registration wanted = { 0 };
	_cleanup_(freep) char *digest = NULL;

	if (!instance->level || !instance_registration(instance, &wanted))
		return false;
	digest = registration_digest(&wanted);
	return !strcmp(digest, instance->level);
}

static bool share_a_volume(const struct instance *a, const struct instance *b)
{
	if (!strcmp(a->id.service, b->id.service) && !strcmp(a->id.node, b->id.node))
		return a->spec->n_volumes && b->spec->n_volumes;
	for (size_t i = 0; i < a->spec->n_volumes; i++)
		for (size_t j = 0; j < b->spec->n_volumes; j++)
			if (*a->spec->volumes[i].path && !strcmp(a->spec->volumes[i].path, b->spec->volumes[j].path))
				return true;
	return false;
}

/*
 * The leader never wants two writers of a volume; this is for when what Consul says is not to be trusted, as after a
 * restore of an old snapshot. Unknown containers count when they are of the same node.
 */
static const struct instance *holder_of_volumes(const struct instance *instance)
{
	for (const struct instance *other = instance->agent->instances; other; other = other->next) {
		/* Unknown: it was to be launched or stopped, and what came of that is not certain. */
		bool runs = other->container == CONTAINER_RUNNING || other->container == CONTAINER_UNKNOWN ||
			    other->doing == CONVERGE_LAUNCH;

		if (other == instance || !runs || !instance->spec || !instance->spec->n_volumes)
			continue;
		if (other->spec ? share_a_volume(instance, other)
				: !strcmp(instance->id.service, other->id.service) &&
				      !strcmp(instance->id.node, other->id.node))
			return other;
	}
	return NULL;
}

/* Without a context, a link is not known yet: the files stay as they are. */
static bool has_files_of(const struct instance *instance, const json_t *context)
{
	_cleanup_(freep) char *fingerprint = context ? json_fingerprint(context) : NULL;

	return !fingerprint || (instance->files && !strcmp(instance->files, fingerprint));
}

bool instance_is_configured(const struct instance *instance)
{
	_cleanup_json_ json_t *context = instance->spec ? instance_context(instance) : NULL;

	return context && has_files_of(instance, context);
}

/* As after Consul lost its data and another document was deployed: the name is the same, the node is another one. */
static bool is_foreign(const struct instance *instance)
{
	bool here = instance->container != CONTAINER_NONE && instance->container != CONTAINER_UNKNOWN;

	return here && instance->assignment && instance->made_of &&
	       strcmp(instance->made_of, instance->spec->fingerprint);
}

/* Only what may change while it runs is looked at; all else makes another instance. */
static bool is_sized(const struct instance *instance)
{
	_cleanup_(freep) char *wanted = instance->spec ? node_limits_text(instance->spec) : NULL;

	return !wanted || !instance->agent->env.runtime->ops->resize ||
	       (instance->limits && !strcmp(instance->limits, wanted));
}

static struct converge_view view_of(const struct instance *instance, const json_t *context)
{
	return (struct converge_view){
		.assigned = instance->assignment != NULL,
		.explained = instance->explained || instance->agent->removed,
		.desired = instance->spec ? instance->spec->desired : NODE_STOP,
		.container = instance->container,
		.foreign = is_foreign(instance),
		.image_ready = instance->image_ready,
		.volumes_held = holder_of_volumes(instance) != NULL,
		.links_known = context != NULL,
		.registered = instance->registered,
		.level = is_level(instance),
		.proven = instance->proven,
		.configured = has_files_of(instance, context),
		.sized = is_sized(instance),
		.stopped = instance->stopped,
		.unwell = instance->unwell && clock_monotonic_ms() >= instance->look_ms,
		.has_state = instance->has_state,
		.retry_ms = instance->retry_ms,
		.now_ms = clock_monotonic_ms(),
	};
}

/*
 * When nodes come and go in numbers, each change has gone through the proxy's socket already. Its file just follows,
 * and follows once for all: each time it is validated by a program in the node, which takes from those that are
 * starting.
 */
static bool more_may_come(struct instance *instance, const struct converge_view *view)
{
	if (view->configured || !instance->proxy_socket || !instance->files || !view->registered) {
		instance->files_due_ms = 0;
		return false;
	}
	if (!instance->files_due_ms)
		instance->files_due_ms = view->now_ms + FILES_PAUSE_MS;
	return view->now_ms < instance->files_due_ms;
}

/*
 * Consul was away, and its answer about this host is not there yet. What links tell until then may be that there is
 * nobody, of a Consul without its data: files stay as they are, as everything does that it does not mention.
 */
static bool may_have_lost_its_data(const struct agent *agent)
{
	return agent->consul_away;
}

/* A start that must wait for something else than time says so, once in the log. Takes `why`; NULL: nothing is in its
 * way.
 */
static void set_obstacle(struct instance *instance, char *why)
{
	if (why && (!instance->why || strcmp(instance->why, why)))
		log_warning("%s: %s", instance->id.text, why);
	if (why || instance->obstructed) {
		free(instance->why);
		instance->why = why;
	}
	instance->obstructed = why != NULL;
}

static void look_for_obstacles(struct instance *instance, const struct converge_view *view)
{
	const struct instance *holder = view->volumes_held ? holder_of_volumes(instance) : NULL;
	bool wants = view->assigned && (view->desired == NODE_RUN || view->desired == NODE_DRAIN);

	if (wants && view->foreign)
		set_obstacle(instance, xasprintf(_("A container of this name was made from another document; "
						   "'tepuy up' once more makes a new one")));
	else if (wants && view->container != CONTAINER_RUNNING && holder)
		set_obstacle(instance, xasprintf(_("It must wait until %s has stopped, which has the same volume"),
						 holder->id.text));
	else
		set_obstacle(instance, NULL);
}

/* Nothing is wrong with it any more, as when a link is again as it was before a file was refused. */
static bool is_well(const struct instance *instance, const struct converge_view *view)
{
	return view->container == CONTAINER_RUNNING && view->desired == NODE_RUN && view->proven && view->registered &&
	       view->level && view->configured && view->sized && !instance->unwell;
}

/* The state key tells the leader what the catalog cannot say. */
static void report(struct instance *instance, const struct converge_view *view)
{
	_cleanup_(freep) char *key = NULL, *text = NULL;
	const char *state = converge_state(view, instance->failed);
	_cleanup_json_ json_t *what = NULL;

	if (!instance->assignment || !state)
		return;
	/* What is not known is not told, least of all that it stopped; but why a start must wait is. */
	if (instance->container == CONTAINER_UNKNOWN && (view->desired == NODE_STOP || !instance->why))
		return;
	what = json_pack("{ss ss* ss* sI}", "state", state, "why", instance->why, "log", instance->log, "answers",
			 (json_int_t)instance->spec->since);
	text = json_canonical(what);
	if (!instance->reported || strcmp(text, instance->reported))
		instance->reported_ms = clock_realtime_ms();
	else if (!instance->report_again)
		return;
	free(instance->reported);
	instance->reported = TAKE_PTR(text);
	instance->report_again = false;
	json_object_set_new(what, "since", json_integer(instance->reported_ms));
	key = xasprintf("tepuy/host/%s/state/%s", instance->agent->env.host, instance->id.text);
	text = json_canonical(what);
	kv_level_put(instance->agent->kv, key, text);
	instance->has_state = true;
}

void instance_take_state(struct instance *instance, const struct consul_kv *kv)
{
	_cleanup_json_ json_t *state = NULL;
	_cleanup_(freep) char *text = NULL;
	int64_t since_ms;

	instance->explained = instance->has_state = true;
	instance->state_created = kv->create_index;
	state = json_loads(kv->value, 0, NULL);
	if (!json_is_object(state))
		return;
	since_ms = json_integer_value(json_object_get(state, "since"));
	json_object_del(state, "since");
	text = json_canonical(state);
	if (instance->reported) {
		/* Our word is on its way, or a copy of Consul's data was restored that has an older one. */
		instance->report_again |= strcmp(text, instance->reported) != 0;
		return;
	}
	instance->reported_ms = since_ms;
	instance->reported = TAKE_PTR(text);
}

bool instance_is_unexplained(const struct instance *instance)
{
	return !instance->assignment && !instance->explained && !instance->agent->removed && instance->keepsake &&
	       instance->container != CONTAINER_NONE;
}

/* The keepsake with what is so now; what it does not say is the leader's to say. */
static char *found_value(const struct instance *instance)
{
	_cleanup_json_ json_t *json = json_loads(instance->keepsake, 0, NULL);
	bool runs = instance->container == CONTAINER_RUNNING;

	if (!json_is_object(json))
		return NULL;
	json_object_set_new(json, "desired", json_string(node_desired_name(runs ? NODE_RUN : NODE_STOP)));
	return json_canonical(json);
}

/* A container that Consul does not explain is left alone, but told of: the next `up` of its service explains it. */
static void tell_found(struct instance *instance)
{
	bool is = instance_is_unexplained(instance);
	_cleanup_(freep) char *key = NULL, *value = NULL;

	if (is == instance->found_told && (is || !instance->found_known))
		return;
	if (is && instance->container == CONTAINER_UNKNOWN)
		return;
	if (is && !instance->secrets_given) {
		secrets_back_begin(instance->agent); /* it comes back here */
		return;
	}
	key = xasprintf("tepuy/host/%s/found/%s", instance->agent->env.host, instance->id.text);
	value = is ? found_value(instance) : NULL;
	if (value)
		kv_level_put(instance->agent->kv, key, value);
	else
		kv_level_delete(instance->agent->kv, key);
	instance->found_told = is;
	instance->found_known &= is;
}

void instance_take_back(struct instance *instance)
{
	_cleanup_(freep) char *key = xasprintf("tepuy/host/%s/state/%s", instance->agent->env.host, instance->id.text);

	kv_level_delete(instance->agent->kv, key);
	instance->has_state = false;
}

/* Nothing of it is wanted or here; what waits for its next try is still here. */
static bool is_gone(const struct instance *instance)
{
	return !instance->assignment && instance->container == CONTAINER_NONE && !instance->registered &&
	       !instance->has_state && !instance->found_known;
}

void instance_step(struct instance *instance)
{
	const struct agent *agent = instance->agent;
	_cleanup_json_ json_t *context = NULL;
	enum converge_step step;
	bool configured;
	struct converge_view view;

	/* Nothing is done before all have told: Consul what is wanted, the runtime and the catalog what is there. */
	if (instance->busy || !agent->assignments_known || !agent->added_known || !agent->runtime_listed ||
	    !agent->catalog_known)
		return;
	learn(instance);
	use_links(instance);
	context = instance->spec && instance->assignment ? instance_context(instance) : NULL;
	view = view_of(instance, context);
	configured = view.configured;
	view.configured |=
	    more_may_come(instance, &view) || view.now_ms < instance->files_retry_ms || may_have_lost_its_data(agent);
	look_for_obstacles(instance, &view);
	tell_found(instance);
	step = converge_next(&view);
	if (step == CONVERGE_LAUNCH && start_order_waits(instance, view.now_ms)) {
		step = CONVERGE_NOTHING;
		instance->retry_ms = view.now_ms + ORDER_LOOK_MS;
	}
	if (step == CONVERGE_FORGET) {
		instance_take_back(instance);
		instance_free(instance);
		return;
	}
	if (step == CONVERGE_NOTHING && configured && is_well(instance, &view))
		instance_succeeded(instance);
	report(instance, &view);
	if (step != CONVERGE_NOTHING) {
		log_debug("%s: %s", instance->id.text, converge_step_name(step));
		if (step == CONVERGE_PREPARE && !context)
			context = trial_context(instance);
		instance_begin(instance, step, context);
	} else if (is_gone(instance))
		instance_free(instance);
	else if (instance->container == CONTAINER_RUNNING && instance->registered) {
		exec_checks_start(instance);
		proxy_update(instance);
	}
}

void instance_link_changed(struct instance *instance)
{
	if (instance->container == CONTAINER_RUNNING)
		instance->retry_ms = instance->files_retry_ms =
		    0; /* what did not work out for the old links may for the new ones */
	if (instance->registered)
		proxy_update(instance);
	instance_step(instance);
}

void instances_step_all(struct agent *agent)
{
	for (struct instance *instance = agent->instances, *next; instance; instance = next) {
		next = instance->next;
		instance_step(instance);
	}
}

void instances_observe_catalog(struct agent *agent, const struct consul_services *services)
{
	for (struct instance *instance = agent->instances; instance; instance = instance->next) {
		const struct consul_service *found = NULL;

		for (size_t i = 0; !found && i < services->n; i++)
			if (!strcmp(services->v[i].id, instance->id.catalog_id))
				found = &services->v[i];
		if (instance->busy)
			continue;
		if (found && instance->container == CONTAINER_RUNNING)
			instance->proven = true; /* Consul's checks judge it */
		instance->registered = found != NULL;
		free(instance->level);
		exec_checks_stop(instance->exec_checks); /* they tell Consul anew */
		instance->level = NULL;                  /* the next step compares and brings it level */
	}
}

int64_t instances_next_retry(const struct agent *agent)
{
	int64_t now = clock_monotonic_ms(), next = INT64_MAX;

	for (const struct instance *instance = agent->instances; instance; instance = instance->next) {
		if (instance->busy)
			continue;
		if (instance->retry_ms > now && instance->retry_ms < next)
			next = instance->retry_ms;
		if (instance->files_retry_ms > now && instance->files_retry_ms < next)
			next = instance->files_retry_ms;
		if (instance->files_due_ms > now && instance->files_due_ms < next)
			next = instance->files_due_ms;
		if (instance->unwell && instance->look_ms > now && instance->look_ms < next)
			next = instance->look_ms;
	}
	return next;
}

void instance_failed(struct instance *instance, const char *why, char *log, int64_t first_ms, bool at_once)
{
	log_warning("%s: %s: %s", instance->id.text, converge_step_name(instance->doing), why);
	free(instance->why);
	free(instance->log);
	instance->why = xstrdup(why);
	instance->log = log;
	instance->failures++;
	instance->failed = at_once || instance->failures >= ENDS_THAT_FAIL;
	back_off(instance, first_ms);
}

void instance_succeeded(struct instance *instance)
{
	_cleanup_(freep) char *why = instance->unwell ? TAKE_PTR(instance->why) : NULL, *log = TAKE_PTR(instance->log);
	bool young =
	    instance->container == CONTAINER_RUNNING && clock_monotonic_ms() - instance->launched_ms < STEADY_MS;
	unsigned failures = instance->failures;

	forgive(instance);
	/* A node that ends again and again, but lives long enough to be registered in between, is no success. */
	if (young)
		instance->failures = failures;
	if ((young && failures) || instance->unwell)
		instance->log = TAKE_PTR(log);
	instance->why = TAKE_PTR(why);
}
