/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of recipe.yaml. */
#include "base/i18n.h"
#include "model/recipe.h"

#define OWNER_PATTERN "^[a-z0-9_][a-z0-9_-]{0,31}(:[a-z0-9_][a-z0-9_-]{0,31})?$"
#define OWNER_EXPECTED N_("a user, or user:group")
#define ENV_PATTERN "^[A-Za-z_][A-Za-z0-9_]{0,63}$"

static const char *const base_kinds[] = { "suite", "image", "archive", NULL };

static const struct key base_keys[] = {
	{ .name = "suite",
	  .type = KEY_STRING,
	  .pattern = "^[a-z][a-z0-9-]*$",
	  .expected = N_("the name of a Debian release, as bookworm"),
	  .description = N_("Debian release, built from the apt sources of the host."),
	  KEY_FIELD(struct recipe_base, suite) },
	{ .name = "image",
	  .type = KEY_STRING,
	  .pattern = "^[a-z0-9][a-zA-Z0-9._/:@-]{0,254}$",
	  .expected = N_("the name of a Docker image, as name:tag"),
	  .description = N_("A Docker image that the hosts have or can pull, taken as it is."),
	  KEY_FIELD(struct recipe_base, image) },
	{ .name = "archive",
	  .type = KEY_STRING,
	  .description =
	      N_("A root file system as tar, or what `docker save` wrote: a path inside the recipe, or an absolute "
		 "one on the host."),
	  KEY_FIELD(struct recipe_base, archive) },
};

static const struct schema base_schema = {
	.name = "base",
	.keys = base_keys,
	.n_keys = ARRAY_SIZE(base_keys),
	.size = sizeof(struct recipe_base),
	.one_of = base_kinds,
	.description = N_("What the node is built on: exactly one of the keys."),
};

static const struct key file_keys[] = {
	{ .name = "from",
	  .type = KEY_FILE,
	  .required = true,
	  .description = N_("File or directory of the recipe."),
	  KEY_FIELD(struct recipe_file, from) },
	{ .name = "to",
	  .type = KEY_PATH,
	  .required = true,
	  .description = N_("Where it goes in the node."),
	  KEY_FIELD(struct recipe_file, to) },
	{ .name = "owner",
	  .type = KEY_STRING,
	  .pattern = OWNER_PATTERN,
	  .expected = OWNER_EXPECTED,
	  .description = N_("Its user, or user:group, in the node; root if it is not given."),
	  KEY_FIELD(struct recipe_file, owner) },
	{ .name = "mode",
	  .type = KEY_MODE,
	  .description = N_("Its mode, in octal; as in the recipe if it is not given."),
	  KEY_FIELD(struct recipe_file, mode) },
};

static const struct schema file_schema = {
	.name = "file",
	.keys = file_keys,
	.n_keys = ARRAY_SIZE(file_keys),
	.size = sizeof(struct recipe_file),
	.description = N_("A file or directory put into the image."),
};

static const char *const on_change_words[] = { "reload", "restart", "none", NULL };

static const struct key template_keys[] = {
	{ .name = "from",
	  .type = KEY_FILE,
	  .required = true,
	  .description = N_("Mustache template of the recipe."),
	  KEY_FIELD(struct recipe_template, from) },
	{ .name = "to",
	  .type = KEY_PATH,
	  .required = true,
	  .description = N_("Where the rendered file goes in the node."),
	  KEY_FIELD(struct recipe_template, to) },
	{ .name = "owner",
	  .type = KEY_STRING,
	  .pattern = OWNER_PATTERN,
	  .expected = OWNER_EXPECTED,
	  .description = N_("Its user, or user:group, in the node; root if it is not given."),
	  KEY_FIELD(struct recipe_template, owner) },
	{ .name = "mode",
	  .type = KEY_MODE,
	  .fallback = "0644",
	  .description = N_("Its mode, in octal."),
	  KEY_FIELD(struct recipe_template, mode) },
	{ .name = "validate",
	  .type = KEY_ARGV,
	  .description =
	      N_("Program run in the node before the file takes its place; {} stands for the new file. What fails is "
		 "never put in place."),
	  KEY_FIELD(struct recipe_template, validate) },
	{ .name = "on_change",
	  .type = KEY_CHOICE,
	  .choices = on_change_words,
	  .description =
	      N_("What follows when the file changed. Without it: reload when the recipe has `reload`, else restart."),
	  KEY_FIELD(struct recipe_template, on_change) },
};

