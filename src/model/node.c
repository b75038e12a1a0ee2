/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/node.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "model/canonical.h"
#include "model/decode.h"

#define MOST_ELEMENTS 64
#define MOST_MEMORY (1LL << 50)
#define MOST_SIZE (1LL << 50)
#define MOST_CPUS 1024

static const char *const desired_names[] = { "prepare", "run", "drain", "stop" };

const char *node_desired_name(enum node_desired desired)
{
	return desired_names[desired];
}

static int decode_desired(const json_t *json, enum node_desired *ret, struct err *err)
{
	const char *name = NULL;
	int r = decode_string(json, "desired", true, &name, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(desired_names); i++)
		if (!strcmp(name, desired_names[i])) {
			*ret = (enum node_desired)i;
			return 0;
		}
	return err_set(err, EINVAL, _("The member 'desired' is '%s', and not one of prepare, run, drain, stop"), name);
}

static int copy_name(const json_t *json, const char *member, char **ret, struct err *err)
{
	const char *name = NULL;
	int r = decode_name(json, member, true, &name, err);

	if (r == 0)
		*ret = xstrdup(name);
	return r;
}

static int copy_hash(const json_t *json, const char *member, char **ret, struct err *err)
{
	const char *hash = NULL;
	int r = decode_string(json, member, true, &hash, err);

	if (r < 0)
		return r;
	if (strlen(hash) != 64 || hash[strspn(hash, "0123456789abcdef")])
		return err_set(err, EINVAL, _("The member '%s' must be a sha256 in 64 hexadecimal digits"), member);
	*ret = xstrdup(hash);
	return 0;
}

static bool is_safe_path(const char *path)
{
	size_t n = strlen(path);

	return *path == '/' && n > 1 && !strstr(path, "/../") && !text_ends(path, "/..");
}

static int copy_path(const json_t *json, const char *member, bool may_be_empty, char **ret, struct err *err)
{
	const char *path = NULL;
	int r = decode_string(json, member, true, &path, err);

	if (r < 0)
		return r;
	if (!(may_be_empty && !*path) && !is_safe_path(path))
		return err_set(err, EINVAL,
			       _("The member '%s' must be an absolute path without '..', and '%s' is none"), member,
			       path);
	*ret = xstrdup(path);
	return 0;
}

/* An object of the body whose members are named objects: their number, or -EINVAL. */
static int count_members(const json_t *body, const char *member, json_t **ret, struct err *err)
{
	int r = decode_object(body, member, true, ret, err);

	if (r < 0)
		return r;
	if (json_object_size(*ret) > MOST_ELEMENTS)
		return err_set(err, EINVAL, _("The member '%s' has more than %d elements"), member, MOST_ELEMENTS);
	return (int)json_object_size(*ret);
}

static int check_element(const char *name, const json_t *json, const char *const *members, struct err *err)
{
	if (!text_is_name(name))
		return err_set(err, EINVAL, _("'%s' is no name"), name);
	if (!json_is_object(json))
		return err_set(err, EINVAL, _("'%s' must be an object"), name);
	return decode_only(json, members, err);
}

static int decode_link(const char *name, const json_t *json, struct node_link *link, struct err *err)
{
	static const char *const members[] = { "component", "interface", "port", NULL };
	int r = check_element(name, json, members, err);

	if (r == 0)
		r = copy_name(json, "component", &link->component, err);
	if (r == 0)
		r = copy_name(json, "interface", &link->interface, err);
	if (r == 0)
		r = copy_name(json, "port", &link->port, err);
	link->name = xstrdup(name);
	return r;
}

static int decode_links(const json_t *body, struct node_spec *node, struct err *err)
{
	json_t *links = NULL, *json;
	const char *name;
	int r = count_members(body, "links", &links, err);

	if (r < 0)
		return r;
	node->links = xcalloc((size_t)r, sizeof(*node->links));
	json_object_foreach(links, name, json) if (decode_link(name, json, &node->links[node->n_links++], err) <
						   0) return err_wrap(err, _("In the link '%s'"), name);
	return 0;
}

static int decode_volume(const char *name, const json_t *json, struct node_volume *volume, struct err *err)
{
	static const char *const members[] = { "path", "mount", "owner", "size", NULL };
	const char *owner = NULL;
	int r = check_element(name, json, members, err);

	if (r == 0)
		r = copy_path(json, "path", true, &volume->path, err);
	if (r == 0)
		r = copy_path(json, "mount", false, &volume->mount, err);
	if (r == 0)
		r = decode_string(json, "owner", false, &owner, err);
	if (r == 0)
		r = decode_integer(json, "size", false, 0, MOST_SIZE, &volume->size, err);
	volume->name = xstrdup(name);
	volume->owner = xstrdup(owner);
	return r;
}

