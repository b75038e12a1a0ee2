/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Xen driver's pure parts: xen.json, node.json, xl's file and answers, what is written into a machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "runtime/xen-config.h"
#include "runtime/xen-journal.h"
#include "runtime/xen-node.h"
#include "runtime/xen-unit.h"
#include "runtime/xen.h"

#define SMALL "{\"bridge\":\"xenbr0\",\"addresses\":\"192.0.2.100-192.0.2.120/24\""

static int parse(const char *text, struct xen_config *config, struct err *err)
{
	return xen_config_parse("/etc/tepuy/xen.json", text, strlen(text), config, err);
}

static void a_small_configuration_has_its_defaults(void **state)
{
	struct xen_config config;

	(void)state;
	assert_int_equal(parse(SMALL "}", &config, NULL), 0);
	assert_int_equal(config.n_networks, 1);
	assert_string_equal(config.networks[0].bridge, "xenbr0");
	assert_string_equal(config.networks[0].address, "192.0.2.100");
	assert_string_equal(config.networks[0].last, "192.0.2.120");
	assert_int_equal(config.networks[0].prefix, 24);
	assert_null(config.networks[0].gateway);
	assert_string_equal(config.directory, "/var/lib/tepuy/xen");
	assert_string_equal(config.kernel, "/var/lib/tepuy/xen/kernel");
	assert_string_equal(config.initrd, "/var/lib/tepuy/xen/initrd");
	assert_int_equal(config.type, XEN_ANY);
	assert_int_equal(config.start_ms, 180000);
	xen_config_release(&config);
}

static void all_of_a_configuration_is_taken(void **state)
{
	struct xen_config config;

	(void)state;
	assert_int_equal(
	    parse(
		SMALL
		",\"gateway\":\"192.0.2.1\",\"dns\":[\"192.0.2.1\",\"2001:db8::1\"],\"volume_group\":\"vg0\","
		"\"kernel\":\"/k\",\"initrd\":\"/i\",\"type\":\"pvh\",\"memory\":\"256M\",\"system_memory\":"
		"\"64M\",\"room\":\"1G\",\"start\":\"90s\",\"directory\":\"/srv/xen\",\"more\":[{\"bridge\":\"xenbr1\","
		"\"addresses\":\"198.51.100.9-198.51.100.9/28\",\"gateway\":null}]}",
		&config, NULL),
	    0);
	assert_int_equal(config.n_networks, 2);
	assert_string_equal(config.networks[0].gateway, "192.0.2.1");
	assert_int_equal(config.networks[0].dns.n, 2);
	assert_string_equal(config.networks[1].bridge, "xenbr1");
	assert_null(config.networks[1].gateway);
	assert_string_equal(config.volume_group, "vg0");
	assert_int_equal(config.type, XEN_PVH);
	assert_int_equal(config.memory, 256u << 20);
	assert_int_equal(config.system_memory, 64u << 20);
	assert_int_equal(config.room, 1u << 30);
	assert_int_equal(config.start_ms, 90000);
	assert_string_equal(config.directory, "/srv/xen");
	xen_config_release(&config);
}

static void slow_machines_get_more_time(void **state)
{
	struct xen_config config = { .start_ms = 180000 };

	(void)state;
	assert_int_equal(xen_patience(&config, 10000), 10000);
	config.start_ms = 90000;
	assert_int_equal(xen_patience(&config, 10000), 10000);
	config.start_ms = 900000;
	assert_int_equal(xen_patience(&config, 10000), 50000);
}