static const struct schema template_schema = {
	.name = "template",
	.keys = template_keys,
	.n_keys = ARRAY_SIZE(template_keys),
	.size = sizeof(struct recipe_template),
	.description = N_("A file rendered on the host from the node's configuration and links."),
};

static const char *const config_types[] = {
	"string", "integer", "boolean", "list", "size", "duration", "secret", NULL
};

static const struct key config_keys[] = {
	{ .name = "type",
	  .type = KEY_CHOICE,
	  .choices = config_types,
	  .required = true,
	  .description =
	      N_("Type of the value. Templates get sizes in bytes, durations in milliseconds, and for a secret the "
		 "path of its file."),
	  KEY_FIELD(struct recipe_config, type) },
	{ .name = "required",
	  .type = KEY_BOOLEAN,
	  .fallback = "false",
	  .description = N_("Whether the service must give it."),
	  KEY_FIELD(struct recipe_config, required) },
	{ .name = "default",
	  .type = KEY_VALUE,
	  .description = N_("Value when the service gives none."),
	  KEY_FIELD(struct recipe_config, default_node) },
	{ .name = "enum",
	  .type = KEY_STRINGS,
	  .description = N_("The texts that are allowed; for a list, its elements."),
	  KEY_FIELD(struct recipe_config, choices) },
	{ .name = "min",
	  .type = KEY_VALUE,
	  .description = N_("Least value; for a string its least length, for a list its least number of elements."),
	  KEY_FIELD(struct recipe_config, min_node) },
	{ .name = "max",
	  .type = KEY_VALUE,
	  .description = N_("Greatest value; for a string its length, for a list its number of elements."),
	  KEY_FIELD(struct recipe_config, max_node) },
	{ .name = "pattern",
	  .type = KEY_STRING,
	  .description =
	      N_("POSIX extended regular expression that the text, or each element of the list, must match."),
	  KEY_FIELD(struct recipe_config, pattern) },
	{ .name = "owner",
	  .type = KEY_STRING,
	  .pattern = "^[a-z0-9_][a-z0-9_-]{0,31}$",
	  .expected = N_("the name of a user"),
	  .description = N_("Secret: the user in the node who may read its file; root if it is not given."),
	  KEY_FIELD(struct recipe_config, owner) },
	{ .name = "description",
	  .type = KEY_TEXT,
	  .description = N_("What it is for."),
	  KEY_FIELD(struct recipe_config, description) },
};

static const struct schema config_schema = {
	.name = "config",
	.keys = config_keys,
	.n_keys = ARRAY_SIZE(config_keys),
	.size = sizeof(struct recipe_config),
	.key_pattern = "^[a-z][a-z0-9_-]{0,47}$",
	.key_expected = N_("the name of a configuration value: lower case letters, digits, _ and -"),
	.key_label = "<value>",
	.description = N_("A configuration value that a service can set."),
};

static const struct key link_keys[] = {
	{ .name = "interface",
	  .type = KEY_NAME,
	  .required = true,
	  .description = N_("Interface that a port of the other component must have."),
	  KEY_FIELD(struct recipe_link, interface) },
	{ .name = "optional",
	  .type = KEY_BOOLEAN,
	  .fallback = "false",
	  .description = N_("Whether the node works without it."),
	  KEY_FIELD(struct recipe_link, optional) },
	{ .name = "description",
	  .type = KEY_TEXT,
	  .description = N_("What it is for."),
	  KEY_FIELD(struct recipe_link, description) },
};

static const struct schema link_schema = {
	.name = "link",
	.keys = link_keys,
	.n_keys = ARRAY_SIZE(link_keys),
	.size = sizeof(struct recipe_link),
	.key_label = "<link>",
	.description = N_("A use of another component's port."),
};

static const char *const protocols[] = { "tcp", "udp", NULL };

static const struct key port_keys[] = {
	{ .name = "port",
	  .type = KEY_INTEGER,
	  .required = true,
	  .min = 1,
	  .max = 65535,
	  .description = N_("Number of the port inside the node."),
	  KEY_FIELD(struct recipe_port, port) },
	{ .name = "interface",
	  .type = KEY_NAME,
	  .description = N_("What is spoken there; the port's name if it is not given."),
	  KEY_FIELD(struct recipe_port, interface) },
	{ .name = "protocol",
	  .type = KEY_CHOICE,
	  .choices = protocols,
	  .fallback = "tcp",
	  .description = N_("Transport protocol."),
	  KEY_FIELD(struct recipe_port, protocol) },
	{ .name = "description",
	  .type = KEY_TEXT,
	  .description = N_("What it is for."),
	  KEY_FIELD(struct recipe_port, description) },
};

