/* SPDX-License-Identifier: GPL-3.0-or-later */
/* References between a service and its recipes. Every error is at its place in the service's file. */
#include "model/service.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/config.h"
#include "model/recipe-files.h"
#include "model/service-spec.h"

#define MOST_FOUND_RECIPES 1024

struct names {
	const char *v[DIAG_MOST];
	size_t n;
};

static void add_name(struct names *names, const char *name)
{
	if (names->n < DIAG_MOST)
		names->v[names->n++] = name;
}

/* Names of the recipes in the search path, for suggestions. */
static void found_recipes(const struct strv *search, struct strv *names)
{
	for (size_t i = 0; i < search->n; i++) {
		DIR *dir = opendir(search->v[i]);
		const struct dirent *entry;

		while (dir && names->n < MOST_FOUND_RECIPES && (entry = readdir(dir))) {
			_cleanup_(freep) char *file = xasprintf("%s/%s/recipe.yaml", search->v[i], entry->d_name);

			if (text_is_name(entry->d_name) && access(file, F_OK) == 0)
				strv_add(names, entry->d_name);
		}
		if (dir)
			closedir(dir);
	}
}

static char *find_recipe(const struct strv *search, const char *name)
{
	for (size_t i = 0; i < search->n; i++) {
		_cleanup_(freep) char *dir = fs_join(search->v[i], name);
		_cleanup_(freep) char *file = fs_join(dir, "recipe.yaml");

		if (access(file, F_OK) == 0)
			return TAKE_PTR(dir);
	}
	return NULL;
}

/* Recipes are small, and each component owns its own copy; what is wrong in one is reported for its first user only. */
static bool is_known(const struct service *service, const struct service_component *component)
{
	for (const struct service_component *c = service->components; c < component; c++)
		if (c->recipe_name && !strcmp(c->recipe_name, component->recipe_name))
			return true;
	return false;
}

static void load_recipe(const struct service *service, struct service_component *component, const struct strv *search,
			struct diag *diag)
{
	const struct place *place = item_place(&component->item, "recipe");
	_cleanup_strv_ struct strv found = { 0 };
	_cleanup_(freep) char *dir = NULL;
	struct diag again = { 0 };

	if (!component->recipe_name || !text_is_name(component->recipe_name))
		return;
	dir = find_recipe(search, component->recipe_name);
	if (!dir) {
		_cleanup_(freep) char *where = strv_join(search, ", ");

		found_recipes(search, &found);
		diag_unknown(diag, place, component->recipe_name, (const char *const *)found.v, found.n,
			     _("there is no recipe '%s' in %s"), component->recipe_name, where);
		return;
	}
	recipe_load(dir, is_known(service, component) ? &again : diag, &component->recipe);
	diag_release(&again);
	if (component->recipe && strcmp(component->recipe->name, component->recipe_name) != 0)
		diag_error(diag, place, _("the recipe in %s calls itself '%s'; a recipe has the name of its directory"),
			   dir, component->recipe->name);
}

static void check_connection(const struct service *service, const struct service_component *component,
			     const struct service_connect *connect, struct diag *diag)
{
	const struct recipe_link *link = recipe_find_link(component->recipe, connect->item.name);
	const struct service_component *other;
	struct names names = { 0 };

	if (!link) {
		for (size_t i = 0; i < component->recipe->n_links; i++)
			add_name(&names, component->recipe->links[i].item.name);
		diag_unknown(diag, &connect->item.key->place, connect->item.name, names.v, names.n,
			     _("the recipe '%s' has no link '%s'"), component->recipe->name, connect->item.name);
		return;
	}
	other = connect->component ? service_find_component(service, connect->component) : NULL;
	if (other && other->recipe && !recipe_find_interface(other->recipe, link->interface))
		diag_error(
		    diag, &connect->item.node->place,
		    _("link '%s' needs the interface '%s', which the recipe '%s' of component '%s' does not provide"),
		    connect->item.name, link->interface, other->recipe->name, other->item.name);
}

/* What can be said without the component's own recipe. */
static void check_target(const struct service *service, const struct service_connect *connect, struct diag *diag)
{
	struct names names = { 0 };

	if (!connect->component || service_find_component(service, connect->component))
		return;
	for (size_t i = 0; i < service->n_components; i++)
		add_name(&names, service->components[i].item.name);
	diag_unknown(diag, &connect->item.node->place, connect->component, names.v, names.n,
		     _("there is no component '%s' in this service"), connect->component);
}