static void a_wrong_configuration_names_file_and_key(void **state)
{
	static const struct {
		const char *text, *named;
	} wrong[] = {
		{ "{", "/etc/tepuy/xen.json:1:1: this is not JSON" },
		{ "[]", "this must be a JSON object" },
		{ "{}", "/etc/tepuy/xen.json: bridge" },
		{ "{\"bridge\":\"xenbr0\"}", "xen.json: addresses" },
		{ SMALL ",\"gatevay\":\"192.0.2.1\"}", "did you mean gateway?" },
		{ SMALL ",\"gateway\":\"198.51.100.1\"}", "xen.json: gateway must be" },
		{ SMALL ",\"gateway\":5}", "xen.json: gateway" },
		{ SMALL ",\"dns\":\"192.0.2.1\"}", "xen.json: dns" },
		{ SMALL ",\"dns\":[\"ns1\"]}", "xen.json: dns" },
		{ SMALL ",\"type\":\"hvm\"}", "xen.json: type" },
		{ SMALL ",\"memory\":\"1M\"}", "xen.json: memory" },
		{ SMALL ",\"memory\":512}", "xen.json: memory" },
		{ SMALL ",\"kernel\":\"boot/vmlinuz\"}", "xen.json: kernel must be an absolute path" },
		{ SMALL ",\"kernel\":\"/k\\\"\\nextra\"}", "xen.json: kernel has a character" },
		{ SMALL ",\"start\":\"soon\"}", "xen.json: start" },
		{ SMALL ",\"more\":[{\"bridge\":\"b\"}]}", "xen.json: more[0].addresses" },
		{ SMALL ",\"more\":[{\"dns\":[]}]}", "xen.json: more[0].dns is no key" },
		{ SMALL ",\"more\":{}}", "xen.json: more" },
		{ "{\"bridge\":\"b\",\"addresses\":\"192.0.2.120-192.0.2.100/24\"}", "addresses" },
		{ "{\"bridge\":\"b\",\"addresses\":\"192.0.2.1-192.0.3.1/24\"}", "addresses" },
		{ "{\"bridge\":\"b\",\"addresses\":\"192.0.2.0-192.0.2.9/24\"}", "addresses" },
		{ "{\"bridge\":\"b\",\"addresses\":\"192.0.2.9-192.0.2.255/24\"}", "addresses" },
		{ "{\"bridge\":\"b\",\"addresses\":\"192.0.2.9/24\"}", "addresses" },
		{ "{\"bridge\":\"a-bridge-too-long\",\"addresses\":\"192.0.2.1-192.0.2.9/24\"}", "bridge" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		_cleanup_err_ struct err err = ERR_INIT;
		struct xen_config config;

		assert_int_equal(parse(wrong[i].text, &config, &err), -EINVAL);
		if (!strstr(err_text(&err), wrong[i].named))
			fail_msg("%s: %s", wrong[i].text, err_text(&err));
	}
	assert_int_equal(xen_config_load("/nonexistent/xen.json", &(struct xen_config){ 0 }, NULL), -ENOENT);
}

/* A node with everything. */
static void make_node(struct xen_node *node)
{
	static const struct image image;
	struct strv labels = { 0 }, argv = { 0 }, env = { 0 };
	struct runtime_mount mounts[] = {
		{ .from = (char *)"/srv/data", .to = (char *)"/data", .size = 1u << 30 },
		{ .from = (char *)"/run/s", .to = (char *)"/run/secrets", .copied = true, .read_only = true }
	};
	struct runtime_port ports[] = { { .name = (char *)"http", .port = 80 } };
	struct runtime_network networks[] = {
		{ .bridge = (char *)"xenbr0",
		  .address = (char *)"192.0.2.100",
		  .prefix = 24,
		  .gateway = (char *)"192.0.2.1" },
		{ .bridge = (char *)"xenbr1", .address = (char *)"198.51.100.9", .prefix = 28 }
	};
	struct runtime_spec spec = { .name = "tepuy.portal.web.1.5",
				     .host_name = "web-1.portal",
				     .labels = &labels,
				     .image = &image,
				     .image_ref = "0123abcd",
				     .argv = &argv,
				     .env = &env,
				     .mounts = mounts,
				     .n_mounts = 2,
				     .ports = ports,
				     .n_ports = 1,
				     .memory = 256u << 20,
				     .cpus = 1.5,
				     .stop_signal = "QUIT",
				     .networks = networks,
				     .n_networks = 2 };

	strv_add(&networks[0].dns, "192.0.2.1");
	strv_add(&labels, "tepuy.instance=portal/web/1.5");
	strv_add_all(&argv, "/bin/sh", "-c", "echo \"$HOME\" 100% \\ 'x'\n", NULL);
	strv_add_all(&env, "GREETING=hola \"tú\"", "PRICE=5$ 10%", NULL);
	xen_node_from_spec(&spec, node);
	node->fingerprint = xstrdup("SHA256:abc");
	strv_release(&networks[0].dns);
	strv_release(&labels);
	strv_release(&argv);
	strv_release(&env);
}

static void a_node_comes_back_from_its_file(void **state)
{
	_cleanup_xen_node_ struct xen_node node = { 0 }, back = { 0 };
	_cleanup_(freep) char *text = NULL, *again = NULL;

	(void)state;
	make_node(&node);
	text = xen_node_encode(&node);
	assert_int_equal(xen_node_decode(text, strlen(text), &back, NULL), 0);
	again = xen_node_encode(&back);
	assert_string_equal(text, again);
	assert_true(strv_equal(&node.argv, &back.argv));
	assert_int_equal(back.mounts[1].copied, true);
	assert_string_equal(back.networks[1].address, "198.51.100.9");
	/* Cut anywhere it is refused, not half read. */
	for (size_t len = 0; len + 2 < strlen(text); len += 7) {
		struct xen_node half = { 0 };

		assert_int_equal(xen_node_decode(text, len, &half, NULL), -EBADMSG);
	}
}

static void a_state_comes_back_from_its_file(void **state)
{
	struct xen_record record = { XEN_ENDED, true, 7, 3, 1234567, 137, true }, back;
	_cleanup_(freep) char *text = xen_record_encode(&record);

	(void)state;
	assert_int_equal(xen_record_decode(text, strlen(text), &back, NULL), 0);
	assert_memory_equal(&record.run, &back.run, sizeof(back.run));
	assert_int_equal(back.phase, XEN_ENDED);
	assert_true(back.wanted && back.out_of_memory);
	assert_int_equal(back.exit_code, 137);
	assert_int_equal(back.sequence, 3);
	assert_int_equal(xen_record_decode("{\"phase\":\"asleep\"}", 18, &back, NULL), -EBADMSG);
	assert_int_equal(xen_record_decode("", 0, &back, NULL), -EBADMSG);
}

/* What is compared with files beside this program; REGENERATE=1 writes them. */
static void is_golden(const char *name, const char *text)
{
	_cleanup_(freep) char *path = xasprintf("%s/%s", GOLDEN, name);
	_cleanup_buf_ struct buf expected = { 0 };

	if (getenv("REGENERATE"))
		assert_int_equal(fs_write(path, text, strlen(text), 0644, NULL), 0);
	assert_int_equal(fs_read(path, 1 << 20, &expected, NULL), 0);
	assert_string_equal(text, buf_text(&expected));
}

static void the_file_for_xl(void **state)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *pv = NULL, *pvh = NULL;
	struct xen_disk_line disks[] = { { "/var/lib/tepuy/xen/nodes/x/disk.img", false }, { "/dev/vg0/data", true } };
	struct xen_config config;

	(void)state;
	make_node(&node);
	assert_int_equal(parse(SMALL "}", &config, NULL), 0);
	assert_int_equal(xen_encode_config(&config, &node, false, disks, 2, &pv, NULL), 0);
	is_golden("xen-pv.cfg", pv);
	node.cpus = 0;
	node.memory = 0;
	runtime_networks_free(node.networks, node.n_networks);
	node.networks = NULL;
	node.n_networks = 0;
	assert_int_equal(xen_encode_config(&config, &node, true, disks, 1, &pvh, NULL), 0);
	is_golden("xen-pvh.cfg", pvh);
	xen_config_release(&config);
}

