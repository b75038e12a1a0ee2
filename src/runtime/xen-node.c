/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/xen-node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

#define MOST_LIST 4096

static void mounts_free(struct runtime_mount *mounts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(mounts[i].from);
		free(mounts[i].to);
	}
	free(mounts);
}

static void ports_free(struct runtime_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(ports[i].name);
		free(ports[i].address);
	}
	free(ports);
}

void xen_node_release(struct xen_node *node)
{
	free(node->name);
	free(node->host_name);
	free(node->image);
	free(node->stop_signal);
	free(node->fingerprint);
	strv_release(&node->labels);
	strv_release(&node->argv);
	strv_release(&node->env);
	mounts_free(node->mounts, node->n_mounts);
	ports_free(node->ports, node->n_ports);
	runtime_networks_free(node->networks, node->n_networks);
	*node = (struct xen_node){ 0 };
}

static void copy_network(struct runtime_network *to, const struct runtime_network *from)
{
	*to = (struct runtime_network){ .bridge = xstrdup(from->bridge),
					.address = xstrdup(from->address),
					.prefix = from->prefix,
					.gateway = xstrdup(from->gateway) };
	strv_copy(&to->dns, &from->dns);
}

void xen_node_from_spec(const struct runtime_spec *spec, struct xen_node *ret)
{
	*ret = (struct xen_node){ .name = xstrdup(spec->name),
				  .host_name = xstrdup(spec->host_name ? spec->host_name : spec->name),
				  .image = xstrdup(spec->image_ref),
				  .stop_signal = xstrdup(spec->stop_signal ? spec->stop_signal : "TERM"),
				  .memory = spec->memory,
				  .log_size = spec->log_size,
				  .cpus = spec->cpus,
				  .memory_max = spec->memory_max,
				  .cpus_max = spec->cpus_max,
				  .isolated = spec->isolated };
	if (spec->labels)
		strv_copy(&ret->labels, spec->labels);
	if (spec->argv)
		strv_copy(&ret->argv, spec->argv);
	if (spec->env)
		strv_copy(&ret->env, spec->env);
	ret->mounts = xcalloc(spec->n_mounts, sizeof(*ret->mounts));
	for (ret->n_mounts = 0; ret->n_mounts < spec->n_mounts; ret->n_mounts++) {
		struct runtime_mount *mount = &ret->mounts[ret->n_mounts];

		*mount = spec->mounts[ret->n_mounts];
		mount->from = xstrdup(mount->from);
		mount->to = xstrdup(mount->to);
	}
	ret->ports = xcalloc(spec->n_ports, sizeof(*ret->ports));
	for (ret->n_ports = 0; ret->n_ports < spec->n_ports; ret->n_ports++) {
		struct runtime_port *port = &ret->ports[ret->n_ports];

		*port = spec->ports[ret->n_ports];
		port->name = xstrdup(port->name);
		port->address = NULL;
	}
	ret->networks = xcalloc(spec->n_networks, sizeof(*ret->networks));
	for (; !spec->isolated && ret->n_networks < spec->n_networks; ret->n_networks++)
		copy_network(&ret->networks[ret->n_networks], &spec->networks[ret->n_networks]);
}

static json_t *pack_strings(const struct strv *strv)
{
	json_t *list = json_array();

	for (size_t i = 0; i < strv->n; i++)
		json_array_append_new(list, json_stringn_nocheck(strv->v[i], strlen(strv->v[i])));
	return list;
}

static json_t *pack_networks(const struct xen_node *node)
{
	json_t *list = json_array();

	for (size_t i = 0; i < node->n_networks; i++) {
		const struct runtime_network *network = &node->networks[i];

		json_array_append_new(list, json_pack("{ss ss si ss* so}", "bridge", network->bridge, "address",
						      network->address, "prefix", (int)network->prefix, "gateway",
						      network->gateway, "dns", pack_strings(&network->dns)));
	}
	return list;
}

static char *dump(json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(1) | JSON_SORT_KEYS);
	char *copy = text ? xasprintf("%s\n", text) : NULL;

	free(text);
	json_decref(value);
	return copy;
}

