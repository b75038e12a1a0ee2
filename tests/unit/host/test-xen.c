/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of a Xen host, and its card in a bridge: what is rewritten, and what is refused. */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "consul/request.h"
#include "host/network-plan.h"
#include "host/xen-config.h"

static const struct bridge_wish wish = { "eth0", "xenbr0", "52:54:00:12:34:56" };

static void check_interfaces(const char *text, const char *wanted)
{
	_cleanup_(freep) char *got = NULL;

	assert_int_equal(interfaces_bridge("interfaces", text, &wish, true, &got, NULL), 0);
	assert_non_null(got);
	assert_string_equal(got, wanted);
}

#define BRIDGE_OPTIONS                                                                                                 \
	"    bridge_ports eth0\n    bridge_stp off\n    bridge_fd 0\n    bridge_maxwait 5\n"                           \
	"    bridge_hw 52:54:00:12:34:56\n"
#define PORT "\n# In the bridge xenbr0.\niface eth0 inet manual\n"

static void a_static_card_goes_into_the_bridge(void **state)
{
	(void)state;
	check_interfaces(
	    "# by the installer\nsource /etc/network/interfaces.d/*\n\nauto lo eth0\niface lo inet loopback\n"
	    "iface eth0 inet static\n\taddress 192.0.2.11/24\n\tgateway 192.0.2.1\n\n"
	    "iface eth0 inet6 static\n\taddress 2001:db8::11/64\nauto eth1\niface eth1 inet dhcp\n",
	    "# by the installer\nsource /etc/network/interfaces.d/*\n\nauto lo\nauto xenbr0\n"
	    "iface lo inet loopback\niface xenbr0 inet static\n" BRIDGE_OPTIONS
	    "\taddress 192.0.2.11/24\n\tgateway 192.0.2.1\n\n"
	    "iface xenbr0 inet6 static\n\taddress 2001:db8::11/64\nauto eth1\niface eth1 inet dhcp\n" PORT);
}

static void a_card_that_is_plugged_in_is_a_bridge_at_boot(void **state)
{
	(void)state;
	check_interfaces("allow-hotplug eth0\niface eth0 inet dhcp\n",
			 "auto xenbr0\niface xenbr0 inet dhcp\n" BRIDGE_OPTIONS PORT);
	/* Both words for one card: the bridge is named once. */
	check_interfaces("auto eth0\nallow-hotplug eth0 eth1\niface eth0 inet dhcp",
			 "auto xenbr0\nallow-hotplug eth1\niface xenbr0 inet dhcp\n" BRIDGE_OPTIONS PORT);
	/* Brought up by somebody else until now: not any more. */
	check_interfaces("iface eth0 inet dhcp\n", "iface xenbr0 inet dhcp\n" BRIDGE_OPTIONS "\nauto xenbr0\n" PORT);
}

static void aliases_go_along(void **state)
{
	(void)state;
	check_interfaces("auto eth0 eth0:1\niface eth0 inet static\naddress 192.0.2.11/24\niface eth0:1 inet static\n"
			 "address 192.0.2.12/24\n",
			 "auto xenbr0:1\nauto xenbr0\niface xenbr0 inet static\n" BRIDGE_OPTIONS
			 "address 192.0.2.11/24\niface xenbr0:1 inet static\naddress 192.0.2.12/24\n" PORT);
}

static void a_file_that_says_nothing_of_the_card_stays(void **state)
{
	char *got = NULL;

	(void)state;
	assert_int_equal(interfaces_bridge("f", "auto lo\niface lo inet loopback\niface eth0 inet manual\n", &wish,
					   true, &got, NULL),
			 0);
	assert_null(got);
	assert_false(interfaces_configure("iface eth01 inet dhcp\n# iface eth0 inet dhcp\n", "eth0"));
	assert_true(interfaces_configure("  iface  eth0\tinet  dhcp", "eth0"));
}

