/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hosts become a cluster: the order of docs/setup.md over all of them, with its barriers. Each part leaves out hosts
 * that failed, and fails those that cannot go on. Nothing secret passes through here but sealed for the host that gets
 * it.
 */
#ifndef TEPUY_CLI_HOST_JOIN_H
#define TEPUY_CLI_HOST_JOIN_H

#include "cli/cluster.h"

/* Who each host is, with its certificate request: host->identity. */
int join_identity(struct cluster *cluster, struct member *host, struct err *err);
/*
 * Finds the cluster's authority among the servers; `create` makes one when there is none, no host belongs to a cluster,
 * and more than half of the servers were asked. On failure all hosts have failed.
 */
int join_find_authority(struct cluster *cluster, bool create, struct err *err);
/* Certificates for the selected hosts, new ones with `renew`. */
int join_sign(struct cluster *cluster, bool renew, struct err *err);
/* Consul on the selected hosts: servers, then the others. */
void join_consul(struct cluster *cluster);
/* Tokens for the selected hosts. */
int join_tokens(struct cluster *cluster, struct err *err);
/* host->token from {"hosts":[{"name","sealed"}]}. */
void join_hand_out_tokens(struct cluster *cluster, const json_t *answer);
/* tepuy's agent on the selected hosts, until each is in Consul. */
void join_agents(struct cluster *cluster);

/*
 * A step on the authority: on the first server that has it, on the next one when that one cannot be reached any more.
 * `ret` may be NULL.
 */
int join_on_authority(struct cluster *cluster, const char *step, const json_t *input, json_t **ret, struct err *err);
/* [{"name","certificate"}] of the selected hosts that have one. A new reference. */
json_t *join_certificates(const struct cluster *cluster);

#endif