char *xen_node_encode(const struct xen_node *node)
{
	json_t *mounts = json_array(), *ports = json_array(), *root;

	for (size_t i = 0; i < node->n_mounts; i++) {
		const struct runtime_mount *mount = &node->mounts[i];

		json_array_append_new(mounts, json_pack("{ss ss sb sb sI}", "from", mount->from, "to", mount->to,
							"read_only", mount->read_only, "copied", mount->copied, "size",
							(json_int_t)mount->size));
	}
	for (size_t i = 0; i < node->n_ports; i++)
		json_array_append_new(ports, json_pack("{ss si sb}", "name", node->ports[i].name, "port",
						       (int)node->ports[i].port, "udp", node->ports[i].udp));
	root = json_pack("{ss ss ss ss ss* so so so so so so sI sI sf sI sf sb}", "name", node->name, "host_name",
			 node->host_name, "image", node->image, "stop_signal", node->stop_signal, "fingerprint",
			 node->fingerprint, "labels", pack_strings(&node->labels), "argv", pack_strings(&node->argv),
			 "env", pack_strings(&node->env), "mounts", mounts, "ports", ports, "networks",
			 pack_networks(node), "memory", (json_int_t)node->memory, "log_size",
			 (json_int_t)node->log_size, "cpus", node->cpus, "memory_max", (json_int_t)node->memory_max,
			 "cpus_max", node->cpus_max, "isolated", node->isolated);
	return dump(root);
}

static const char *const phases[] = {
	[XEN_MADE] = "made", [XEN_STARTING] = "starting", [XEN_RUNNING] = "running", [XEN_ENDED] = "ended"
};

char *xen_record_encode(const struct xen_record *record)
{
	return dump(json_pack("{ss sb sI sI sI si sb}", "phase", phases[record->phase], "wanted", record->wanted, "run",
			      (json_int_t)record->run, "sequence", (json_int_t)record->sequence, "started",
			      (json_int_t)record->started_ms, "exit_code", record->exit_code, "out_of_memory",
			      record->out_of_memory));
}

static char *take_text(const json_t *object, const char *key)
{
	return xstrdup(json_string_value(json_object_get(object, key)));
}

static bool take_strings(const json_t *object, const char *key, struct strv *to)
{
	const json_t *list = json_object_get(object, key), *value;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > MOST_LIST)
		return false;
	json_array_foreach(list, i, value)
	{
		if (!json_is_string(value))
			return false;
		strv_add(to, json_string_value(value));
	}
	return true;
}

static json_int_t take_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? value : 0;
}

/* The list at a key; `*ret_n` elements, all objects. NULL when it is something else. */
static const json_t *take_objects(const json_t *object, const char *key, size_t *ret_n)
{
	const json_t *list = json_object_get(object, key), *value;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > MOST_LIST)
		return NULL;
	json_array_foreach(list, i, value) if (!json_is_object(value)) return NULL;
	*ret_n = json_array_size(list);
	return list;
}

static bool take_mounts(const json_t *root, struct xen_node *node)
{
	size_t n, i;
	const json_t *list = take_objects(root, "mounts", &n), *item;

	if (!list)
		return false;
	node->mounts = xcalloc(n, sizeof(*node->mounts));
	json_array_foreach(list, i, item)
	{
		struct runtime_mount *mount = &node->mounts[node->n_mounts++];

		*mount = (struct runtime_mount){ .from = take_text(item, "from"),
						 .to = take_text(item, "to"),
						 .read_only = json_is_true(json_object_get(item, "read_only")),
						 .copied = json_is_true(json_object_get(item, "copied")),
						 .size = (uint64_t)take_number(item, "size") };
		if (!mount->from || !mount->to)
			return false;
	}
	return true;
}

static bool take_ports(const json_t *root, struct xen_node *node)
{
	size_t n, i;
	const json_t *list = take_objects(root, "ports", &n), *item;

	if (!list)
		return false;
	node->ports = xcalloc(n, sizeof(*node->ports));
	json_array_foreach(list, i, item)
	{
		struct runtime_port *port = &node->ports[node->n_ports++];
		json_int_t number = take_number(item, "port");

		*port = (struct runtime_port){ .name = take_text(item, "name"),
					       .port = (uint16_t)number,
					       .host_port = (uint16_t)number,
					       .udp = json_is_true(json_object_get(item, "udp")) };
		if (!port->name || number < 1 || number > UINT16_MAX)
			return false;
	}
	return true;
}

