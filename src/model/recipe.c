/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/recipe.h"

#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/config.h"
#include "model/recipe-files.h"

static const char *const config_types[] = { "string", "integer", "boolean", "list", "size", "duration", "secret" };

const char *config_type_name(enum config_type type)
{
	return config_types[type];
}

static void check_base(const struct recipe *recipe, struct diag *diag)
{
	const char *const only_suite[] = { "packages", "build" };
	const struct yaml_node *node = recipe->item.node;

	if (!recipe->base.image && !recipe->base.archive)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(only_suite); i++)
		if (yaml_get(node, only_suite[i]))
			diag_error(diag, yaml_place(node, only_suite[i]),
				   _("'%s' needs `base: {suite: …}`: an image or an archive is taken as it is"),
				   only_suite[i]);
}

static void check_volumes(const struct recipe *recipe, struct diag *diag)
{
	for (size_t i = 0; i < recipe->n_volumes; i++)
		for (size_t j = 0; j < i; j++) {
			const struct recipe_volume *a = &recipe->volumes[i], *b = &recipe->volumes[j];

			if (!a->path || !b->path || strcmp(a->path, b->path) != 0)
				continue;
			diag_error(diag, item_place(&a->item, "path"), _("volume '%s' has this path already"),
				   b->item.name);
			break;
		}
}

static void finish_ports(struct recipe *recipe, struct diag *diag)
{
	for (size_t i = 0; i < recipe->n_ports; i++) {
		struct recipe_port *port = &recipe->ports[i];

		if (!port->interface)
			port->interface = xstrdup(port->item.name);
		for (size_t j = 0; j < i; j++)
			if (port->port && port->port == recipe->ports[j].port &&
			    port->protocol == recipe->ports[j].protocol)
				diag_error(diag, item_place(&port->item, "port"),
					   _("port '%s' has this number already"), recipe->ports[j].item.name);
	}
}

static bool names_file(const struct strv *argv)
{
	for (size_t i = 0; i < argv->n; i++)
		if (strstr(argv->v[i], "{}"))
			return true;
	return false;
}

static void finish_templates(struct recipe *recipe, struct diag *diag)
{
	for (size_t i = 0; i < recipe->n_templates; i++) {
		struct recipe_template *template = &recipe->templates[i];
		const struct yaml_node *written = yaml_get(template->item.node, "on_change");

		if (!written)
			template->on_change = recipe->reload.n ? ON_CHANGE_RELOAD : ON_CHANGE_RESTART;
		else if (written->text && !strcmp(written->text, "reload") && !recipe->reload.n)
			diag_error(
			    diag, item_place(&template->item, "on_change"),
			    _("the recipe has no `reload`, so nothing can be reloaded; add it, or write restart"));
		if (template->validate.n && !names_file(&template->validate))
			diag_warning(
			    diag, item_place(&template->item, "validate"),
			    _("the program is not told which file to look at; write \"{}\" where its path goes"));
		for (size_t j = 0; j < i; j++)
			if (template->to && recipe->templates[j].to && !strcmp(template->to, recipe->templates[j].to))
				diag_error(diag, item_place(&template->item, "to"), _("two templates go to %s"),
					   template->to);
	}
}

void recipe_require_port(const struct recipe *recipe, const char *name, const struct place *place, struct diag *diag)
{
	const char *names[DIAG_MOST];
	size_t n = 0;

	if (recipe_find_port(recipe, name))
		return;
	for (; n < recipe->n_ports && n < DIAG_MOST; n++)
		names[n] = recipe->ports[n].item.name;
	diag_unknown(diag, place, name, names, n, _("the recipe '%s' provides no port '%s'"),
		     recipe->name ? recipe->name : "", name);
}

void recipe_check_port(const struct recipe *recipe, const struct check *check, struct diag *diag)
{
	const struct place *place = item_place(&check->item, check->kind == CHECK_TCP ? "tcp" : "port");
	const struct recipe_port *port;

	if (check->kind != CHECK_HTTP && check->kind != CHECK_TCP)
		return;
	if (!recipe->n_ports) {
		diag_error(diag, place, _("the recipe '%s' provides no port that could be checked"),
			   recipe->name ? recipe->name : "");
		return;
	}
	if (check->port)
		recipe_require_port(recipe, check->port, place, diag);
	port = check->port ? recipe_find_port(recipe, check->port) : &recipe->ports[0];
	if (port && port->protocol == PORT_UDP)
		diag_error(diag, place, _("port '%s' speaks udp, and a check of kind %s needs tcp"), port->item.name,
			   check_kind_name(check->kind));
}