static void what_may_grow_has_room_for_it(void **state)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *text = NULL;
	struct xen_config config;

	(void)state;
	make_node(&node);
	node.memory_max = 1024u << 20;
	node.cpus_max = 3;
	assert_int_equal(parse(SMALL "}", &config, NULL), 0);
	assert_int_equal(xen_encode_config(&config, &node, false, NULL, 0, &text, NULL), 0);
	assert_non_null(strstr(text, "\nmemory = 352\nvcpus = 2\nmaxmem = 1120\nmaxvcpus = 3\ncap = 150\n"));
	/* One that was made for less than it asks for gets what it asks for. */
	node.memory_max = 1u << 20;
	node.cpus_max = 1;
	assert_int_equal(xen_node_most_memory(&config, &node), 352u << 20);
	assert_int_equal(xen_node_most_vcpus(&node), 2);
	xen_config_release(&config);
}

static void what_xl_cannot_be_told_is_refused(void **state)
{
	static const char *const bad[] = { "/srv/a\"b", "/srv/a'b", "/srv/a\\b", "/srv/a\nb", "/srv/a\tb" };
	_cleanup_xen_node_ struct xen_node node = { 0 };
	struct xen_config config;
	char *text = NULL;

	(void)state;
	make_node(&node);
	assert_int_equal(parse(SMALL "}", &config, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct xen_disk_line disk = { bad[i], false };
		_cleanup_err_ struct err err = ERR_INIT;

		assert_int_equal(xen_encode_config(&config, &node, false, &disk, 1, &text, &err), -EINVAL);
		assert_non_null(strstr(err_text(&err), "cannot be told to Xen"));
	}
	free(node.networks[0].bridge);
	node.networks[0].bridge = xstrdup("b,ip=1");
	assert_int_equal(xen_encode_config(&config, &node, false, NULL, 0, &text, NULL), -EINVAL);
	assert_null(text);
	xen_config_release(&config);
}

static void what_is_written_into_a_machine(void **state)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *unit = NULL, *network = NULL, *hosts = NULL, *resolv = NULL, *journal = NULL,
			      *fstab = NULL;
	struct xen_fstab_line lines[] = { { (char *)"UUID=0123456789", "/data", false },
					  { (char *)"UUID=1-2", "/fixed", true } };

	(void)state;
	make_node(&node);
	assert_int_equal(xen_unit_text(&node, &unit, NULL), 0);
	is_golden("xen-node.service", unit);
	network = xen_network_unit(&node);
	is_golden("xen-network.service", network);
	hosts = xen_hosts(&node);
	assert_string_equal(hosts,
			    "127.0.0.1 localhost\n::1 localhost ip6-localhost\n192.0.2.100 web-1.portal web-1\n");
	resolv = xen_resolv(&node);
	assert_string_equal(resolv, "# Written by tepuy.\nnameserver 192.0.2.1\n");
	journal = xen_journal_conf(&node);
	assert_non_null(strstr(journal, "SystemMaxUse=33554432\n"));
	assert_int_equal(xen_fstab(lines, 2, &fstab, NULL), 0);
	assert_string_equal(fstab,
			    "# Written by tepuy.\n/dev/xvda / ext4 noatime 0 0\n"
			    "UUID=0123456789 /data ext4 noatime,nodev,nosuid,x-systemd.device-timeout=60s 0 0\n"
			    "UUID=1-2 /fixed ext4 ro,noload,noatime,nodev,nosuid,x-systemd.device-timeout=60s 0 0\n");
	lines[0].to = "/with space";
	assert_int_equal(xen_fstab(lines, 2, &(char *){ NULL }, NULL), -EINVAL);
	strv_release(&node.argv);
	assert_int_equal(xen_unit_text(&node, &(char *){ NULL }, NULL), -EINVAL);
}

