/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * This host's Consul token: read from its file at the start, and again when Consul refuses it or on SIGHUP, so that a
 * new one is taken up without a restart. A refusal changes nothing of what runs. On the loop.
 */
#ifndef TEPUY_AGENT_TOKEN_H
#define TEPUY_AGENT_TOKEN_H

#include "agent/agent-state.h"

struct token;

/* The token in the file, without its newline. -EACCES when others may read it. The caller owns and wipes it. */
int token_read(const char *path, char **ret, struct err *err);

/* `path` NULL: there is none, and a refusal says so. `env->token_refused` is kept. */
int token_new(struct agent *agent, const char *path, struct token **ret, struct err *err);
void token_free(struct token *token);
/* Reads the file again. */
void token_renew(struct token *token);

#endif
