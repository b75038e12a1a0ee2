/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Talking to the agent of another host: `--host NAME`, $TEPUY_HOST. */
#ifndef TEPUY_CLI_DIAL_H
#define TEPUY_CLI_DIAL_H

#include "cli/cli.h"

/*
 * From here on cli->socket leads, by SSH, to the agent of that host: a name in ./hosts.yaml, or one that ssh knows.
 * Ended by cli_release().
 */
int dial_host(struct cli *cli, const char *name, struct err *err);
/* Says on cli->err what went wrong on the way, if something did. */
void dial_explain(struct cli *cli);
void dial_end(struct cli *cli);

#endif
