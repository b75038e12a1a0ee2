/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/leader-ghosts.h"

#include <errno.h>
#include <string.h>

#include "agent/instance-id.h"
#include "base/log.h"
#include "base/text.h"

#define HOSTS "tepuy/host/"

/* "h1 portal-web-1.5" of each assignment, sorted. */
static void explained(const struct consul_kvs *hosts, struct strv *ret)
{
	for (size_t i = 0; i < hosts->n; i++) {
		const char *host = hosts->v[i].key + strlen(HOSTS), *kind;
		struct instance_id id;

		if (!text_starts(hosts->v[i].key, HOSTS) || !(kind = strchr(host, '/')) ||
		    !text_starts(kind, "/node/") || instance_id_parse(kind + strlen("/node/"), &id, NULL) < 0)
			continue;
		strv_addf(ret, "%.*s %s", (int)(kind - host), host, id.catalog_id);
		instance_id_release(&id);
	}
	strv_sort(ret);
}

static const struct plan_host *host_of(const struct plan_view *view, const char *name)
{
	for (size_t i = 0; i < view->n_hosts; i++)
		if (!strcmp(view->hosts[i].name, name))
			return &view->hosts[i];
	return NULL;
}

void ghosts_find(const struct leader_sources *from, const struct plan_view *view, struct strv *ret_hosts,
		 int64_t *ret_wait_ms)
{
	int64_t limit_ms = view->reschedule_ms ? view->reschedule_ms : PLAN_RESCHEDULE_MS;
	_cleanup_strv_ struct strv known = { 0 };
	bool any_dead = false;

	*ret_wait_ms = INT64_MAX;
	for (size_t i = 0; i < view->n_hosts; i++)
		any_dead |= !view->hosts[i].alive;
	if (!any_dead)
		return; /* as always but for accidents */
	explained(from->hosts, &known);
	for (size_t i = 0; i < from->checks->n; i++) {
		const struct consul_check *check = &from->checks->v[i];
		const struct plan_host *host = check->service_id && check->node ? host_of(view, check->node) : NULL;
		_cleanup_(freep) char *name = host ? xasprintf("%s %s", check->node, check->service_id) : NULL;

		if (!host || host->alive || strv_has_sorted(&known, name) || strv_has(ret_hosts, host->name))
			continue;
		if (host->dead_ms >= limit_ms)
			strv_add(ret_hosts, host->name);
		else if (limit_ms - host->dead_ms < *ret_wait_ms)
			*ret_wait_ms = limit_ms - host->dead_ms;
	}
}

static bool is_alive(const struct consul_checks *checks)
{
	for (size_t i = 0; i < checks->n; i++)
		if (!strcmp(checks->v[i].id, "serfHealth") && checks->v[i].status == CONSUL_PASSING)
			return true;
	return false;
}

/* Ours, and its assignment is not there: the key is asked for now. 1, 0 or -errno. */
static int is_ghost(const struct node_env *env, const char *host, const struct consul_service *service, struct err *err)
{
	const char *tepuy = consul_meta(&service->meta, "tepuy"), *name = consul_meta(&service->meta, "service");
	const char *component = consul_meta(&service->meta, "component"), *n = consul_meta(&service->meta, "node");
	const char *gen = consul_meta(&service->meta, "gen");
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	_cleanup_(freep) char *key = NULL;
	int r;

	if (!tepuy || strcmp(tepuy, "1") != 0 || !name || !component || !n || !gen)
		return 0;
	key = xasprintf(HOSTS "%s/node/%s/%s/%s.%s", host, name, component, n, gen);
	r = consul_kv_get(env->consul, key, &kv, err);
	if (r == -ENOENT) {
		err_release(err);
		return 1;
	}
	return r;
}

int ghosts_remove(const struct node_env *env, const char *host, struct err *err)
{
	_cleanup_consul_services_ struct consul_services services = { 0 };
	_cleanup_consul_checks_ struct consul_checks checks = { 0 };
	int r = consul_health_node(env->consul, host, &checks, err), gone = 0;

	if (r == 0 && is_alive(&checks))
		return 0;
	if (r == 0)
		r = consul_catalog_services(env->consul, host, &services, err);
	for (size_t i = 0; r == 0 && i < services.n; i++) {
		r = is_ghost(env, host, &services.v[i], err);
		if (r <= 0)
			continue;
		r = consul_catalog_deregister(env->consul, host, services.v[i].id, err);
		if (r == 0)
			log_info("%s of the host %s, which is away, is taken out of Consul's catalog.",
				 services.v[i].id, host);
		gone += r == 0;
	}
	return r < 0 ? r : gone;
}
