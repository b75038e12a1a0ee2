/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said to xl and what it says, without running it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/xen-config.h"
#include "runtime/xen-node.h"

#define MOST_DOMAINS 4096
#define MIB ((uint64_t)1 << 20)

/* xl's language has no escapes that it shares with all that reads its values: what would need one is refused. */
static bool can_be_told(const char *text)
{
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || strchr("\"'\\", *p))
			return false;
	return true;
}

static int refuse(const char *what, const char *text, struct err *err)
{
	_cleanup_(freep) char *shown = xstrdup(text);

	text_printable(shown, false);
	return err_set(err, EINVAL, _("%s cannot be told to Xen: '%s' has a quote, a backslash or a control character"),
		       what, shown);
}

uint64_t xen_node_memory(const struct xen_config *config, const struct xen_node *node)
{
	return node->memory ? node->memory + config->system_memory : config->memory;
}

uint64_t xen_node_most_memory(const struct xen_config *config, const struct xen_node *node)
{
	uint64_t now = xen_node_memory(config, node),
		 most = node->memory_max ? node->memory_max + config->system_memory : 0;

	return most > now ? most : now;
}

static unsigned whole_cpus(double cpus)
{
	return cpus > 1 ? (unsigned)ceil(cpus) : 1;
}

unsigned xen_node_vcpus(const struct xen_node *node)
{
	return whole_cpus(node->cpus);
}

unsigned xen_node_most_vcpus(const struct xen_node *node)
{
	return whole_cpus(node->cpus_max > node->cpus ? node->cpus_max : node->cpus);
}

unsigned xen_node_cap(const struct xen_node *node)
{
	return node->cpus > 0 && node->cpus < xen_node_vcpus(node) ? (unsigned)ceil(node->cpus * 100) : 0;
}

static unsigned long long whole_mib(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB;
}

static void add_size(struct buf *to, const struct xen_config *config, const struct xen_node *node)
{
	uint64_t memory = xen_node_memory(config, node), most = xen_node_most_memory(config, node);
	unsigned vcpus = xen_node_vcpus(node), most_vcpus = xen_node_most_vcpus(node);

	buf_printf(to, "memory = %llu\nvcpus = %u\n", whole_mib(memory), vcpus);
	if (most > memory)
		buf_printf(to, "maxmem = %llu\n", whole_mib(most));
	if (most_vcpus > vcpus)
		buf_printf(to, "maxvcpus = %u\n", most_vcpus);
	if (xen_node_cap(node))
		buf_printf(to, "cap = %u\n", xen_node_cap(node));
}

static int add_disks(struct buf *to, const struct xen_disk_line *disks, size_t n, struct err *err)
{
	if (n > 26)
		return err_set(err, EINVAL, _("A machine has at most 25 volumes"));
	buf_adds(to, "disk = [");
	for (size_t i = 0; i < n; i++) {
		if (!can_be_told(disks[i].path))
			return refuse(_("The path of a disk"), disks[i].path, err);
		/* What stands behind target= is the path, whatever it has. */
		buf_printf(to, "%s\n  \"format=raw,vdev=xvd%c,access=%s,target=%s\"", i ? "," : "", (char)('a' + i),
			   disks[i].read_only ? "ro" : "rw", disks[i].path);
	}
	buf_adds(to, "\n]\n");
	return 0;
}

static int add_cards(struct buf *to, const struct xen_node *node, struct err *err)
{
	buf_adds(to, "vif = [");
	for (size_t i = 0; i < node->n_networks; i++) {
		_cleanup_(freep) char *mac = xen_mac(node->networks[i].address, i);

		if (!can_be_told(node->networks[i].bridge) || strchr(node->networks[i].bridge, ','))
			return refuse(_("The name of a bridge"), node->networks[i].bridge, err);
		buf_printf(to, "%s\n  \"mac=%s,bridge=%s\"", i ? "," : "", mac, node->networks[i].bridge);
	}
	buf_adds(to, node->n_networks ? "\n]\n" : "]\n");
	return 0;
}