static bool take_networks(const json_t *root, struct xen_node *node)
{
	size_t n, i;
	const json_t *list = take_objects(root, "networks", &n), *item;

	if (!list)
		return false;
	node->networks = xcalloc(n, sizeof(*node->networks));
	json_array_foreach(list, i, item)
	{
		struct runtime_network *network = &node->networks[node->n_networks++];
		json_int_t prefix = take_number(item, "prefix");

		*network = (struct runtime_network){ .bridge = take_text(item, "bridge"),
						     .address = take_text(item, "address"),
						     .prefix = (unsigned)prefix,
						     .gateway = take_text(item, "gateway") };
		if (!network->bridge || !network->address || prefix > 32 || !take_strings(item, "dns", &network->dns))
			return false;
	}
	return true;
}

static bool take_node(const json_t *root, struct xen_node *node)
{
	node->name = take_text(root, "name");
	node->host_name = take_text(root, "host_name");
	node->image = take_text(root, "image");
	node->stop_signal = take_text(root, "stop_signal");
	node->fingerprint = take_text(root, "fingerprint");
	node->memory = (uint64_t)take_number(root, "memory");
	node->log_size = (uint64_t)take_number(root, "log_size");
	node->cpus = json_number_value(json_object_get(root, "cpus"));
	node->memory_max = (uint64_t)take_number(root, "memory_max");
	node->cpus_max = json_number_value(json_object_get(root, "cpus_max"));
	node->isolated = json_is_true(json_object_get(root, "isolated"));
	return node->name && xen_name_is_sane(node->name) && node->host_name && node->image && node->stop_signal &&
	       node->cpus >= 0 && node->cpus < 4096 && node->cpus_max >= 0 && node->cpus_max < 4096 &&
	       take_strings(root, "labels", &node->labels) && take_strings(root, "argv", &node->argv) &&
	       take_strings(root, "env", &node->env) && take_mounts(root, node) && take_ports(root, node) &&
	       take_networks(root, node);
}

int xen_node_decode(const char *text, size_t len, struct xen_node *ret, struct err *err)
{
	json_auto_t *root = json_loadb(text ? text : "", len, 0, NULL);
	_cleanup_xen_node_ struct xen_node node = { 0 };

	if (!json_is_object(root) || !take_node(root, &node))
		return err_set(err, EBADMSG, _("The description of the node is damaged; remove the node"));
	*ret = node;
	node = (struct xen_node){ 0 };
	return 0;
}

int xen_record_decode(const char *text, size_t len, struct xen_record *ret, struct err *err)
{
	json_auto_t *root = json_loadb(text ? text : "", len, 0, NULL);
	const char *phase = json_string_value(json_object_get(root, "phase"));
	size_t i = 0;

	while (phase && i < ARRAY_SIZE(phases) && strcmp(phase, phases[i]))
		i++;
	if (!phase || i == ARRAY_SIZE(phases))
		return err_set(err, EBADMSG, _("The state of the node is damaged; remove the node"));
	*ret = (struct xen_record){ .phase = (enum xen_phase)i,
				    .wanted = json_is_true(json_object_get(root, "wanted")),
				    .run = take_number(root, "run"),
				    .sequence = take_number(root, "sequence"),
				    .started_ms = take_number(root, "started"),
				    .exit_code = (int)json_integer_value(json_object_get(root, "exit_code")),
				    .out_of_memory = json_is_true(json_object_get(root, "out_of_memory")) };
	return 0;
}

bool xen_name_is_sane(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = name; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *p))
			return false;
	return n > 0 && n <= 120 && *name != '.' && *name != '-';
}

char *xen_mac(const char *address, size_t card)
{
	unsigned char a[4] = { 0 };

	inet_pton(AF_INET, address, a);
	return xasprintf("02:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], (unsigned)card & 0xff);
}

int xen_decode_exit(const char *text, int64_t run, int *ret_code, bool *ret_out_of_memory)
{
	char code[32], status[32], result[32];
	long long of_run;
	int killed, number;

	if (sscanf(text, "%lld %31s %31s %31s %d", &of_run, code, status, result, &killed) != 5)
		return -EBADMSG;
	if (of_run != run)
		return -ESTALE;
	number = atoi(status);
	/* systemd tells signals by name: "KILL". */
	if (strcmp(code, "exited"))
		for (number = 1; number < 65; number++)
			if (sigabbrev_np(number) && !strcmp(sigabbrev_np(number), status))
				break;
	*ret_code = strcmp(code, "exited") ? 128 + (number < 65 ? number : 0) : number & 0xff;
	*ret_out_of_memory = !strcmp(result, "oom-kill") || (killed > 0 && *ret_code == 128 + 9);
	return 0;
}
