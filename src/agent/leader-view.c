/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/leader-view.h"

#include <errno.h>
#include <string.h>

#include "agent/links-hold.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"
#include "plan/plan-json.h"

/* --- since when --- */

struct known {
	struct known *next;
	char *name; /* "host", "host portal-web-1.5", "told host portal-web-1.5", "phase portal" */
	int64_t value;
	int64_t since_ms; /* monotonic */
	uint64_t look;    /* the last that it was seen in */
};

enum { BUCKETS = 4096 };

struct health_memory {
	struct known *buckets[BUCKETS];
	uint64_t look;
	int64_t first_ms; /* when the first look was, monotonic */
};

static void known_free(struct known *known)
{
	free(known->name);
	free(known);
}

struct health_memory *health_memory_new(void)
{
	return xcalloc(1, sizeof(struct health_memory));
}

void health_memory_free(struct health_memory *memory)
{
	for (size_t i = 0; memory && i < BUCKETS; i++)
		for (struct known *known = memory->buckets[i], *next; known; known = next) {
			next = known->next;
			known_free(known);
		}
	free(memory);
}

static unsigned hash(const char *name)
{
	unsigned value = 5381;

	for (; *name; name++)
		value = value * 33 + (unsigned char)*name;
	return value % BUCKETS;
}

/* How long it has been as it is now. */
static int64_t remember(struct health_memory *memory, const char *name, int64_t value, int64_t now_ms)
{
	struct known **at = &memory->buckets[hash(name)];

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->next;
	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		**at = (struct known){ .name = xstrdup(name), .value = value, .since_ms = now_ms };
	}
	(*at)->look = memory->look;
	if ((*at)->value != value) {
		(*at)->value = value;
		(*at)->since_ms = now_ms;
	}
	return now_ms - (*at)->since_ms;
}

/* What was not in the last look is gone: generations never come again. */
static void forget_unseen(struct health_memory *memory)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct known **at = &memory->buckets[i]; *at;) {
			struct known *known = *at;

			if (known->look == memory->look) {
				at = &known->next;
				continue;
			}
			*at = known->next;
			known_free(known);
		}
}

/* --- specs --- */

struct cached {
	struct cached *next;
	char *service;
	uint64_t revision;
	json_t *spec;
};

struct spec_cache {
	struct cached *first;
};

struct spec_cache *spec_cache_new(void)
{
	return xcalloc(1, sizeof(struct spec_cache));
}

static void cached_free(struct cached *cached)
{
	json_decref(cached->spec);
	free(cached->service);
	free(cached);
}

void spec_cache_free(struct spec_cache *cache)
{
	for (struct cached *cached = cache ? cache->first : NULL, *next; cached; cached = next) {
		next = cached->next;
		cached_free(cached);
	}
	free(cache);
}

static struct cached *find_cached(const struct spec_cache *cache, const char *service, uint64_t revision)
{
	struct cached *cached = cache->first;

	while (cached && (cached->revision != revision || strcmp(cached->service, service)))
		cached = cached->next;
	return cached;
}

const json_t *spec_cache_get(const struct spec_cache *cache, const char *service, uint64_t revision)
{
	struct cached *cached = find_cached(cache, service, revision);

	return cached ? cached->spec : NULL;
}

void spec_cache_put(struct spec_cache *cache, const char *service, uint64_t revision, json_t *spec)
{
	struct cached *cached = find_cached(cache, service, revision);

	if (!cached) {
		cached = xcalloc(1, sizeof(*cached));
		cached->service = xstrdup(service);
		cached->revision = revision;
		cached->next = cache->first;
		cache->first = cached;
	}
	json_decref(cached->spec);
	cached->spec = spec;
}

static bool is_needed(const struct cached *cached, const struct plan_view *view)
{
	for (size_t i = 0; i < view->n_services; i++) {
		const struct plan_service *service = &view->services[i];

		if (!strcmp(service->name, cached->service))
			return cached->revision == service->status.good ||
			       cached->revision == service->status.revision ||
			       (service->spec && cached->revision == service->spec->revision);
	}
	return false;
}

void spec_cache_trim(struct spec_cache *cache, const struct plan_view *view)
{
	for (struct cached **at = &cache->first; *at;) {
		struct cached *cached = *at;

		if (is_needed(cached, view)) {
			at = &cached->next;
			continue;
		}
		*at = cached->next;
		cached_free(cached);
	}
}

/* --- services --- */

#define SERVICES "tepuy/service/"
#define HOSTS "tepuy/host/"

static struct plan_service *service_of(struct plan_view *view, const char *name)
{
	struct plan_service *service;

