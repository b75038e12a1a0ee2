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

/* Addresses of machines, as they are in hosts_xen and in hosts_card. */
struct range {
	const struct model_item *item; /* where they were written */
	const struct host *host;
	const char *text;
	uint32_t first, last;
	int prefix;
};

/* "192.0.2.100-192.0.2.120/24" */
static bool parse_range(const char *text, struct range *ret)
{
	_cleanup_(freep) char *copy = xstrdup(text);
	char *last = strchr(copy, '-'), *prefix = strchr(copy, '/');
	uint64_t bits;

	if (!last || !prefix || prefix < last)
		return false;
	*last++ = '\0';
	*prefix++ = '\0';
	if (!parse_ipv4(copy, &ret->first) || !parse_ipv4(last, &ret->last))
		return false;
	if (text_u64(prefix, &bits) < 0 || bits < 8 || bits > 30)
		return false;
	ret->prefix = (int)bits;
	return true;
}

static bool same_network(uint32_t a, uint32_t b, int prefix)
{
	return (a ^ b) >> (32 - prefix) == 0;
}

static void check_gateway(const struct range *range, const char *text, struct diag *diag)
{
	const struct place *place = item_place(range->item, "gateway");
	uint32_t gateway;

	if (!parse_ipv4(text, &gateway))
		diag_error(diag, place, _("'%s' is no IPv4 address"), text);
	else if (!same_network(gateway, range->first, range->prefix))
		diag_error(diag, place, _("the gateway %s is not in the network of the addresses"), text);
	else if (gateway >= range->first && gateway <= range->last)
		diag_error(diag, place, _("the gateway %s is one of the addresses for machines"), text);
}

/* The network's own address and the broadcast's are nobody's. */
static bool has_reserved(const struct range *range)
{
	uint32_t hosts = (uint32_t)(UINT64_C(0xffffffff) >> range->prefix);

	return (range->first & hosts) == 0 || (range->last & hosts) == hosts;
}

/* Reads a range of a host; `range->item` says where. False when it says nothing that others can be held against. */
static bool check_range(struct range *range, const char *addresses, const char *gateway, struct diag *diag)
{
	const struct place *place = item_place(range->item, "addresses");

	if (!addresses)
		return false;
	if (!parse_range(addresses, range)) {
		diag_error(diag, place, _("'%s' is no range of addresses; write it as 192.0.2.100-192.0.2.120/24"),
			   addresses);
		return false;
	}
	if (range->first > range->last || !same_network(range->first, range->last, range->prefix)) {
		diag_error(diag, place,
			   _("the first address is after the last, or both are not of one network of prefix %d"),
			   range->prefix);
		return false;
	}
	range->text = addresses;
	if (has_reserved(range))
		diag_error(diag, place,
			   _("the first or the last address of a network cannot be a machine's; leave it out"));
	if (gateway)
		check_gateway(range, gateway, diag);
	return true;
}

static void check_dns(const struct hosts_xen *xen, struct diag *diag)
{
	uint32_t ignored;

	for (size_t i = 0; i < xen->dns.n; i++)
		if (!parse_ipv4(xen->dns.v[i], &ignored))
			diag_error(diag, item_place(&xen->item, "dns"), _("'%s' is no IPv4 address"), xen->dns.v[i]);
}

/* All cards of one machine are in bridges of their own. */
static void check_bridges(const struct hosts_xen *xen, struct diag *diag)
{
	for (size_t i = 0; i < xen->n_more; i++) {
		const char *bridge = xen->more[i].bridge;
		bool twice = bridge && xen->bridge && !strcmp(bridge, xen->bridge);

		for (size_t j = 0; bridge && j < i; j++)
			twice |= xen->more[j].bridge && !strcmp(bridge, xen->more[j].bridge);
		if (twice)
			diag_error(diag, item_place(&xen->more[i].item, "bridge"),
				   _("two cards of a machine cannot be on the same bridge, '%s'"), bridge);
	}
}

