/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names of an instance (docs/state.md): portal/web/1.5 is generation 5 of node 1 of portal's component web. */
#ifndef TEPUY_AGENT_INSTANCE_ID_H
#define TEPUY_AGENT_INSTANCE_ID_H

#include <stdint.h>

#include "base/err.h"

struct instance_id {
	char *service, *component;
	unsigned n;
	uint64_t gen;
	char *text;         /* "portal/web/1.5": the last part of its keys and its label in the runtime */
	char *node;         /* "web/1": for people */
	char *runtime_name; /* "tepuy.portal.web.1.5" */
	char *catalog_name; /* "portal-web": the Consul service */
	char *catalog_id;   /* "portal-web-1.5" */
};

/* Parses "portal/web/1.5"; -EINVAL. Release with instance_id_release. */
int instance_id_parse(const char *text, struct instance_id *ret, struct err *err);
void instance_id_release(struct instance_id *id);

#endif