	/* Keys come sorted: one service's are together. */
	if (view->n_services && !strcmp(view->services[view->n_services - 1].name, name))
		return &view->services[view->n_services - 1];
	service = plan_view_add_service(view);
	service->name = xstrdup(name);
	return service;
}

static struct plan_spec *parse_spec(const json_t *json, struct err *err)
{
	struct plan_spec *spec = xcalloc(1, sizeof(*spec));

	if (plan_spec_from_json(json, spec, err) < 0) {
		free(spec);
		return NULL;
	}
	return spec;
}

static int read_spec(struct plan_service *service, json_t *json, struct spec_cache *specs, struct err *err)
{
	service->spec = parse_spec(json, err);
	if (!service->spec)
		return -EINVAL;
	spec_cache_put(specs, service->name, service->spec->revision, json_incref(json));
	return 0;
}

/* `unreadable` gets the service when its status is: without it a service looks like a new one. */
static void read_service_key(const struct leader_sources *from, const struct consul_kv *kv, struct plan_view *view,
			     struct strv *unreadable)
{
	_cleanup_(freep) char *name = xstrdup(kv->key + strlen(SERVICES));
	_cleanup_json_ json_t *json = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	char *kind = strchr(name, '/');
	struct plan_service *service;
	int r = 0;

	if (!kind)
		return;
	*kind++ = '\0';
	if (text_starts(kind, "check/"))
		return;
	service = service_of(view, name);
	json = json_loadb(kv->value, kv->len, 0, NULL);
	if (!strcmp(kind, "spec"))
		r = read_spec(service, json, from->specs, &err);
	else if (!strcmp(kind, "status")) {
		r = plan_status_from_json(json, &service->status, &err);
		service->status_index = kv->modify_index;
		if (r < 0)
			strv_add(unreadable, name);
	} else if (text_starts(kind, "disconnect/")) {
		service->disconnects =
		    xreallocarray(service->disconnects, service->n_disconnects + 1, sizeof(*service->disconnects));
		r = plan_disconnect_from_json(kv->key, json, &service->disconnects[service->n_disconnects], &err);
		if (r == 0)
			service->n_disconnects++;
	}
	if (r < 0)
		log_warning("The key %s cannot be read: %s", kv->key, err_text(&err));
}

static void leave_out(struct plan_view *view, size_t i)
{
	plan_service_release(&view->services[i]);
	view->services[i] = view->services[--view->n_services];
}

static void leave_out_unreadable(struct plan_view *view, const struct strv *unreadable)
{
	for (size_t i = 0; i < view->n_services;)
		if (strv_has(unreadable, view->services[i].name))
			leave_out(view, i);
		else
			i++;
}

/* The spec to fall back on. A service that lacks it is not planned before it is there. */
static void find_good_specs(const struct leader_sources *from, struct plan_view *view, struct strv *missing)
{
	for (size_t i = 0; i < view->n_services;) {
		struct plan_service *service = &view->services[i];
		uint64_t good = service->status.good;
		const json_t *json = good ? spec_cache_get(from->specs, service->name, good) : NULL;

		if (!good || json) {
			if (json && !json_is_null(json))
				service->good = parse_spec(json, NULL);
			i++;
			continue;
		}
		strv_addf(missing, "%s/%llu", service->name, (unsigned long long)good);
		leave_out(view, i);
	}
}

/* --- hosts and instances --- */

/* Splits "tepuy/host/<host>/<kind>/<rest>" in place. */
static bool split_host_key(char *key, char **ret_host, char **ret_kind, char **ret_rest)
{
	char *p = key + strlen(HOSTS);

	*ret_host = p;
	p = strchr(p, '/');
	if (!p)
		return false;
	*p++ = '\0';
	*ret_kind = p;
	p = strchr(p, '/');
	if (p)
		*p++ = '\0';
	*ret_rest = p ? p : (char *)"";
	return true;
}