static void a_further_gateway_does_not_replace_the_first(void **state)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(freep) char *network = NULL;

	(void)state;
	make_node(&node);
	node.networks[1].gateway = xstrdup("198.51.100.1");
	network = xen_network_unit(&node);
	assert_non_null(strstr(network, "route replace default via 192.0.2.1 dev eth0 metric 100\n"));
	assert_non_null(strstr(network, "route replace default via 198.51.100.1 dev eth1 metric 101\n"));
}

static void cards_have_an_address_of_their_own(void **state)
{
	_cleanup_(freep) char *first = xen_mac("192.0.2.100", 0), *second = xen_mac("192.0.2.100", 1);

	(void)state;
	assert_string_equal(first, "02:c0:00:02:64:00");
	assert_string_equal(second, "02:c0:00:02:64:01");
}

#define HEAD "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
#define DOM0 "Domain-0                                     0  2048     2     r-----    4711.0\n"

static void xl_lists_its_machines(void **state)
{
	static const char text[] =
	    HEAD DOM0 "tepuy.a.b.1.1                                3   352     2     -b----      12.3\n"
		      "libxl: error: Domain 5:gone\n"
		      "tepuy.a.b.2.1                                6   352     1     --p---       0.0\n"
		      "tepuy.a.b.3.1                                7   352     1     ---s--       9.0\n"
		      "tepuy.a.b.4.1                                8     0     1     ---sc-       9.0\n"
		      "tepuy.a.b.5.1                                9     0     1     --ps-d       9.0\n"
		      "(null)                                      10     0     1     --p---       0.0\n"
		      "with a blank                                11   352     1     -b----       1.0\n"
		      "short                                       12   352     1     -b";
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };

	(void)state;
	assert_int_equal(xen_decode_domains(text, &domains, NULL), 0);
	assert_int_equal(domains.n, 5);
	assert_int_equal(xen_find_domain(&domains, "tepuy.a.b.1.1")->id, 3);
	assert_int_equal(xen_find_domain(&domains, "tepuy.a.b.1.1")->state, XEN_ALIVE);
	assert_int_equal(xen_find_domain(&domains, "tepuy.a.b.2.1")->state, XEN_HELD);
	for (size_t i = 2; i < domains.n; i++)
		assert_int_equal(domains.list[i].state, XEN_HALTED);
	assert_null(xen_find_domain(&domains, "Domain-0"));
	assert_int_equal(xen_decode_domains("", &domains, NULL), -EBADMSG);
	assert_int_equal(xen_decode_domains(HEAD, &domains, NULL), -EBADMSG);
	assert_int_equal(xen_decode_domains("Domain-0 -1 2048 2 r----- 1.0\n", &domains, NULL), -EBADMSG);
}