static void what_is_not_understood_is_refused_with_its_line(void **state)
{
	static const char *const bad[] = {
		"iface eth0 inet dhcp\niface eth0.5 inet dhcp\n",
		"iface eth0 inet dhcp\niface vlan5 inet dhcp\n  vlan-raw-device eth0\n",
		"iface eth0 inet dhcp\niface br0 inet static\n  bridge_ports eth0 eth1\n",
		"iface eth0 inet dhcp\n  wpa-ssid there\n",
		"iface eth0 inet dhcp\n  bond-master bond0\n",
		"iface eth0 inet static\n  up ip route add 198.51.100.0/24 dev eth0\n",
		"iface eth0 inet static\n  up echo a \\\n  b\n",
		"mapping eth0\n  script /usr/local/sbin/where\niface eth0 inet dhcp\n",
		"iface eth0 inet dhcp\niface xenbr0 inet manual\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		char *got = NULL;

		assert_int_equal(interfaces_bridge("/etc/network/interfaces", bad[i], &wish, true, &got, &err),
				 -ENOTSUP);
		assert_null(got);
		assert_non_null(strstr(err_text(&err), "/etc/network/interfaces says '"));
		assert_non_null(strstr(err_text(&err), "xen.bridge"));
	}
}

/* What was rewritten is no card's file any more: a second time there is nothing to do. */
static void twice_is_once(void **state)
{
	_cleanup_(freep) char *once = NULL;

	(void)state;
	assert_int_equal(interfaces_bridge("f", "auto eth0\niface eth0 inet dhcp\n", &wish, true, &once, NULL), 0);
	assert_false(interfaces_configure(once, "eth0"));
	assert_true(interfaces_configure(once, "xenbr0"));
}

static void networkd_gets_three_files(void **state)
{
	_cleanup_(freep) char *network = NULL, *netdev = networkd_netdev(&wish), *port = networkd_port(&wish);

	(void)state;
	assert_int_equal(networkd_for_bridge("/etc/systemd/network/a.network",
					     "[Match]\nMACAddress=52:54:00:12:34:56\nName=e*\n\n[Network]\nDHCP=yes\n"
					     "[Route]\nGateway=192.0.2.1\n",
					     &wish, &network, NULL),
			 0);
	assert_string_equal(network, "# Made by tepuy from /etc/systemd/network/a.network, whose card eth0 is in this "
				     "bridge.\n[Match]\nName=xenbr0\n[Network]\nDHCP=yes\n[Route]\n"
				     "Gateway=192.0.2.1\n");
	assert_non_null(strstr(netdev, "Kind=bridge\nMACAddress=52:54:00:12:34:56\n"));
	assert_non_null(strstr(port, "[Match]\nName=eth0\n\n[Network]\nBridge=xenbr0\n"));
}

static void networkd_of_a_bond_is_refused(void **state)
{
	_cleanup_err_ struct err err = ERR_INIT;
	char *network = NULL;

	(void)state;
	assert_int_equal(
	    networkd_for_bridge("a.network", "[Match]\nName=eth0\n[Network]\nBond=bond0\n", &wish, &network, &err),
	    -ENOTSUP);
	assert_non_null(strstr(err_text(&err), "a.network says 'Bond=bond0'"));
	assert_null(network);
}

static void dom0_memory_is_read_as_xen_reads_it(void **state)
{
	static const uint64_t gib = UINT64_C(1) << 30;

	(void)state;
	assert_true(xen_command_line_gives("placeholder dom0_mem=1024M,max:1024M console=com1", gib));
	assert_true(xen_command_line_gives("dom0_mem=1G,max:1G", gib));
	assert_true(xen_command_line_gives("dom0_mem=max:1048576,1048576", gib));
	assert_true(xen_command_line_gives("dom0_mem=4G dom0_mem=1G,min:512M,max:1024m", gib));
	assert_false(xen_command_line_gives("dom0_mem=1024M", gib));
	assert_false(xen_command_line_gives("dom0_mem=1024M,max:1024M dom0_mem=2G,max:2G", gib));
	assert_false(xen_command_line_gives("no_dom0_mem=1024M,max:1024M", gib));
	assert_false(xen_command_line_gives("dom0_mem=,max:", gib));
	assert_false(xen_command_line_gives("", gib));
}

