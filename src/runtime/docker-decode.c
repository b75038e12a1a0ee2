/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What Docker says about containers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/docker-json-parse.h"
#include "runtime/docker-json.h"

int docker_parse(const char *json, size_t len, json_type type, const char *what, json_t **ret, struct err *err)
{
	json_error_t why;
	json_t *root = json_loadb(json ? json : "", len, 0, &why);

	if (!root)
		return err_set(err, EBADMSG, _("Docker's answer about %s is not JSON: %s"), _(what), why.text);
	if (json_typeof(root) != type) {
		json_decref(root);
		return err_set(err, EBADMSG,
			       _("Docker's answer about %s has another form than the Engine API describes"), _(what));
	}
	*ret = root;
	return 0;
}

const char *docker_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : NULL;
}

void docker_take_strings(const json_t *array, struct strv *to)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value) if (json_is_string(value)) strv_add(to, json_string_value(value));
}

/* "2026-11-22T14:41:54.894366497Z"; year 1 is Docker's "never". */
static int64_t time_ms(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int64_t ms = 0;

	if (!rest || tm.tm_year < 70 || tm.tm_year > 1000)
		return 0;
	if (*rest == '.')
		for (int i = 1, unit = 100; i <= 3 && rest[i] >= '0' && rest[i] <= '9'; i++, unit /= 10)
			ms += (rest[i] - '0') * unit;
	return (int64_t)timegm(&tm) * 1000 + ms;
}

/* Copies labels; the driver's own stay hidden. The value of DOCKER_LABEL_PORTS or NULL, borrowed. */
static const char *take_labels(const json_t *object, struct strv *to)
{
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)object, key,
			    value) if (json_is_string(value) && !text_starts(key, "tepuy.docker."))
	    strv_addf(to, "%s=%s", key, json_string_value(value));
	strv_sort(to);
	return docker_text(object, DOCKER_LABEL_PORTS);
}

/* The name of a port in "http=80/tcp,metrics=9100/tcp", or else what stands behind '='. */
static char *port_name(const char *names, unsigned int port, bool udp)
{
	_cleanup_(freep) char *key = xasprintf("%u/%s", port, udp ? "udp" : "tcp");
	size_t key_len = strlen(key);

	for (const char *p = names; p && *p; p += strcspn(p, ","), p += *p == ',') {
		size_t len = strcspn(p, ","), name_len = strcspn(p, "=");

		if (name_len < len && len - name_len - 1 == key_len && !strncmp(p + name_len + 1, key, key_len))
			return xstrndup(p, name_len);
	}
	return TAKE_PTR(key);
}

/* Docker tells of a port open on all addresses twice, for IPv4 and IPv6: once is enough. */
static bool is_double(const struct runtime_node *node, const char *address, unsigned int port, unsigned int host_port,
		      bool udp)
{
	if (strcmp(address, "::"))
		return false;
	for (size_t i = 0; i < node->n_ports; i++) {
		const struct runtime_port *p = &node->ports[i];

		if (p->port == port && p->host_port == host_port && p->udp == udp && !strcmp(p->address, "0.0.0.0"))
			return true;
	}
	return false;
}

static void add_port(struct runtime_node *node, const char *names, const char *address, unsigned int port,
		     unsigned int host_port, bool udp)
{
	if (!port || port > UINT16_MAX || !host_port || host_port > UINT16_MAX ||
	    is_double(node, address, port, host_port, udp))
		return;
	node->ports = xreallocarray(node->ports, node->n_ports + 1, sizeof(*node->ports));
	node->ports[node->n_ports++] = (struct runtime_port){ .name = port_name(names, port, udp),
							      .address = xstrdup(address),
							      .port = (uint16_t)port,
							      .host_port = (uint16_t)host_port,
							      .udp = udp };
}

/* {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]} */
static void take_port_map(const json_t *map, const char *names, struct runtime_node *node)
{
	const json_t *list, *binding;
	const char *key;
	size_t i;

	json_object_foreach((json_t *)map, key, list)
	{
		unsigned int port = (unsigned int)strtoul(key, NULL, 10);
		bool udp = text_ends(key, "/udp");

		json_array_foreach(list, i, binding)
		{
			const char *address = docker_text(binding, "HostIp"),
				   *host_port = docker_text(binding, "HostPort");

			add_port(node, names, address ? address : "0.0.0.0", port,
				 host_port ? (unsigned int)strtoul(host_port, NULL, 10) : 0, udp);
		}
	}
}

/* [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp"}] */
static void take_port_list(const json_t *list, const char *names, struct runtime_node *node)
{
	const json_t *port;
	size_t i;

	json_array_foreach(list, i, port)
	{
		const char *address = docker_text(port, "IP"), *type = docker_text(port, "Type");
		json_int_t inside = json_integer_value(json_object_get(port, "PrivatePort"));
		json_int_t outside = json_integer_value(json_object_get(port, "PublicPort"));

		if (inside > 0 && inside <= UINT16_MAX && outside > 0 && outside <= UINT16_MAX)
			add_port(node, names, address ? address : "0.0.0.0", (unsigned int)inside,
				 (unsigned int)outside, type && !strcmp(type, "udp"));
	}
}

/* {"bridge": {"IPAddress": "172.17.0.2"}}: the first network that gave it one. */
static char *network_address(const json_t *networks)
{
	const json_t *network;
	const char *key;

	json_object_foreach((json_t *)networks, key, network)
	{
		const char *address = docker_text(network, "IPAddress");

		if (address)
			return xstrdup(address);
	}
	return NULL;
}

