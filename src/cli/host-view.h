/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hosts as the agent's API tells of them (docs/api.md), for people; draining one and waiting for it. */
#ifndef TEPUY_CLI_HOST_VIEW_H
#define TEPUY_CLI_HOST_VIEW_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/api.h"
#include "cli/output.h"

struct progress;

const char *host_state(const json_t *host); /* one word or two, translated */
enum colour host_colour(const json_t *host);
char *host_labels(const json_t *host); /* "disk=ssd, …"; the caller owns it */
void host_describe(const json_t *host, bool colour, struct buf *to);

/* "/v1/host/NAME" and what follows. -EINVAL when NAME cannot be a host's. The caller owns it. */
int host_path(const char *name, const char *rest, char **ret, struct err *err);
/*
 * -EBUSY when a host, as GET /v1/host/NAME?data=1 tells of it, has data of nodes, also of services that are down:
 * nothing takes that away from it but to give it up. An agent that is too old to say it says no data.
 */
int host_refuse_data(const json_t *host, struct err *err);
/* POST of cordon, drain …, in the operator's name. `ret` (may be NULL) is the host after it. */
int host_order(struct api *api, const char *name, const char *order, json_t **ret, struct err *err);
/*
 * Waits until a drained host has no nodes but those whose data is on it, showing how many are left. `timeout_ms` 0: as
 * long as it takes; -ETIMEDOUT after it. Returns the number of those that stay.
 */
int host_wait_drained(struct api *api, struct progress *progress, const char *name, int64_t timeout_ms, json_t **ret,
		      struct err *err);

#endif