static int decode_volumes(const json_t *body, struct node_spec *node, struct err *err)
{
	json_t *volumes = NULL, *json;
	const char *name;
	int r = count_members(body, "volumes", &volumes, err);

	if (r < 0)
		return r;
	node->volumes = xcalloc((size_t)r, sizeof(*node->volumes));
	json_object_foreach(volumes, name, json) if (decode_volume(name, json, &node->volumes[node->n_volumes++], err) <
						     0) return err_wrap(err, _("In the volume '%s'"), name);
	return 0;
}

static int decode_protocol(const json_t *json, bool *ret_udp, struct err *err)
{
	const char *protocol = "tcp";
	int r = decode_string(json, "protocol", false, &protocol, err);

	if (r < 0)
		return r;
	if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		return err_set(err, EINVAL, _("The protocol '%s' is neither tcp nor udp"), protocol);
	*ret_udp = *protocol == 'u';
	return 0;
}

static int decode_port(const char *name, const json_t *json, struct node_port *port, struct err *err)
{
	static const char *const members[] = { "port", "interface", "publish", "protocol", "order", NULL };
	int64_t number = 0, publish = 0, order = 0;
	int r = check_element(name, json, members, err);

	if (r == 0)
		r = decode_integer(json, "port", true, 1, 65535, &number, err);
	if (r == 0)
		r = decode_integer(json, "publish", true, 0, 65535, &publish, err);
	if (r == 0)
		r = decode_integer(json, "order", false, 0, MOST_ELEMENTS, &order, err);
	if (r == 0)
		r = copy_name(json, "interface", &port->interface, err);
	if (r == 0)
		r = decode_protocol(json, &port->udp, err);
	port->name = xstrdup(name);
	port->port = (uint16_t)number;
	port->publish = (uint16_t)publish;
	port->order = (int)order;
	return r;
}

static int compare_ports(const void *a, const void *b)
{
	const struct node_port *x = a, *y = b;
	int r = (x->order > y->order) - (x->order < y->order);

	return r ? r : strcmp(x->name, y->name);
}

static int decode_ports(const json_t *body, struct node_spec *node, struct err *err)
{
	json_t *ports = NULL, *json;
	const char *name;
	int r = count_members(body, "ports", &ports, err);

	if (r < 0)
		return r;
	node->ports = xcalloc((size_t)r, sizeof(*node->ports));
	json_object_foreach(ports, name, json) if (decode_port(name, json, &node->ports[node->n_ports++], err) <
						   0) return err_wrap(err, _("In the port '%s'"), name);
	qsort(node->ports, node->n_ports, sizeof(*node->ports), compare_ports);
	return 0;
}

static int decode_cpus(const json_t *body, const char *key, double least, double *ret, struct err *err)
{
	const json_t *cpus = json_object_get(body, key);

	if (!json_is_number(cpus) || !(json_number_value(cpus) >= least && json_number_value(cpus) <= MOST_CPUS))
		return err_set(err, EINVAL, _("The member '%s' must be a number between %g and %d"), key, least,
			       MOST_CPUS);
	*ret = json_number_value(cpus);
	return 0;
}

static int decode_limits(const json_t *body, struct node_spec *node, struct err *err)
{
	int r = decode_integer(body, "memory", true, 0, MOST_MEMORY, &node->memory, err);

	r = r < 0 ? r : decode_integer(body, "memory_max", false, node->memory, MOST_MEMORY, &node->memory_max, err);
	r = r < 0 ? r : decode_cpus(body, "cpus", 0, &node->cpus, err);
	if (r < 0 || !json_object_get(body, "cpus_max"))
		return r;
	return decode_cpus(body, "cpus_max", node->cpus, &node->cpus_max, err);
}

static int decode_body(const json_t *json, struct node_spec *node, struct err *err)
{
	static const char *const members[] = { "recipe", "bundle", "config",     "links",    "volumes", "ports",
					       "memory", "cpus",   "memory_max", "cpus_max", NULL };
	json_t *body = NULL, *config = NULL;
	int r = decode_object(json, "body", true, &body, err);

	if (r == 0)
		r = decode_only(body, members, err);
	if (r == 0)
		r = copy_name(body, "recipe", &node->recipe, err);
	if (r == 0)
		r = copy_hash(body, "bundle", &node->bundle, err);
	if (r == 0)
		r = decode_object(body, "config", true, &config, err);
	if (r == 0)
		r = decode_links(body, node, err);
	if (r == 0)
		r = decode_volumes(body, node, err);
	if (r == 0)
		r = decode_ports(body, node, err);
	if (r == 0)
		r = decode_limits(body, node, err);
	if (r < 0)
		return r;
	node->body = json_incref(body);
	node->config = json_incref(config);
	return 0;
}

