/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/firewall.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <string.h>

#include "base/buf.h"

#define TABLE "tepuy"
/* Naming it first makes the deletion succeed when there is none yet. */
#define FORGET "table inet " TABLE "\ndelete table inet " TABLE "\n"
/* Only where there are machines: other kernels may lack the family. */
#define FORGET_BRIDGE "table bridge " TABLE "\ndelete table bridge " TABLE "\n"

void firewall_rules_release(struct firewall_rules *rules)
{
	strv_release(&rules->hosts);
	strv_release(&rules->interfaces);
	strv_release(&rules->nodes);
	for (size_t i = 0; i < rules->n_ports; i++)
		free(rules->ports[i].address);
	free(rules->ports);
	strv_release(&rules->guests);
	for (size_t i = 0; i < rules->n_open; i++)
		free(rules->open[i].address);
	free(rules->open);
	*rules = (struct firewall_rules){ 0 };
}

void firewall_add_port(struct firewall_rules *rules, const char *address, uint16_t port, bool udp)
{
	rules->ports = grow_array(rules->ports, rules->n_ports, &rules->cap_ports, sizeof(*rules->ports));
	rules->ports[rules->n_ports++] = (struct firewall_port){ xstrdup(address), port, udp };
}

void firewall_add_open(struct firewall_rules *rules, const char *address, uint16_t port, bool udp)
{
	rules->open = grow_array(rules->open, rules->n_open, &rules->cap_open, sizeof(*rules->open));
	rules->open[rules->n_open++] = (struct firewall_port){ xstrdup(address), port, udp };
}

/* Adds `text` behind the address as the kernel writes it, if it is one of that family. */
static void add_address(struct strv *to, int family, const char *address, const char *text)
{
	char canonical[INET6_ADDRSTRLEN];
	struct in6_addr binary;

	if (inet_pton(family, address, &binary) != 1 || !inet_ntop(family, &binary, canonical, sizeof(canonical)))
		return;
	strv_addf(to, "%s%s", canonical, text);
}

static void add_set(struct buf *to, const char *name, const char *type, struct strv *elements)
{
	const char *before = "\t\telements = { ";

	buf_printf(to, "\tset %s {\n\t\ttype %s\n", name, type);
	strv_sort(elements);
	for (size_t i = 0; i < elements->n; i++) {
		if (i && !strcmp(elements->v[i], elements->v[i - 1]))
			continue;
		buf_printf(to, "%s%s", before, elements->v[i]);
		before = ",\n\t\t\t     ";
	}
	buf_adds(to, elements->n ? " }\n\t}\n" : "\t}\n");
}

static void add_addresses(struct buf *to, const char *name, int family, const struct strv *addresses)
{
	_cleanup_strv_ struct strv elements = { 0 };

	for (size_t i = 0; i < addresses->n; i++)
		add_address(&elements, family, addresses->v[i], "");
	add_set(to, name, family == AF_INET ? "ipv4_addr" : "ipv6_addr", &elements);
}

static void add_ports(struct buf *to, const char *name, int family, const struct firewall_port *ports, size_t n)
{
	_cleanup_strv_ struct strv elements = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct firewall_port *port = &ports[i];
		_cleanup_(freep) char *rest = xasprintf(" . %s . %u", port->udp ? "udp" : "tcp", port->port);

		add_address(&elements, family, port->address, rest);
	}
	add_set(to, name,
		family == AF_INET ? "ipv4_addr . inet_proto . inet_service" : "ipv6_addr . inet_proto . inet_service",
		&elements);
}

/* The kernel takes nearly any byte in an interface's name, nft's quotes do not. */
static bool is_interface(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= IFNAMSIZ)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] >= 127 || strchr("\"\\*/", name[i]))
			return false;
	return true;
}

static void add_interfaces(struct buf *to, const struct strv *interfaces)
{
	_cleanup_strv_ struct strv names = { 0 };

	for (size_t i = 0; i < interfaces->n; i++)
		if (is_interface(interfaces->v[i]) && !strv_has(&names, interfaces->v[i]))
			strv_add(&names, interfaces->v[i]);
	strv_sort(&names);
	buf_adds(to, "\t\tiifname { \"lo\"");
	for (size_t i = 0; i < names.n; i++)
		if (strcmp(names.v[i], "lo"))
			buf_printf(to, ", \"%s\"", names.v[i]);
	buf_adds(to, " } accept\n");
}

/*
 * What is forwarded by a bridge of this host; what the host itself sends does not pass here. Connections are not
 * tracked, as not every kernel can do so for bridges: of TCP the packet that begins one is dropped, of UDP what does
 * not go to the ports that Linux asks from. What is neither (ARP above all) passes.
 *
 * Two ways around it are closed. A fragment that begins 8 bytes into a TCP segment, in which its flags would be: nobody
 * else makes one (RFC 1858), and here fragments are not put together. And a tag of VLAN 0 below another tag: Linux
 * takes both off and sees the packet in it, where rules for IP see none.
 */
