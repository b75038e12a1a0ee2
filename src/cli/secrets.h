/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Secrets on their way from the operator to the agent: from files or typed, never from the command line itself. */
#ifndef TEPUY_CLI_SECRETS_H
#define TEPUY_CLI_SECRETS_H

#include <jansson.h>

#include "base/strv.h"
#include "cli/cli.h"

/*
 * `given` are the values of --secret: NAME=@FILE reads a file, NAME asks for it on the terminal. Each must be declared
 * in `declared` (the spec's secrets). Secrets of `declared` that are neither generated nor in `known` (those of the
 * spec in Consul, may be NULL) are asked for as well when there is a person to ask. `ret` is an object of name and
 * value.
 */
int secrets_collect(struct cli *cli, const struct strv *given, const json_t *declared, const json_t *known,
		    json_t **ret, struct err *err);

#endif
