/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/hosts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"

static bool parse_ipv4(const char *text, uint32_t *ret)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		return false;
	*ret = ntohl(address.s_addr);
	return true;
}

/* "192.0.2.100-192.0.2.120/24" */
static bool parse_range(const char *text, struct hosts_xen *xen)
{
	_cleanup_(freep) char *copy = xstrdup(text);
	char *last = strchr(copy, '-'), *prefix = strchr(copy, '/');
	uint64_t bits;

	if (!last || !prefix || prefix < last)
		return false;
	*last++ = '\0';
	*prefix++ = '\0';
	if (!parse_ipv4(copy, &xen->first) || !parse_ipv4(last, &xen->last))
		return false;
	if (text_u64(prefix, &bits) < 0 || bits < 8 || bits > 30)
		return false;
	xen->prefix = (int)bits;
	return true;
}

static bool same_network(uint32_t a, uint32_t b, int prefix)
{
	return (a ^ b) >> (32 - prefix) == 0;
}

static void check_xen(struct host *host, struct diag *diag)
{
	struct hosts_xen *xen = &host->xen;
	const struct place *place;
	uint32_t gateway;

	if (!xen->item.node || !xen->addresses)
		return;
	place = item_place(&xen->item, "addresses");
	if (!parse_range(xen->addresses, xen)) {
		diag_error(diag, place, _("'%s' is no range of addresses; write it as 192.0.2.100-192.0.2.120/24"),
			   xen->addresses);
		return;
	}
	if (xen->first > xen->last || !same_network(xen->first, xen->last, xen->prefix))
		diag_error(diag, place,
			   _("the first address is after the last, or both are not of one network of prefix %d"),
			   xen->prefix);
	if (!xen->gateway)
		return;
	place = item_place(&xen->item, "gateway");
	if (!parse_ipv4(xen->gateway, &gateway))
		diag_error(diag, place, _("'%s' is no IPv4 address"), xen->gateway);
	else if (!same_network(gateway, xen->first, xen->prefix))
		diag_error(diag, place, _("the gateway %s is not in the network of the addresses"), xen->gateway);
	else if (gateway >= xen->first && gateway <= xen->last)
		diag_error(diag, place, _("the gateway %s is one of the addresses for machines"), xen->gateway);
}

static void fill_host(const struct hosts_defaults *defaults, struct host *host)
{
	if (!host->user)
		host->user = xstrdup(defaults->user);
	if (!host->port)
		host->port = defaults->port;
	if (!host->runtime)
		host->runtime = xstrdup(defaults->runtime);
}

static int compare_hosts(const void *a, const void *b)
{
	const struct host *x = *(const struct host *const *)a, *y = *(const struct host *const *)b;
	int r = strcmp(x->address, y->address);

	return r ? r : (x->port > y->port) - (x->port < y->port);
}

/* Two names for one host would get two agents' worth of nodes. */
static void check_addresses(const struct hosts *hosts, struct diag *diag)
{
	_cleanup_(freep) const struct host **sorted = xcalloc(hosts->n_hosts, sizeof(*sorted));
	size_t n = 0;

	for (size_t i = 0; i < hosts->n_hosts; i++)
		if (hosts->hosts[i].address)
			sorted[n++] = &hosts->hosts[i];
	qsort(sorted, n, sizeof(*sorted), compare_hosts);
	for (size_t i = 1; i < n; i++)
		if (compare_hosts(&sorted[i - 1], &sorted[i]) == 0)
			diag_error(diag, item_place(&sorted[i]->item, "address"),
				   _("host '%s' has the same address as '%s'"), sorted[i]->item.name,
				   sorted[i - 1]->item.name);
}

static void check_server(const struct hosts *hosts, size_t at, const struct place *place, struct diag *diag)
{
	const char *names[DIAG_MOST], *server = hosts->consul.servers.v[at];
	size_t n = 0;

	for (size_t i = 0; i < at; i++)
		if (!strcmp(server, hosts->consul.servers.v[i])) {
			diag_error(diag, place, _("host '%s' is in the list of servers twice"), server);
			return;
		}
	if (hosts_find(hosts, server))
		return;
	for (; n < hosts->n_hosts && n < DIAG_MOST; n++)
		names[n] = hosts->hosts[n].item.name;
	diag_unknown(diag, place, server, names, n, _("there is no host '%s'"), server);
}

static void check_servers(struct hosts *hosts, struct diag *diag)
{
	struct strv *servers = &hosts->consul.servers;
	const struct yaml_node *node = yaml_get(hosts->consul.item.node, "servers");
	bool whole = node && node->kind == YAML_SEQUENCE && node->n == servers->n;

	if (servers->n > 9) {
		diag_error(diag, &node->place,
			   _("Consul can have nine servers at most, and works best with three or five"));
		return;
	}
	for (size_t i = 0; i < servers->n; i++)
		check_server(hosts, i, whole ? &node->items[i]->place : &node->place, diag);
	if (servers->n && servers->n % 2 == 0)
		diag_warning(diag, &node->place,
			     _("an even number of Consul servers bears no more failures than one server less"));
	for (size_t i = 0, n = hosts->n_hosts >= 3 ? 3 : 1; !node && i < n && i < hosts->n_hosts; i++)
		strv_add(servers, hosts->hosts[i].item.name);
}

static struct hosts *read_hosts(struct yaml_document *document, const char *file, struct diag *diag)
{
	struct hosts *hosts = xcalloc(1, sizeof(*hosts));
	const struct yaml_node *list;

	schema_read(&hosts_schema, document->root, diag, hosts);
	hosts->document = document;
	hosts->file = xstrdup(file);
	list = yaml_get(document->root, "hosts");
	if (list && list->kind == YAML_MAPPING && !list->n)
		diag_error(diag, &list->place, _("at least one host is needed"));
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		fill_host(&hosts->defaults, &hosts->hosts[i]);
		check_xen(&hosts->hosts[i], diag);
	}
	check_addresses(hosts, diag);
	check_servers(hosts, diag);
	return hosts;
}

static int finish(struct yaml_document *document, const char *file, struct diag *diag, struct hosts **ret)
{
	size_t errors = diag->n_errors;
	_cleanup_(hosts_freep) struct hosts *hosts = read_hosts(document, file, diag);

	if (diag->n_errors > errors)
		return -EINVAL;
	*ret = TAKE_PTR(hosts);
	return 0;
}

int hosts_parse(const char *file, const char *text, size_t len, struct diag *diag, struct hosts **ret)
{
	struct yaml_document *document;
	int r = yaml_parse(file, text, len, diag, &document);

	return r < 0 ? r : finish(document, file, diag, ret);
}

int hosts_load(const char *file, struct diag *diag, struct hosts **ret)
{
	struct yaml_document *document;
	int r = yaml_load(file, diag, &document);

	return r < 0 ? r : finish(document, file, diag, ret);
}

void hosts_free(struct hosts *hosts)
{
	struct yaml_document *document;
	char *file;

	if (!hosts)
		return;
	document = hosts->document;
	file = hosts->file;
	schema_release(&hosts_schema, hosts);
	yaml_tree_free(document);
	free(file);
	free(hosts);
}

void hosts_freep(struct hosts **hosts)
{
	hosts_free(*hosts);
}

const struct host *hosts_find(const struct hosts *hosts, const char *name)
{
	for (size_t i = 0; i < hosts->n_hosts; i++)
		if (!strcmp(hosts->hosts[i].item.name, name))
			return &hosts->hosts[i];
	return NULL;
}