static const char grub[] =
    "set default=\"${next_entry}\"\n"
    "   set default=\"Debian GNU/Linux, with Xen hypervisor\"\n"
    "menuentry 'Debian GNU/Linux' --class debian {\n\tlinux /boot/vmlinuz ro\n}\n"
    "menuentry 'Debian GNU/Linux, with Xen hypervisor' --class debian {\n"
    "\tmultiboot2\t/boot/xen-4.17-amd64.gz placeholder com1=115200 dom0_mem=2048M,max:2048M ${xen_rm_opts}\n"
    "\tmodule2\t/boot/vmlinuz placeholder ro\n}\n"
    "\tmenuentry 'Debian GNU/Linux, with Xen 4.17' {\n\t\tmultiboot2 /boot/xen dom0_mem=1024M,max:1024M\n\t}\n";

static void grub_boots_what_its_default_says(void **state)
{
	_cleanup_(freep) char *other = xstrdup(grub);

	(void)state;
	assert_true(xen_grub_boots(grub, UINT64_C(2) << 30));
	assert_false(xen_grub_boots(grub, UINT64_C(1) << 30));
	assert_false(xen_grub_boots("", UINT64_C(1) << 30));
	memcpy(strstr(other, "set default=\"Deb"), "set default=\"0\"\n    ", 19);
	assert_false(xen_grub_boots(other, UINT64_C(2) << 30));
}

static void grubs_file_names_memory_and_entry(void **state)
{
	_cleanup_(freep) char *text = xen_grub_defaults((UINT64_C(3) << 30) / 2);

	(void)state;
	assert_non_null(
	    strstr(text, "\nGRUB_CMDLINE_XEN_DEFAULT=\"$GRUB_CMDLINE_XEN_DEFAULT dom0_mem=1536M,max:1536M\"\n"));
	assert_non_null(strstr(text, "\nGRUB_DEFAULT=$(printf \"$(gettext \"%s, with Xen hypervisor\")\""));
}

static void a_cloud_kernel_is_none_for_xen(void **state)
{
	static const char fits[] = "CONFIG_XEN=y\nCONFIG_XEN_DOM0=y\nCONFIG_XEN_BLKDEV_BACKEND=m\n"
				   "CONFIG_XEN_NETDEV_BACKEND=m\nCONFIG_XEN_BLKDEV_FRONTEND=m\n";

	(void)state;
	assert_true(xen_kernel_fits(fits));
	assert_false(xen_kernel_fits("CONFIG_XEN=y\n# CONFIG_XEN_DOM0 is not set\nCONFIG_XEN_BLKDEV_BACKEND=m\n"
				     "CONFIG_XEN_NETDEV_BACKEND=m\nCONFIG_XEN_BLKDEV_FRONTEND=m\n"));
	assert_false(xen_kernel_fits("CONFIG_XEN_DOM0=y\nCONFIG_XEN_BLKDEV_BACKEND="));
	assert_false(xen_kernel_fits(""));
}

static void defaults_are_set_once(void **state)
{
	_cleanup_(freep) char *text = defaults_with("# XENDOMAINS_SAVE=x\nXENDOMAINS_SAVE=/var/lib/xen/save\nA=1\n"
						    "XENDOMAINS_SAVE=again\n",
						    "XENDOMAINS_SAVE", "");
	_cleanup_(freep) char *added = defaults_with(text, "B", "2"), *same = defaults_with(added, "B", "2");

	(void)state;
	assert_string_equal(text, "# XENDOMAINS_SAVE=x\nXENDOMAINS_SAVE=\"\"\nA=1\n");
	assert_string_equal(added, "# XENDOMAINS_SAVE=x\nXENDOMAINS_SAVE=\"\"\nA=1\nB=\"2\"\n");
	assert_string_equal(same, added);
}

static void name_servers_of_the_host_itself_are_no_use(void **state)
{
	_cleanup_strv_ struct strv list = { 0 };

	(void)state;
	xen_name_servers("search example.org\nnameserver 127.0.0.53\nnameserver\t192.0.2.53\n nameserver 192.0.2.54\n"
			 "nameserver 192.0.2.53\nnameserver x\nnameserver 2001:db8::53 # here\n",
			 &list);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.v[0], "192.0.2.53");
	assert_string_equal(list.v[1], "2001:db8::53");
}

