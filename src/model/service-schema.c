/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of service.yaml. */
#include "base/i18n.h"
#include "model/service.h"

static const char *const orders[] = { "start-first", "stop-first", NULL };
static const char *const failures[] = { "rollback", "stop", NULL };

static const struct key update_keys[] = {
	{ .name = "order",
	  .type = KEY_CHOICE,
	  .choices = orders,
	  .fallback = "start-first",
	  .description =
	      N_("Whether a node's replacement starts before or after the node stops. Nodes with volumes always stop "
		 "first."),
	  KEY_FIELD(struct service_update, order) },
	{ .name = "parallel",
	  .type = KEY_INTEGER,
	  .fallback = "1",
	  .min = 1,
	  .max = 100,
	  .description = N_("Nodes replaced at once."),
	  KEY_FIELD(struct service_update, parallel) },
	{ .name = "healthy_for",
	  .type = KEY_DURATION,
	  .fallback = "3s",
	  .min = 0,
	  .max = 3600000,
	  .description = N_("Time that a new node must pass its checks before it counts as healthy."),
	  KEY_FIELD(struct service_update, healthy_for) },
	{ .name = "deadline",
	  .type = KEY_DURATION,
	  .fallback = "2m",
	  .min = 1000,
	  .max = 86400000,
	  .description = N_("Time that a new node has to become healthy; after it the update has failed."),
	  KEY_FIELD(struct service_update, deadline) },
	{ .name = "on_failure",
	  .type = KEY_CHOICE,
	  .choices = failures,
	  .fallback = "rollback",
	  .description =
	      N_("rollback: the whole service goes back to its last good revision; stop: it is left as it is."),
	  KEY_FIELD(struct service_update, on_failure) },
};

static const struct schema update_schema = {
	.name = "update",
	.keys = update_keys,
	.n_keys = ARRAY_SIZE(update_keys),
	.size = sizeof(struct service_update),
	.description = N_("How nodes are replaced."),
};

static const struct key label_keys[] = {
	{ .name = "value",
	  .type = KEY_STRING,
	  .description = N_("Value that the host's label must have."),
	  KEY_FIELD(struct pair, value) },
};

static const struct schema label_schema = {
	.name = "label",
	.keys = label_keys,
	.n_keys = ARRAY_SIZE(label_keys),
	.size = sizeof(struct pair),
	.scalar = true,
	.key_label = "<label>",
	.description = N_("A label of a host."),
};

static const struct key place_keys[] = {
	{ .name = "host",
	  .type = KEY_NAME,
	  .description = N_("Only on this host."),
	  KEY_FIELD(struct service_place, host) },
	{ .name = "label",
	  .type = KEY_MAP,
	  .object = &label_schema,
	  .description = N_("Only on hosts that have all these labels."),
	  KEY_FIELDS(struct service_place, labels, n_labels) },
	{ .name = "runtime",
	  .type = KEY_NAME,
	  .description = N_("Only on hosts with this runtime, as docker or xen."),
	  KEY_FIELD(struct service_place, runtime) },
};

static const struct schema place_schema = {
	.name = "place",
	.keys = place_keys,
	.n_keys = ARRAY_SIZE(place_keys),
	.size = sizeof(struct service_place),
	.description = N_("Where nodes may run."),
};

static const struct key volume_keys[] = {
	{ .name = "path",
	  .type = KEY_PATH,
	  .description =
	      N_("Directory on the host, or a block device for a machine. Volumes without it get a directory "
		 "from the agent, for each node its own."),
	  KEY_FIELD(struct service_volume, path) },
	{ .name = "size",
	  .type = KEY_SIZE,
	  .min = 16 << 20,
	  .max = INT64_C(1) << 50,
	  .description =
	      N_("Size of the disk that is made in the directory for a machine, 10G if it is not given. A disk that "
		 "is there keeps its size; containers use the directory as it is."),
	  KEY_FIELD(struct service_volume, size) },
};

static const struct schema volume_schema = {
	.name = "volume",
	.keys = volume_keys,
	.n_keys = ARRAY_SIZE(volume_keys),
	.size = sizeof(struct service_volume),
	.key_label = "<volume>",
	.description = N_("Where a volume of the recipe is on the host."),
};

static const struct key connect_keys[] = {
	{ .name = "component",
	  .type = KEY_NAME,
	  .description = N_("Component that the link goes to."),
	  KEY_FIELD(struct service_connect, component) },
};

static const struct schema connect_schema = {
	.name = "connect",
	.keys = connect_keys,
	.n_keys = ARRAY_SIZE(connect_keys),
	.size = sizeof(struct service_connect),
	.scalar = true,
	.key_label = "<link>",
	.description = N_("A connection to another component."),
};

static const struct key publish_keys[] = {
	{ .name = "port",
	  .type = KEY_INTEGER,
	  .min = 1,
	  .max = 65535,
	  .description = N_("Port on the host."),
	  KEY_FIELD(struct service_publish, port) },
};

static const struct schema publish_schema = {
	.name = "publish",
	.keys = publish_keys,
	.n_keys = ARRAY_SIZE(publish_keys),
	.size = sizeof(struct service_publish),
	.scalar = true,
	.key_label = "<port>",
	.description = N_("A port open to the outside."),
};

