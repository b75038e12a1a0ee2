/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consul's configuration on a host of a cluster, as a function of data. Sources: Consul's documentation, version 1.8.
 */
#ifndef TEPUY_HOST_CONSUL_CONFIG_H
#define TEPUY_HOST_CONSUL_CONFIG_H

#include <jansson.h>

#include "base/err.h"
#include "base/strv.h"
#include "host/pki.h"

#define CONSUL_UNIT "consul.service"

struct consul_config {
	struct pki_host host;
	const struct strv *servers; /* addresses */
	int bootstrap_expect;       /* of servers */
	const char *gossip;         /* base64 */
	const char *management;     /* of servers; else NULL */
	const char *tls;            /* directory with key.pem, cert.pem, ca.pem */
	const char *data;           /* directory */
};

/* The text of the file, keys sorted, one a line. The caller owns it. */
char *consul_config_text(const struct consul_config *config);

/*
 * What of a configuration a running Consul must be restarted for, as text to compare; the caller owns it. What Consul
 * reads only when it joins or is empty is left out: the servers' addresses, how many to expect, the gossip key (its
 * keyring has that). NULL: it is no JSON object.
 */
char *consul_config_essence(const char *text);

/* The same text with another gossip key; *ret NULL when it has that already. */
int consul_config_with_gossip(const char *now, const char *gossip, char **ret, struct err *err);

#endif
