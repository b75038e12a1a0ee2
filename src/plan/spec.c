/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A spec from its JSON (docs/state.md). */
#include "plan/plan-json.h"

#include <errno.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/i18n.h"
#include "base/text.h"

#define DEADLINE_MS 60000 /* when a spec has no deadline: it is always bounded */
#define DURATION_MAX_MS INT64_C(604800000)
#define COMPONENTS_MAX 1000
#define LINKS_MAX 256

char *plan_fingerprint(const json_t *value)
{
	char *text = value ? json_dumps(value, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	unsigned char digest[SHA256_DIGEST_LENGTH];

	if (!text)
		text = xstrdup("null");
	SHA256((const unsigned char *)text, strlen(text), digest);
	free(text);
	return text_hex(digest, sizeof(digest));
}

const struct plan_limit plan_limits[PLAN_LIMITS] = { { "memory", "memory_max" }, { "cpus", "cpus_max" } };

json_t *plan_body_lasting(const json_t *body)
{
	json_t *copy = json_deep_copy(body), *volume;
	const char *name;

	json_object_foreach(json_object_get(copy, "volumes"), name, volume)
	{
		json_object_del(volume, "size");
	}
	for (size_t i = 0; i < PLAN_LIMITS; i++)
		if (json_object_get(copy, plan_limits[i].most))
			json_object_del(copy, plan_limits[i].name);
	return copy;
}

char *plan_around_fingerprint(const json_t *checks, const json_t *body)
{
	json_t *around = json_object();
	char *fingerprint;

	for (size_t i = 0; i < PLAN_LIMITS; i++)
		if (json_object_get(body, plan_limits[i].most))
			json_object_set(around, plan_limits[i].name, json_object_get(body, plan_limits[i].name));
	if (json_object_size(around))
		json_object_set(around, "checks", (json_t *)checks);
	fingerprint = plan_fingerprint(json_object_size(around) ? around : checks);
	json_decref(around);
	return fingerprint;
}

char *plan_body_fingerprint(const json_t *body)
{
	json_t *counts = plan_body_lasting(body);
	char *fingerprint = plan_fingerprint(counts);

	json_decref(counts);
	return fingerprint;
}

static int read_duration(const json_t *object, const char *key, int64_t otherwise, int64_t *ret, struct err *err)
{
	const json_t *value = json_object_get(object, key);
	int64_t ms = json_integer_value(value);

	if (!value) {
		*ret = otherwise;
		return 0;
	}
	if (!json_is_integer(value) || ms < 0 || ms > DURATION_MAX_MS)
		return err_set(err, ERANGE, _("update.%s must be milliseconds, at most seven days"), key);
	*ret = ms ? ms : otherwise;
	return 0;
}

static int read_update(const json_t *object, struct plan_update *update, struct err *err)
{
	const char *order = "start-first", *on_failure = "rollback";
	json_int_t parallel = 1;
	int r;

	if (object && json_unpack((json_t *)object, "{s?s, s?s, s?I}", "order", &order, "on_failure", &on_failure,
				  "parallel", &parallel) < 0)
		return err_set(err, EINVAL, _("update is not of the right shape"));
	if (parallel < 1 || parallel > PLAN_NODES_MAX)
		return err_set(err, ERANGE, _("update.parallel must be from 1 to %d"), PLAN_NODES_MAX);
	if (strcmp(order, "start-first") && strcmp(order, "stop-first"))
		return err_set(err, EINVAL, _("update.order must be start-first or stop-first, not '%s'"), order);
	if (strcmp(on_failure, "rollback") && strcmp(on_failure, "stop"))
		return err_set(err, EINVAL, _("update.on_failure must be rollback or stop, not '%s'"), on_failure);
	update->stop_first = !strcmp(order, "stop-first");
	update->rollback = !strcmp(on_failure, "rollback");
	update->parallel = (unsigned)parallel;
	r = read_duration(object, "healthy_for", 0, &update->healthy_for_ms, err);
	return r < 0 ? r : read_duration(object, "deadline", DEADLINE_MS, &update->deadline_ms, err);
}

static int read_links(json_t *object, struct plan_component *component, struct err *err)
{
	const char *name;
	json_t *link;

	if (object && (!json_is_object(object) || json_object_size(object) > LINKS_MAX))
		return err_set(err, EINVAL, _("links must be an object of at most %d links"), LINKS_MAX);
	component->links = xcalloc(json_object_size(object), sizeof(*component->links));
	json_object_foreach(object, name, link)
	{
		const char *target;
		int optional = 0;

		if (json_unpack(link, "{s:s, s?b}", "component", &target, "optional", &optional) < 0)
			return err_set(err, EINVAL, _("link %s must name its component"), name);
		component->links[component->n_links++] = (struct plan_link){ xstrdup(name), xstrdup(target), optional };
	}
	return 0;
}

/* A string, or null, or nothing. */
static int read_optional(const json_t *object, const char *name, char **ret, struct err *err)
{
	const json_t *value = json_object_get(object, name);

	if (value && !json_is_null(value) && !json_is_string(value))
		return err_set(err, EINVAL, _("place.%s must be a string"), name);
	*ret = xstrdup(json_string_value(value));
	return 0;
}

static int read_place(const json_t *object, struct plan_place *place, struct err *err)
{
	json_t *labels = json_object_get(object, "labels"), *value;
	const char *key;
	int r;

	if (object && !json_is_object(object))
		return err_set(err, EINVAL, _("place must be an object"));
	r = read_optional(object, "host", &place->host, err);
	if (r >= 0)
		r = read_optional(object, "runtime", &place->runtime, err);
	if (r < 0)
		return r;
	json_object_foreach(labels, key, value)
	{
		if (!json_is_string(value))
			return err_set(err, EINVAL, _("place.labels.%s must be a string"), key);
		strv_addf(&place->labels, "%s=%s", key, json_string_value(value));
	}
	strv_sort(&place->labels);
	return 0;
}

static void read_ports(const json_t *body, struct plan_component *component)
{
	const char *name;
	json_t *port;

	json_object_foreach(json_object_get(body, "ports"), name, port)
	{
		json_int_t publish = json_integer_value(json_object_get(port, "publish"));
		json_int_t number = json_integer_value(json_object_get(port, "port"));

		if (publish <= 0)
			continue;
		component->fixed_ports = true;
		if (publish == number || component->translated)
			continue;
		component->translated = xstrdup(name);
		component->translated_port = (unsigned)number;
	}
}

static int read_component(json_t *object, struct plan_component *component, struct err *err)
{
	json_t *body = NULL, *links = NULL, *update = NULL, *place = NULL;
	json_int_t nodes = 1;
	int exclusive = 0, r;

	if (json_unpack(object, "{s?I, s?b, s:o, s?o, s?o, s?o}", "nodes", &nodes, "exclusive", &exclusive, "body",
			&body, "links", &links, "update", &update, "place", &place) < 0 ||
	    !json_is_object(body))
		return err_set(err, EINVAL, _("it must have a body, and nodes must be a number"));
	if (nodes < 0 || nodes > PLAN_NODES_MAX)
		return err_set(err, ERANGE, _("nodes must be from 0 to %d"), PLAN_NODES_MAX);
	component->nodes = (unsigned)nodes;
	component->exclusive = exclusive;
	read_ports(body, component);
	component->memory = (uint64_t)json_integer_value(json_object_get(body, "memory"));
	component->cpus = json_number_value(json_object_get(body, "cpus"));
	component->fingerprint = plan_body_fingerprint(body);
	component->around = plan_around_fingerprint(json_object_get(object, "checks"), body);
	r = read_links(links, component, err);
	if (r >= 0)
		r = read_update(update, &component->update, err);
	return r < 0 ? r : read_place(place, &component->place, err);
}

static int compare_components(const void *a, const void *b)
{
	return strcmp(((const struct plan_component *)a)->name, ((const struct plan_component *)b)->name);
}

static int read_components(json_t *object, struct plan_spec *spec, struct err *err)
{
	const char *name;
	json_t *value;
	int r;

	if (object && (!json_is_object(object) || json_object_size(object) > COMPONENTS_MAX))
		return err_set(err, EINVAL, _("components must be an object of at most %d components"), COMPONENTS_MAX);
	spec->components = xcalloc(json_object_size(object), sizeof(*spec->components));
	json_object_foreach(object, name, value)
	{
		struct plan_component *component = &spec->components[spec->n_components++];

		if (!text_is_name(name))
			return err_set(err, EINVAL, _("'%s' is not a component's name"), name);
		component->name = xstrdup(name);
		r = read_component(value, component, err);
		if (r < 0) {
			err_wrap(err, _("component %s"), name);
			return r;
		}
	}
	qsort(spec->components, spec->n_components, sizeof(*spec->components), compare_components);
	return 0;
}

int plan_spec_from_json(const json_t *json, struct plan_spec *ret, struct err *err)
{
	struct plan_spec spec = { 0 };
	json_t *components = NULL;
	const char *service;
	json_int_t revision;
	int down = 0, r;

	if (json_unpack((json_t *)json, "{s:s, s:I, s?b, s?o}", "service", &service, "revision", &revision, "down",
			&down, "components", &components) < 0 ||
	    revision < 1 || !text_is_name(service))
		return err_set(err, EINVAL, _("This is not a spec: it lacks the service's name or a revision"));
	spec.service = xstrdup(service);
	spec.revision = (uint64_t)revision;
	spec.down = down;
	r = read_components(components, &spec, err);
	if (r < 0) {
		err_wrap(err, _("The spec of service %s, revision %lld"), service, (long long)revision);
		plan_spec_release(&spec);
		return r;
	}
	*ret = spec;
	return 0;
}
