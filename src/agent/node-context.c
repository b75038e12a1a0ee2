/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/node-context.h"

#include <string.h>

#include "agent/node-secrets.h"
#include "base/buf.h"

char *node_host_name(const struct instance_id *id)
{
	return xasprintf("%s-%u.%s", id->component, id->n, id->service);
}

/* The name of the secret that a configuration value is, or NULL. */
static const char *secret_of(const json_t *value)
{
	return json_string_value(json_object_get(value, "secret"));
}

void node_secret_names(const struct node_spec *spec, struct strv *ret)
{
	const char *key;
	json_t *value;

	json_object_foreach(spec->config, key, value)
	{
		const char *name = secret_of(value);

		if (name && !strv_has(ret, name))
			strv_add(ret, name);
	}
}

char *node_secret_owners(const struct node_spec *spec)
{
	struct buf text = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach(spec->config, key, value)
	{
		const char *owner = json_string_value(json_object_get(value, "owner"));

		if (secret_of(value) && owner)
			buf_printf(&text, "%s%s=%s", text.len ? " " : "", secret_of(value), owner);
	}
	return buf_take(&text);
}

static json_t *secret_path(const char *name)
{
	return json_sprintf("%s/%s", NODE_SECRETS_MOUNT, name);
}

static json_t *context_config(const struct node_spec *spec)
{
	json_t *config = json_object(), *value;
	const char *key;

	json_object_foreach(spec->config, key, value)
	{
		const char *name = secret_of(value);

		json_object_set_new(config, key, name ? secret_path(name) : json_deep_copy(value));
	}
	return config;
}

static json_t *context_secrets(const struct node_spec *spec)
{
	_cleanup_strv_ struct strv names = { 0 };
	json_t *secrets = json_object();

	node_secret_names(spec, &names);
	for (size_t i = 0; i < names.n; i++)
		json_object_set_new(secrets, names.v[i], secret_path(names.v[i]));
	return secrets;
}

/* Only nodes that serve: a template's consumer has no health of its own for them. */
static json_t *context_nodes(const struct members *members)
{
	json_t *nodes = json_array();
	size_t n;

	for (size_t i = 0; i < members->n; i++) {
		const struct member *member = &members->list[i];

		if (member_serves(member))
			json_array_append_new(nodes, json_pack("{ss ss ss si ss sb sb}", "name", member->server, "node",
							       member->node, "address", member->address, "port",
							       (int)member->port, "host", member->host, "first", 0,
							       "last", 0));
	}
	n = json_array_size(nodes);
	if (n) {
		json_object_set_new(json_array_get(nodes, 0), "first", json_true());
		json_object_set_new(json_array_get(nodes, n - 1), "last", json_true());
	}
	return nodes;
}

static json_t *context_links(const struct node_spec *spec, const struct members *members)
{
	json_t *links = json_object();

	for (size_t i = 0; i < spec->n_links; i++)
		json_object_set_new(
		    links, spec->links[i].name,
		    json_pack("{so ss}", "nodes", context_nodes(&members[i]), "component", spec->links[i].component));
	return links;
}

json_t *node_context(const struct instance_id *id, const struct node_spec *spec, const struct members *members,
		     const char *host, const char *address)
{
	_cleanup_(freep) char *host_name = node_host_name(id);

	return json_pack("{s{ss si ss} s{ss ss} s{ss sI} so so so}", "node", "name", id->node, "index", (int)id->n,
			 "host_name", host_name, "host", "name", host, "address", address, "service", "name",
			 id->service, "revision", (json_int_t)spec->revision, "config", context_config(spec), "secrets",
			 context_secrets(spec), "links", context_links(spec, members));
}
