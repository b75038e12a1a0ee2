/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a bare machine to one where `tepuy setup` can be run: what it is, the package on it, apt. */
#ifndef TEPUY_CLI_HOST_INSTALL_H
#define TEPUY_CLI_HOST_INSTALL_H

#include "cli/cluster.h"
#include "cli/host-package.h"

/* How packages get onto hosts. */
struct install {
	struct debs debs;
	const char *bundle; /* --offline: what host bundle made, or NULL */
	char *bundle_sha256;
	const char *consul;  /* a .deb or binary of Consul on this machine, or NULL */
	char *consul_sha256; /* of it */
	bool consul_is_binary;
	int64_t lock_wait_ms; /* how long another user of apt is waited for */
	bool reboot;          /* hosts whose runtime needs it */
	bool upgrade;         /* replaces another version; else only an older one */
};

enum { LOCK_WAIT_MS = 300000 };

/*
 * Asks the connected host what it is (host->facts) and refuses what tepuy cannot prepare: another system than Debian
 * 12, no systemd, no root by sudo, too little room.
 */
int host_ask_facts(struct cluster *cluster, struct member *host, struct err *err);

/*
 * Has the host install tepuy's package, with what it depends on, through apt; nothing when it is there. Waits for apt's
 * lock, and mends what an interrupted dpkg left.
 */
int host_install(struct cluster *cluster, struct member *host, const struct install *install, struct err *err);
/* Copies the file of Consul that the operator gave, when the host has no Consul. `ret_path`: where it is there, or
 * NULL. */
int host_give_consul(struct cluster *cluster, struct member *host, const struct install *install, char **ret_path,
		     struct err *err);

/* For tests: who holds apt's lock, from apt's output ("process 4711 (apt-get)"), or NULL when that is not what failed.
 * The caller owns it. */
char *apt_lock_holder(const char *output);
/* For tests: reads what the host said of itself. -EPROTO when it is not what was asked for. */
int self_parse(const char *text, struct host_self *ret, char **ret_short_of_room, struct err *err);

#endif
