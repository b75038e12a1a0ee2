/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/service-spec.h"

#include <string.h>

#include "base/i18n.h"
#include "model/canonical.h"

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *link_json(const struct service *service, const struct service_component *component,
			 const struct service_connect *connect, bool body)
{
	const struct recipe_link *link = recipe_find_link(component->recipe, connect->item.name);
	const struct service_component *other = service_find_component(service, connect->component);
	const struct recipe_port *port = recipe_find_interface(other->recipe, link->interface);
	json_t *json = json_pack("{s:s,s:s,s:s}", "component", other->item.name, "interface", link->interface, "port",
				 port->item.name);

	if (!body)
		json_object_set_new(json, "optional", json_boolean(link->optional));
	return json;
}

static json_t *links_json(const struct service *service, const struct service_component *component, bool body)
{
	json_t *json = json_object();

	for (size_t i = 0; i < component->n_connect; i++)
		json_object_set_new(json, component->connect[i].item.name,
				    link_json(service, component, &component->connect[i], body));
	return json;
}

static const struct service_volume *find_volume(const struct service_component *component, const char *name)
{
	for (size_t i = 0; i < component->n_volumes; i++)
		if (!strcmp(component->volumes[i].item.name, name))
			return &component->volumes[i];
	return NULL;
}

/* A size is there only when it was said: agents that do not know of sizes read the others. */
static json_t *volumes_json(const struct service_component *component)
{
	const struct recipe *recipe = component->recipe;
	json_t *json = json_object();

	for (size_t i = 0; i < recipe->n_volumes; i++) {
		const struct recipe_volume *volume = &recipe->volumes[i];
		const struct service_volume *said = find_volume(component, volume->item.name);
		json_t *one = json_pack("{s:s,s:s,s:s?}", "path", said && said->path ? said->path : "", "mount",
					volume->path, "owner", volume->owner);

		if (said && said->size)
			json_object_set_new(one, "size", json_integer((json_int_t)said->size));
		json_object_set_new(json, volume->item.name, one);
	}
	return json;
}

static int published(const struct service_component *component, const char *port)
{
	for (size_t i = 0; i < component->n_publish; i++)
		if (!strcmp(component->publish[i].item.name, port))
			return component->publish[i].port;
	return 0;
}

/* `order` keeps what the sorted keys of canonical JSON lose: which port is the first, the catalog's. */
static json_t *ports_json(const struct service_component *component)
{
	const struct recipe *recipe = component->recipe;
	json_t *json = json_object();

	for (size_t i = 0; i < recipe->n_ports; i++) {
		const struct recipe_port *port = &recipe->ports[i];

		json_object_set_new(json, port->item.name,
				    json_pack("{s:i,s:s,s:i,s:s,s:i}", "port", (int)port->port, "interface",
					      port->interface, "publish", published(component, port->item.name),
					      "protocol", port->protocol == PORT_UDP ? "udp" : "tcp", "order", (int)i));
	}
	return json;
}

/* A whole number stays one, so that what is sent is already canonical. */
static json_t *cpus_json(double cpus)
{
	return cpus == (double)(json_int_t)cpus ? json_integer((json_int_t)cpus) : json_real(cpus);
}

static json_t *body_json(const struct service *service, const struct service_component *component, const char *bundle)
{
	json_t *body = json_pack("{s:s,s:s,s:O,s:o,s:o,s:o,s:I,s:o}", "recipe", component->recipe_name, "bundle",
				 bundle, "config", component->values, "links", links_json(service, component, true),
				 "volumes", volumes_json(component), "ports", ports_json(component), "memory",
				 (json_int_t)component->memory, "cpus", cpus_json(component->cpus));

	if (component->memory_max)
		json_object_set_new(body, "memory_max", json_integer((json_int_t)component->memory_max));
	if (component->cpus_max > 0)
		json_object_set_new(body, "cpus_max", cpus_json(component->cpus_max));
	return body;
}

static const struct check *find_check(const struct check *checks, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(checks[i].id, id))
			return &checks[i];
	return NULL;
}

/* A check that has no port is of the first one that the recipe provides. */
static void add_check(json_t *list, const struct recipe *recipe, const struct check *check)
{
	json_t *json = check_to_json(check);

	if ((check->kind == CHECK_HTTP || check->kind == CHECK_TCP) && !check->port)
		json_object_set_new(json, "port", json_string(recipe->ports[0].item.name));
	json_array_append_new(list, json);
}

