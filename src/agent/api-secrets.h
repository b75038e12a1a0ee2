/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_API_SECRETS_H
#define TEPUY_AGENT_API_SECRETS_H

#include <jansson.h>

#include "agent/node-env.h"
#include "agent/node-secrets.h"
#include "consul/consul.h"

/* Writes to Consul's secrets that belong into the transaction of a revision. */
struct api_secrets {
	struct consul_op *ops; /* own their strings */
	size_t n;
	bool waited; /* for hosts that may have what Consul lost: once is enough */
};

#define API_SECRETS_MOST 48 /* with a revision's own operations it is one transaction */

/*
 * The secrets that the operator gives, and new values for those that are missing and may be generated; what is there
 * already and not given anew stays. -EINVAL names one that is neither there, given nor generated. No value is ever
 * logged.
 */
int api_secrets_collect(const struct node_env *env, const char *service, const json_t *declared, const json_t *given,
			struct api_secrets *ret, struct err *err);
/* Wipes the values. */
void api_secrets_release(struct api_secrets *secrets);

#endif
