/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a network card comes to be in a bridge that has its address: what the files of ifupdown and of systemd-networkd
 * must say then. Functions of texts; nothing is touched. What is not understood is refused, never guessed: a host whose
 * network is wrong is out of reach.
 */
#ifndef TEPUY_HOST_NETWORK_PLAN_H
#define TEPUY_HOST_NETWORK_PLAN_H

#include <stdbool.h>

#include "base/err.h"

struct bridge_wish {
	const char *card, *bridge;
	const char *mac; /* the card's, which the bridge takes over, so that DHCP and neighbours know it */
};

/*
 * One file of ifupdown (interfaces(5)), all stanzas of the card given to the bridge. *ret is owned by the caller; NULL:
 * the file says nothing of it. `first`: no file before this one did; then the bridge's own options are added. `name` is
 * the file's, for messages. -ENOTSUP: it says something that has no place in a bridge, or that cannot be rewritten.
 */
int interfaces_bridge(const char *name, const char *text, const struct bridge_wish *wish, bool first, char **ret,
		      struct err *err);
/* Does the file give the card an address? One that only says `manual` does not. */
bool interfaces_configure(const char *text, const char *card);

/*
 * For systemd-networkd: what the card's .network file is for the bridge. `name` is the file's, for messages. The caller
 * owns *ret. -ENOTSUP: the card is part of something already.
 */
int networkd_for_bridge(const char *name, const char *text, const struct bridge_wish *wish, char **ret,
			struct err *err);
/* The .netdev of the bridge, and the .network that puts the card into it. The caller owns them. */
char *networkd_netdev(const struct bridge_wish *wish);
char *networkd_port(const struct bridge_wish *wish);

#endif