static void check_missing_links(const struct service_component *component, struct diag *diag)
{
	const struct yaml_node *written = yaml_get(component->item.node, "connect");

	for (size_t i = 0; i < component->recipe->n_links; i++) {
		const struct recipe_link *link = &component->recipe->links[i];

		if (link->optional || yaml_get(written, link->item.name))
			continue;
		diag_error(diag, item_place(&component->item, "connect"),
			   _("component '%s' must connect its link '%s' to a component with the interface '%s': add "
			     "connect: {%s: COMPONENT}"),
			   component->item.name, link->item.name, link->interface, link->item.name);
	}
}

static void check_publish(const struct service *service, const struct service_component *component,
			  const struct service_publish *publish, struct diag *diag)
{
	if (component->recipe)
		recipe_require_port(component->recipe, publish->item.name, &publish->item.key->place, diag);
	if (publish->port && component->nodes > 1)
		diag_warning(
		    diag, &publish->item.node->place,
		    _("component '%s' has %d nodes, and only one node of a host can have port %d: it needs as many "
		      "hosts"),
		    component->item.name, component->nodes, publish->port);
	for (const struct service_component *c = service->components; c <= component; c++)
		for (size_t i = 0; i < c->n_publish && &c->publish[i] != publish; i++) {
			if (!publish->port || c->publish[i].port != publish->port)
				continue;
			diag_error(diag, &publish->item.node->place,
				   _("port %d is published already, by component '%s'"), publish->port, c->item.name);
			return;
		}
}

static bool on_different_hosts(const struct service_component *a, const struct service_component *b)
{
	return a->place.host && b->place.host && strcmp(a->place.host, b->place.host) != 0;
}

/* Equal, or one inside the other. */
static bool overlap(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	return n <= m ? !strncmp(a, b, n) && (b[n] == '/' || !b[n]) : overlap(b, a);
}

static void check_volume_path(const struct service *service, const struct service_component *component,
			      const struct service_volume *volume, struct diag *diag)
{
	static const char *const system[] = { "/bin",  "/boot", "/dev",  "/etc", "/lib",
					      "/proc", "/run",  "/sbin", "/sys", "/usr" };
	const struct place *place = item_place(&volume->item, "path");

	for (size_t i = 0; i < ARRAY_SIZE(system); i++)
		if (overlap(system[i], volume->path) && strncmp(volume->path, "/dev/", strlen("/dev/")) != 0)
			diag_warning(diag, place,
				     _("%s belongs to the host's own system; data is better kept under /srv"),
				     volume->path);
	for (const struct service_component *c = service->components; c <= component; c++)
		for (size_t i = 0; i < c->n_volumes && &c->volumes[i] != volume; i++) {
			const struct service_volume *other = &c->volumes[i];

			if (!other->path || !overlap(other->path, volume->path) || on_different_hosts(c, component))
				continue;
			diag_error(diag, place,
				   _("volume '%s' of component '%s' has the path %s: two nodes must never write the "
				     "same data"),
				   other->item.name, c->item.name, other->path);
			return;
		}
}

static void check_volume(const struct service *service, const struct service_component *component,
			 const struct service_volume *volume, struct diag *diag)
{
	struct names names = { 0 };

	if (component->recipe && !recipe_find_volume(component->recipe, volume->item.name)) {
		for (size_t i = 0; i < component->recipe->n_volumes; i++)
			add_name(&names, component->recipe->volumes[i].item.name);
		diag_unknown(diag, &volume->item.key->place, volume->item.name, names.v, names.n,
			     _("the recipe '%s' has no volume '%s'"), component->recipe->name, volume->item.name);
	}
	if (volume->path)
		check_volume_path(service, component, volume, diag);
}

static void use_secret(const struct service *service, const struct yaml_node *value, struct diag *diag)
{
	const struct yaml_node *name = yaml_get(value, "secret");
	struct service_secret *secret = service_find_secret(service, name->text);
	struct names names = { 0 };

	if (secret) {
		secret->used = true;
		return;
	}
	for (size_t i = 0; i < service->n_secrets; i++)
		add_name(&names, service->secrets[i].item.name);
	diag_unknown(diag, &name->place, name->text, names.v, names.n,
		     _("the secret '%s' must be declared under `secrets`, as %s: {generate: 32}"), name->text,
		     name->text);
}

