/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The facts' reader, each judgement of the doctor, and whole reports held against golden files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/strv.h"
#include "host/doctor.h"

#define NOW_MS 1795370000000LL

/* A host of a cluster of three, all well. */
static const char healthy[] =
    "Last login: today\n"
    "time=1795370000000\nuid=0\nos_id=debian\nos_version=12\nos_name=Debian GNU/Linux 12 (bookworm)\n"
    "architecture=x86_64\nkernel=6.1.0-20-amd64\ncontainer=none\nmemory=8000000 6000000\n"
    "zone=America/Caracas\nzone_offset=-0400\nclock_synchronized=yes\nclock_service=chrony\n"
    "disk=/var/lib/docker ext2/ext3 50000000 100000000\ndisk=/var/lib/tepuy xfs 50000000 100000000\n"
    "cgroup=v2 cpuset cpu io memory pids\nfeature=namespaces yes\nfeature=overlayfs yes\n"
    "feature=bridge yes\nfeature=veth yes\nfeature=nftables yes\n"
    "mirror=reached http://mirror.example.org/debian bookworm\nresolves=mirror.example.org\n"
    "packages=listed\ndocker_candidate=20.10.24\nconsul_candidate=1.8.7\n"
    "docker_unit=active\ndocker=20.10.24+dfsg1 1.41\ndocker_live=true\ndocker_storage=overlay2\n"
    "consul=1.8.7\nconsul_unit=active\nconsul_token=file\nconsul_leader=192.0.2.11:8300\n"
    "consul_anonymous=403\nconsul_key=200\nconsul_self=200\nconsul_node=srv1\n"
    "consul_setting=Server true\nconsul_setting=VerifyOutgoing true\n"
    "consul_setting=VerifyIncoming false\nconsul_setting=VerifyIncomingRPC true\n"
    "consul_setting=VerifyServerHostname true\nconsul_setting=encrypted true\n"
    "member=srv1 192.0.2.11 1\nmember=srv2 192.0.2.12 1\nmember=srv3 192.0.2.13 1\n"
    "port=8300 held consul\nport=8301 held consul\nport=8302 held consul\nport=8500 held consul\n"
    "port=8470 held tepuy\nname=srv1\nname_address=127.0.1.1 192.0.2.11 \n"
    "addresses=127.0.0.1 ::1 192.0.2.11 172.17.0.1 \ntepuy=0.1.0\nagent_unit=active\n"
    "agent={\"version\": \"0.1.0\", \"agent\": {\"version\": \"0.1.0\", \"host\": \"srv1\", \"address\": "
    "\"192.0.2.11\", \"consul\": {\"version\": \"1.8.7\", \"leader\": true}}}\n"
    "firewall=4\nfirewall_hosts= 192.0.2.11  192.0.2.12   192.0.2.13 \ntime_end=1795370002000\ndone=1\n";

/* What a host of machines says besides. */
#define XEN_CONFIG "xen_config={\"bridge\": \"xenbr0\", \"addresses\": \"192.0.2.100-192.0.2.120/24\"}\n"
#define XEN                                                                                                            \
	XEN_CONFIG "xen=4.17.3\nxen_caps=pv hvm hap\nxen_memory=3071 2000\nxen_kernel=yes\n"                           \
		   "xen_command_line=placeholder dom0_mem=1024M,max:1024M\nbridge=docker0 172.17.0.1/16 \n"            \
		   "bridge=xenbr0 192.0.2.21/24 \n"
#define XEN_GROUP                                                                                                      \
	"xen_config={\"bridge\": \"xenbr0\", \"addresses\": \"192.0.2.100-192.0.2.120/24\", "                          \
	"\"volume_group\": \"vg0\"}\n"

/* Debian as its installer leaves it. */
static const char bare[] =
    "time=1795370000000\nuid=0\nos_id=debian\nos_version=12\nos_name=Debian GNU/Linux 12 (bookworm)\n"
    "architecture=x86_64\nkernel=6.1.0-20-amd64\ncontainer=none\nmemory=2000000 1800000\n"
    "zone=Etc/UTC\nzone_offset=+0000\nclock_synchronized=no\n"
    "disk=/var/lib/docker ext2/ext3 20000000 30000000\ndisk=/var/lib/tepuy ext2/ext3 20000000 30000000\n"
    "cgroup=v2 cpuset cpu io memory pids\nfeature=namespaces yes\nfeature=overlayfs yes\n"
    "feature=bridge yes\nfeature=veth yes\nmirror=reached http://mirror.example.org/debian bookworm\n"
    "resolves=mirror.example.org\npackages=listed\ndocker_candidate=20.10.24\n"
    "port=8300 free\nport=8301 free\nport=8302 free\nport=8500 free\nport=8470 free\n"
    "name=srv1\nname_address=127.0.1.1 \naddresses=127.0.0.1 ::1 192.0.2.11 \nfirewall=no-nft\n"
    "time_end=1795370002000\ndone=1\n";

