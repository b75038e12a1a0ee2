/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table's text, which is held against a golden file, and which netlink messages tell of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "agent/firewall.h"
#include "agent/host-interface.h"
#include "base/fs.h"

static void some_rules(struct firewall_rules *rules)
{
	strv_add_all(&rules->hosts, "192.0.2.12", "192.0.2.11", "2001:db8::12", "192.0.2.12", NULL);
	strv_add_all(&rules->interfaces, "docker0", "lo", "docker0", NULL);
	strv_add_all(&rules->nodes, "172.17.0.3", "172.17.0.2", NULL);
	firewall_add_port(rules, "192.0.2.11", 32769, false);
	firewall_add_port(rules, "192.0.2.11", 32768, false);
	firewall_add_port(rules, "192.0.2.11", 32768, true);
	firewall_add_port(rules, "2001:DB8::11", 32770, false);
}

static void the_text_is_the_golden_one(void **state)
{
	_cleanup_firewall_rules_ struct firewall_rules rules = { 0 };
	_cleanup_(freep) char *text = NULL, *path = fs_join(getenv("GOLDEN"), "firewall.nft");
	_cleanup_buf_ struct buf golden = { 0 };

	(void)state;
	some_rules(&rules);
	text = firewall_render(&rules);
	if (getenv("REGENERATE"))
		assert_int_equal(fs_write(path, text, strlen(text), 0644, NULL), 0);
	assert_int_equal(fs_read(path, 65536, &golden, NULL), 0);
	assert_string_equal(text, buf_text(&golden));
}

/* nft takes it: tests/e2e/xen-static-site.sh. */
static void machines_have_a_table_of_their_own(void **state)
{
	_cleanup_firewall_rules_ struct firewall_rules rules = { .machines = true };
	_cleanup_(freep) char *text = NULL, *path = fs_join(getenv("GOLDEN"), "firewall-machines.nft");
	_cleanup_buf_ struct buf golden = { 0 };

	(void)state;
	strv_add_all(&rules.hosts, "192.0.2.11", "192.0.2.102", NULL);
	strv_add_all(&rules.guests, "192.0.2.101", "192.0.2.100", "nonsense", NULL);
	firewall_add_open(&rules, "192.0.2.100", 80, false);
	firewall_add_open(&rules, "192.0.2.100", 53, true);
	text = firewall_render(&rules);
	if (getenv("REGENERATE"))
		assert_int_equal(fs_write(path, text, strlen(text), 0644, NULL), 0);
	assert_int_equal(fs_read(path, 65536, &golden, NULL), 0);
	assert_string_equal(text, buf_text(&golden));
	assert_non_null(strstr(firewall_render_none(true), "delete table bridge tepuy"));
	assert_null(strstr(firewall_render_none(false), "bridge"));
}

static void order_does_not_matter(void **state)
{
	_cleanup_firewall_rules_ struct firewall_rules rules = { 0 }, other = { 0 };
	_cleanup_(freep) char *text = NULL, *same = NULL;

	(void)state;
	some_rules(&rules);
	strv_add_all(&other.hosts, "192.0.2.11", "2001:db8:0::12", "192.0.2.12", NULL);
	strv_add_all(&other.interfaces, "docker0", NULL);
	strv_add_all(&other.nodes, "172.17.0.2", "172.17.0.3", NULL);
	firewall_add_port(&other, "2001:db8::11", 32770, false);
	firewall_add_port(&other, "192.0.2.11", 32768, true);
	firewall_add_port(&other, "192.0.2.11", 32768, false);
	firewall_add_port(&other, "192.0.2.11", 32769, false);
	text = firewall_render(&rules);
	same = firewall_render(&other);
	assert_string_equal(text, same);
}

/* What Consul says is no text of nft's. */
static void what_is_no_address_is_left_out(void **state)
{
	_cleanup_firewall_rules_ struct firewall_rules rules = { 0 }, none = { 0 };
	_cleanup_(freep) char *text = NULL, *empty = NULL;

	(void)state;
	strv_add_all(&rules.hosts, "host.example.org", "192.0.2.1 }; flush ruleset", "", "0.0.0.0/0", NULL);
	strv_add_all(&rules.interfaces, "a\" accept", "", "averylonginterface", "with space", NULL);
	strv_add_all(&rules.nodes, "192.0.2.256", NULL);
	firewall_add_port(&rules, "localhost", 1, false);
	text = firewall_render(&rules);
	empty = firewall_render(&none);
	assert_string_equal(text, empty);
	assert_null(strstr(text, "elements"));
	assert_non_null(strstr(text, "iifname { \"lo\" } accept"));
}