static const struct schema port_schema = {
	.name = "port",
	.keys = port_keys,
	.n_keys = ARRAY_SIZE(port_keys),
	.size = sizeof(struct recipe_port),
	.key_label = "<port>",
	.description = N_("A port where the node serves."),
};

static const struct key volume_keys[] = {
	{ .name = "path",
	  .type = KEY_PATH,
	  .required = true,
	  .description = N_("Directory in the node whose content lives outside it."),
	  KEY_FIELD(struct recipe_volume, path) },
	{ .name = "owner",
	  .type = KEY_STRING,
	  .pattern = OWNER_PATTERN,
	  .expected = OWNER_EXPECTED,
	  .description = N_("Its user, or user:group, in the node; root if it is not given."),
	  KEY_FIELD(struct recipe_volume, owner) },
	{ .name = "description",
	  .type = KEY_TEXT,
	  .description = N_("What it holds."),
	  KEY_FIELD(struct recipe_volume, description) },
};

static const struct schema volume_schema = {
	.name = "volume",
	.keys = volume_keys,
	.n_keys = ARRAY_SIZE(volume_keys),
	.size = sizeof(struct recipe_volume),
	.key_label = "<volume>",
	.description = N_("Data that lives outside the node and outlives it."),
};

static const struct key env_keys[] = {
	{ .name = "value",
	  .type = KEY_STRING,
	  .description = N_("Value of the variable."),
	  KEY_FIELD(struct pair, value) },
};

static const struct schema env_schema = {
	.name = "env",
	.keys = env_keys,
	.n_keys = ARRAY_SIZE(env_keys),
	.size = sizeof(struct pair),
	.scalar = true,
	.key_pattern = ENV_PATTERN,
	.key_expected = N_("the name of an environment variable: letters, digits and _"),
	.key_label = "<NAME>",
	.description = N_("An environment variable."),
};

static const char *const signals[] = { "TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL", NULL };

static const struct key stop_keys[] = {
	{ .name = "signal",
	  .type = KEY_WORD,
	  .choices = signals,
	  .fallback = "TERM",
	  .description = N_("Signal that asks the main process to end."),
	  KEY_FIELD(struct recipe_stop, signal) },
	{ .name = "timeout",
	  .type = KEY_DURATION,
	  .fallback = "10s",
	  .min = 100,
	  .max = 3600000,
	  .description = N_("Time after which it is killed."),
	  KEY_FIELD(struct recipe_stop, timeout) },
};

static const struct schema stop_schema = {
	.name = "stop",
	.keys = stop_keys,
	.n_keys = ARRAY_SIZE(stop_keys),
	.size = sizeof(struct recipe_stop),
	.description = N_("How a node is stopped."),
};

static const struct key haproxy_keys[] = {
	{ .name = "socket",
	  .type = KEY_PATH,
	  .required = true,
	  .description = N_(
	      "HAProxy's admin socket in the node. The agent keeps the servers of the backends, which have the names "
	      "of the links, through it."),
	  KEY_FIELD(struct recipe_haproxy, socket) },
};

static const struct schema haproxy_schema = {
	.name = "haproxy",
	.keys = haproxy_keys,
	.n_keys = ARRAY_SIZE(haproxy_keys),
	.size = sizeof(struct recipe_haproxy),
	.description = N_("Says that the node is an HAProxy."),
};

