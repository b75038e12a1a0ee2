/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other keys and values of docs/state.md. */
#include "plan/plan-json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

#define PARTS_MAX 9
#define HOMES_MAX 10000

/* A key cut at its slashes; parts point into `text`. */
struct key {
	char *text;
	char *parts[PARTS_MAX];
	size_t n;
};

static void key_release(struct key *key)
{
	free(key->text);
}

#define _cleanup_key_ _cleanup_(key_release)

static void key_split(struct key *key, const char *text)
{
	char *rest;

	key->text = rest = xstrdup(text);
	for (char *part; (part = strsep(&rest, "/"));) {
		if (key->n == PARTS_MAX || !part[0]) {
			key->n = 0;
			return;
		}
		key->parts[key->n++] = part;
	}
}

/* tepuy/<group>/<name>/<kind>/… with `n` parts in all. */
static bool key_is(const struct key *key, const char *group, const char *kind, size_t n)
{
	return key->n == n && !strcmp(key->parts[0], "tepuy") && !strcmp(key->parts[1], group) &&
	       !strcmp(key->parts[3], kind);
}

static int parse_number(const char *text, unsigned *ret)
{
	uint64_t n;

	if (text_u64(text, &n) < 0 || !n || n > PLAN_NODES_MAX)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

/* "<n>.<gen>"; changes the text. */
static int parse_instance(char *text, unsigned *ret_n, uint64_t *ret_gen)
{
	char *gen = strchr(text, '.');
	uint64_t number;

	if (!gen)
		return -EINVAL;
	*gen++ = '\0';
	if (text_u64(gen, &number) < 0 || !number || parse_number(text, ret_n) < 0)
		return -EINVAL;
	*ret_gen = number;
	return 0;
}

static char *optional_text(const json_t *object, const char *key)
{
	return xstrdup(json_string_value(json_object_get(object, key)));
}

static int read_homes(json_t *object, struct plan_status *status)
{
	const char *name;
	json_t *host;

	if (object && (!json_is_object(object) || json_object_size(object) > HOMES_MAX))
		return -EINVAL;
	status->homes = xcalloc(json_object_size(object), sizeof(*status->homes));
	json_object_foreach(object, name, host)
	{
		const char *slash = strchr(name, '/');
		unsigned n;

		if (!slash || !json_is_string(host) || parse_number(slash + 1, &n) < 0)
			return -EINVAL;
		status->homes[status->n_homes++] =
		    (struct plan_home){ xstrndup(name, (size_t)(slash - name)), n, xstrdup(json_string_value(host)) };
	}
	return 0;
}

static int compare_homes(const void *a, const void *b)
{
	const struct plan_home *x = a, *y = b;
	int d = strcmp(x->component, y->component);

	return d ? d : (x->n > y->n) - (x->n < y->n);
}

int plan_status_from_json(const json_t *json, struct plan_status *ret, struct err *err)
{
	struct plan_status status = { 0 };
	json_int_t revision, good = 0, step = 0, since = 0;
	json_t *homes = NULL;
	const char *phase;

	if (json_unpack((json_t *)json, "{s:s, s:I, s?I, s?I, s?I, s?o}", "phase", &phase, "revision", &revision,
			"good", &good, "step", &step, "since", &since, "homes", &homes) < 0 ||
	    revision < 0 || good < 0 || step < 0 || plan_phase_parse(phase, &status.phase) < 0 ||
	    read_homes(homes, &status) < 0) {
		plan_status_release(&status);
		return err_set(err, EINVAL, _("A service's status in Consul is not of the right shape"));
	}
	qsort(status.homes, status.n_homes, sizeof(*status.homes), compare_homes);
	status.revision = (uint64_t)revision;
	status.good = (uint64_t)good;
	status.step = (uint64_t)step;
	status.since_ms = since;
	status.reason = optional_text(json, "reason");
	status.detail = optional_text(json, "detail");
	*ret = status;
	return 0;
}

json_t *plan_status_to_json(const struct plan_status *status)
{
	json_t *homes = json_object();

	for (size_t i = 0; i < status->n_homes; i++) {
		_cleanup_(freep) char *name = xasprintf("%s/%u", status->homes[i].component, status->homes[i].n);

		json_object_set_new(homes, name, json_string(status->homes[i].host));
	}
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s?, s:s?, s:o}", "phase", plan_phase_name(status->phase),
			 "revision", (json_int_t)status->revision, "good", (json_int_t)status->good, "step",
			 (json_int_t)status->step, "since", (json_int_t)status->since_ms, "reason", status->reason,
			 "detail", status->detail, "homes", homes);
}