/* Of a host that is no more; it ends 365 days after NOW_MS. */
#define CERTIFICATE                                                                                                    \
	"MIIB6jCCAZGgAwIBAgIQXxSinWCNQRAYBH/KT1XHETAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAl0ZXB1eSBsYWIwHhcNMjYx"             \
	"MTIyMTc1NjM0WhcNMjcxMTIyMTc1NjM0WjANMQswCQYDVQQDDAJoMTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLVczCWa"             \
	"KtWEqj6ThQyZVgW8IE+0HUB5efSgP4BzpvISk+H9cjbL7xUHvegtXqvBATP8MUXepyTfFYIkXBaA6pKjgcswgcgwDAYDVR0T"             \
	"AQH/BAIwADAOBgNVHQ8BAf8EBAMCA4gwHQYDVR0lBBYwFAYIKwYBBQUHAwEGCCsGAQUFBwMCMB0GA1UdDgQWBBRP8zzCcJYW"             \
	"lO5Sd2/Rer67L2HJ2TBJBgNVHREEQjBAggJoMYIJbG9jYWxob3N0hwR/AAABhxAAAAAAAAAAAAAAAAAAAAABhwQKUwALghFz"             \
	"ZXJ2ZXIubGFiLmNvbnN1bDAfBgNVHSMEGDAWgBQIyhZo7kgrBbkyPA9Om2gglTNWnDAKBggqhkjOPQQDAgNHADBEAiB3pPjB"             \
	"YSOwQzdMIM73GwKsLreLwtZWNTx+X2mfAurRewIgMcSTMXWP2pMs0m1CLkWVR4CK3c/5rN+az1iHILIPlAw="

struct row {
	const char *what;   /* of the change, for the message */
	const char *drop;   /* facts of these keys are left out, blanks between */
	const char *add;    /* lines behind the rest */
	const char *check;  /* whose level is asked */
	const char *level;  /* or "none" */
	const char *phrase; /* in its text, or NULL */
	int later;          /* days after NOW_MS */
};

static bool is_dropped(const char *line, const char *drop)
{
	size_t len = strcspn(line, "=");

	for (const char *at = drop ? drop : ""; *at; at += strspn(at, " ")) {
		size_t word = strcspn(at, " ");

		if (word == len && !strncmp(at, line, len))
			return true;
		at += word;
	}
	return false;
}

static void change(const char *text, const struct row *row, struct buf *to)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n") + 1;

		if (!is_dropped(line, row->drop))
			buf_add(to, line, len);
		line += len;
	}
	if (row->add)
		buf_adds(to, row->add);
}

static void judge(const char *text, int later, struct facts *facts, struct doctor_report *ret)
{
	struct doctor_view view = { .facts = facts,
				    .remote = true,
				    .asked_ms = NOW_MS - 300,
				    .answered_ms = NOW_MS + 2300,
				    .version = "0.1.0",
				    .peer_port = 8470,
				    .now_ms = NOW_MS + later * 86400000LL };

	facts_parse(text, strlen(text), facts);
	doctor_judge(&view, ret);
}

static const struct doctor_finding *find(const struct doctor_report *report, const char *check)
{
	for (size_t i = 0; i < report->n; i++)
		if (!strcmp(report->list[i].check, check))
			return &report->list[i];
	return NULL;
}

static void try_row(const char *text, const struct row *row)
{
	_cleanup_doctor_ struct doctor_report report = { 0 };
	_cleanup_facts_ struct facts facts = { 0 };
	_cleanup_buf_ struct buf changed = { 0 };
	const struct doctor_finding *finding;
	const char *level;

	change(text, row, &changed);
	judge(buf_text(&changed), row->later, &facts, &report);
	finding = find(&report, row->check);
	level = finding ? doctor_level_name(finding->level) : "none";
	if (strcmp(level, row->level))
		fail_msg("%s: %s is %s (%s), not %s", row->what, row->check, level, finding ? finding->text : "",
			 row->level);
	if (finding && row->phrase && !strstr(finding->text, row->phrase))
		fail_msg("%s: '%s' is not in '%s'", row->what, row->phrase, finding->text);
	if (!finding && row->phrase)
		fail_msg("%s: nothing is found", row->what);
	if (finding && finding->level == DOCTOR_FAILED)
		assert_non_null(finding->advice);
}

