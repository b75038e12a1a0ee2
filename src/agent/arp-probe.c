/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/arp-probe.h"

#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define TRIES 2
#define WAIT_MS 500

/* A socket for ARP on that interface, and its hardware address. */
static int open_on(const char *interface, unsigned char *ret_hardware)
{
	struct ifreq request = { 0 };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP) };
	_cleanup_(closep) int fd = -1;
	int opened;

	if (!interface || strlen(interface) >= sizeof(request.ifr_name))
		return -EINVAL;
	to.sll_ifindex = (int)if_nametoindex(interface);
	if (!to.sll_ifindex)
		return -errno;
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP));
	if (fd < 0)
		return -errno;
	strcpy(request.ifr_name, interface);
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	memcpy(ret_hardware, request.ifr_hwaddr.sa_data, ETH_ALEN);
	opened = fd;
	fd = -1;
	return opened;
}

/* Without a sender's address, so that nobody learns anything from the question. */
static int ask(int fd, const char *interface, const unsigned char *hardware, struct in_addr address)
{
	struct sockaddr_ll everybody = { .sll_family = AF_PACKET,
					 .sll_protocol = htons(ETH_P_ARP),
					 .sll_ifindex = (int)if_nametoindex(interface),
					 .sll_halen = ETH_ALEN };
	struct ether_arp question = { .ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
						  .ar_pro = htons(ETHERTYPE_IP),
						  .ar_hln = ETH_ALEN,
						  .ar_pln = sizeof(address),
						  .ar_op = htons(ARPOP_REQUEST) } };

	memset(everybody.sll_addr, 0xff, ETH_ALEN);
	memcpy(question.arp_sha, hardware, ETH_ALEN);
	memcpy(question.arp_tpa, &address, sizeof(address));
	return sendto(fd, &question, sizeof(question), 0, (struct sockaddr *)&everybody, sizeof(everybody)) < 0 ? -errno
														: 0;
}

/* Also a question of one that has the address tells that somebody has it. */
static bool answered(int fd, struct in_addr address)
{
	int64_t deadline = clock_monotonic_ms() + WAIT_MS;
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	for (int64_t left = WAIT_MS; left > 0; left = deadline - clock_monotonic_ms()) {
		struct ether_arp answer;
		ssize_t n;

		if (poll(&wait, 1, (int)left) <= 0)
			continue;
		n = recv(fd, &answer, sizeof(answer), 0);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n == (ssize_t)sizeof(answer) && !memcmp(answer.arp_spa, &address, sizeof(address)))
			return true;
	}
	return false;
}

int arp_probe(const char *interface, struct in_addr address)
{
	unsigned char hardware[ETH_ALEN];
	_cleanup_(closep) int fd = open_on(interface, hardware);
	int r = fd < 0 ? fd : 0;

	for (int i = 0; r == 0 && i < TRIES; i++) {
		r = ask(fd, interface, hardware, address);
		if (r == 0 && answered(fd, address))
			return 1;
	}
	return r;
}
