/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /etc/default/tepuy-agent, as a function of its text. */
#ifndef TEPUY_HOST_AGENT_OPTIONS_H
#define TEPUY_HOST_AGENT_OPTIONS_H

#include <jansson.h>

#include "base/err.h"

/* The agent's words for systemd, each quoted where it must be. `runtime` (a name) may be NULL: the agent looks what
 * there is. -EINVAL: a label that systemd could not carry. */
int agent_options(const char *name, const char *address, const char *runtime, const json_t *labels, char **ret,
		  struct err *err);
/* The file with these options in place of what was set; all other lines stay. The caller owns it. */
char *agent_defaults(const char *now, const char *options);

#endif
