/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/service.h"

#include <errno.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"

static void check_component(struct service_component *component, struct diag *diag)
{
	for (size_t i = 0; i < component->n_volumes; i++)
		if (component->volumes[i].path && component->nodes > 1)
			diag_error(diag, item_place(&component->volumes[i].item, "path"),
				   _("component '%s' has %d nodes, which cannot share one directory of the host; leave "
				     "out the "
				     "path, so that each node gets its own"),
				   component->item.name, component->nodes);
	if (component->item.node->kind == YAML_MAPPING)
		checks_finish(component->checks, component->n_checks, diag);
}

static void check_secrets(const struct service *service, struct diag *diag)
{
	for (size_t i = 0; i < service->n_secrets; i++) {
		const struct service_secret *secret = &service->secrets[i];

		if (!secret->required && yaml_get(secret->item.node, "required"))
			diag_error(diag, item_place(&secret->item, "required"),
				   _("a secret that nobody needs to give has no value; write required: true, or "
				     "generate: 32"));
	}
}

/* Takes the document. */
static struct service *read_service(struct yaml_document *document, const char *file, struct diag *diag)
{
	struct service *service = xcalloc(1, sizeof(*service));
	const struct yaml_node *components;

	schema_read(&service_schema, document->root, diag, service);
	service->document = document;
	service->file = xstrdup(file);
	for (size_t i = 0; i < service->n_components; i++)
		check_component(&service->components[i], diag);
	check_secrets(service, diag);
	components = yaml_get(document->root, "components");
	if (components && components->kind == YAML_MAPPING && !components->n)
		diag_error(diag, &components->place, _("a service needs at least one component"));
	return service;
}

int service_parse(const char *file, const char *text, size_t len, struct diag *diag, struct service **ret)
{
	struct yaml_document *document;
	int r = yaml_parse(file, text, len, diag, &document);

	if (r < 0)
		return r;
	*ret = read_service(document, file, diag);
	return 0;
}

int service_load(const char *file, struct diag *diag, struct service **ret)
{
	struct yaml_document *document;
	int r = yaml_load(file, diag, &document);

	if (r < 0)
		return r;
	*ret = read_service(document, file, diag);
	return 0;
}

void service_free(struct service *service)
{
	struct yaml_document *document;
	char *file;

	if (!service)
		return;
	for (size_t i = 0; i < service->n_components; i++) {
		recipe_free(service->components[i].recipe);
		json_decref(service->components[i].values);
	}
	document = service->document;
	file = service->file;
	schema_release(&service_schema, service);
	yaml_tree_free(document);
	free(file);
	free(service);
}

void service_freep(struct service **service)
{
	service_free(*service);
}

struct service_component *service_find_component(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->n_components; i++)
		if (!strcmp(service->components[i].item.name, name))
			return &service->components[i];
	return NULL;
}

struct service_secret *service_find_secret(const struct service *service, const char *name)
{
	for (size_t i = 0; i < service->n_secrets; i++)
		if (!strcmp(service->secrets[i].item.name, name))
			return &service->secrets[i];
	return NULL;
}

void service_search_path(const char *service_file, const struct strv *given, struct strv *ret)
{
	const char *slash = strrchr(service_file, '/');

	if (slash)
		strv_addf(ret, "%.*s/recipes", (int)(slash - service_file), service_file);
	else
		strv_add(ret, "recipes");
	if (given)
		strv_copy(ret, given);
	strv_add(ret, TEPUY_RECIPEDIR);
}