static int decode_checks(const json_t *json, struct node_spec *node, struct err *err)
{
	json_t *checks = NULL, *element;
	size_t i;
	int r = decode_array(json, "checks", true, &checks, err);

	if (r < 0)
		return r;
	if (json_array_size(checks) > MOST_ELEMENTS)
		return err_set(err, EINVAL, _("The member 'checks' has more than %d elements"), MOST_ELEMENTS);
	node->checks = xcalloc(json_array_size(checks), sizeof(*node->checks));
	json_array_foreach(checks, i, element)
	{
		if (check_from_json(element, &node->checks[i], err) < 0)
			return err_wrap(err, _("In check %zu"), i + 1);
		node->n_checks++;
		if (!node->checks[i].id)
			return err_set(err, EINVAL, _("Check %zu has no id"), i + 1);
	}
	return 0;
}

static int decode_node(const json_t *json, struct node_spec *node, struct err *err)
{
	/* `proven` is the leader's own note. */
	static const char *const members[] = { "desired",   "revision", "fingerprint", "since",  "service",
					       "component", "checks",   "body",        "proven", NULL };
	int r = decode_only(json, members, err);

	if (r == 0)
		r = decode_desired(json, &node->desired, err);
	if (r == 0)
		r = decode_integer(json, "revision", true, 0, INT64_MAX, &node->revision, err);
	if (r == 0)
		r = decode_integer(json, "since", true, 0, INT64_MAX, &node->since, err);
	if (r == 0)
		r = copy_hash(json, "fingerprint", &node->fingerprint, err);
	if (r == 0)
		r = copy_name(json, "service", &node->service, err);
	if (r == 0)
		r = copy_name(json, "component", &node->component, err);
	if (r == 0)
		r = decode_checks(json, node, err);
	return r < 0 ? r : decode_body(json, node, err);
}

int node_spec_from_json(const json_t *json, struct node_spec **ret, struct err *err)
{
	_cleanup_(node_spec_freep) struct node_spec *node = xcalloc(1, sizeof(*node));
	int r;

	if (!json_is_object(json))
		return err_set(err, EINVAL, _("An assignment must be a JSON object"));
	r = decode_node(json, node, err);
	if (r == 0)
		*ret = TAKE_PTR(node);
	return r;
}

json_t *node_spec_to_json(const struct node_spec *node)
{
	json_t *checks = json_array();

	for (size_t i = 0; i < node->n_checks; i++)
		json_array_append_new(checks, check_to_json(&node->checks[i]));
	return json_pack("{s:s,s:I,s:s,s:I,s:s,s:s,s:o,s:O}", "desired", node_desired_name(node->desired), "revision",
			 (json_int_t)node->revision, "fingerprint", node->fingerprint, "since", (json_int_t)node->since,
			 "service", node->service, "component", node->component, "checks", checks, "body", node->body);
}

static void free_lists(struct node_spec *node)
{
	for (size_t i = 0; i < node->n_links; i++) {
		free(node->links[i].name);
		free(node->links[i].component);
		free(node->links[i].interface);
		free(node->links[i].port);
	}
	for (size_t i = 0; i < node->n_volumes; i++) {
		free(node->volumes[i].name);
		free(node->volumes[i].path);
		free(node->volumes[i].mount);
		free(node->volumes[i].owner);
	}
	for (size_t i = 0; i < node->n_ports; i++) {
		free(node->ports[i].name);
		free(node->ports[i].interface);
	}
	for (size_t i = 0; i < node->n_checks; i++)
		check_release(&node->checks[i]);
	free(node->links);
	free(node->volumes);
	free(node->ports);
	free(node->checks);
}

void node_spec_free(struct node_spec *node)
{
	if (!node)
		return;
	free_lists(node);
	free(node->fingerprint);
	free(node->service);
	free(node->component);
	free(node->recipe);
	free(node->bundle);
	json_decref(node->body);
	json_decref(node->config);
	free(node);
}

void node_spec_freep(struct node_spec **node)
{
	node_spec_free(*node);
}