static void listings_are_equal_in_any_order(void **state)
{
	_cleanup_(freep) char *a = firewall_normalise("set hosts {\n\telements = { 192.0.2.1, 192.0.2.2 }\n}\n"),
			      *b = firewall_normalise("set hosts {\n\telements = { 192.0.2.2,\n 192.0.2.1 }\n}"),
			      *c = firewall_normalise("set hosts {\n\telements = { 192.0.2.2 }\n}"),
			      *none = firewall_normalise("");

	(void)state;
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	assert_string_equal(none, "");
}

/* One message: nfgenmsg and an attribute of that number. */
static size_t put_message(unsigned char *at, int subsystem, int type, int number, const char *text)
{
	struct nlattr attribute = { (uint16_t)(NLA_HDRLEN + strlen(text) + 1), (uint16_t)number };
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	struct nlmsghdr message = { .nlmsg_len = (uint32_t)(head + attribute.nla_len),
				    .nlmsg_type = (uint16_t)(subsystem << 8 | type) };

	memset(at, 0, NLMSG_ALIGN(message.nlmsg_len));
	memcpy(at, &message, sizeof(message));
	memcpy(at + head, &attribute, sizeof(attribute));
	memcpy(at + head + NLA_HDRLEN, text, strlen(text) + 1);
	return NLMSG_ALIGN(message.nlmsg_len);
}

static void only_messages_about_our_table_count(void **state)
{
	const int nft = NFNL_SUBSYS_NFTABLES;
	unsigned char bytes[512];
	size_t len, both;

	(void)state;
	len = put_message(bytes, nft, NFT_MSG_DELTABLE, NFTA_TABLE_NAME, "tepuy");
	assert_true(firewall_concerns(bytes, len));
	len = put_message(bytes, nft, NFT_MSG_NEWRULE, NFTA_RULE_TABLE, "tepuy");
	assert_true(firewall_concerns(bytes, len));
	len = put_message(bytes, nft, NFT_MSG_DELTABLE, NFTA_TABLE_NAME, "tepuyes");
	assert_false(firewall_concerns(bytes, len));
	both = len + put_message(bytes + len, nft, NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_TABLE, "tepuy");
	assert_true(firewall_concerns(bytes, both));
	len = put_message(bytes, nft, NFT_MSG_DELTABLE, NFTA_TABLE_FLAGS, "tepuy");
	assert_false(firewall_concerns(bytes, len));
	len = put_message(bytes, NFNL_SUBSYS_CTNETLINK, NFT_MSG_DELTABLE, NFTA_TABLE_NAME, "tepuy");
	assert_false(firewall_concerns(bytes, len));
	len = put_message(bytes, nft, NFT_MSG_NEWGEN, NFTA_GEN_ID, "tepuy");
	assert_false(firewall_concerns(bytes, len));
}

static void cut_messages_do_no_harm(void **state)
{
	unsigned char bytes[512];
	size_t len = put_message(bytes, NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE, NFTA_TABLE_NAME, "tepuy");

	(void)state;
	for (size_t n = 0; n < len - NLMSG_ALIGNTO; n++) {
		unsigned char *exact = xmalloc(n ? n : 1);

		memcpy(exact, bytes, n);
		assert_false(firewall_concerns(exact, n));
		free(exact);
	}
	memset(bytes, 0xff, sizeof(bytes));
	assert_false(firewall_concerns(bytes, sizeof(bytes)));
}

static void loopback_is_found_by_its_address(void **state)
{
	_cleanup_(freep) char *with = host_interface_with("127.0.0.1"), *towards = host_interface_towards("127.1.2.3"),
			      *nobody = host_interface_with("192.0.2.255"), *nonsense = host_interface_towards("none");

	(void)state;
	assert_string_equal(with, "lo");
	assert_string_equal(towards, "lo");
	assert_null(nobody);
	assert_null(nonsense);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_text_is_the_golden_one),
		cmocka_unit_test(machines_have_a_table_of_their_own),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(what_is_no_address_is_left_out),
		cmocka_unit_test(listings_are_equal_in_any_order),
		cmocka_unit_test(only_messages_about_our_table_count),
		cmocka_unit_test(cut_messages_do_no_harm),
		cmocka_unit_test(loopback_is_found_by_its_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