int xen_encode_config(const struct xen_config *config, const struct xen_node *node, bool pvh,
		      const struct xen_disk_line *disks, size_t n_disks, char **ret, struct err *err)
{
	_cleanup_buf_ struct buf to = { 0 };
	int r;

	if (!can_be_told(config->kernel) || !can_be_told(config->initrd))
		return refuse(_("The path of the kernel"), config->kernel, err);
	buf_adds(&to, "# Written by tepuy at each start of the machine.\n");
	buf_printf(&to, "name = \"%s\"\ntype = \"%s\"\n%s", node->name, pvh ? "pvh" : "pv",
		   pvh ? "tsc_mode = \"native\"\n" : "");
	buf_printf(&to, "kernel = \"%s\"\nramdisk = \"%s\"\n", config->kernel, config->initrd);
	/* The cards are eth0, eth1 … in the order of `vif`; no login is offered on the console. */
	buf_adds(
	    &to,
	    "extra = \"root=/dev/xvda rw console=hvc0 net.ifnames=0 random.trust_cpu=on systemd.getty_auto=no\"\n");
	add_size(&to, config, node);
	buf_adds(&to, "on_poweroff = \"destroy\"\non_reboot = \"destroy\"\non_crash = \"destroy\"\n");
	r = add_disks(&to, disks, n_disks, err);
	r = r < 0 ? r : add_cards(&to, node, err);
	if (r < 0)
		return r;
	*ret = buf_take(&to);
	return 0;
}

void xen_domains_release(struct xen_domains *domains)
{
	for (size_t i = 0; i < domains->n; i++)
		free(domains->list[i].name);
	free(domains->list);
	*domains = (struct xen_domains){ 0 };
}

const struct xen_domain *xen_find_domain(const struct xen_domains *domains, const char *name)
{
	for (size_t i = 0; i < domains->n; i++)
		if (!strcmp(domains->list[i].name, name))
			return &domains->list[i];
	return NULL;
}

/* "tepuy.portal.web.1.5    3   352     1     -b----      12.3": name, number, MiB, processors, state, seconds. */
struct line {
	char name[256], state[8];
	int id;
	unsigned long long mib;
	unsigned vcpus;
	double seconds;
};

/* libxl's words about machines that just come or go may stand on lines of their own among the others. */
static bool decode_line(const char *text, size_t len, struct line *ret)
{
	_cleanup_(freep) char *line = xstrndup(text, len);
	int end = 0;

	return sscanf(line, "%255s %d %llu %u %7s %lf%n", ret->name, &ret->id, &ret->mib, &ret->vcpus, ret->state,
		      &ret->seconds, &end) == 6 &&
	       !line[(size_t)end + strspn(line + end, " ")] && strlen(ret->state) == 6 && ret->id >= 0 &&
	       ret->id <= 0x7ff0 && ret->mib <= 1u << 30 && ret->seconds >= 0 && ret->seconds < 1e12;
}

/* "rbpscd": runs, blocked, paused, shut down, crashed, dying. */
static enum xen_domain_state state_of(const char *letters)
{
	if (strpbrk(letters, "scd"))
		return XEN_HALTED;
	return strchr(letters, 'p') ? XEN_HELD : XEN_ALIVE;
}

int xen_decode_domains(const char *text, struct xen_domains *ret, struct err *err)
{
	struct xen_domains domains = { 0 };
	size_t cap = 0;
	bool complete = false;

	for (size_t len; *text && domains.n < MOST_DOMAINS; text += len + (text[len] == '\n')) {
		struct line line;

		len = strcspn(text, "\n");
		if (!decode_line(text, len, &line))
			continue;
		complete |= line.id == 0;
		if (line.id == 0 || line.name[0] == '(')
			continue;
		domains.list = grow_array(domains.list, domains.n, &cap, sizeof(*domains.list));
		domains.list[domains.n++] = (struct xen_domain){ line.id, xstrdup(line.name), state_of(line.state) };
	}
	if (!complete) {
		xen_domains_release(&domains);
		return err_set(err, EBADMSG, _("xl's list of machines does not begin with this host's own"));
	}
	*ret = domains;
	return 0;
}

int xen_decode_usage(const char *text, const char *name, struct runtime_usage *ret, struct err *err)
{
	for (size_t len; *text; text += len + (text[len] == '\n')) {
		struct line line;

		len = strcspn(text, "\n");
		if (!decode_line(text, len, &line) || strcmp(line.name, name))
			continue;
		*ret = (struct runtime_usage){ .memory = line.mib * MIB,
					       .memory_max = line.mib * MIB,
					       .cpu_ms = (int64_t)(line.seconds * 1000),
					       .cpus = line.vcpus };
		return 0;
	}
	return err_set(err, EBADMSG, _("xl said nothing about the machine %s that is understood"), name);
}

char *xen_info_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *colon = strncmp(line, key, len) ? NULL : line + len + strspn(line + len, " \t");

		if (colon && *colon == ':') {
			colon += 1 + strspn(colon + 1, " \t");
			return xstrndup(colon, strcspn(colon, "\n"));
		}
	}
	return NULL;
}
