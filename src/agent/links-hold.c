/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/links-hold.h"

#include <string.h>

#include "agent/members.h"
#include "base/text.h"

static void hold_release(struct hold *hold)
{
	free(hold->node);
	free(hold->id);
}

void holds_release(struct holds *holds)
{
	for (size_t i = 0; i < holds->n; i++)
		hold_release(&holds->list[i]);
	free(holds->list);
	*holds = (struct holds){ 0 };
}

static const struct hold *find_hold(const struct holds *holds, const struct consul_service *service)
{
	for (size_t i = 0; i < holds->n; i++)
		if (!strcmp(holds->list[i].id, service->id) && !strcmp(holds->list[i].node, service->node))
			return &holds->list[i];
	return NULL;
}

static void add_hold(struct holds *holds, const struct consul_service *service, int64_t since_ms)
{
	holds->list = grow_array(holds->list, holds->n, &holds->cap, sizeof(*holds->list));
	holds->list[holds->n++] = (struct hold){ xstrdup(service->node), xstrdup(service->id), since_ms };
}

struct consul_check *links_serf_health(const struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (!strcmp(service->checks.v[i].id, "serfHealth"))
			return &service->checks.v[i];
	return NULL;
}

static bool served(const struct consul_services *before, const struct consul_service *like)
{
	for (size_t i = 0; i < before->n; i++)
		if (!strcmp(before->v[i].id, like->id) && before->v[i].node && !strcmp(before->v[i].node, like->node))
			return members_health(&before->v[i].checks, NULL) >= MEMBER_WARNING;
	return false;
}

static bool any_serves(const struct consul_services *services)
{
	for (size_t i = 0; i < services->n; i++)
		if (members_health(&services->v[i].checks, NULL) >= MEMBER_WARNING)
			return true;
	return false;
}

static bool is_silent(const struct consul_check *check)
{
	return !check->output || !*check->output;
}

/* Its agent says that its main process ended: that is no forgotten check. */
static bool has_ended(const struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (text_ends(service->checks.v[i].id, ":running") && service->checks.v[i].status == CONSUL_CRITICAL &&
		    !is_silent(&service->checks.v[i]))
			return true;
	return false;
}

/*
 * Consul keeps a check over its restart, but not what came of it: it is critical, without a word, until it has run. One
 * that fails always says why; but of a TTL check the words are its reporter's, who may have none.
 */
bool links_check_unrun(const struct consul_check *check)
{
	return check->status == CONSUL_CRITICAL && is_silent(check) && check->type && *check->type &&
	       strcmp(check->type, "ttl") != 0;
}

static bool only_unrun(const struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (service->checks.v[i].status == CONSUL_CRITICAL && !links_check_unrun(&service->checks.v[i]))
			return false;
	return true;
}

/* Until when a member that is critical since `since_ms` is kept at work; INT64_MIN: it is not. */
static int64_t hold_until(const struct consul_service *service, bool others_serve, int64_t returned_ms,
			  int64_t since_ms)
{
	const struct consul_check *serf = links_serf_health(service);

	if (has_ended(service))
		return INT64_MIN;
	if (serf && serf->status == CONSUL_CRITICAL)
		return others_serve ? INT64_MIN : INT64_MAX;
	if (only_unrun(service))
		return since_ms + HOLD_UNRUN_MS;
	return returned_ms == INT64_MIN ? INT64_MIN : returned_ms + HOLD_RETURNED_MS;
}

static void put_back(struct consul_service *service)
{
	for (size_t i = 0; i < service->checks.n; i++)
		if (service->checks.v[i].status == CONSUL_CRITICAL && !text_starts(service->checks.v[i].id, "_"))
			service->checks.v[i].status = CONSUL_PASSING;
}

static bool is_listed(const struct consul_services *services, const struct consul_service *like)
{
	for (size_t i = 0; i < services->n; i++)
		if (!strcmp(services->v[i].id, like->id) && services->v[i].node &&
		    !strcmp(services->v[i].node, like->node))
			return true;
	return false;
}

/* Moves those that served and are not in the list any more from one to the other. */
static void keep_vanished(const struct holds *holds, struct consul_services *before, struct consul_services *now,
			  int64_t now_ms, struct holds *kept)
{
	for (size_t i = 0; i < before->n; i++) {
		struct consul_service *service = &before->v[i];
		const struct hold *hold;

		if (!service->node || members_health(&service->checks, NULL) < MEMBER_WARNING ||
		    is_listed(now, service))
			continue;
		hold = find_hold(holds, service);
		add_hold(kept, service, hold ? hold->since_ms : now_ms);
		now->v = xreallocarray(now->v, now->n + 1, sizeof(*now->v));
		now->v[now->n++] = *service;
		*service = (struct consul_service){ 0 };
	}
}

int64_t links_hold(struct holds *holds, struct consul_services *before, struct consul_services *now,
		   int64_t returned_ms, int64_t now_ms)
{
	bool others_serve = any_serves(now);
	struct holds kept = { 0 };
	int64_t again_ms = INT64_MAX;

	for (size_t i = 0; i < now->n; i++) {
		struct consul_service *service = &now->v[i];
		const struct hold *hold;
		int64_t since_ms, until_ms;

		if (!service->node || members_health(&service->checks, NULL) != MEMBER_CRITICAL ||
		    !served(before, service))
			continue;
		hold = find_hold(holds, service);
		since_ms = hold ? hold->since_ms : now_ms;
		until_ms = hold_until(service, others_serve, returned_ms, since_ms);
		if (until_ms <= now_ms)
			continue;
		put_back(service);
		add_hold(&kept, service, since_ms);
		if (until_ms < again_ms)
			again_ms = until_ms;
	}
	if (!others_serve)
		keep_vanished(holds, before, now, now_ms, &kept);
	holds_release(holds);
	*holds = kept;
	return again_ms;
}
