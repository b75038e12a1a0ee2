/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said to xl and what it says, without running it. */
#include <errno.h>
#include <jansson.h>
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

/* The list in what xl said: libxl's words about machines that just come or go are on lines of their own around it. */
static json_t *find_list(const char *text, size_t len)
{
	size_t start = 0;

	while (start < len && !(text[start] == '[' && (start == 0 || text[start - 1] == '\n')))
		start++;
	while (len > start && text[len - 1] != ']')
		len--;
	return len > start ? json_loadb(text + start, len - start, 0, NULL) : NULL;
}

int xen_decode_domains(const char *json, size_t len, struct xen_domains *ret, struct err *err)
{
	json_auto_t *root = find_list(json, len);
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	const json_t *item;
	size_t i;

	if (!json_is_array(root) || json_array_size(root) > MOST_DOMAINS)
		return err_set(err, EBADMSG, _("xl's list of machines is no JSON list"));
	domains.list = xcalloc(json_array_size(root), sizeof(*domains.list));
	json_array_foreach(root, i, item)
	{
		json_int_t id = json_integer_value(json_object_get(item, "domid"));
		const char *name = json_string_value(
		    json_object_get(json_object_get(json_object_get(item, "config"), "c_info"), "name"));

		if (!json_is_integer(json_object_get(item, "domid")) || id < 0 || id > 0x7ff0)
			return err_set(err, EBADMSG, _("xl's list of machines has one without a number"));
		/* One that is just being made or destroyed may have no name. */
		if (id > 0 && name)
			domains.list[domains.n++] = (struct xen_domain){ (int)id, xstrdup(name) };
	}
	*ret = domains;
	domains = (struct xen_domains){ 0 };
	return 0;
}

/* "tepuy.portal.web.1.5    3   352     1     -b----      12.3" */
int xen_decode_usage(const char *text, const char *name, struct runtime_usage *ret, struct err *err)
{
	size_t len = strlen(name);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		unsigned long long memory;
		unsigned vcpus;
		double seconds;

		if (strncmp(line, name, len) || line[len] != ' ' ||
		    sscanf(line + len, " %*u %llu %u %*s %lf", &memory, &vcpus, &seconds) != 3)
			continue;
		if (memory > (1u << 30) || !(seconds >= 0 && seconds < 1e12))
			continue;
		*ret = (struct runtime_usage){ .memory = memory * MIB,
					       .memory_max = memory * MIB,
					       .cpu_ms = (int64_t)(seconds * 1000),
					       .cpus = vcpus };
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