static void xl_tells_what_a_machine_uses(void **state)
{
	static const char text[] =
	    HEAD "tepuy.a.b.1.1                                3   352     2     -b----      12.3\n";
	struct runtime_usage usage;

	(void)state;
	assert_int_equal(xen_decode_usage(text, "tepuy.a.b.1.1", &usage, NULL), 0);
	assert_int_equal(usage.memory, 352u << 20);
	assert_int_equal(usage.cpu_ms, 12300);
	assert_int_equal(usage.cpus, 2);
	assert_int_equal(xen_decode_usage(text, "tepuy.a.b.1", &usage, NULL), -EBADMSG);
	assert_int_equal(xen_decode_usage("", "x", &usage, NULL), -EBADMSG);
}

static void xl_tells_values(void **state)
{
	static const char text[] =
	    "host                   : xen1\nfree_memory            : 1930\nxen_version : 4.17.5\nx";
	_cleanup_(freep) char *free_memory = xen_info_value(text, "free_memory"), *none = xen_info_value(text, "free");

	(void)state;
	assert_string_equal(free_memory, "1930");
	assert_null(none);
}

static void an_end_is_told_by_its_run(void **state)
{
	int code = -1;
	bool memory = true;

	(void)state;
	assert_int_equal(xen_decode_exit("4 exited 3 exit-code 0\n", 4, &code, &memory), 0);
	assert_int_equal(code, 3);
	assert_false(memory);
	assert_int_equal(xen_decode_exit("4 killed KILL signal 1\n", 4, &code, &memory), 0);
	assert_int_equal(code, 137);
	assert_true(memory);
	assert_int_equal(xen_decode_exit("4 killed TERM signal 0\n", 4, &code, &memory), 0);
	assert_int_equal(code, 143);
	assert_false(memory);
	assert_int_equal(xen_decode_exit("4 exited 0 success 1\n", 4, &code, &memory), 0);
	assert_false(memory);
	assert_int_equal(xen_decode_exit("3 exited 0 success 0\n", 4, &code, &memory), -ESTALE);
	assert_int_equal(xen_decode_exit("debugfs 1.47.0", 4, &code, &memory), -EBADMSG);
}

