/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/daemon-json.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/i18n.h"
#include "host/step.h"

#define INDENT 4 /* as Docker's own documentation writes it */

/* Do the logs of containers go to files that grow? */
static bool logs_to_files(const json_t *config)
{
	static const char *const files[] = { "json-file", "local" };
	const json_t *driver = json_object_get(config, "log-driver");

	if (!driver)
		return true;
	for (size_t i = 0; json_is_string(driver) && i < ARRAY_SIZE(files); i++)
		if (!strcmp(json_string_value(driver), files[i]))
			return true;
	return false;
}

static bool set_default(json_t *object, const char *key, const char *value)
{
	if (json_object_get(object, key))
		return false;
	json_object_set_new(object, key, json_string(value));
	return true;
}

static bool limit_logs(json_t *config)
{
	json_t *options = json_object_get(config, "log-opts");
	bool changed;

	if (!logs_to_files(config) || (options && !json_is_object(options)))
		return false;
	if (!options) {
		options = json_object();
		json_object_set_new(config, "log-opts", options);
	}
	changed = set_default(options, "max-size", "10m");
	return set_default(options, "max-file", "3") || changed;
}

int daemon_json_merge(const char *text, char **ret, struct err *err)
{
	_cleanup_json_ json_t *config = NULL;
	json_error_t why;
	bool changed;
	char *merged;

	config = text[strspn(text, " \t\r\n")] ? json_loads(text, JSON_REJECT_DUPLICATES, &why) : json_object();
	if (!config)
		return err_set(err, EINVAL,
			       _("/etc/docker/daemon.json is no JSON: line %d: %s. Correct it, or take it away"),
			       why.line, why.text);
	if (!json_is_object(config))
		return err_set(err, EINVAL,
			       _("/etc/docker/daemon.json is not a JSON object. Correct it, or take it away"));
	changed = !json_is_true(json_object_get(config, "live-restore"));
	if (changed)
		json_object_set_new(config, "live-restore", json_true());
	changed = limit_logs(config) || changed;
	if (!changed) {
		*ret = NULL;
		return 0;
	}
	merged = json_dumps(config, JSON_INDENT(INDENT) | JSON_PRESERVE_ORDER);
	*ret = xasprintf("%s\n", merged);
	free(merged);
	return 0;
}

int daemon_json_keeps(const char *text, bool *ret, struct err *err)
{
	_cleanup_(freep) char *answer = xstrdup(text);
	const char *last;
	size_t len = strlen(answer);

	while (len && strchr(" \t\r\n", answer[len - 1]))
		answer[--len] = '\0';
	/* What it has to warn of comes first. */
	last = strrchr(answer, '\n') ? strrchr(answer, '\n') + 1 : answer;
	if (strcmp(last, "true") != 0 && strcmp(last, "false") != 0)
		return err_set(err, EPROTO, _("Docker does not say whether live-restore is on"));
	*ret = !strcmp(last, "true");
	return 0;
}
