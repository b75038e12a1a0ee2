/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Talking to the agents of other hosts, always by the operator's own SSH: the one that `--host NAME` or $TEPUY_HOST
 * names, and those that have what it has not.
 */
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

/* What is known of the ways to the cluster's other hosts. */
struct ways;
/* Reads ./hosts.yaml, if it is there, and asks cli->api for the hosts' addresses. */
int ways_new(struct cli *cli, struct ways **ret, struct err *err);
void ways_free(struct ways *ways);

/* A session with another host whose socket leads to the agent there. */
struct way;
/*
 * As the host stands in ./hosts.yaml; or as ssh knows its name; or else by the address that the cluster has for it, and
 * then through the session of `--host` when there is one. Different threads may do so at once.
 */
int way_open(const struct ways *ways, const char *host, struct way **ret, struct err *err);
void way_close(struct way *way);
const char *way_socket(const struct way *way);
/* What went wrong behind the socket, or NULL. The caller owns it. */
char *way_trouble(const struct way *way);

#endif
