/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_AGENT_ARP_PROBE_H
#define TEPUY_AGENT_ARP_PROBE_H

#include <netinet/in.h>

/*
 * Does somebody on the network behind that interface answer for this address (RFC 5227)? Blocks for up to a second.
 * 1: yes; 0: nobody did; -errno: it cannot be asked, as the interface is not there or may not be used.
 */
int arp_probe(const char *interface, struct in_addr address);

#endif
