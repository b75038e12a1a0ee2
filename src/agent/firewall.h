/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The host's own table of nftables, `inet tepuy`: a node's port that its service does not publish is for the hosts of
 * the cluster, and for what runs on this host. Pure: what should be allowed in, the table's text out; keeping the
 * kernel's table so is firewall-keep.h.
 *
 * It looks at packets in prerouting, after connection tracking and before any address is translated: there the
 * destination still is the host's port, whatever the runtime makes of it. Nothing but the ports named here is touched.
 */
#ifndef TEPUY_AGENT_FIREWALL_H
#define TEPUY_AGENT_FIREWALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strv.h"

/* A port of this host that only the cluster may reach. */
struct firewall_port {
	char *address; /* of this host, IPv4 or IPv6 */
	uint16_t port;
	bool udp;
};

struct firewall_rules {
	struct strv hosts;      /* addresses of the cluster's hosts */
	struct strv interfaces; /* of this host, behind which are only its own nodes */
	struct strv nodes;      /* addresses of this host's nodes: reached directly by nobody outside */
	struct firewall_port *ports;
	size_t n_ports, cap_ports;
	/*
	 * Machines are neighbours of the host on its network: what is for them passes its bridge, and no prerouting of
	 * the host's. They have a second table, `bridge tepuy`, which lets in what is published and drops the rest, but
	 * for hosts and other machines.
	 */
	bool machines;              /* this host's nodes are machines */
	struct strv guests;         /* addresses of this host's machines, IPv4 */
	struct firewall_port *open; /* ports of theirs for everybody */
	size_t n_open, cap_open;
};

#define _cleanup_firewall_rules_ _cleanup_(firewall_rules_release)

void firewall_rules_release(struct firewall_rules *rules);
void firewall_add_open(struct firewall_rules *rules, const char *address, uint16_t port, bool udp);
void firewall_add_port(struct firewall_rules *rules, const char *address, uint16_t port, bool udp);

/*
 * What `nft -f -` takes to put the table in the place of its predecessor, in one transaction. The same rules in any
 * order give the same text; what is no address or no interface's name is left out. The caller owns it.
 */
char *firewall_render(const struct firewall_rules *rules);
/* The same for tables that are not wanted. Constant. */
const char *firewall_render_none(bool machines);

/* A listing by nft as words in order, so that two of the same table are equal however the kernel kept their elements.
 * The caller owns it. */
char *firewall_normalise(const char *listing);

/* Does one of these netlink messages (NFNLGRP_NFTABLES) tell of a change of our table? */
bool firewall_concerns(const void *messages, size_t len);

#endif
