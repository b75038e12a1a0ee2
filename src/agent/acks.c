/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/acks.h"

#include <string.h>

#include "base/strv.h"

struct acks {
	struct strv keys, values; /* written, pairwise */
};

static char *ack_key(const struct instance *consumer, const char *draining)
{
	return xasprintf("tepuy/host/%s/ack/%s/%s.%u.%llu", consumer->agent->env.host, draining, consumer->id.component,
			 consumer->id.n, (unsigned long long)consumer->id.gen);
}

static const char *value_of(const struct acks *acks, const char *key)
{
	for (size_t i = 0; i < acks->keys.n; i++)
		if (!strcmp(acks->keys.v[i], key))
			return acks->values.v[i];
	return NULL;
}

/* Without the sessions: of one drain it is the same. */
static const char *drain_of(const char *value)
{
	const char *comma = strchr(value, ',');

	return comma ? comma : "";
}

static char *value_for(const struct ack *ack)
{
	if (!ack->since_ms)
		return xasprintf("{\"sessions\":%u}", ack->sessions);
	return xasprintf("{\"sessions\":%u,\"since\":%lld}", ack->sessions, (long long)ack->since_ms);
}

void acks_set(struct instance *consumer, const struct ack *wanted, size_t n)
{
	struct acks *now = xcalloc(1, sizeof(*now)), *before = consumer->acks;

	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *key = ack_key(consumer, wanted[i].instance);
		_cleanup_(freep) char *value = value_for(&wanted[i]);
		const char *had = before ? value_of(before, key) : NULL;

		/* Written when it is taken out and when the last session ends: not at each session between. */
		if (!had || (wanted[i].sessions == 0 && strcmp(had, value)) || strcmp(drain_of(had), drain_of(value)))
			kv_level_put(consumer->agent->kv, key, value);
		strv_add(&now->keys, key);
		strv_add(&now->values, value);
	}
	for (size_t i = 0; before && i < before->keys.n; i++)
		if (!value_of(now, before->keys.v[i]))
			kv_level_delete(consumer->agent->kv, before->keys.v[i]);
	acks_free(before);
	consumer->acks = now;
}

static bool is_present(const struct consul_kvs *kvs, const char *key)
{
	for (size_t i = 0; i < kvs->n; i++)
		if (!strcmp(kvs->v[i].key, key))
			return true;
	return false;
}

bool acks_observe(struct instance *consumer, const struct consul_kvs *present)
{
	for (size_t i = 0; consumer->acks && i < consumer->acks->keys.n; i++)
		if (!is_present(present, consumer->acks->keys.v[i])) {
			acks_free(TAKE_PTR(consumer->acks));
			return true;
		}
	return false;
}

void acks_by_templates(struct instance *consumer)
{
	const struct node_spec *spec = consumer->spec;
	struct ack *wanted = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < spec->n_links; i++) {
		struct members members = { 0 };

		if (links_members(consumer->agent->links, consumer->id.service, spec->links[i].component,
				  spec->links[i].port, &members) < 0)
			continue;
		for (size_t j = 0; j < members.n; j++) {
			if (members.list[j].health != MEMBER_MAINTENANCE)
				continue;
			wanted = grow_array(wanted, n, &cap, sizeof(*wanted));
			wanted[n++] = (struct ack){ .instance = xstrdup(members.list[j].instance),
						    .since_ms = members.list[j].drained_ms };
		}
		members_release(&members);
	}
	acks_set(consumer, wanted, n);
	for (size_t i = 0; i < n; i++)
		free(wanted[i].instance);
	free(wanted);
}

void acks_free(struct acks *acks)
{
	if (!acks)
		return;
	strv_release(&acks->keys);
	strv_release(&acks->values);
	free(acks);
}