static void a_clock_is_off_by_what_can_be_told(void **state)
{
	static const struct {
		const char *said;
		int64_t before, after, lacks;
	} clocks[] = {
		{ "1000.000000000\n", 1000000, 1000010, 0 },
		{ "1000.500000000\n", 1001495, 1001505, 0 },
		{ "1000.500000000\n", 1001600, 1001610, 1105 },
		{ "1001.900999999\n", 1000800, 1000820, -1090 },
		{ "1000.000000000\n", 1000500, 1002500, 0 },
		{ "1000.000000000\n", 1001500, 1003500, 2500 },
		{ "946684800.000000000\n", 1763822514894, 1763822514896, INT64_C(817137714895) },
	};
	static const char *const wrong[] = {
		"", "1000\n", "1000.5", "date: no\n", "-5.000000000\n", "99999999999.000000000\n", "1000.000000000 x\n"
	};
	int64_t lacks = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		assert_int_equal(xen_clock_lacks(clocks[i].said, clocks[i].before, clocks[i].after, &lacks), 0);
		assert_int_equal(lacks, clocks[i].lacks);
	}
	lacks = 7;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(xen_clock_lacks(wrong[i], 1000000, 1000010, &lacks), -EBADMSG);
	assert_int_equal(xen_clock_lacks("1000.000000000\n", 1000010, 1000000 - 5000, &lacks), -EBADMSG);
	assert_int_equal(lacks, 7);
}

static void program_make(struct xen_program *program)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_strv_ struct strv argv = { 0 };

	make_node(&node);
	strv_add(&argv, "/bin/true");
	xen_program_init(program, &node, NULL, &argv);
}

static void a_program_tells_its_group_first(void **state)
{
	(void)state;
	for (size_t step = 1; step < 80; step += 13) {
		_cleanup_buf_ struct buf text = { 0 }, rest = { 0 };
		struct xen_program program;

		program_make(&program);
		/* A shell may have something to say before it. */
		buf_add(&text, "no\0t this\n", 10);
		buf_printf(&text, "%s 4711\nits own\n%s", program.token, program.token);
		for (size_t i = 0; i < text.len; i += step) {
			size_t len = text.len - i < step ? text.len - i : step;
			const char *bytes;

			assert_int_equal(xen_program_feed(&program, text.data + i, len, &bytes, &len), 0);
			buf_add(&rest, bytes, len);
		}
		assert_int_equal(program.group, 4711);
		assert_false(program.hold);
		assert_int_equal(strncmp(buf_text(&rest), "its own\n", 8), 0);
		assert_string_equal(rest.data + 8, program.token);
		xen_program_release(&program);
	}
}