/* Components that a body links to, sorted, each once. */
static void read_body_links(const json_t *body, struct strv *ret)
{
	const char *name;
	json_t *link;

	json_object_foreach(json_object_get(body, "links"), name, link)
	{
		const char *component = json_string_value(json_object_get(link, "component"));

		if (component && !strv_has(ret, component))
			strv_add(ret, component);
	}
	strv_sort(ret);
}

int plan_instance_from_json(const char *key, const json_t *json, struct plan_instance *ret, struct err *err)
{
	_cleanup_key_ struct key split = { 0 };
	struct plan_instance it = { 0 };
	json_int_t revision, since = 0;
	const char *desired;
	int proven = 0;
	json_t *body;

	key_split(&split, key);
	it.found = key_is(&split, "host", "found", 7);
	if ((!it.found && !key_is(&split, "host", "node", 7)) || parse_instance(split.parts[6], &it.n, &it.gen) < 0 ||
	    json_unpack((json_t *)json, "{s:s, s:I, s?I, s?b, s:o}", "desired", &desired, "revision", &revision,
			"since", &since, "proven", &proven, "body", &body) < 0 ||
	    revision < 0 || !json_is_object(body) || plan_desired_parse(desired, &it.desired) < 0)
		return err_set(err, EINVAL, _("The assignment %s in Consul is not of the right shape"), key);
	it.host = xstrdup(split.parts[2]);
	it.service = xstrdup(split.parts[4]);
	it.component = xstrdup(split.parts[5]);
	it.revision = it.found ? 0 : (uint64_t)revision;
	it.since_ms = since;
	it.proven = proven;
	it.fingerprint = optional_text(json, "fingerprint");
	if (!it.fingerprint)
		it.fingerprint = plan_body_fingerprint(body);
	it.around = plan_around_fingerprint(json_object_get(json, "checks"), body);
	it.memory = (uint64_t)json_integer_value(json_object_get(body, "memory"));
	read_body_links(body, &it.links);
	*ret = it;
	return 0;
}

int plan_state_from_json(const json_t *json, struct plan_instance *instance, struct err *err)
{
	enum plan_state parsed;
	json_int_t answers = 0;
	const char *state;

	if (json_unpack((json_t *)json, "{s:s, s?I}", "state", &state, "answers", &answers) < 0 ||
	    plan_state_parse(state, &parsed) < 0)
		return err_set(err, EINVAL, _("The state of an instance in Consul is not of the right shape"));
	instance->state = parsed;
	instance->answers_ms = answers;
	free(instance->why);
	free(instance->log);
	instance->why = optional_text(json, "why");
	instance->log = optional_text(json, "log");
	return 0;
}

int plan_ack_from_json(const char *key, const json_t *json, struct plan_ack *ret, struct err *err)
{
	_cleanup_key_ struct key split = { 0 };
	struct plan_ack ack = { 0 };
	json_int_t sessions, since = 0;

	key_split(&split, key);
	if (!key_is(&split, "host", "ack", 8) || parse_instance(split.parts[6], &ack.n, &ack.gen) < 0 ||
	    json_unpack((json_t *)json, "{s:I, s?I}", "sessions", &sessions, "since", &since) < 0 || sessions < 0)
		return err_set(err, EINVAL, _("The ack %s in Consul is not of the right shape"), key);
	ack.host = xstrdup(split.parts[2]);
	ack.service = xstrdup(split.parts[4]);
	ack.component = xstrdup(split.parts[5]);
	ack.consumer = xstrdup(split.parts[7]);
	ack.since_ms = since;
	ack.sessions = (uint64_t)sessions;
	*ret = ack;
	return 0;
}

