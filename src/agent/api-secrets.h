/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_API_SECRETS_H
#define TEPUY_AGENT_API_SECRETS_H

#include <jansson.h>

#include "agent/node-env.h"

/*
 * Writes the secrets that the operator gives, makes those that are missing and may be generated; what is there already
 * and not given anew stays. -EINVAL names one that is neither there, given nor generated. No value is ever logged.
 */
int api_secrets_write(const struct node_env *env, const char *service, const json_t *declared, const json_t *given,
		      struct err *err);

#endif
