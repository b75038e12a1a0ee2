/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The runtime of a host, from hosts.yaml: installed and set up there, its network kept within reach, the host rebooted
 * when the runtime needs that.
 */
#ifndef TEPUY_CLI_HOST_RUNTIME_H
#define TEPUY_CLI_HOST_RUNTIME_H

#include "cli/cluster.h"
#include "cli/host-install.h"

/*
 * The step `runtime`. Where it changed the network, a new session is opened and the change confirmed through it; a
 * session that broke off meanwhile is opened anew. host->reboot says afterwards why the host must be rebooted, or NULL.
 */
int host_runtime(struct cluster *cluster, struct member *host, const struct install *install, struct err *err);
/*
 * Those hosts, one after another: each is waited for until it is back with its runtime. A host that does not come back
 * ends it: the others that wait for theirs have failed too, untouched. Not with `allowed`: they are left out of what
 * follows, each with a sentence that says so.
 */
void host_reboots(struct cluster *cluster, bool allowed);

/* For tests: the input of the step, from hosts.yaml. A new reference. */
json_t *host_runtime_input(const struct host *host, int64_t lock_wait_ms);

#endif