static const struct row healthy_rows[] = {
	{ "Debian 13", "os_version", "os_version=13\n", "os", "warning", NULL },
	{ "another system", "os_id", "os_id=fedora\n", "os", "failed", NULL },
	{ "no system", "os_id", NULL, "os", "unknown", NULL },
	{ "ARM", "architecture", "architecture=aarch64\n", "architecture", "warning", NULL },
	{ "32 bits", "architecture", "architecture=i686\n", "architecture", "failed", NULL },
	{ "no root", "uid", "uid=1000\n", "sudo", "failed", NULL },
	{ "nobody said who", "uid", NULL, "sudo", "unknown", NULL },
	{ "the same time", NULL, NULL, "clock", "ok", NULL },
	{ "half a second more", "time time_end", "time=1795370000600\ntime_end=1795370002600\n", "clock", "ok", NULL },
	{ "ten seconds more", "time time_end", "time=1795370010000\ntime_end=1795370012000\n", "clock", "warning",
	  "ahead" },
	{ "ten seconds less", "time time_end", "time=1795369990000\ntime_end=1795369992000\n", "clock", "warning",
	  "behind" },
	{ "a minute less", "time time_end", "time=1795369940000\ntime_end=1795369942000\n", "clock", "failed",
	  "behind" },
	{ "an hour more", "time time_end", "time=1795373600000\ntime_end=1795373602000\n", "clock", "failed", "ahead" },
	{ "no time", "time", NULL, "clock", "unknown", NULL },
	{ "a time that is none", "time", "time=18446744073709551615\n", "clock", "unknown", NULL },
	{ "a service that has not begun", "clock_synchronized", NULL, "clock-kept", "warning", "chrony" },
	{ "nothing keeps the clock", "clock_synchronized clock_service", NULL, "clock-kept", "warning", NULL },
	{ "a container", "clock_synchronized clock_service container", "container=docker\n", "clock-kept", "ok", NULL },
	{ "no zone", "zone", NULL, "time-zone", "warning", NULL },
	{ "neither zone nor offset", "zone zone_offset", NULL, "time-zone", "unknown", NULL },
	{ "a name that leads nowhere", "name_address", "name_address=\n", "name", "warning", NULL },
	{ "a name that leads elsewhere", "name_address", "name_address=192.0.2.99 \n", "name", "failed", "192.0.2.99" },
	{ "a name that is a part of another", "name_address", "name_address=192.0.2.1 \n", "name", "failed", NULL },
	{ "no name", "name", NULL, "name", "unknown", NULL },
	{ "names unresolved", "resolves", "unresolved=mirror.example.org\n", "names", "failed", NULL },
	{ "little room", "disk", "disk=/var/lib/docker xfs 5000000 9000000\n", "disk-runtime", "warning", NULL },
	{ "no room", "disk", "disk=/var/lib/tepuy xfs 100000 9000000\n", "disk-tepuy", "failed", NULL },
	{ "on an overlay", "disk", "disk=/var/lib/tepuy overlayfs 50000000 90000000\n", "disk-tepuy", "failed", NULL },
	{ "no disks", "disk", NULL, "disk", "unknown", NULL },
	{ "little memory", "memory", "memory=500000 400000\n", "memory", "warning", NULL },
	{ "too little memory", "memory", "memory=250000 100000\n", "memory", "failed", NULL },
	{ "no memory", "memory", NULL, "memory", "unknown", NULL },
	{ "no overlays", NULL, "feature=overlayfs yes\n", "kernel", "ok", NULL },
	{ "a kernel without veth", "feature", "feature=veth no\nfeature=bridge yes\n", "kernel", "failed", "veth" },
	{ "nothing tried", "feature", NULL, "kernel", "unknown", NULL },
	{ "no limit of memory", "cgroup", "cgroup=v2 cpu io\n", "cgroups", "failed", "memory" },
	{ "an old hierarchy", "cgroup", "cgroup=v1 cpuset cpu memory \n", "cgroups", "ok", "1" },
	{ "no cgroups", "cgroup", NULL, "cgroups", "unknown", NULL },
	{ "one mirror away", NULL, "mirror=away http://192.0.2.9/debian bookworm\n", "mirror", "warning", "192.0.2.9" },
	{ "all mirrors away", "mirror", "mirror=away http://192.0.2.9/debian bookworm\n", "mirror", "failed", NULL },
	{ "no sources", "mirror", "mirror=none\n", "mirror", "failed", NULL },
	{ "no word of mirrors", "mirror", NULL, "mirror", "unknown", NULL },
	{ "Docker does not answer", "docker", "docker=\n", "runtime", "failed", NULL },
	{ "Docker is stopped on what is no host yet", "docker docker_unit tepuy", "docker=\ndocker_unit=inactive\n",
	  "runtime", "warning", NULL },
	{ "Docker is stopped", "docker docker_unit", "docker=\ndocker_unit=inactive\n", "runtime", "failed", NULL },
	{ "Docker's API is old", "docker", "docker=19.03 1.40\n", "runtime", "failed", "1.40" },
	{ "Docker's API is new", "docker", "docker=28.2.2 1.50\n", "runtime", "ok", NULL },
	{ "Xen", NULL, XEN, "xen", "ok", "Xen 4.17.3, for machines of the kind PVH" },
	{ "Xen without virtualisation", NULL, XEN "xen_caps=pv\n", "xen", "ok", "kind PV" },
	{ "Xen that xl does not see", "xen", XEN "xen=\nxen_says=no privcmd\n", "xen", "failed", "no privcmd" },
	{ "Xen that was not booted", NULL, XEN_CONFIG "xen_package=4.17.3-1\n", "xen", "failed", "booted without it" },
	{ "Xen that was removed", NULL, XEN_CONFIG, "xen", "failed", "gone" },
	{ "a kernel for Xen", NULL, XEN, "xen-kernel", "ok", NULL },
	{ "a kernel for clouds", NULL, XEN "xen_kernel=no\n", "xen-kernel", "failed", "cannot run under Xen" },
	{ "room for machines", NULL, XEN, "xen-memory", "ok", "2000 of 3071" },
	{ "no room for machines", NULL, XEN "xen_memory=3071 100\n", "xen-memory", "warning", "no further machine" },
	{ "dom0 gives its memory away", NULL, XEN "xen_command_line=placeholder\n", "xen-memory", "warning",
	  "not fixed" },
	{ "the bridge", NULL, XEN, "xen-bridge", "ok", "xenbr0" },
	{ "no bridge", NULL, XEN_CONFIG "bridge=xenbr01 192.0.2.21/24 \n", "xen-bridge", "failed", "no bridge xenbr0" },
	{ "a bridge that nobody confirmed", NULL, XEN "network_change=unconfirmed\n", "xen-bridge", "warning", NULL },
	{ "addresses", NULL, XEN, "xen-addresses", "ok", "192.0.2.100-192.0.2.120/24" },
	{ "its own address is a machine's", "addresses", XEN "addresses=127.0.0.1 192.0.2.110 \n", "xen-addresses",
	  "failed", "192.0.2.110" },
	{ "addresses of another network", NULL, XEN_CONFIG "bridge=xenbr0 198.51.100.1/24 \n", "xen-addresses",
	  "warning", "no address in their network" },
	{ "no addresses", NULL, "xen_config={\"bridge\": \"xenbr0\"}\n", "xen-addresses", "failed", NULL },
	{ "a volume group", NULL, XEN_GROUP "volume_group=vg0 9000.00\n", "xen-disks", "ok", "vg0" },
	{ "a volume group that is full", NULL, XEN_GROUP "volume_group=vg0 100.00\n", "xen-disks", "warning", "100" },
	{ "no volume group", NULL, XEN_GROUP "volume_group=vg01 100.00\n", "xen-disks", "failed", "vg0" },
	{ "no runtime and no package", "docker docker_candidate", NULL, "runtime", "failed", NULL },
	{ "apt has read nothing yet", "docker docker_candidate packages", "packages=unlisted\n", "runtime", "unknown",
	  NULL },
	{ "apt does not answer", "docker docker_candidate packages", NULL, "runtime", "unknown", NULL },
	{ "no live-restore", "docker_live", "docker_live=false\n", "live-restore", "warning", NULL },
	{ "no leader", "consul_leader", "consul_leader=\n", "consul", "failed", "leader" },
	{ "Consul is silent", "consul_leader", NULL, "consul", "failed", "does not answer" },
	{ "Consul is stopped", "consul_leader consul_unit", "consul_unit=inactive\n", "consul", "failed",
	  "does not run" },
	{ "a member is away", NULL, "member=srv4 192.0.2.14 4\n", "members", "warning", "srv4" },
	{ "a member has left", NULL, "member=srv4 192.0.2.14 3\n", "members", "ok", NULL },
	{ "members are not shown", "member", NULL, "members", "unknown", NULL },
	{ "open to everybody", "consul_anonymous", "consul_anonymous=404\n", "acl", "failed", NULL },
	{ "open, alone", "consul_anonymous member", "consul_anonymous=200\nmember=srv1 192.0.2.11 1\n", "acl",
	  "warning", NULL },
	{ "the token is revoked", "consul_key", "consul_key=403\n", "acl", "failed", "refuses" },
	{ "no token", "consul_token", NULL, "acl", "failed", "none" },
	{ "a token that others may not read", "consul_token", "consul_token=unreadable\n", "acl", "unknown", NULL },
	{ "no gossip key", "consul_setting",
	  "consul_setting=VerifyOutgoing true\nconsul_setting=VerifyServerHostname true\n", "encryption", "failed",
	  "gossip" },
	{ "no certificates", "consul_setting", "consul_setting=encrypted true\n", "encryption", "failed", "RPC" },
	{ "all in the clear", "consul_setting", NULL, "encryption", "failed", "clear" },
	{ "not shown how", "consul_self", "consul_self=403\n", "encryption", "unknown", NULL },
	{ "alone, nothing is to be encrypted", "member consul_setting", "member=srv1 192.0.2.11 1\n", "encryption",
	  "none", NULL },
	{ "another one's port", "port", "port=8300 held nginx\n", "ports", "failed", "8300 by nginx" },
	{ "Consul on our port", "port", "port=8470 held consul\n", "ports", "failed", NULL },
	{ "held by whom", "port", "port=8500 held \n", "ports", "unknown", NULL },
	{ "no word of ports", "port", NULL, "ports", "unknown", NULL },
	{ "no tepuy", "tepuy", NULL, "agent", "warning", NULL },
	{ "the agent is away", "agent agent_unit",
	  "agent={\"version\": \"0.1.0\", \"agent\": null}\nagent_unit=failed\n", "agent", "failed", "not run" },
	{ "the agent hangs", "agent", "agent=\n", "agent", "failed", "not answer" },
	{ "the agent is old", "agent", "agent={\"agent\":{\"version\":\"0.0.9\"}}\n", "agent", "warning", "0.0.9" },
	{ "the agent is alone", "agent",
	  "agent={\"agent\":{\"version\":\"0.1.0\",\"host\":\"srv1\",\"consul\":null}}\n", "agent", "warning",
	  "Consul" },
	{ "a new certificate", NULL, "certificate=" CERTIFICATE "\n", "certificate", "ok", "365 days", 0 },
	{ "a certificate that ends soon", NULL, "certificate=" CERTIFICATE "\n", "certificate", "warning", "15 days",
	  350 },
	{ "a certificate that ends now", NULL, "certificate=" CERTIFICATE "\n", "certificate", "failed", "2 days",
	  363 },
	{ "a certificate that has ended", NULL, "certificate=" CERTIFICATE "\n", "certificate", "failed", "ended",
	  400 },
	{ "a certificate that is none", NULL, "certificate=AAAA\n", "certificate", "failed", NULL },
	{ "no table", "firewall", "firewall=absent\n", "firewall", "failed", NULL },
	{ "no table on the only host", "firewall member", "firewall=absent\nmember=srv1 192.0.2.11 1\n", "firewall",
	  "ok", NULL },
	{ "no table, and nobody says who else is there", "firewall member", "firewall=absent\n", "firewall", "unknown",
	  NULL },
	{ "another table", "firewall", "firewall=3\n", "firewall", "failed", NULL },
	{ "a host that it does not know", NULL, "member=srv4 192.0.2.1 1\n", "firewall", "failed", "srv4" },
	{ "no nft", "firewall", "firewall=no-nft\n", "firewall", "failed", "nft" },
	{ "not seen", "firewall", NULL, "firewall", "unknown", NULL },
	{ "all well", NULL, NULL, "firewall", "ok", NULL },
	{ "cut off", "done", NULL, "questions", "unknown", NULL },
};