static void check_pairs(const struct recipe *recipe, struct diag *diag)
{
	const struct yaml_node *node = recipe->item.node;

	if (recipe->backup.n && !recipe->restore.n)
		diag_warning(diag, yaml_place(node, "backup"),
			     _("there is a backup and no `restore` that could read it"));
	if (recipe->restore.n && !recipe->backup.n)
		diag_warning(diag, yaml_place(node, "restore"), _("there is a restore and no `backup` that makes one"));
	if (recipe->haproxy.item.node && !recipe->n_links)
		diag_warning(diag, yaml_place(node, "haproxy"),
			     _("an HAProxy without links (`requires`) has no backends for the agent to keep"));
}

/* What the table cannot say. */
static void check_recipe(struct recipe *recipe, struct diag *diag)
{
	check_base(recipe, diag);
	check_volumes(recipe, diag);
	finish_ports(recipe, diag);
	finish_templates(recipe, diag);
	for (size_t i = 0; i < recipe->n_config; i++)
		config_declare(&recipe->config[i], diag);
	checks_finish(recipe->checks, recipe->n_checks, diag);
	for (size_t i = 0; i < recipe->n_checks; i++)
		recipe_check_port(recipe, &recipe->checks[i], diag);
	check_pairs(recipe, diag);
}

/* Reads what can be read of a document, and takes it. */
static struct recipe *read_recipe(struct yaml_document *document, struct diag *diag)
{
	struct recipe *recipe = xcalloc(1, sizeof(*recipe));

	recipe->document = document;
	schema_read(&recipe_schema, document->root, diag, recipe);
	if (document->root->kind == YAML_MAPPING)
		check_recipe(recipe, diag);
	return recipe;
}

int recipe_parse(const char *file, const char *text, size_t len, struct diag *diag, struct recipe **ret)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	size_t errors = diag->n_errors;
	struct yaml_document *document;
	int r = yaml_parse(file, text, len, diag, &document);

	if (r < 0)
		return r;
	recipe = read_recipe(document, diag);
	if (diag->n_errors > errors)
		return -EINVAL;
	*ret = TAKE_PTR(recipe);
	return 0;
}

int recipe_load(const char *dir, struct diag *diag, struct recipe **ret)
{
	_cleanup_(recipe_freep) struct recipe *recipe = NULL;
	_cleanup_(freep) char *file = fs_join(dir, "recipe.yaml");
	size_t errors = diag->n_errors;
	struct yaml_document *document;
	int r = yaml_load(file, diag, &document);

	if (r < 0)
		return r;
	recipe = read_recipe(document, diag);
	recipe->directory = xstrdup(dir);
	recipe_check_files(recipe, diag);
	if (diag->n_errors > errors)
		return -EINVAL;
	*ret = TAKE_PTR(recipe);
	return 0;
}

void recipe_free(struct recipe *recipe)
{
	struct yaml_document *document;
	char *directory;

	if (!recipe)
		return;
	for (size_t i = 0; i < recipe->n_config; i++)
		json_decref(recipe->config[i].fallback);
	document = recipe->document;
	directory = recipe->directory;
	schema_release(&recipe_schema, recipe);
	yaml_tree_free(document);
	free(directory);
	free(recipe);
}

void recipe_freep(struct recipe **recipe)
{
	recipe_free(*recipe);
}

/* Arrays of structs that begin with a model_item. */
static const void *find(const void *elements, size_t n, size_t size, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		const struct model_item *item = (const void *)((const char *)elements + i * size);

		if (!strcmp(item->name, name))
			return item;
	}
	return NULL;
}

const struct recipe_config *recipe_find_config(const struct recipe *recipe, const char *name)
{
	return find(recipe->config, recipe->n_config, sizeof(*recipe->config), name);
}

const struct recipe_link *recipe_find_link(const struct recipe *recipe, const char *name)
{
	return find(recipe->links, recipe->n_links, sizeof(*recipe->links), name);
}

const struct recipe_port *recipe_find_port(const struct recipe *recipe, const char *name)
{
	return find(recipe->ports, recipe->n_ports, sizeof(*recipe->ports), name);
}

const struct recipe_volume *recipe_find_volume(const struct recipe *recipe, const char *name)
{
	return find(recipe->volumes, recipe->n_volumes, sizeof(*recipe->volumes), name);
}

const struct recipe_port *recipe_find_interface(const struct recipe *recipe, const char *interface)
{
	for (size_t i = 0; i < recipe->n_ports; i++)
		if (!strcmp(recipe->ports[i].interface, interface))
			return &recipe->ports[i];
	return NULL;
}

const char *localized(const json_t *text, const char *language)
{
	char code[3] = { 0 };
	const json_t *value;
	void *first;

	if (!text)
		return "";
	memcpy(code, language, strnlen(language, 2));
	value = json_object_get(text, code);
	if (!value)
		value = json_object_get(text, "en");
	first = json_object_iter((json_t *)text);
	if (!value && first)
		value = json_object_iter_value(first);
	return value ? json_string_value(value) : "";
}
