/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "consul/consul-types.h"

#include <string.h>

#include "base/text.h"

static const char *const status_names[] = {
	[CONSUL_UNKNOWN] = "unknown",
	[CONSUL_PASSING] = "passing",
	[CONSUL_WARNING] = "warning",
	[CONSUL_CRITICAL] = "critical",
};

const char *consul_meta(const struct strv *meta, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < meta->n; i++)
		if (!strncmp(meta->v[i], key, len) && meta->v[i][len] == '=')
			return meta->v[i] + len + 1;
	return NULL;
}

const char *consul_status_name(enum consul_status status)
{
	return status_names[status];
}

enum consul_status consul_status_of(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(status_names); i++)
		if (!strcmp(name, status_names[i]))
			return (enum consul_status)i;
	return CONSUL_UNKNOWN;
}

enum consul_status consul_checks_worst(const struct consul_checks *checks)
{
	enum consul_status worst = CONSUL_PASSING;

	for (size_t i = 0; i < checks->n; i++) {
		enum consul_status status = checks->v[i].status;

		/* A status of a later Consul's invention says nothing good: as bad as critical. */
		if (status == CONSUL_UNKNOWN)
			status = CONSUL_CRITICAL;
		if (status > worst)
			worst = status;
	}
	return worst;
}

/* The ids are Consul's own: api.NodeMaint and api.ServiceMaintPrefix. */
bool consul_in_maintenance(const struct consul_checks *checks, const char **ret_reason)
{
	for (size_t i = 0; i < checks->n; i++) {
		const struct consul_check *check = &checks->v[i];

		if (strcmp(check->id, "_node_maintenance") != 0 && !text_starts(check->id, "_service_maintenance:"))
			continue;
		if (ret_reason)
			*ret_reason = check->notes;
		return true;
	}
	return false;
}

const char *consul_service_address(const struct consul_service *service)
{
	return service->address ? service->address : service->node_address;
}

void consul_kv_release(struct consul_kv *kv)
{
	if (!kv)
		return;
	free(kv->key);
	free(kv->value);
	free(kv->session);
	*kv = (struct consul_kv){ 0 };
}

void consul_kvs_release(struct consul_kvs *kvs)
{
	if (!kvs)
		return;
	for (size_t i = 0; i < kvs->n; i++)
		consul_kv_release(&kvs->v[i]);
	free(kvs->v);
	*kvs = (struct consul_kvs){ 0 };
}

static void check_release(struct consul_check *check)
{
	free(check->id);
	free(check->name);
	free(check->node);
	free(check->service_id);
	free(check->service_name);
	free(check->output);
	free(check->notes);
	free(check->type);
}

void consul_checks_release(struct consul_checks *checks)
{
	if (!checks)
		return;
	for (size_t i = 0; i < checks->n; i++)
		check_release(&checks->v[i]);
	free(checks->v);
	*checks = (struct consul_checks){ 0 };
}

static void service_release(struct consul_service *service)
{
	free(service->id);
	free(service->name);
	free(service->address);
	strv_release(&service->tags);
	strv_release(&service->meta);
	free(service->node);
	free(service->node_address);
	consul_checks_release(&service->checks);
}

void consul_services_release(struct consul_services *services)
{
	if (!services)
		return;
	for (size_t i = 0; i < services->n; i++)
		service_release(&services->v[i]);
	free(services->v);
	*services = (struct consul_services){ 0 };
}

void consul_nodes_release(struct consul_nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; i < nodes->n; i++) {
		free(nodes->v[i].id);
		free(nodes->v[i].name);
		free(nodes->v[i].address);
		free(nodes->v[i].datacenter);
	}
	free(nodes->v);
	*nodes = (struct consul_nodes){ 0 };
}

void consul_members_release(struct consul_members *members)
{
	if (!members)
		return;
	for (size_t i = 0; i < members->n; i++) {
		free(members->v[i].name);
		free(members->v[i].address);
	}
	free(members->v);
	*members = (struct consul_members){ 0 };
}

void consul_self_release(struct consul_self *self)
{
	if (!self)
		return;
	free(self->node);
	free(self->datacenter);
	free(self->version);
	free(self->address);
	*self = (struct consul_self){ 0 };
}