static void add_bridge(struct buf *to, const struct firewall_rules *rules)
{
	buf_adds(to, FORGET_BRIDGE "table bridge " TABLE " {\n");
	add_addresses(to, "hosts", AF_INET, &rules->hosts);
	add_addresses(to, "guests", AF_INET, &rules->guests);
	add_ports(to, "open", AF_INET, rules->open, rules->n_open);
	buf_adds(to, "\tchain outside {\n"
		     "\t\ttype filter hook forward priority -200; policy accept;\n"
		     "\t\tmeta protocol { 8021q, 8021ad } @nh,4,12 0 counter drop\n"
		     "\t\tip saddr @hosts accept\n"
		     "\t\tip daddr . meta l4proto . th dport @open accept\n"
		     "\t\tip daddr @guests ip protocol tcp ip frag-off & 8191 == 1 counter drop\n"
		     "\t\tip daddr @guests tcp flags & (syn | ack) == syn counter drop\n"
		     "\t\tip daddr @guests udp dport != 32768-60999 counter drop\n"
		     "\t}\n"
		     "}\n");
}

char *firewall_render(const struct firewall_rules *rules)
{
	_cleanup_buf_ struct buf text = { 0 };

	buf_adds(&text, FORGET "table inet " TABLE " {\n");
	add_addresses(&text, "hosts", AF_INET, &rules->hosts);
	add_addresses(&text, "hosts6", AF_INET6, &rules->hosts);
	add_addresses(&text, "nodes", AF_INET, &rules->nodes);
	add_addresses(&text, "nodes6", AF_INET6, &rules->nodes);
	add_ports(&text, "ports", AF_INET, rules->ports, rules->n_ports);
	add_ports(&text, "ports6", AF_INET6, rules->ports, rules->n_ports);
	/* Replies to connections that began here may come to any port. */
	buf_adds(&text, "\tchain outside {\n"
			"\t\ttype filter hook prerouting priority -150; policy accept;\n"
			"\t\tct direction reply accept\n");
	add_interfaces(&text, &rules->interfaces);
	buf_adds(&text, "\t\tip saddr @hosts accept\n"
			"\t\tip6 saddr @hosts6 accept\n"
			"\t\tip daddr . meta l4proto . th dport @ports counter drop\n"
			"\t\tip6 daddr . meta l4proto . th dport @ports6 counter drop\n"
			"\t\tip daddr @nodes counter drop\n"
			"\t\tip6 daddr @nodes6 counter drop\n"
			"\t}\n"
			"}\n");
	if (rules->machines)
		add_bridge(&text, rules);
	return buf_take(&text);
}

const char *firewall_render_none(bool machines)
{
	return machines ? FORGET FORGET_BRIDGE : FORGET;
}

char *firewall_normalise(const char *listing)
{
	static const char between[] = " ,\t\r\n";
	_cleanup_strv_ struct strv words = { 0 };
	char *text;

	for (const char *at = listing + strspn(listing, between); *at; at += strspn(at, between)) {
		size_t len = strcspn(at, between);

		strv_take(&words, xstrndup(at, len));
		at += len;
	}
	strv_sort(&words);
	text = strv_join(&words, " ");
	return text ? text : xstrdup("");
}

/* In all messages of nftables but those of generations the first attribute, by number, is the table's name. */
static bool names_table(const unsigned char *at, size_t len)
{
	while (len >= NLA_HDRLEN) {
		struct nlattr attribute;
		size_t step;

		memcpy(&attribute, at, sizeof(attribute));
		if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > len)
			return false;
		if ((attribute.nla_type & NLA_TYPE_MASK) == NFTA_TABLE_NAME)
			return attribute.nla_len - NLA_HDRLEN == sizeof(TABLE) &&
			       !memcmp(at + NLA_HDRLEN, TABLE, sizeof(TABLE));
		step = NLA_ALIGN(attribute.nla_len);
		if (step > len)
			return false;
		at += step;
		len -= step;
	}
	return false;
}

bool firewall_concerns(const void *messages, size_t len)
{
	const unsigned char *at = messages;
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));

	while (len >= NLMSG_HDRLEN) {
		struct nlmsghdr message;
		size_t step;

		memcpy(&message, at, sizeof(message));
		if (message.nlmsg_len < NLMSG_HDRLEN || message.nlmsg_len > len)
			return false;
		if (NFNL_SUBSYS_ID(message.nlmsg_type) == NFNL_SUBSYS_NFTABLES &&
		    NFNL_MSG_TYPE(message.nlmsg_type) != NFT_MSG_NEWGEN && message.nlmsg_len >= head &&
		    names_table(at + head, message.nlmsg_len - head))
			return true;
		step = NLMSG_ALIGN(message.nlmsg_len);
		if (step >= len)
			return false;
		at += step;
		len -= step;
	}
	return false;
}
