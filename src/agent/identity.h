/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who this host is: what Consul's agent calls it and where others reach it, or what Consul said of it the last time. */
#ifndef TEPUY_AGENT_IDENTITY_H
#define TEPUY_AGENT_IDENTITY_H

#include "consul/consul.h"

struct identity {
	char *host, *address;
};

void identity_release(struct identity *identity);

/*
 * Asks Consul, and remembers the answer in `state_dir`, so that an agent can start while Consul is away. `address`
 * (NULL or empty: Consul's) counts more than what Consul advertises; `name` (NULL or empty: any) must be Consul's:
 * -EINVAL, which no further try changes. Other errors: Consul does not answer, and never did on this host.
 */
int identity_find(struct consul *consul, const char *state_dir, const char *name, const char *address,
		  struct identity *ret, struct err *err);

#endif