/* Adds the host's ranges to `ranges`, which has room. */
static void check_xen(struct host *host, struct range *ranges, size_t *n, struct diag *diag)
{
	struct hosts_xen *xen = &host->xen;
	struct range range = { .item = &xen->item, .host = host };

	if (!xen->item.node)
		return;
	if (check_range(&range, xen->addresses, xen->gateway, diag)) {
		xen->first = range.first;
		xen->last = range.last;
		xen->prefix = range.prefix;
		ranges[(*n)++] = range;
	}
	for (size_t i = 0; i < xen->n_more; i++) {
		struct hosts_card *card = &xen->more[i];

		range.item = &card->item;
		if (!check_range(&range, card->addresses, card->gateway, diag))
			continue;
		card->first = range.first;
		card->last = range.last;
		card->prefix = range.prefix;
		ranges[(*n)++] = range;
	}
	check_dns(xen, diag);
	check_bridges(xen, diag);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* Addresses that two hosts give out, or that a host has itself, would be two machines' one day. */
static void check_overlaps(const struct hosts *hosts, struct range *ranges, size_t n, struct diag *diag)
{
	const struct range *widest = NULL;

	qsort(ranges, n, sizeof(*ranges), compare_ranges);
	for (size_t i = 0; i < n; i++) {
		if (widest && ranges[i].first <= widest->last)
			diag_error(diag, item_place(ranges[i].item, "addresses"),
				   _("these addresses overlap with those of host '%s', %s"), widest->host->item.name,
				   widest->text);
		if (!widest || ranges[i].last > widest->last)
			widest = &ranges[i];
	}
	for (size_t i = 0; i < hosts->n_hosts && n; i++) {
		uint32_t address;

		if (!hosts->hosts[i].address || !parse_ipv4(hosts->hosts[i].address, &address))
			continue;
		for (size_t j = 0; j < n && ranges[j].first <= address; j++)
			if (address <= ranges[j].last)
				diag_error(diag, item_place(ranges[j].item, "addresses"),
					   _("the address of host '%s', %s, is one of these addresses for machines"),
					   hosts->hosts[i].item.name, hosts->hosts[i].address);
	}
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

/* What a runtime must be told has a key of its name. */
static void check_runtime(const struct host *host, struct diag *diag)
{
	const struct schema *schema = NULL;

	for (size_t i = 0; i < hosts_schema.n_keys; i++)
		if (!strcmp(hosts_schema.keys[i].name, "hosts"))
			schema = hosts_schema.keys[i].object;
	for (size_t i = 0; schema && host->runtime && i < schema->n_keys; i++) {
		const struct key *key = &schema->keys[i];

		if (key->type == KEY_OBJECT && !strcmp(key->name, host->runtime) &&
		    !yaml_get(host->item.node, key->name))
			diag_error(diag, item_place(&host->item, "runtime"),
				   _("a host with the runtime '%s' needs the key '%s', which says what its machines "
				     "get; see tepuy-hosts(5)"),
				   key->name, key->name);
	}
}

/* What the hosts' machines need. */
static void check_machines(struct hosts *hosts, struct diag *diag)
{
	_cleanup_(freep) struct range *ranges = NULL;
	size_t most = 0, n = 0;

	for (size_t i = 0; i < hosts->n_hosts; i++)
		most += 1 + hosts->hosts[i].xen.n_more;
	ranges = xcalloc(most + 1, sizeof(*ranges));
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		check_runtime(&hosts->hosts[i], diag);
		check_xen(&hosts->hosts[i], ranges, &n, diag);
	}
	check_overlaps(hosts, ranges, n, diag);
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
	for (size_t i = 0; i < hosts->n_hosts; i++)
		fill_host(&hosts->defaults, &hosts->hosts[i]);
	check_machines(hosts, diag);
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
