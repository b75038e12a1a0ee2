/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the driver says to Docker about containers. */
#include <math.h>
#include <string.h>

#include "http/http.h"
#include "runtime/docker-json-parse.h"
#include "runtime/docker-json.h"

#define DEFAULT_LOG_SIZE (10u << 20)
#define LOG_FILES "3"

char *docker_dump(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	json_decref(value);
	if (!text)
		abort();
	return text;
}

/* A string that came from a person may not be UTF-8, which JSON cannot carry: what is wrong becomes '?'. */
static json_t *text(const char *s)
{
	json_t *value = json_string(s);
	_cleanup_(freep) char *ascii = NULL;

	if (value)
		return value;
	ascii = xstrdup(s);
	for (char *p = ascii; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(ascii);
}

json_t *docker_strings(const struct strv *strv)
{
	json_t *array = json_array();

	for (size_t i = 0; strv && i < strv->n; i++)
		json_array_append_new(array, text(strv->v[i]));
	return array;
}

static char *port_key(const struct runtime_port *port)
{
	return xasprintf("%u/%s", (unsigned int)port->port, port->udp ? "udp" : "tcp");
}

/* "http=80/tcp,metrics=9100/tcp": Docker knows ports only by number. */
static char *port_names(const struct runtime_spec *spec)
{
	struct buf names = { 0 };

	for (size_t i = 0; i < spec->n_ports; i++) {
		_cleanup_(freep) char *key = port_key(&spec->ports[i]);

		if (spec->ports[i].name)
			buf_printf(&names, "%s%s=%s", names.len ? "," : "", spec->ports[i].name, key);
	}
	return buf_take(&names);
}

static json_t *labels(const struct runtime_spec *spec)
{
	_cleanup_(freep) char *names = port_names(spec);
	json_t *object = json_object();

	for (size_t i = 0; spec->labels && i < spec->labels->n; i++) {
		const char *label = spec->labels->v[i];
		size_t key_len = strcspn(label, "=");
		_cleanup_(freep) char *key = xstrndup(label, key_len);

		json_object_set_new(object, key, text(label[key_len] ? label + key_len + 1 : ""));
	}
	if (*names)
		json_object_set_new(object, DOCKER_LABEL_PORTS, text(names));
	return object;
}

static json_t *exposed_ports(const struct runtime_spec *spec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < spec->n_ports; i++) {
		_cleanup_(freep) char *key = port_key(&spec->ports[i]);

		json_object_set_new(object, key, json_object());
	}
	return object;
}

static json_t *port_bindings(const struct runtime_spec *spec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < spec->n_ports; i++) {
		const struct runtime_port *port = &spec->ports[i];
		_cleanup_(freep) char *key = port_key(port),
				      *host_port = xasprintf("%u", (unsigned int)port->host_port);
		json_t *list = json_object_get(object, key), *binding = json_object();

		if (!list) {
			list = json_array();
			json_object_set_new(object, key, list);
		}
		json_object_set_new(binding, "HostIp", text(port->address ? port->address : ""));
		json_object_set_new(binding, "HostPort", text(port->host_port ? host_port : ""));
		json_array_append_new(list, binding);
	}
	return object;
}

static json_t *mounts(const struct runtime_spec *spec)
{
	json_t *array = json_array();

	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct runtime_mount *mount = &spec->mounts[i];

		json_array_append_new(array,
				      json_pack("{s:s, s:o, s:o, s:b}", "Type", "bind", "Source", text(mount->from),
						"Target", text(mount->to), "ReadOnly", (int)mount->read_only));
	}
	return array;
}

static void add_limits(json_t *to, uint64_t memory, double cpus)
{
	if (memory) {
		/* The same limit with swap: otherwise Docker allows as much swap again. */
		json_object_set_new(to, "Memory", json_integer((json_int_t)memory));
		json_object_set_new(to, "MemorySwap", json_integer((json_int_t)memory));
	}
	if (cpus > 0)
		json_object_set_new(to, "NanoCpus", json_integer((json_int_t)llround(cpus * 1e9)));
}

char *docker_encode_limits(const struct runtime_limits *limits)
{
	json_t *object = json_object();

	add_limits(object, limits->memory, limits->cpus);
	return docker_dump(object);
}

static json_t *host_config(const struct runtime_spec *spec, bool init)
{
	_cleanup_(freep) char *log_size =
	    xasprintf("%llu", (unsigned long long)(spec->log_size ? spec->log_size : DEFAULT_LOG_SIZE));
	json_t *object = json_pack("{s:o, s:o, s:{s:s}, s:{s:s, s:{s:s, s:s}}}", "Mounts", mounts(spec), "PortBindings",
				   port_bindings(spec), "RestartPolicy", "Name", "unless-stopped", "LogConfig", "Type",
				   "json-file", "Config", "max-size", log_size, "max-file", LOG_FILES);

	if (spec->isolated)
		json_object_set_new(object, "NetworkMode", json_string("none"));
	if (init)
		json_object_set_new(object, "Init", json_true());
	add_limits(object, spec->memory, spec->cpus);
	return object;
}

char *docker_encode_create(const struct runtime_spec *spec, bool init)
{
	_cleanup_(freep) char *signal = xasprintf("SIG%s", spec->stop_signal ? spec->stop_signal : "TERM");
	json_t *object = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "Image", text(spec->image_ref), "Cmd",
				   docker_strings(spec->argv), "Env", docker_strings(spec->env), "Labels", labels(spec),
				   "ExposedPorts", exposed_ports(spec), "StopSignal", text(signal), "HostConfig",
				   host_config(spec, init));

	if (spec->host_name)
		json_object_set_new(object, "Hostname", text(spec->host_name));
	return docker_dump(object);
}

char *docker_encode_exec(const struct strv *argv, const char *user, bool input, bool tty)
{
	json_t *object =
	    json_pack("{s:o, s:o, s:b, s:b, s:b, s:b}", "Cmd", docker_strings(argv), "User", text(user ? user : "0"),
		      "AttachStdin", (int)input, "AttachStdout", 1, "AttachStderr", 1, "Tty", (int)tty);

	if (tty)
		json_object_set_new(object, "Env", json_pack("[s]", "TERM=xterm"));
	return docker_dump(object);
}

static char *encode_query(json_t *value)
{
	_cleanup_(freep) char *json = docker_dump(value);

	return http_encode(json);
}

char *docker_encode_event_filters(void)
{
	return encode_query(json_pack("{s:[s], s:[s], s:[s, s, s, s]}", "type", "container", "label",
				      RUNTIME_LABEL_INSTANCE, "event", "start", "die", "oom", "destroy"));
}

char *docker_encode_list_filters(void)
{
	return encode_query(json_pack("{s:[s]}", "label", RUNTIME_LABEL_INSTANCE));
}
