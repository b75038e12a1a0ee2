/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/registration.h"

#include <string.h>

#include "model/canonical.h"

static const struct runtime_port *host_port(const struct runtime_node *node, const char *name, uint16_t port)
{
	for (size_t i = 0; i < node->n_ports; i++)
		if (node->ports[i].host_port && (node->ports[i].port == port || !strcmp(node->ports[i].name, name)))
			return &node->ports[i];
	return NULL;
}

static uint16_t port_number(const struct node_spec *spec, const struct runtime_node *node, const char *name)
{
	const struct runtime_port *found;

	for (size_t i = 0; i < spec->n_ports; i++) {
		if (name && strcmp(spec->ports[i].name, name))
			continue;
		found = host_port(node, spec->ports[i].name, spec->ports[i].port);
		return found ? found->host_port : 0;
	}
	return 0;
}

/* A machine is reached at its own; a port that is open on all addresses of a host, or of which the runtime says
 * nothing, at the host's. */
static const char *address_of(const struct runtime_node *node, const char *host_address)
{
	for (size_t i = 0; i < node->n_ports; i++) {
		const char *address = node->ports[i].address;

		if (address && *address && strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0)
			return address;
	}
	return host_address;
}

static void add_meta(struct registration *to, const struct instance_id *id, const struct node_spec *spec,
		     const struct runtime_node *node, const char *host)
{
	strv_add(&to->meta, "tepuy=1");
	strv_addf(&to->meta, "service=%s", id->service);
	strv_addf(&to->meta, "component=%s", id->component);
	strv_addf(&to->meta, "node=%u", id->n);
	strv_addf(&to->meta, "gen=%llu", (unsigned long long)id->gen);
	strv_addf(&to->meta, "revision=%lld", (long long)spec->revision);
	strv_addf(&to->meta, "recipe=%s", spec->recipe);
	strv_addf(&to->meta, "fingerprint=%s", spec->fingerprint);
	strv_addf(&to->meta, "host=%s", host);
	for (size_t i = 0; i < spec->n_ports; i++) {
		const struct node_port *port = &spec->ports[i];

		strv_addf(&to->meta, "port_%s=%u", port->name, port_number(spec, node, port->name));
	}
}

static char *digest_of(const json_t *json)
{
	char *digest = json_fingerprint(json);

	digest[16] = '\0';
	return digest;
}

static char *core_digest(const struct registration *registration)
{
	_cleanup_(freep) char *meta = strv_join(&registration->meta, "\n");
	_cleanup_json_ json_t *json =
	    json_pack("[s s i s]", registration->name, registration->address, (int)registration->port, meta);

	return digest_of(json);
}

static char *check_target(const struct registration *to, const struct check *check, uint16_t port)
{
	if (check->kind == CHECK_HTTP)
		return xasprintf("http://%s:%u%s", to->address, port, check->path);
	if (check->kind == CHECK_TCP)
		return xasprintf("%s:%u", to->address, port);
	return NULL;
}

/* Always the first: it says whether the main process runs, and the agent reports it. */
static void add_running(struct registration *to)
{
	struct registration_check *running = &to->checks[to->n_checks++];

	running->id = xasprintf("%s:running", to->id);
	running->name = xstrdup("running");
	running->digest = xstrdup("running");
	running->check.kind = CHECK_TTL;
	running->check.ttl = REGISTRATION_TTL_MS;
}

static void add_check(struct registration *to, const struct check *check, uint16_t port)
{
	struct registration_check *added = &to->checks[to->n_checks];
	_cleanup_json_ json_t *json = check_to_json(check), *identity = NULL;

	if (check_from_json(json, &added->check, NULL) < 0)
		return; /* not reached: what check_to_json writes is read back */
	to->n_checks++;
	added->id = xasprintf("%s:%s", to->id, check->id);
	added->name = xstrdup(check->id);
	added->target = check_target(to, check, port);
	identity = json_pack("[O s]", json, added->target ? added->target : "");
	added->digest = digest_of(identity);
}

/* The node's own checks win over added ones: two of one name would be registered over each other for ever. */
static bool has_check(const struct registration *to, const char *name)
{
	for (size_t i = 0; i < to->n_checks; i++)
		if (!strcmp(to->checks[i].name, name))
			return true;
	return false;
}

void registration_build(const struct instance_id *id, const struct node_spec *spec, const struct runtime_node *node,
			const char *host, const char *address, const struct check *added, size_t n_added,
			struct registration *ret)
{
	struct registration to = {
		.id = xstrdup(id->catalog_id),
		.name = xstrdup(id->catalog_name),
		.address = xstrdup(address_of(node, address)),
		.port = port_number(spec, node, NULL),
		.maintenance = spec->desired == NODE_DRAIN,
		.drained_ms = spec->desired == NODE_DRAIN ? spec->since : 0,
		.checks = xcalloc(spec->n_checks + n_added + 1, sizeof(*to.checks)),
	};
	_cleanup_(freep) char *digest = NULL;

	add_meta(&to, id, spec, node, host);
	digest = core_digest(&to);
	strv_addf(&to.meta, "digest=%s", digest);
	add_running(&to);
	for (size_t i = 0; i < spec->n_checks; i++)
		add_check(&to, &spec->checks[i], port_number(spec, node, spec->checks[i].port));
	for (size_t i = 0; i < n_added; i++)
		if (!has_check(&to, added[i].id))
			add_check(&to, &added[i], port_number(spec, node, added[i].port));
	*ret = to;
}

void registration_release(struct registration *registration)
{
	for (size_t i = 0; i < registration->n_checks; i++) {
		struct registration_check *check = &registration->checks[i];

		free(check->id);
		free(check->name);
		free(check->target);
		free(check->digest);
		check_release(&check->check);
	}
	free(registration->checks);
	free(registration->id);
	free(registration->name);
	free(registration->address);
	strv_release(&registration->meta);
	*registration = (struct registration){ 0 };
}

char *registration_digest(const struct registration *registration)
{
	_cleanup_json_ json_t *json = json_array();

	json_array_append_new(json, json_string(consul_meta(&registration->meta, "digest")));
	json_array_append_new(json, json_boolean(registration->maintenance));
	for (size_t i = 0; i < registration->n_checks; i++) {
		json_array_append_new(json, json_string(registration->checks[i].id));
		json_array_append_new(json, json_string(registration->checks[i].digest));
	}
	return digest_of(json);
}