static enum runtime_state state_of(const char *word)
{
	static const struct {
		const char *word;
		enum runtime_state state;
	} states[] = {
		{ "created", RUNTIME_CREATED }, { "running", RUNTIME_RUNNING },   { "paused", RUNTIME_RUNNING },
		{ "exited", RUNTIME_EXITED },   { "restarting", RUNTIME_EXITED },
	};

	for (size_t i = 0; word && i < ARRAY_SIZE(states); i++)
		if (!strcmp(word, states[i].word))
			return states[i].state;
	return RUNTIME_BROKEN; /* "removing", "dead" */
}

static void take_state(const json_t *state, struct runtime_node *node)
{
	node->state = state_of(docker_text(state, "Status"));
	node->exit_code = (int)json_integer_value(json_object_get(state, "ExitCode"));
	node->out_of_memory = json_is_true(json_object_get(state, "OOMKilled"));
	node->pid = (pid_t)json_integer_value(json_object_get(state, "Pid"));
	if (node->pid < 0)
		node->pid = 0;
	node->started_ms = time_ms(docker_text(state, "StartedAt"));
}

static void take_limits(const json_t *config, struct docker_container *container)
{
	json_int_t memory = json_integer_value(json_object_get(config, "Memory"));
	json_int_t nano = json_integer_value(json_object_get(config, "NanoCpus"));

	container->memory = memory > 0 ? (uint64_t)memory : 0;
	container->cpus = nano > 0 ? (unsigned)((nano + 999999999) / 1000000000) : 0;
}

static bool has_restart_policy(const json_t *host_config)
{
	const char *name = docker_text(json_object_get(host_config, "RestartPolicy"), "Name");

	return name && strcmp(name, "no");
}

void docker_container_release(struct docker_container *container)
{
	runtime_node_release(&container->node);
}

int docker_decode_container(const char *json, size_t len, struct docker_container *ret, struct err *err)
{
	_cleanup_container_ struct docker_container container = { 0 };
	struct runtime_node *node = &container.node;
	const json_t *config, *network;
	json_auto_t *root = NULL;
	const char *name, *names;
	int r = docker_parse(json, len, JSON_OBJECT, N_("a container"), &root, err);

	if (r < 0)
		return r;
	config = json_object_get(root, "Config");
	network = json_object_get(root, "NetworkSettings");
	name = docker_text(root, "Name");
	if (!docker_text(root, "Id") || !config || !name)
		return err_set(err, EBADMSG, _("Docker's answer about a container lacks its Id, Name or Config"));
	node->id = xstrdup(docker_text(root, "Id"));
	node->name = xstrdup(name + (*name == '/'));
	names = take_labels(json_object_get(config, "Labels"), &node->labels);
	take_state(json_object_get(root, "State"), node);
	if (node->state == RUNTIME_RUNNING) {
		node->address = network_address(json_object_get(network, "Networks"));
		take_port_map(json_object_get(network, "Ports"), names, node);
	}
	container.ours = runtime_node_label(node, RUNTIME_LABEL_INSTANCE) != NULL;
	container.restarts = has_restart_policy(json_object_get(root, "HostConfig"));
	take_limits(json_object_get(root, "HostConfig"), &container);
	container.tty = json_is_true(json_object_get(config, "Tty"));
	*ret = container;
	container = (struct docker_container){ 0 };
	return 0;
}

static int take_listed(const json_t *item, struct runtime_node *node)
{
	const char *name = json_string_value(json_array_get(json_object_get(item, "Names"), 0));
	const char *id = docker_text(item, "Id"), *status = docker_text(item, "Status"), *names;

	if (!id || !name)
		return -EBADMSG;
	node->id = xstrdup(id);
	node->name = xstrdup(name + (*name == '/'));
	names = take_labels(json_object_get(item, "Labels"), &node->labels);
	node->state = state_of(docker_text(item, "State"));
	if (status)
		sscanf(status, "%*[A-Za-z] (%d)", &node->exit_code); /* "Exited (137) 2 minutes ago" */
	if (node->state != RUNTIME_RUNNING)
		return 0;
	node->address = network_address(json_object_get(json_object_get(item, "NetworkSettings"), "Networks"));
	take_port_list(json_object_get(item, "Ports"), names, node);
	return 0;
}

int docker_decode_list(const char *json, size_t len, struct runtime_node **ret, size_t *ret_n, struct err *err)
{
	struct runtime_node *nodes = NULL;
	json_auto_t *root = NULL;
	size_t n = 0, i;
	const json_t *item;
	int r = docker_parse(json, len, JSON_ARRAY, N_("its containers"), &root, err);

	if (r < 0)
		return r;
	nodes = xcalloc(json_array_size(root), sizeof(*nodes));
	json_array_foreach(root, i, item)
	{
		if (take_listed(item, &nodes[n++]) < 0) {
			runtime_nodes_free(nodes, n);
			return err_set(err, EBADMSG, _("Docker's list of containers has one without Id or name"));
		}
		if (!runtime_node_label(&nodes[n - 1], RUNTIME_LABEL_INSTANCE))
			runtime_node_release(&nodes[--n]);
	}
	*ret = nodes;
	*ret_n = n;
	return 0;
}