static void resolve_value(const struct service *service, struct service_component *component,
			  const struct yaml_entry *entry, struct diag *diag)
{
	const struct recipe_config *declared = recipe_find_config(component->recipe, entry->key->text);
	struct names names = { 0 };
	json_t *value;

	if (!declared) {
		for (size_t i = 0; i < component->recipe->n_config; i++)
			add_name(&names, component->recipe->config[i].item.name);
		diag_unknown(diag, &entry->key->place, entry->key->text, names.v, names.n,
			     _("the recipe '%s' has no configuration value '%s'"), component->recipe->name,
			     entry->key->text);
		return;
	}
	if (config_value(declared, entry->value, diag, &value) < 0)
		return;
	json_object_set_new(component->values, declared->item.name, value);
	if (declared->type == CONFIG_SECRET)
		use_secret(service, entry->value, diag);
}

static void resolve_config(const struct service *service, struct service_component *component, struct diag *diag)
{
	component->values = json_object();
	for (size_t i = 0; component->config && i < component->config->n; i++)
		resolve_value(service, component, &component->config->entries[i], diag);
	for (size_t i = 0; i < component->recipe->n_config; i++) {
		const struct recipe_config *declared = &component->recipe->config[i];

		if (yaml_get(component->config, declared->item.name))
			continue;
		if (declared->required)
			diag_error(
			    diag, item_place(&component->item, "config"),
			    _("component '%s' must give the configuration value '%s' of type %s, which the recipe '%s' "
			      "requires"),
			    component->item.name, declared->item.name, config_type_name(declared->type),
			    component->recipe->name);
		else
			json_object_set(component->values, declared->item.name,
					declared->fallback ? declared->fallback : json_null());
	}
}

static void check_update(const struct service_component *component, struct diag *diag)
{
	const struct service_update *update = &component->update;

	if (component->recipe->n_volumes && yaml_get(update->item.node, "order") && update->order == UPDATE_START_FIRST)
		diag_warning(diag, item_place(&update->item, "order"),
			     _("component '%s' has volumes, which two nodes never use at once: stop-first is used"),
			     component->item.name);
	if (component->n_publish && !component->recipe->n_volumes && yaml_get(update->item.node, "order") &&
	    update->order == UPDATE_START_FIRST)
		diag_warning(
		    diag, item_place(&update->item, "order"),
		    _("component '%s' publishes a port, which one node of a host can have: its replacement can only "
		      "start first on another host"),
		    component->item.name);
	if (update->item.node && update->deadline < update->healthy_for)
		diag_error(
		    diag, item_place(&update->item, "deadline"),
		    _("no node can be healthy for so long before the deadline; raise deadline or lower healthy_for"));
	if (component->nodes > 1 && update->parallel >= component->nodes && update->order == UPDATE_STOP_FIRST)
		diag_warning(
		    diag, item_place(&update->item, "parallel"),
		    _("all nodes of component '%s' are replaced at once, after they stop: nothing answers meanwhile"),
		    component->item.name);
	if (!yaml_get(component->item.node, "checks") && !component->recipe->n_checks)
		diag_warning(diag, &component->item.key->place,
			     _("component '%s' has no checks: a node counts as healthy when its process runs"),
			     component->item.name);
}

/* What changes while a node runs must be said from the beginning, and not be over its bound. */
static void check_limits(const struct service_component *component, struct diag *diag)
{
	const struct {
		const char *key, *max_key;
		bool has, beyond;
	} limits[] = {
		{ "memory", "memory_max", component->memory > 0, component->memory > component->memory_max },
		{ "cpus", "cpus_max", component->cpus > 0, component->cpus > component->cpus_max },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const char *key = limits[i].key, *max_key = limits[i].max_key;

		if (!yaml_get(component->item.node, max_key))
			continue;
		if (!limits[i].has)
			diag_error(diag, item_place(&component->item, max_key),
				   _("%s is up to where %s may be changed; give %s as well"), max_key, key, key);
		else if (limits[i].beyond)
			diag_error(diag, item_place(&component->item, key), _("%s is over %s; raise %s or lower %s"),
				   key, max_key, max_key, key);
	}
}

