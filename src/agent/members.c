/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/members.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

enum member_health members_health(const struct consul_checks *checks, const char **ret_output)
{
	enum member_health worst = MEMBER_PASSING;
	const char *output = "";
	bool maintenance = false;

	for (size_t i = 0; i < checks->n; i++) {
		const struct consul_check *check = &checks->v[i];
		enum member_health health = MEMBER_CRITICAL;

		if (text_starts(check->id, "_service_maintenance:") || !strcmp(check->id, "_node_maintenance")) {
			maintenance = true;
			continue;
		}
		if (check->status == CONSUL_PASSING)
			health = MEMBER_PASSING;
		else if (check->status == CONSUL_WARNING)
			health = MEMBER_WARNING;
		if (health < worst) {
			worst = health;
			output = check->output ? check->output : "";
		}
	}
	if (ret_output)
		*ret_output = output;
	return maintenance ? MEMBER_MAINTENANCE : worst;
}

static int64_t drained_of(const struct consul_checks *checks)
{
	const char *reason = NULL, *mark = NULL;
	uint64_t value;

	if (consul_in_maintenance(checks, &reason) && reason)
		mark = strstr(reason, MEMBER_DRAINED);
	return mark && text_u64(mark + strlen(MEMBER_DRAINED), &value) == 0 && value <= INT64_MAX ? (int64_t)value : 0;
}

static const char *meta_of(const struct consul_service *service, const char *key)
{
	const char *value = consul_meta(&service->meta, key);

	return value ? value : "";
}

static uint16_t port_of(const struct consul_service *service, const char *port)
{
	_cleanup_(freep) char *key = xasprintf("port_%s", port);
	uint64_t value;

	if (text_u64(meta_of(service, key), &value) < 0 || value > 65535)
		return 0;
	return (uint16_t)value;
}

static int member_of(const struct consul_service *entry, const char *service, const char *component, const char *port,
		     struct member *ret)
{
	const char *output = "", *address = consul_service_address(entry);
	uint64_t n, gen;

	if (strcmp(meta_of(entry, "service"), service) || strcmp(meta_of(entry, "component"), component) ||
	    text_u64(meta_of(entry, "node"), &n) < 0 || n < 1 || n > 100000 ||
	    text_u64(meta_of(entry, "gen"), &gen) < 0 || !address)
		return -EINVAL;
	*ret = (struct member){
		.instance = xasprintf("%s/%s/%u.%llu", service, component, (unsigned)n, (unsigned long long)gen),
		.server = xasprintf("%s-%u.%llu", component, (unsigned)n, (unsigned long long)gen),
		.node = xasprintf("%s/%u", component, (unsigned)n),
		.host = xstrdup(entry->node ? entry->node : ""),
		.address = xstrdup(address),
		.n = (unsigned)n,
		.gen = gen,
		.port = port_of(entry, port),
		.health = members_health(&entry->checks, &output),
		.drained_ms = drained_of(&entry->checks),
	};
	ret->output = xstrdup(output);
	return 0;
}

static int by_node(const void *left, const void *right)
{
	const struct member *a = left, *b = right;

	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	if (a->gen != b->gen)
		return a->gen < b->gen ? -1 : 1;
	return strcmp(a->host, b->host);
}

void members_of(const struct consul_services *services, const char *service, const char *component, const char *port,
		struct members *ret)
{
	struct members members = { .list = xcalloc(services->n, sizeof(*members.list)) };

	for (size_t i = 0; i < services->n; i++)
		if (member_of(&services->v[i], service, component, port, &members.list[members.n]) == 0)
			members.n++;
	if (members.n)
		qsort(members.list, members.n, sizeof(*members.list), by_node);
	*ret = members;
}

void members_release(struct members *members)
{
	for (size_t i = 0; i < members->n; i++) {
		struct member *member = &members->list[i];

		free(member->instance);
		free(member->server);
		free(member->node);
		free(member->host);
		free(member->address);
		free(member->output);
	}
	free(members->list);
	*members = (struct members){ 0 };
}

bool member_serves(const struct member *member)
{
	return member->port && (member->health == MEMBER_PASSING || member->health == MEMBER_WARNING);
}