static void the_configuration_is_what_the_driver_reads(void **state)
{
	_cleanup_json_ json_t *input =
	    json_pack("{s:s, s:s, s:n, s:I, s:s, s:[{s:s, s:s}]}", "bridge", "xenbr0", "addresses",
		      "192.0.2.100-192.0.2.120/24", "gateway", "dom0_memory", (json_int_t)(INT64_C(1) << 30),
		      "volume_group", "vg0", "more", "bridge", "br1", "addresses", "198.51.100.5-198.51.100.9/28");
	_cleanup_strv_ struct strv dns = { 0 };
	_cleanup_(freep) char *text = NULL;
	_cleanup_json_ json_t *json = NULL;
	struct xen_wish xen;

	(void)state;
	strv_add(&dns, "192.0.2.53");
	assert_int_equal(xen_wish_read(input, &xen, NULL), 0);
	assert_int_equal(xen.dom0_memory, INT64_C(1) << 30);
	text = xen_config_text(&xen, &dns);
	json = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "volume_group")), "vg0");
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "dns"), 0)), "192.0.2.53");
	assert_null(json_object_get(json, "dom0_memory"));
	assert_null(json_object_get(json, "gateway"));
	json_object_set_new(input, "dns", json_pack("[s]", "192.0.2.1"));
	free(text);
	text = xen_config_text(&xen, &dns);
	assert_null(strstr(text, "192.0.2.53"));
}

static void a_wrong_input_names_the_key(void **state)
{
	static const char *const bad[][2] = {
		{ "{\"addresses\": \"192.0.2.100-192.0.2.120/24\"}", "'bridge'" },
		{ "{\"bridge\": \"xenbr0\"}", "'addresses'" },
		{ "{\"bridge\": \"../x\", \"addresses\": \"a\"}", "'../x'" },
		{ "{\"bridge\": \"b\", \"addresses\": \"a\", \"dns\": [\"x\"]}", "'dns'" },
		{ "{\"bridge\": \"b\", \"addresses\": \"a\", \"dom0_memory\": 1}", "'dom0_memory'" },
		{ "{\"bridge\": \"b\", \"addresses\": \"a\", \"more\": [1]}", "'more'" },
		{ "{\"bridge\": \"b\", \"addresses\": \"a\", \"more\": [{\"x\": 1}]}", "'x'" },
		{ "{\"bridge\": \"b\", \"addresses\": \"a\", \"disk\": 1}", "'disk'" },
	};
	struct xen_wish xen;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ json_t *input = json_loads(bad[i][0], 0, NULL);
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(xen_wish_read(input, &xen, &err), -EINVAL);
		assert_non_null(strstr(err_text(&err), bad[i][1]));
	}
	assert_int_equal(xen_wish_read(NULL, &xen, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_static_card_goes_into_the_bridge),
		cmocka_unit_test(a_card_that_is_plugged_in_is_a_bridge_at_boot),
		cmocka_unit_test(aliases_go_along),
		cmocka_unit_test(a_file_that_says_nothing_of_the_card_stays),
		cmocka_unit_test(what_is_not_understood_is_refused_with_its_line),
		cmocka_unit_test(twice_is_once),
		cmocka_unit_test(networkd_gets_three_files),
		cmocka_unit_test(networkd_of_a_bond_is_refused),
		cmocka_unit_test(dom0_memory_is_read_as_xen_reads_it),
		cmocka_unit_test(grub_boots_what_its_default_says),
		cmocka_unit_test(grubs_file_names_memory_and_entry),
		cmocka_unit_test(a_cloud_kernel_is_none_for_xen),
		cmocka_unit_test(defaults_are_set_once),
		cmocka_unit_test(name_servers_of_the_host_itself_are_no_use),
		cmocka_unit_test(the_configuration_is_what_the_driver_reads),
		cmocka_unit_test(a_wrong_input_names_the_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