static void check_component(const struct service *service, struct service_component *component, struct diag *diag)
{
	for (size_t i = 0; i < component->n_connect; i++) {
		check_target(service, &component->connect[i], diag);
		if (component->recipe)
			check_connection(service, component, &component->connect[i], diag);
	}
	for (size_t i = 0; i < component->n_publish; i++)
		check_publish(service, component, &component->publish[i], diag);
	for (size_t i = 0; i < component->n_volumes; i++)
		check_volume(service, component, &component->volumes[i], diag);
	check_limits(component, diag);
	if (!component->recipe)
		return;
	check_missing_links(component, diag);
	resolve_config(service, component, diag);
	for (size_t i = 0; i < component->n_checks; i++)
		recipe_check_port(component->recipe, &component->checks[i], diag);
	check_update(component, diag);
}

/* A depth-first walk over required links. */
struct walk {
	const struct service *service;
	struct diag *diag;
	enum visit { UNSEEN, ON_PATH, SEEN } visits[SERVICE_MOST_COMPONENTS];
	size_t path[SERVICE_MOST_COMPONENTS];
	size_t depth;
};

/* The component that must be healthy first, or NULL: links that are optional or wrong make nobody wait. */
static const struct service_component *required_component(const struct service *service,
							  const struct service_component *component,
							  const struct service_connect *connect)
{
	const struct recipe_link *link =
	    component->recipe ? recipe_find_link(component->recipe, connect->item.name) : NULL;
	const struct service_component *other;

	if (!link || link->optional || !connect->component)
		return NULL;
	other = service_find_component(service, connect->component);
	return other && other->recipe && recipe_find_interface(other->recipe, link->interface) ? other : NULL;
}

static void report_cycle(struct walk *walk, const struct service_connect *connect, size_t to)
{
	_cleanup_buf_ struct buf ring = { 0 };
	size_t i = 0;

	while (walk->path[i] != to)
		i++;
	for (; i < walk->depth; i++)
		buf_printf(&ring, "%s → ", walk->service->components[walk->path[i]].item.name);
	diag_error(
	    walk->diag, &connect->item.node->place,
	    _("these components wait for each other to start: %s%s; one of the links must be optional in its recipe"),
	    buf_text(&ring), walk->service->components[to].item.name);
}

static void visit(struct walk *walk, size_t at)
{
	const struct service_component *component = &walk->service->components[at];

	walk->visits[at] = ON_PATH;
	walk->path[walk->depth++] = at;
	for (size_t i = 0; i < component->n_connect; i++) {
		const struct service_component *other =
		    required_component(walk->service, component, &component->connect[i]);
		size_t to = other ? (size_t)(other - walk->service->components) : 0;

		if (other && walk->visits[to] == UNSEEN)
			visit(walk, to);
		else if (other && walk->visits[to] == ON_PATH)
			report_cycle(walk, &component->connect[i], to);
	}
	walk->depth--;
	walk->visits[at] = SEEN;
}

/*
 * A consumer starts after its provider is healthy: components that require each other in a ring would never start. Each
 * ring is reported once, at the connection that closes it.
 */
static void check_cycles(const struct service *service, struct diag *diag)
{
	struct walk walk = { .service = service, .diag = diag };

	for (size_t i = 0; i < service->n_components; i++)
		if (walk.visits[i] == UNSEEN)
			visit(&walk, i);
}

/* Says nothing when a recipe could not be read: its component may be the one that uses the secret. */
static void check_unused_secrets(const struct service *service, struct diag *diag)
{
	for (size_t i = 0; i < service->n_components; i++)
		if (!service->components[i].recipe)
			return;
	for (size_t i = 0; i < service->n_secrets; i++)
		if (!service->secrets[i].used)
			diag_warning(diag, &service->secrets[i].item.key->place,
				     _("no configuration uses the secret '%s'"), service->secrets[i].item.name);
}

static void resolve(struct service *service, const struct strv *search, struct diag *diag)
{
	for (size_t i = 0; i < service->n_components; i++)
		load_recipe(service, &service->components[i], search, diag);
	for (size_t i = 0; i < service->n_components; i++)
		check_component(service, &service->components[i], diag);
	check_cycles(service, diag);
	check_unused_secrets(service, diag);
}

int service_resolve(struct service *service, const struct strv *search, service_bundle_fn bundle, void *data,
		    struct diag *diag, json_t **ret_spec)
{
	resolve(service, search, diag);
	if (diag->n_errors)
		return -EINVAL;
	return ret_spec ? service_make_spec(service, bundle, data, diag, ret_spec) : 0;
}
