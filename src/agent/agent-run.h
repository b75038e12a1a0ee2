/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's reactions to Consul and the runtime. Private to src/agent. */
#ifndef TEPUY_AGENT_AGENT_RUN_H
#define TEPUY_AGENT_AGENT_RUN_H

#include <jansson.h>

#include "agent/agent-state.h"

/* A watch that stands for all of them says that Consul does not answer. */
void agent_consul_away(struct agent *agent, const struct err *err);
/* Watch of tepuy/host/<this host>/: assignments and what Consul still knows of instances. */
void agent_on_host_keys(void *data, const json_t *value, uint64_t index, const struct err *err);
/* Watch of tepuy/service/: checks added at run time. */
void agent_on_service_keys(void *data, const json_t *value, uint64_t index, const struct err *err);
/* Watch of all checks of the cluster: since when they are as they are. */
void agent_on_checks(void *data, const json_t *value, uint64_t index, const struct err *err);
/* A component that something here is connected to. */
void agent_on_link(void *data, const char *service, const char *component);
void agent_on_runtime_event(void *data, const struct runtime_event *event);
/* Something was learnt: looks at everything, and does what it asks for. */
void agent_step_all(struct agent *agent);

#endif
