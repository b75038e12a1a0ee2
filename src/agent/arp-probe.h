/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_ARP_PROBE_H
#define TEPUY_AGENT_ARP_PROBE_H

#include <netinet/in.h>
#include <stdbool.h>

/*
 * Does somebody on the network behind that interface answer for this address (RFC 5227)? Blocks for up to a second.
 * False also when it cannot be asked: the interface is not there, or may not be used.
 */
bool arp_probe(const char *interface, struct in_addr address);

#endif
