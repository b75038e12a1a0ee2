/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Docker's smaller answers: its version, ids, execs, events and errors. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/docker-json-parse.h"
#include "runtime/docker-json.h"

#define MOST_MESSAGE 2048

int docker_decode_id(const char *json, size_t len, char **ret, struct err *err)
{
	json_auto_t *root = NULL;
	int r = docker_parse(json, len, JSON_OBJECT, N_("what it made"), &root, err);

	if (r < 0)
		return r;
	if (!docker_text(root, "Id"))
		return err_set(err, EBADMSG, _("Docker's answer about what it made lacks its Id"));
	*ret = xstrdup(docker_text(root, "Id"));
	return 0;
}

void docker_version_release(struct docker_version *version)
{
	free(version->version);
	*version = (struct docker_version){ 0 };
}

/* Docker runs its init program to learn its version, and says "N/A" when it is not installed. */
static bool has_init(const json_t *components)
{
	const json_t *component;
	size_t i;

	json_array_foreach(components, i, component)
	{
		const char *name = docker_text(component, "Name"), *version = docker_text(component, "Version");

		if (name && !strcmp(name, "docker-init"))
			return version && strcmp(version, "N/A");
	}
	return false;
}

static int api_minor(const json_t *root, const char *key)
{
	const char *text = docker_text(root, key);
	int minor;

	return text && sscanf(text, "1.%d", &minor) == 1 ? minor : -1;
}

int docker_decode_version(const char *json, size_t len, struct docker_version *ret, struct err *err)
{
	json_auto_t *root = NULL;
	int r = docker_parse(json, len, JSON_OBJECT, N_("its version"), &root, err);

	if (r < 0)
		return r;
	if (!docker_text(root, "Version") || api_minor(root, "ApiVersion") < 0)
		return err_set(err, EBADMSG, _("What answers is not Docker: it tells no version of the Engine API"));
	ret->version = xstrdup(docker_text(root, "Version"));
	ret->minor = api_minor(root, "ApiVersion");
	ret->least = api_minor(root, "MinAPIVersion");
	ret->init = has_init(json_object_get(root, "Components"));
	return 0;
}

int docker_decode_exec(const char *json, size_t len, struct docker_exec_state *ret, struct err *err)
{
	json_auto_t *root = NULL;
	int r = docker_parse(json, len, JSON_OBJECT, N_("a program"), &root, err);

	if (r < 0)
		return r;
	*ret = (struct docker_exec_state){
		.running = json_is_true(json_object_get(root, "Running")),
		.exit_code = (int)(json_integer_value(json_object_get(root, "ExitCode")) & 0xff),
		.pid = (pid_t)json_integer_value(json_object_get(root, "Pid")),
	};
	if (!json_is_integer(json_object_get(root, "ExitCode")))
		ret->running = true;
	return 0;
}

int docker_exec_code(int code, const char *said)
{
	bool absent = strstr(said, "executable file not found") || strstr(said, "no such file or directory");

	return code == 126 && text_starts(said, "OCI runtime exec failed: ") && absent ? 127 : code;
}

void docker_event_release(struct docker_event *event)
{
	free(event->id);
	free(event->instance);
	*event = (struct docker_event){ 0 };
}

static int event_kind(const char *action)
{
	static const char *const actions[] = {
		[DOCKER_START] = "start", [DOCKER_DIE] = "die", [DOCKER_OOM] = "oom", [DOCKER_DESTROY] = "destroy"
	};

	for (size_t i = 0; action && i < ARRAY_SIZE(actions); i++)
		if (!strcmp(action, actions[i]))
			return (int)i;
	return -1;
}

int docker_decode_event(const char *json, size_t len, struct docker_event *ret)
{
	json_auto_t *root = NULL;
	const json_t *actor, *attributes;
	const char *id, *instance, *type, *exit_code;
	int kind, r = docker_parse(json, len, JSON_OBJECT, N_("an event"), &root, NULL);

	if (r < 0)
		return r;
	actor = json_object_get(root, "Actor");
	attributes = json_object_get(actor, "Attributes");
	id = docker_text(actor, "ID");
	instance = docker_text(attributes, RUNTIME_LABEL_INSTANCE);
	type = docker_text(root, "Type");
	exit_code = docker_text(attributes, "exitCode");
	kind = event_kind(docker_text(root, "Action"));
	if (!id || !instance || !type || strcmp(type, "container") || kind < 0)
		return 0;
	*ret = (struct docker_event){ .kind = (enum docker_event_kind)kind,
				      .id = xstrdup(id),
				      .instance = xstrdup(instance),
				      .exit_code = exit_code ? (int)strtol(exit_code, NULL, 10) : 0 };
	return 1;
}

/* What Docker said, made fit to be shown on one line. The caller owns it. */
static char *error_message(const char *json, size_t len)
{
	json_auto_t *root = NULL;
	const char *said = NULL;
	char *message;

	if (docker_parse(json, len, JSON_OBJECT, N_("an error"), &root, NULL) == 0) {
		said = docker_text(root, "message");
		if (!said)
			said = docker_text(root, "error");
		message = xstrndup(said ? said : "", MOST_MESSAGE);
	} else
		message = xstrndup(json ? json : "", len < MOST_MESSAGE ? len : MOST_MESSAGE);
	for (char *end = message + strlen(message); end > message && isspace((unsigned char)end[-1]);)
		*--end = '\0';
	text_printable(message, false);
	return message;
}

/* "192.0.2.1:80" or "[::]:80" in a sentence like "Bind for 0.0.0.0:80 failed: …". The caller owns it; NULL: none. */
static char *find_endpoint(const char *message)
{
	for (const char *p = message; *p; p++) {
		size_t address = strspn(p, "0123456789."), digits;

		if (*p == '[')
			address = 1 + strspn(p + 1, "0123456789abcdef:.");
		address += p[address] == ']';
		digits = p[address] == ':' ? strspn(p + address + 1, "0123456789") : 0;
		if (address > 2 && digits)
			return xstrndup(p, address + 1 + digits);
	}
	return NULL;
}

static int port_taken(const char *message, struct err *err)
{
	_cleanup_(freep) char *endpoint = find_endpoint(message);

	if (!endpoint)
		return err_set(err, EADDRINUSE, _("A port that the node publishes is taken on this host: %s"), message);
	return err_set(
	    err, EADDRINUSE,
	    _("The port %s is taken on this host; publish another one, or stop what uses it (ss -ltnp shows it)"),
	    endpoint);
}

int docker_error(int status, const char *json, size_t len, struct err *err)
{
	_cleanup_(freep) char *message = error_message(json, len);

	if (strstr(message, "port is already allocated") || strstr(message, "address already in use"))
		return port_taken(message, err);
	if (strstr(message, "no space left on device"))
		return err_set(err, ENOSPC, _("Docker has no space left on its disk; make room and try again: %s"),
			       message);
	if (status == 409 && strstr(message, "is already in use by container"))
		return err_set(err, EEXIST, _("A container of that name exists already: %s"), message);
	if (status == 409 && (strstr(message, "is not running") || strstr(message, "is restarting")))
		return err_set(err, ESRCH, _("The node does not run: %s"), message);
	if (status == 404)
		return err_set(err, ENOENT, _("Docker does not know it: %s"), message);
	if (status == 409)
		return err_set(err, EBUSY, _("Docker cannot do that now: %s"), message);
	if (status == 400)
		return err_set(err, EINVAL, _("Docker refused the request: %s"), message);
	return err_set(err, EIO, _("Docker failed (status %d): %s"), status, *message ? message : _("no reason given"));
}
