/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_AGENT_H
#define TEPUY_AGENT_AGENT_H

#include <stdint.h>

#include "base/strv.h"

struct agent_options {
	const char *socket;            /* NULL: /run/tepuy/agent.sock */
	const char *state_dir;         /* NULL: /var/lib/tepuy */
	const char *consul;            /* NULL: http://127.0.0.1:8500 */
	const char *consul_token_file; /* NULL: no token */
	const char *runtime;           /* NULL: the first that is there */
	const char *runtime_endpoint;  /* NULL: the driver's default */
	const char *address;           /* of this host for the others; NULL: what Consul advertises */
	const char *name;              /* of this host: must be Consul's node name, which NULL takes */
	const struct strv *labels;     /* "disk=ssd", for `place` of services; NULL: none */
	int64_t reschedule_ms;         /* when this host leads: a dead host's nodes move after this; 0: 60 s */
	const char *tls_dir;           /* certificates for fetching between hosts; NULL: no such thing */
	unsigned peer_port;            /* where other hosts fetch; 0: PEER_PORT */
	int log_level;                 /* enum log_level; 0: info */
};

/* Runs the host's agent until SIGTERM or SIGINT. Logs why it cannot. Returns an exit status. */
int agent_main(const struct agent_options *options);

#endif