static const struct consul_kv *find_kv(const struct consul_kvs *kvs, const char *key)
{
	size_t low = 0, high = kvs->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(kvs->v[middle].key, key);

		if (order == 0)
			return &kvs->v[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Has the instance of this key, of another kind, an assignment? */
static bool is_assigned(const struct leader_sources *from, const char *key)
{
	_cleanup_(freep) char *copy = xstrdup(key), *node = NULL;
	char *host, *kind, *rest;

	if (!split_host_key(copy, &host, &kind, &rest))
		return false;
	node = xasprintf(HOSTS "%s/node/%s", host, rest);
	return find_kv(from->hosts, node);
}

/* `unreadable` gets the service of an assignment that is: what it may run must not be taken for not there. */
static void read_host_key(const struct leader_sources *from, const struct consul_kv *kv, struct plan_view *view,
			  struct strv *unreadable)
{
	_cleanup_(freep) char *key = xstrdup(kv->key);
	_cleanup_json_ json_t *json = json_loadb(kv->value, kv->len, 0, NULL);
	_cleanup_err_ struct err err = ERR_INIT;
	char *host, *kind, *rest;
	int r = 0;

	if (!split_host_key(key, &host, &kind, &rest))
		return;
	if (!strcmp(kind, "info")) {
		struct plan_host *added = plan_view_add_host(view);

		/* Without its host, what is assigned to it would be taken for stopped. */
		r = plan_host_from_json(kv->key, json, added, &err);
		if (r < 0)
			*added = (struct plan_host){ .name = xstrdup(host), .cordoned = true };
	} else if (!strcmp(kind, "node")) {
		struct plan_instance *instance = plan_view_add_instance(view);

		r = plan_instance_from_json(kv->key, json, instance, &err);
		instance->index = kv->modify_index;
		view->n_instances -= r < 0;
		if (r < 0)
			strv_take(unreadable, xstrndup(rest, strcspn(rest, "/")));
	} else if (!strcmp(kind, "found") && !is_assigned(from, kv->key)) {
		r = plan_instance_from_json(kv->key, json, plan_view_add_instance(view), &err);
		view->n_instances -= r < 0;
	} else if (!strcmp(kind, "ack")) {
		r = plan_ack_from_json(kv->key, json, plan_view_add_ack(view), &err);
		view->n_acks -= r < 0;
	}
	if (r < 0)
		log_warning("The key %s cannot be read: %s", kv->key, err_text(&err));
}

static void read_admin(const struct leader_sources *from, struct plan_host *host)
{
	_cleanup_(freep) char *key = xasprintf(HOSTS "%s/admin", host->name);
	const struct consul_kv *kv = find_kv(from->hosts, key);
	_cleanup_json_ json_t *json = kv ? json_loadb(kv->value, kv->len, 0, NULL) : NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (!host->runtime) /* unreadable: stays closed */
		return;
	if (kv && plan_admin_from_json(json, host, &err) < 0)
		log_warning("The key %s cannot be read, the host gets no new nodes: %s", key, err_text(&err));
}

static void read_state(const struct leader_sources *from, struct plan_instance *instance)
{
	_cleanup_(freep) char *key = plan_instance_key("state", instance->host, instance->service, instance->component,
						       instance->n, instance->gen);
	const struct consul_kv *kv = find_kv(from->hosts, key);
	_cleanup_json_ json_t *json = kv ? json_loadb(kv->value, kv->len, 0, NULL) : NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	if (json && plan_state_from_json(json, instance, &err) < 0)
		log_warning("The key %s cannot be read: %s", key, err_text(&err));
}

/* --- the catalog --- */

struct health_row {
	char *name; /* "host portal-web-1.5", or "host" */
	enum plan_health health;
	bool unrun;
};

struct health_table {
	struct health_row *rows;
	size_t n, cap;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct health_row *)a)->name, ((const struct health_row *)b)->name);
}

static enum plan_health health_of(const struct consul_check *check)
{
	if (text_starts(check->id, "_service_maintenance:"))
		return PLAN_MAINTENANCE;
	switch (check->status) {
	case CONSUL_PASSING:
		return PLAN_PASSING;
	case CONSUL_WARNING:
		return PLAN_WARNING;
	default:
		return PLAN_CRITICAL;
	}
}

/* One row a check, sorted by name; the rows of one instance are merged when they are looked up. */
static void health_table(const struct consul_checks *checks, struct health_table *ret)
{
	for (size_t i = 0; i < checks->n; i++) {
		const struct consul_check *check = &checks->v[i];

		if (!check->node || (!check->service_id && strcmp(check->id, "serfHealth")))
			continue;
		ret->rows = grow_array(ret->rows, ret->n, &ret->cap, sizeof(*ret->rows));
		ret->rows[ret->n].health = health_of(check);
		ret->rows[ret->n].unrun = links_check_unrun(check);
		ret->rows[ret->n++].name =
		    check->service_id ? xasprintf("%s %s", check->node, check->service_id) : xstrdup(check->node);
	}
	if (ret->n)
		qsort(ret->rows, ret->n, sizeof(*ret->rows), by_name);
}

static void health_table_release(struct health_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->rows[i].name);
	free(table->rows);
}

/* The worst of its checks. That one has not run since Consul's agent was started tells nothing: neither well nor ill.
 */
