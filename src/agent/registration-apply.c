/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "agent/registration.h"
#include "agent/members.h"
#include "base/i18n.h"

/* What the local Consul agent has of one instance. */
struct present {
	struct consul_services services; /* one or none */
	struct consul_checks checks;
};

static void present_release(struct present *present)
{
	consul_services_release(&present->services);
	consul_checks_release(&present->checks);
}

static int present_read(struct consul *consul, const char *id, struct present *ret, struct err *err)
{
	_cleanup_(freep) char *services = xasprintf("ID == \"%s\"", id), *checks = xasprintf("ServiceID == \"%s\"", id);
	int r = consul_agent_services(consul, services, &ret->services, err);

	return r < 0 ? r : consul_agent_checks(consul, checks, &ret->checks, err);
}

static const struct consul_check *find_check(const struct present *present, const char *id)
{
	for (size_t i = 0; i < present->checks.n; i++)
		if (!strcmp(present->checks.v[i].id, id))
			return &present->checks.v[i];
	return NULL;
}

static bool same_check(const struct consul_check *has, const struct registration_check *wanted)
{
	return has && has->notes && !strcmp(has->notes, wanted->digest);
}

static enum consul_status first_status(const struct node_env *env, const char *container, const struct present *present,
				       const struct registration_check *check, bool healthy)
{
	_cleanup_(probe_release) struct probe probe = { 0 };
	const struct consul_check *has = find_check(present, check->id);

	if (!strcmp(check->name, "running"))
		return CONSUL_PASSING;
	if (same_check(has, check) && !healthy && has->status != CONSUL_CRITICAL)
		return has->status;
	if (check->check.kind == CHECK_TTL)
		return CONSUL_WARNING; /* nothing was reported yet: worth a look, no reason to take the node out */
	if (healthy)
		return CONSUL_PASSING;
	probe_check(env, container, check, &probe);
	return probe.status;
}

static struct consul_check_spec spec_of(const struct registration *wanted, const struct registration_check *check,
					enum consul_status status)
{
	static const enum consul_check_kind kinds[] = {
		[CHECK_HTTP] = CONSUL_CHECK_HTTP,
		[CHECK_TCP] = CONSUL_CHECK_TCP,
		[CHECK_EXEC] = CONSUL_CHECK_TTL,
		[CHECK_TTL] = CONSUL_CHECK_TTL,
	};

	return (struct consul_check_spec){
		.kind = kinds[check->check.kind],
		.id = check->id,
		.name = check->name,
		.target = check->target,
		.interval_ms = check->check.interval,
		.timeout_ms = check->check.timeout,
		.ttl_ms = check->check.kind == CHECK_TTL ? check->check.ttl : REGISTRATION_TTL_MS,
		.status = status,
		.notes = check->digest,
		.service_id = wanted->id,
	};
}

static int register_all(const struct node_env *env, const char *container, const struct present *present,
			const struct registration *wanted, bool healthy, struct err *err)
{
	_cleanup_(freep) struct consul_check_spec *checks = xcalloc(wanted->n_checks, sizeof(*checks));
	struct consul_registration registration = {
		.id = wanted->id,
		.name = wanted->name,
		.address = wanted->address,
		.port = wanted->port,
		.meta = &wanted->meta,
		.checks = checks,
		.n_checks = wanted->n_checks,
	};

	for (size_t i = 0; i < wanted->n_checks; i++)
		checks[i] = spec_of(wanted, &wanted->checks[i],
				    first_status(env, container, present, &wanted->checks[i], healthy));
	return consul_service_register(env->consul, &registration, err);
}

static bool is_wanted(const struct registration *wanted, const char *id)
{
	for (size_t i = 0; i < wanted->n_checks; i++)
		if (!strcmp(wanted->checks[i].id, id))
			return true;
	return !strncmp(id, "_service_maintenance:", strlen("_service_maintenance:"));
}

/* A critical one is run once more: Consul forgets what it knew of a check when it is restarted. */
static bool is_fine(const struct consul_check *has, const struct registration_check *wanted)
{
	return same_check(has, wanted) && has->status != CONSUL_CRITICAL;
}

static int level_checks(const struct node_env *env, const char *container, const struct present *present,
			const struct registration *wanted, bool healthy, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < wanted->n_checks; i++) {
		const struct registration_check *check = &wanted->checks[i];
		struct consul_check_spec spec;

		if (is_fine(find_check(present, check->id), check) && !healthy)
			continue;
		spec = spec_of(wanted, check, first_status(env, container, present, check, healthy));
		r = consul_check_register(env->consul, &spec, err);
	}
	for (size_t i = 0; r == 0 && i < present->checks.n; i++)
		if (!is_wanted(wanted, present->checks.v[i].id))
			r = consul_check_deregister(env->consul, present->checks.v[i].id, err);
	return r;
}

/*
 * The reason carries the drain's `since` to the consumers (members.c). Consul takes no other reason for a maintenance
 * that there is: when a drain begins anew before the last one was over, its consumers' acks are of the earlier one, and
 * only its deadline ends it. Out and in again would have them send for a moment.
 */
static int level_maintenance(const struct node_env *env, const struct present *present,
			     const struct registration *wanted, struct err *err)
{
	bool is = consul_in_maintenance(&present->checks, NULL);
	_cleanup_(freep) char *reason = NULL;

	if (is == wanted->maintenance)
		return 0;
	reason = xasprintf("%s " MEMBER_DRAINED "%lld", _("tepuy takes this node out of service"),
			   (long long)wanted->drained_ms);
	return consul_service_maintenance(env->consul, wanted->id, wanted->maintenance, reason, err);
}

static bool same_core(const struct present *present, const struct registration *wanted)
{
	const char *has = present->services.n == 1 ? consul_meta(&present->services.v[0].meta, "digest") : NULL;

	return has && !strcmp(has, consul_meta(&wanted->meta, "digest"));
}

int registration_apply(const struct node_env *env, const char *container, const struct registration *wanted,
		       bool healthy, struct err *err)
{
	_cleanup_(present_release) struct present present = { 0 };
	int r = present_read(env->consul, wanted->id, &present, err);

	if (r < 0)
		return r;
	if (same_core(&present, wanted))
		r = level_checks(env, container, &present, wanted, healthy, err);
	else
		r = register_all(env, container, &present, wanted, healthy, err);
	if (r == 0)
		r = level_maintenance(env, &present, wanted, err);
	if (r == 0) /* Consul keeps over its restart only what was reported, not what a check began with */
		r = consul_check_update(env->consul, wanted->checks[0].id, CONSUL_PASSING, _("The main process runs."),
					err);
	return r;
}