static void a_machine_that_says_anything_else_is_not_listened_to(void **state)
{
	static const char *const noise[] = { "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxx\nxxxxxxxxxxxxxxxx" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct xen_program program;
		size_t taken = 0, len;
		const char *bytes;

		program_make(&program);
		while (taken < (1u << 20) &&
		       xen_program_feed(&program, noise[i], strlen(noise[i]), &bytes, &len) == 0) {
			assert_int_equal(len, 0);
			taken += strlen(noise[i]);
		}
		assert_int_equal(taken, 65536);
		assert_int_equal(xen_program_feed(&program, noise[i], 1, &bytes, &len), -EBADMSG);
		xen_program_release(&program);
	}
}

static int keep(void *data, int stream, const char *bytes, size_t len)
{
	struct buf *to = data;

	buf_printf(to, "%d:%.*s", stream, (int)len, bytes);
	return strstr(to->data, "enough") ? -ECANCELED : 0;
}

static void the_journal_is_read_in_any_pieces(void **state)
{
	static const char text[] =
	    "{\"PRIORITY\":\"6\",\"MESSAGE\":\"one\",\"__REALTIME_TIMESTAMP\":\"1763822514894366\"}\n\n"
	    "{\"PRIORITY\":\"3\",\"MESSAGE\":[116,119,255],\"__REALTIME_TIMESTAMP\":\"1763822514000001\"}\nnonsense\n";

	(void)state;
	for (size_t step = 1; step < sizeof(text); step += 5) {
		_cleanup_buf_ struct buf said = { 0 };
		struct xen_journal journal = { .fn = keep, .data = &said, .timestamps = true };

		for (size_t i = 0; i < strlen(text); i += step)
			assert_int_equal(
			    xen_journal_feed(&journal, text + i, strlen(text) - i < step ? strlen(text) - i : step), 0);
		assert_string_equal(buf_text(&said), "1:2025-11-22T14:41:54.894366Z one\n"
						     "2:2025-11-22T14:41:54.000001Z tw\xff\n");
		xen_journal_release(&journal);
	}
}

static void a_reader_ends_the_journal(void **state)
{
	static const char text[] = "{\"MESSAGE\":\"enough\"}\n{\"MESSAGE\":\"more\"}\n";
	_cleanup_buf_ struct buf said = { 0 };
	struct xen_journal journal = { .fn = keep, .data = &said };

	(void)state;
	assert_int_equal(xen_journal_feed(&journal, text, strlen(text)), -ECANCELED);
	assert_int_equal(journal.failure, -ECANCELED);
	assert_string_equal(buf_text(&said), "1:enough\n");
	xen_journal_release(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_configuration_has_its_defaults),
		cmocka_unit_test(all_of_a_configuration_is_taken),
		cmocka_unit_test(slow_machines_get_more_time),
		cmocka_unit_test(a_wrong_configuration_names_file_and_key),
		cmocka_unit_test(a_node_comes_back_from_its_file),
		cmocka_unit_test(a_state_comes_back_from_its_file),
		cmocka_unit_test(the_file_for_xl),
		cmocka_unit_test(what_may_grow_has_room_for_it),
		cmocka_unit_test(what_xl_cannot_be_told_is_refused),
		cmocka_unit_test(what_is_written_into_a_machine),
		cmocka_unit_test(a_further_gateway_does_not_replace_the_first),
		cmocka_unit_test(cards_have_an_address_of_their_own),
		cmocka_unit_test(xl_lists_its_machines),
		cmocka_unit_test(xl_tells_what_a_machine_uses),
		cmocka_unit_test(xl_tells_values),
		cmocka_unit_test(an_end_is_told_by_its_run),
		cmocka_unit_test(a_clock_is_off_by_what_can_be_told),
		cmocka_unit_test(a_program_tells_its_group_first),
		cmocka_unit_test(a_machine_that_says_anything_else_is_not_listened_to),
		cmocka_unit_test(the_journal_is_read_in_any_pieces),
		cmocka_unit_test(a_reader_ends_the_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