static const struct row bare_rows[] = {
	{ "Docker can be had", NULL, NULL, "runtime", "ok", "20.10.24" },
	{ "Consul cannot", NULL, NULL, "consul", "warning", NULL },
	{ "Consul, nobody knows", "packages", "packages=unlisted\n", "consul", "unknown", NULL },
	{ "Consul can", NULL, "consul_candidate=1.8.7\n", "consul", "ok", "1.8.7" },
	{ "no agent", NULL, NULL, "agent", "warning", NULL },
	{ "no cluster", NULL, NULL, "members", "none", NULL },
	{ "no access lists", NULL, NULL, "acl", "none", NULL },
	{ "no firewall", NULL, NULL, "firewall", "none", NULL },
	{ "no certificate", NULL, NULL, "certificate", "none", NULL },
	{ "nft is not there", NULL, NULL, "kernel", "ok", "nftables" },
};

static void each_judgement(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(healthy_rows); i++)
		try_row(healthy, &healthy_rows[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bare_rows); i++)
		try_row(bare, &bare_rows[i]);
}

static void report_is(const char *text, const char *name, enum doctor_level worst)
{
	_cleanup_(freep) char *path = fs_join(getenv("GOLDEN"), name);
	_cleanup_doctor_ struct doctor_report report = { 0 };
	_cleanup_buf_ struct buf got = { 0 }, golden = { 0 };
	_cleanup_facts_ struct facts facts = { 0 };

	judge(text, 0, &facts, &report);
	for (size_t i = 0; i < report.n; i++) {
		const struct doctor_finding *finding = &report.list[i];

		buf_printf(&got, "%s %s: %s\n", doctor_level_name(finding->level), finding->check, finding->text);
		if (finding->advice)
			buf_printf(&got, "    %s\n", finding->advice);
	}
	if (getenv("REGENERATE"))
		assert_int_equal(fs_write(path, buf_text(&got), got.len, 0644, NULL), 0);
	assert_int_equal(fs_read(path, 65536, &golden, NULL), 0);
	assert_string_equal(buf_text(&got), buf_text(&golden));
	assert_int_equal(doctor_worst(&report), worst);
}

