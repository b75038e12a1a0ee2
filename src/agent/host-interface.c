/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/host-interface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

struct wanted {
	int family;
	size_t len;
	unsigned char bytes[16];
};

static int parse(const char *address, struct wanted *ret)
{
	*ret = (struct wanted){ .family = AF_INET, .len = 4 };
	if (inet_pton(AF_INET, address, ret->bytes) == 1)
		return 0;
	*ret = (struct wanted){ .family = AF_INET6, .len = 16 };
	return inet_pton(AF_INET6, address, ret->bytes) == 1 ? 0 : -1;
}

static const unsigned char *bytes_of(const struct sockaddr *address)
{
	return (const unsigned char *)address + (address->sa_family == AF_INET
						     ? offsetof(struct sockaddr_in, sin_addr)
						     : offsetof(struct sockaddr_in6, sin6_addr));
}

/* Bits of the mask if `wanted` is in the interface's network, or -1. */
static int prefix_towards(const struct ifaddrs *one, const struct wanted *wanted)
{
	const unsigned char *own = bytes_of(one->ifa_addr), *mask;
	int bits = 0;

	if (!one->ifa_netmask)
		return -1;
	mask =
	    (const unsigned char *)one->ifa_netmask + (bytes_of(one->ifa_addr) - (const unsigned char *)one->ifa_addr);
	for (size_t i = 0; i < wanted->len; i++) {
		if ((own[i] ^ wanted->bytes[i]) & mask[i])
			return -1;
		bits += __builtin_popcount(mask[i]);
	}
	return bits;
}

static char *find(const char *address, int (*rank)(const struct ifaddrs *one, const struct wanted *wanted))
{
	struct ifaddrs *all, *best = NULL;
	struct wanted wanted;
	int most = -1;
	char *name;

	if (parse(address, &wanted) < 0 || getifaddrs(&all) < 0)
		return NULL;
	for (struct ifaddrs *one = all; one; one = one->ifa_next) {
		int r = one->ifa_addr && one->ifa_addr->sa_family == wanted.family ? rank(one, &wanted) : -1;

		if (r > most) {
			most = r;
			best = one;
		}
	}
	name = best ? xstrdup(best->ifa_name) : NULL;
	freeifaddrs(all);
	return name;
}

static int has(const struct ifaddrs *one, const struct wanted *wanted)
{
	return memcmp(bytes_of(one->ifa_addr), wanted->bytes, wanted->len) ? -1 : 0;
}

char *host_interface_with(const char *address)
{
	return find(address, has);
}

char *host_interface_towards(const char *address)
{
	return find(address, prefix_towards);
}
