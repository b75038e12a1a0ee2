/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Network interfaces of this machine by address. The caller owns the names; NULL: there is none. */
#ifndef TEPUY_AGENT_HOST_INTERFACE_H
#define TEPUY_AGENT_HOST_INTERFACE_H

/* The one that has this very address. */
char *host_interface_with(const char *address);
/* The one in whose network the address is: the one of the longest prefix. */
char *host_interface_towards(const char *address);

#endif