static void whole_reports_are_the_golden_ones(void **state)
{
	(void)state;
	report_is(healthy, "doctor-healthy.txt", DOCTOR_OK);
	report_is(bare, "doctor-bare.txt", DOCTOR_WARNING);
	report_is("", "doctor-silent.txt", DOCTOR_UNKNOWN);
}

static void a_clock_at_home_is_not_compared(void **state)
{
	_cleanup_doctor_ struct doctor_report report = { 0 };
	_cleanup_facts_ struct facts facts = { 0 };
	struct doctor_view view = { .facts = &facts, .version = "0.1.0", .peer_port = 8470, .now_ms = NOW_MS };

	(void)state;
	facts_parse(healthy, strlen(healthy), &facts);
	doctor_judge(&view, &report);
	assert_null(find(&report, "clock"));
	assert_non_null(find(&report, "clock-kept"));
}

static void only_facts_are_read(void **state)
{
	static const char text[] = "Welcome = to\nkey=1\nKEY=2\n=3\nkey=4\r\nother=a=b\nodd=\x1b[31m\n9=9\nlast=end";
	_cleanup_facts_ struct facts facts = { 0 };

	(void)state;
	facts_parse(text, sizeof(text) - 1, &facts);
	assert_int_equal(facts.n, 5);
	assert_string_equal(facts_get(&facts, "key"), "4?");
	assert_string_equal(facts_get(&facts, "other"), "a=b");
	assert_string_equal(facts_get(&facts, "odd"), "?[31m");
	assert_string_equal(facts_get(&facts, "last"), "end");
	assert_string_equal(facts_get(&facts, "nothing"), "");
	assert_int_equal(facts_number(&facts, "last"), -1);
	assert_false(facts_has(&facts, "KEY"));
}

static void facts_are_bounded(void **state)
{
	_cleanup_facts_ struct facts facts = { 0 };
	_cleanup_buf_ struct buf text = { 0 };

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "key=%d\n", i);
	facts_parse(buf_text(&text), text.len, &facts);
	assert_int_equal(facts.n, FACTS_MOST);
}

static void the_script_is_whole(void **state)
{
	const char *end = "echo 'done=1'\n";

	(void)state;
	assert_non_null(strstr(facts_script, "printf '%s=%s\\n' \"$1\""));
	assert_string_equal(facts_script + strlen(facts_script) - strlen(end), end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_judgement),
		cmocka_unit_test(whole_reports_are_the_golden_ones),
		cmocka_unit_test(a_clock_at_home_is_not_compared),
		cmocka_unit_test(only_facts_are_read),
		cmocka_unit_test(facts_are_bounded),
		cmocka_unit_test(the_script_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
