/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keeps the backends of a node that is an HAProxy as the catalog says, through its runtime socket, at once. The file
 * follows by the templates' way (converge's CONFIGURE). On the loop; the socket is spoken with in a thread.
 */
#ifndef TEPUY_AGENT_PROXY_H
#define TEPUY_AGENT_PROXY_H

#include "agent/instance.h"

/* Something changed: its links, its container. Consumers without a proxy answer drains here, too. */
void proxy_update(struct instance *instance);
void proxy_free(struct proxy *proxy);

#endif