int plan_disconnect_from_json(const char *key, const json_t *json, struct plan_disconnect *ret, struct err *err)
{
	_cleanup_key_ struct key split = { 0 };
	struct plan_disconnect disconnect = { 0 };
	json_int_t deadline = 0;
	int stop = 0;

	key_split(&split, key);
	if ((!key_is(&split, "service", "disconnect", 5) && !key_is(&split, "service", "disconnect", 6)) ||
	    (split.n == 6 && parse_number(split.parts[5], &disconnect.n) < 0) ||
	    json_unpack((json_t *)json, "{s?b, s?I}", "stop", &stop, "deadline", &deadline) < 0 || deadline < 0)
		return err_set(err, EINVAL, _("The key %s in Consul is not of the right shape"), key);
	disconnect.component = xstrdup(split.parts[4]);
	disconnect.stop = stop;
	disconnect.deadline_ms = deadline;
	*ret = disconnect;
	return 0;
}

int plan_host_from_json(const char *key, const json_t *json, struct plan_host *ret, struct err *err)
{
	_cleanup_key_ struct key split = { 0 };
	struct plan_host host = { 0 };
	const char *name, *runtime;
	json_t *labels = NULL, *value;

	key_split(&split, key);
	if (!key_is(&split, "host", "info", 4) ||
	    json_unpack((json_t *)json, "{s:s, s?o}", "runtime", &runtime, "labels", &labels) < 0)
		return err_set(err, EINVAL, _("The key %s in Consul is not of the right shape"), key);
	host.name = xstrdup(split.parts[2]);
	host.runtime = xstrdup(runtime);
	host.machines = json_is_true(json_object_get(json, "machines"));
	host.memory = (uint64_t)json_integer_value(json_object_get(json, "memory"));
	host.cpus = json_number_value(json_object_get(json, "cpus"));
	json_object_foreach(labels, name, value) if (json_is_string(value))
	    strv_addf(&host.labels, "%s=%s", name, json_string_value(value));
	strv_sort(&host.labels);
	*ret = host;
	return 0;
}

int plan_admin_from_json(const json_t *admin, struct plan_host *host, struct err *err)
{
	int cordoned = 0, drained = 0;

	host->cordoned = true;
	if (!json_is_object(admin) ||
	    json_unpack((json_t *)admin, "{s?b, s?b}", "cordoned", &cordoned, "drained", &drained) < 0)
		return err_set(err, EINVAL, _("What Consul says of closing the host %s is not of the right shape"),
			       host->name);
	host->cordoned = cordoned;
	host->drained = drained;
	return 0;
}

char *plan_instance_key(const char *kind, const char *host, const char *service, const char *component, unsigned n,
			uint64_t gen)
{
	return xasprintf("tepuy/host/%s/%s/%s/%s/%u.%llu", host, kind, service, component, n, (unsigned long long)gen);
}

int plan_assignment_to_json(const struct plan_action *action, const json_t *spec, json_t **ret, struct err *err)
{
	json_t *component = json_object_get(json_object_get(spec, "components"), action->component);
	json_t *body = json_object_get(component, "body"), *checks = json_object_get(component, "checks");
	const char *service = json_string_value(json_object_get(spec, "service"));

	if (!body || !service)
		return err_set(err, EINVAL, _("Revision %llu has no component %s"),
			       (unsigned long long)action->revision, action->component);
	*ret = json_pack("{s:s, s:I, s:s, s:I, s:b, s:s, s:s, s:O, s:O*}", "desired",
			 plan_desired_name(action->desired), "revision", (json_int_t)action->revision, "fingerprint",
			 action->fingerprint, "since", (json_int_t)action->since_ms, "proven", (int)action->proven,
			 "service", service, "component", action->component, "body", body, "checks", checks);
	return *ret ? 0 : err_set(err, ENOMEM, _("An assignment of %s cannot be written down"), action->component);
}
