/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a container uses. */
#include <errno.h>

#include "base/i18n.h"
#include "runtime/docker-json-parse.h"
#include "runtime/docker.h"

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

/* As `docker stats` does: pages of files that nobody has asked for of late are not what the container needs. */
static uint64_t memory_of(const json_t *memory)
{
	const json_t *detail = json_object_get(memory, "stats");
	uint64_t used = number(memory, "usage"), idle = number(detail, "total_inactive_file");

	if (!idle)
		idle = number(detail, "inactive_file"); /* cgroup v2 */
	return idle < used ? used - idle : used;
}

int docker_decode_usage(const char *json, size_t len, struct runtime_usage *ret, struct err *err)
{
	json_t *root;
	int r = docker_parse(json, len, JSON_OBJECT, N_("a container's use"), &root, err);

	if (r < 0)
		return r;
	*ret = (struct runtime_usage){
		.memory = memory_of(json_object_get(root, "memory_stats")),
		.cpu_ms =
		    (int64_t)(number(json_object_get(json_object_get(root, "cpu_stats"), "cpu_usage"), "total_usage") /
			      1000000),
	};
	json_decref(root);
	return 0;
}

int docker_usage(struct runtime *rt, const char *id, struct runtime_usage *ret, struct err *err)
{
	struct docker *docker = docker_of(rt);
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_(freep) char *path = NULL;
	int r = docker_find_running(docker, id, &container, err);

	if (r < 0)
		return r;
	/* Without one-shot Docker measures for a second, for a percentage that nobody asked for. */
	path = xasprintf("/containers/%s/stats?stream=false&one-shot=true", container.node.id);
	r = docker_call(docker, "GET", path, NULL, 0, &reply, err);
	if (r == 0)
		r = docker_decode_usage(reply.body.data, reply.body.len, ret, err);
	if (r < 0)
		return r;
	ret->memory_max = container.memory;
	ret->cpus = container.cpus;
	return 0;
}