/* The recipe's, in their order, each replaced by the service's of the same id; then the service's others. */
static json_t *checks_json(const struct service_component *component)
{
	const struct recipe *recipe = component->recipe;
	json_t *list = json_array();

	for (size_t i = 0; i < recipe->n_checks; i++) {
		const struct check *own = find_check(component->checks, component->n_checks, recipe->checks[i].id);

		add_check(list, recipe, own ? own : &recipe->checks[i]);
	}
	for (size_t i = 0; i < component->n_checks; i++)
		if (!find_check(recipe->checks, recipe->n_checks, component->checks[i].id))
			add_check(list, recipe, &component->checks[i]);
	return list;
}

static json_t *update_json(const struct service_component *component)
{
	const struct service_update *update = &component->update;
	bool stop_first = update->order == UPDATE_STOP_FIRST || component->recipe->n_volumes;

	return json_pack("{s:s,s:i,s:I,s:I,s:s}", "order", stop_first ? "stop-first" : "start-first", "parallel",
			 update->parallel, "healthy_for", (json_int_t)update->healthy_for, "deadline",
			 (json_int_t)update->deadline, "on_failure",
			 update->on_failure == UPDATE_STOP ? "stop" : "rollback");
}

static json_t *place_json(const struct service_place *place)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < place->n_labels; i++)
		json_object_set_new(labels, place->labels[i].item.name, json_string(place->labels[i].value));
	return json_pack("{s:o,s:o,s:o}", "host", text_or_null(place->host), "labels", labels, "runtime",
			 text_or_null(place->runtime));
}

static json_t *component_json(const struct service *service, const struct service_component *component,
			      const char *bundle)
{
	return json_pack("{s:s,s:s,s:s,s:i,s:o,s:o,s:o,s:b,s:o,s:o}", "recipe", component->recipe_name, "version",
			 component->recipe->version, "bundle", bundle, "nodes", component->nodes, "links",
			 links_json(service, component, false), "update", update_json(component), "place",
			 place_json(&component->place), "exclusive", component->recipe->n_volumes > 0, "checks",
			 checks_json(component), "body", body_json(service, component, bundle));
}

static json_t *secrets_json(const struct service *service)
{
	json_t *json = json_object();

	for (size_t i = 0; i < service->n_secrets; i++) {
		const struct service_secret *secret = &service->secrets[i];

		json_object_set_new(json, secret->item.name,
				    secret->generate ? json_pack("{s:I}", "generate", (json_int_t)secret->generate)
						     : json_pack("{s:b}", "required", 1));
	}
	return json;
}

static int components_json(const struct service *service, service_bundle_fn bundle, void *data, struct diag *diag,
			   json_t *json)
{
	for (size_t i = 0; i < service->n_components; i++) {
		const struct service_component *component = &service->components[i];
		_cleanup_(freep) char *sha256 = NULL;
		_cleanup_err_ struct err err = ERR_INIT;
		int r = bundle ? bundle(data, component->recipe->directory, &sha256, &err) : 0;

		if (r < 0) {
			diag_error(diag, item_place(&component->item, "recipe"),
				   _("the recipe '%s' cannot be packed: %s"), component->recipe_name, err_text(&err));
			return r;
		}
		json_object_set_new(json, component->item.name,
				    component_json(service, component, sha256 ? sha256 : ""));
	}
	return 0;
}

int service_make_spec(const struct service *service, service_bundle_fn bundle, void *data, struct diag *diag,
		      json_t **ret)
{
	_cleanup_json_ json_t *components = json_object();
	_cleanup_json_ json_t *secrets = secrets_json(service);
	_cleanup_json_ json_t *digested = json_pack("{s:O,s:O}", "components", components, "secrets", secrets);
	_cleanup_(freep) char *digest = NULL;
	int r = components_json(service, bundle, data, diag, components);

	if (r < 0)
		return r;
	digest = json_fingerprint(digested);
	*ret = json_pack("{s:s,s:i,s:s,s:s,s:i,s:s,s:O,s:O}", "service", service->name, "revision", 0, "digest", digest,
			 "author", "", "time", 0, "document", service->document->text, "components", components,
			 "secrets", secrets);
	return 0;
}