static enum plan_health look_up(const struct health_table *table, const char *name)
{
	struct health_row key = { .name = (char *)name }, *row;
	enum plan_health worst = PLAN_UNKNOWN;
	bool unrun = false;

	row = table->n ? bsearch(&key, table->rows, table->n, sizeof(key), by_name) : NULL;
	while (row && row > table->rows && !strcmp(row[-1].name, name))
		row--;
	for (; row && row < table->rows + table->n && !strcmp(row->name, name); row++)
		if (row->unrun)
			unrun = true;
		else if (row->health > worst)
			worst = row->health; /* unknown < passing < warning < critical < maintenance */
	return unrun && worst < PLAN_CRITICAL ? PLAN_UNKNOWN : worst;
}

static bool host_alive(const struct plan_view *view, const char *host)
{
	for (size_t i = 0; i < view->n_hosts; i++)
		if (!strcmp(view->hosts[i].name, host))
			return view->hosts[i].alive;
	return false;
}

/* Instances that their agents have still to take away. Those of hosts that are dead, or left, are not waited for. */
static void count_leaving(const struct leader_sources *from, struct plan_view *view)
{
	for (size_t i = 0; i < from->hosts->n; i++) {
		_cleanup_(freep) char *key = xstrdup(from->hosts->v[i].key);
		char *host, *kind, *rest;

		if (!split_host_key(key, &host, &kind, &rest) || strcmp(kind, "state") != 0 ||
		    is_assigned(from, from->hosts->v[i].key) || !host_alive(view, host))
			continue;
		for (size_t j = 0; j < view->n_services; j++) {
			size_t len = strlen(view->services[j].name);

			if (!strncmp(view->services[j].name, rest, len) && rest[len] == '/')
				view->services[j].n_leaving++;
		}
	}
}

static void read_health(const struct leader_sources *from, const struct health_table *table, struct plan_view *view)
{
	if (!from->memory->look++)
		from->memory->first_ms = from->monotonic_ms;
	view->looking_ms = from->monotonic_ms - from->memory->first_ms;
	for (size_t i = 0; i < view->n_services; i++) {
		struct plan_service *service = &view->services[i];
		_cleanup_(freep) char *name = xasprintf("phase %s", service->name);

		service->phase_ms =
		    remember(from->memory, name, service->status.since_ms * 16 + (int64_t)service->status.phase,
			     from->monotonic_ms);
	}
	for (size_t i = 0; i < view->n_hosts; i++) {
		struct plan_host *host = &view->hosts[i];
		int64_t so_ms;

		read_admin(from, host);
		host->alive = look_up(table, host->name) == PLAN_PASSING;
		so_ms = remember(from->memory, host->name, host->alive, from->monotonic_ms);
		host->alive_ms = host->alive ? so_ms : 0;
		host->dead_ms = host->alive ? 0 : so_ms;
	}
	for (size_t i = 0; i < view->n_instances; i++) {
		struct plan_instance *instance = &view->instances[i];
		_cleanup_(freep) char *told =
		    xasprintf("told %s %s-%s-%u.%llu", instance->host, instance->service, instance->component,
			      instance->n, (unsigned long long)instance->gen);
		const char *name = told + strlen("told ");
		bool well;

		instance->health = look_up(table, name);
		well = instance->health == PLAN_PASSING || instance->health == PLAN_WARNING;
		instance->health_ms = remember(from->memory, name, well, from->monotonic_ms);
		instance->told_ms = remember(from->memory, told, instance->since_ms, from->monotonic_ms);
	}
	forget_unseen(from->memory);
}

void leader_view(const struct leader_sources *from, struct plan_view *ret, struct strv *missing)
{
	_cleanup_(health_table_release) struct health_table table = { 0 };
	_cleanup_strv_ struct strv unreadable = { 0 };
	struct plan_view view = { .now_ms = from->now_ms };

	for (size_t i = 0; i < from->services->n; i++)
		if (text_starts(from->services->v[i].key, SERVICES))
			read_service_key(from, &from->services->v[i], &view, &unreadable);
	find_good_specs(from, &view, missing);
	for (size_t i = 0; i < from->hosts->n; i++)
		if (text_starts(from->hosts->v[i].key, HOSTS))
			read_host_key(from, &from->hosts->v[i], &view, &unreadable);
	leave_out_unreadable(&view, &unreadable);
	for (size_t i = 0; i < view.n_instances; i++)
		read_state(from, &view.instances[i]);
	health_table(from->checks, &table);
	read_health(from, &table, &view);
	count_leaving(from, &view);
	*ret = view;
}
