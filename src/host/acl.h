/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: Consul's access control, with the management token of a server. */
#ifndef TEPUY_HOST_ACL_H
#define TEPUY_HOST_ACL_H

#include "consul/consul.h"
#include "host/step.h"

#define ACL_KEY_TOKEN "tepuy/cluster/token/" /* and the host's name: the accessor of its token */

/* The rules of a host's token, in Consul's language. The caller owns them. */
char *acl_host_rules(const char *host);

/* The local Consul with the management token that this server keeps; -ENOENT when it keeps none. */
int acl_management(struct consul **ret, struct err *err);
/* Waits until the cluster has a leader and the management token counts. */
int acl_wait(struct step *step, struct consul *consul, struct err *err);
/* Makes or mends policy and token of a host. `*ret_secret` is the caller's; `*changed` when something was not so. */
int acl_host_token(struct consul *consul, const char *host, char **ret_secret, bool *changed, struct err *err);
/* Takes both away; absent: fine. */
int acl_host_forget(struct consul *consul, const char *host, struct err *err);

#endif