static const struct key keys[] = {
	{ .name = "recipe",
	  .type = KEY_NAME,
	  .required = true,
	  .description = N_("Name of the recipe, which is also its directory's."),
	  KEY_FIELD(struct recipe, name) },
	{ .name = "version",
	  .type = KEY_STRING,
	  .fallback = "0",
	  .pattern = "^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$",
	  .expected = N_("a version, such as \"1.0\""),
	  .description = N_("Version of the recipe, in quotes."),
	  KEY_FIELD(struct recipe, version) },
	{ .name = "summary",
	  .type = KEY_TEXT,
	  .description = N_("What a node of it is, in one line."),
	  KEY_FIELD(struct recipe, summary) },
	{ .name = "base",
	  .type = KEY_OBJECT,
	  .required = true,
	  .object = &base_schema,
	  .description = N_("What the node is built on."),
	  KEY_FIELD(struct recipe, base) },
	{ .name = "packages",
	  .type = KEY_STRINGS,
	  .pattern = "^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[0-9A-Za-z.+:~-]+)?$",
	  .expected = N_("the name of a Debian package"),
	  .description = N_("Debian packages to install, without recommended ones."),
	  KEY_FIELD(struct recipe, packages) },
	{ .name = "files",
	  .type = KEY_LIST,
	  .object = &file_schema,
	  .description = N_("Files and directories of the recipe that go into the image."),
	  KEY_FIELDS(struct recipe, files, n_files) },
	{ .name = "build",
	  .type = KEY_ARGVS,
	  .description = N_("Programs run once in the image, in this order, after packages and files are in place."),
	  KEY_FIELDS(struct recipe, build, n_build) },
	{ .name = "env",
	  .type = KEY_MAP,
	  .object = &env_schema,
	  .description = N_("Environment of the node's programs. Never a place for secrets."),
	  KEY_FIELDS(struct recipe, env, n_env) },
	{ .name = "config",
	  .type = KEY_MAP,
	  .object = &config_schema,
	  .description = N_("Configuration values that a service can set."),
	  KEY_FIELDS(struct recipe, config, n_config) },
	{ .name = "requires",
	  .type = KEY_MAP,
	  .object = &link_schema,
	  .max = RECIPE_MOST_NAMED,
	  .description = N_("Links: what the node uses of other components."),
	  KEY_FIELDS(struct recipe, links, n_links) },
	{ .name = "provides",
	  .type = KEY_MAP,
	  .object = &port_schema,
	  .max = RECIPE_MOST_NAMED,
	  .description = N_("Ports where the node serves. The first one is the node's in Consul's catalog."),
	  KEY_FIELDS(struct recipe, ports, n_ports) },
	{ .name = "volumes",
	  .type = KEY_MAP,
	  .object = &volume_schema,
	  .max = RECIPE_MOST_NAMED,
	  .description = N_("Directories whose content lives outside the node."),
	  KEY_FIELDS(struct recipe, volumes, n_volumes) },
	{ .name = "templates",
	  .type = KEY_LIST,
	  .object = &template_schema,
	  .description = N_("Files rendered from configuration and links."),
	  KEY_FIELDS(struct recipe, templates, n_templates) },
	{ .name = "init",
	  .type = KEY_ARGV,
	  .description = N_("Program run once in the node before its first start with empty volumes."),
	  KEY_FIELD(struct recipe, init) },
	{ .name = "start",
	  .type = KEY_ARGV,
	  .required = true,
	  .description = N_("The node's main process, in the foreground."),
	  KEY_FIELD(struct recipe, start) },
	{ .name = "reload",
	  .type = KEY_ARGV,
	  .description = N_("Program run in the node that makes it read its files again."),
	  KEY_FIELD(struct recipe, reload) },
	{ .name = "stop",
	  .type = KEY_OBJECT,
	  .object = &stop_schema,
	  .description = N_("How the node is stopped."),
	  KEY_FIELD(struct recipe, stop) },
	{ .name = "haproxy",
	  .type = KEY_OBJECT,
	  .object = &haproxy_schema,
	  .description = N_("For a recipe that is an HAProxy."),
	  KEY_FIELD(struct recipe, haproxy) },
	{ .name = "checks",
	  .type = KEY_LIST,
	  .object = &check_schema,
	  .max = CHECKS_MOST,
	  .description = N_("Health checks of each node."),
	  KEY_FIELDS(struct recipe, checks, n_checks) },
	{ .name = "backup",
	  .type = KEY_ARGV,
	  .description = N_("Program run in the node whose standard output is the backup."),
	  KEY_FIELD(struct recipe, backup) },
	{ .name = "restore",
	  .type = KEY_ARGV,
	  .description = N_("Program run in the node that reads a backup from its standard input."),
	  KEY_FIELD(struct recipe, restore) },
};

const struct schema recipe_schema = {
	.name = "recipe",
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct recipe),
	.description = N_("How a node is made: the recipe.yaml of a recipe's directory."),
};