static const struct key component_keys[] = {
	{ .name = "recipe",
	  .type = KEY_NAME,
	  .required = true,
	  .description = N_("Recipe that its nodes are made from."),
	  KEY_FIELD(struct service_component, recipe_name) },
	{ .name = "nodes",
	  .type = KEY_INTEGER,
	  .fallback = "1",
	  .min = 1,
	  .max = 100,
	  .description = N_("How many nodes."),
	  KEY_FIELD(struct service_component, nodes) },
	{ .name = "config",
	  .type = KEY_VALUES,
	  .description = N_("Values for the recipe's configuration; a secret is written {secret: name}."),
	  KEY_FIELD(struct service_component, config) },
	{ .name = "volumes",
	  .type = KEY_MAP,
	  .object = &volume_schema,
	  .max = RECIPE_MOST_NAMED,
	  .description = N_("Where the recipe's volumes are on the host."),
	  KEY_FIELDS(struct service_component, volumes, n_volumes) },
	{ .name = "connect",
	  .type = KEY_MAP,
	  .object = &connect_schema,
	  .description = N_("For each of the recipe's links, the component that it goes to."),
	  KEY_FIELDS(struct service_component, connect, n_connect) },
	{ .name = "publish",
	  .type = KEY_MAP,
	  .object = &publish_schema,
	  .description = N_("For each of the recipe's ports that is open to the outside, the host's port."),
	  KEY_FIELDS(struct service_component, publish, n_publish) },
	{ .name = "checks",
	  .type = KEY_LIST,
	  .object = &check_schema,
	  .max = CHECKS_MOST,
	  .description = N_(
	      "Health checks, with those of the recipe. One with the id of a recipe's check takes its place; without "
	      "an id the first http check is http-1, in both documents."),
	  KEY_FIELDS(struct service_component, checks, n_checks) },
	{ .name = "update",
	  .type = KEY_OBJECT,
	  .object = &update_schema,
	  .description = N_("How nodes are replaced."),
	  KEY_FIELD(struct service_component, update) },
	{ .name = "place",
	  .type = KEY_OBJECT,
	  .object = &place_schema,
	  .description = N_("Where nodes may run."),
	  KEY_FIELD(struct service_component, place) },
	{ .name = "memory",
	  .type = KEY_SIZE,
	  .min = 4 << 20,
	  .max = INT64_MAX,
	  .description =
	      N_("Memory that a node may use. If it is not given, a container has no limit and a machine gets 512M."),
	  KEY_FIELD(struct service_component, memory) },
	{ .name = "cpus",
	  .type = KEY_NUMBER,
	  .min = 0,
	  .max = 1024,
	  .description = N_(
	      "Processors that a node may use, as 0.5 or 2. If it is not given, a container has no limit and a machine "
	      "gets one; a machine's are whole ones, rounded up."),
	  KEY_FIELD(struct service_component, cpus) },
	{ .name = "memory_max",
	  .type = KEY_SIZE,
	  .min = 4 << 20,
	  .max = INT64_MAX,
	  .description = N_("Up to here another 'memory' is given to the nodes that run. If it is not given, another "
			    "'memory' means other nodes. It is set aside nowhere."),
	  KEY_FIELD(struct service_component, memory_max) },
	{ .name = "cpus_max",
	  .type = KEY_NUMBER,
	  .min = 0,
	  .max = 1024,
	  .description = N_("Up to here another 'cpus' is given to the nodes that run. If it is not given, another "
			    "'cpus' means other nodes."),
	  KEY_FIELD(struct service_component, cpus_max) },
};

static const struct schema component_schema = {
	.name = "component",
	.keys = component_keys,
	.n_keys = ARRAY_SIZE(component_keys),
	.size = sizeof(struct service_component),
	.key_label = "<component>",
	.description = N_("A group of equal nodes made from one recipe."),
};

static const char *const secret_kinds[] = { "generate", "required", NULL };

static const struct key secret_keys[] = {
	{ .name = "generate",
	  .type = KEY_INTEGER,
	  .min = 8,
	  .max = 1024,
	  .description = N_("Make it up once, with so many characters."),
	  KEY_FIELD(struct service_secret, generate) },
	{ .name = "required",
	  .type = KEY_BOOLEAN,
	  .description = N_("true: the operator gives it."),
	  KEY_FIELD(struct service_secret, required) },
};

static const struct schema secret_schema = {
	.name = "secret",
	.keys = secret_keys,
	.n_keys = ARRAY_SIZE(secret_keys),
	.size = sizeof(struct service_secret),
	.one_of = secret_kinds,
	.key_label = "<secret>",
	.description = N_("A secret, kept in Consul for the agents only."),
};

static const struct key keys[] = {
	{ .name = "service",
	  .type = KEY_NAME,
	  .required = true,
	  .description = N_("Name of the service."),
	  KEY_FIELD(struct service, name) },
	{ .name = "summary",
	  .type = KEY_TEXT,
	  .description = N_("What it is, in one line."),
	  KEY_FIELD(struct service, summary) },
	{ .name = "components",
	  .type = KEY_MAP,
	  .required = true,
	  .object = &component_schema,
	  .max = SERVICE_MOST_COMPONENTS,
	  .description = N_("What the service is made of."),
	  KEY_FIELDS(struct service, components, n_components) },
	{ .name = "secrets",
	  .type = KEY_MAP,
	  .object = &secret_schema,
	  .description = N_("Secrets that configurations refer to."),
	  KEY_FIELDS(struct service, secrets, n_secrets) },
};

const struct schema service_schema = {
	.name = "service",
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct service),
	.description = N_("A service: components coupled to give one functionality."),
};
