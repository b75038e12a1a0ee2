/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks that were added at run time: tepuy/service/<s>/check/<id> in Consul. */
#ifndef TEPUY_AGENT_ADDED_CHECKS_H
#define TEPUY_AGENT_ADDED_CHECKS_H

#include "agent/instance-id.h"
#include "consul/consul-types.h"
#include "model/check.h"

struct added_check {
	char *service;
	char *target; /* "web", "web/1", or "": all nodes of the service */
	struct check check;
};

struct added_checks {
	struct added_check *list;
	size_t n;
};

/* Takes the check keys out of the keys of tepuy/service/; what cannot be read is logged and left out. */
void added_checks_read(const struct consul_kvs *kvs, struct added_checks *ret);
void added_checks_release(struct added_checks *added);
/* Those for one instance: an array of borrowed copies that the caller frees (not their content). */
struct check *added_checks_for(const struct added_checks *added, const struct instance_id *id, size_t *ret_n);

#endif
