/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Xen driver: machines by xl. Here are the table and what is asked of all nodes; xen.h tells what is kept where.
 * A node is found by its directory, its domain by the same name: a domain that has no directory is not tepuy's.
 */
#include "runtime/xen.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/run.h"
#include "base/text.h"
#include "runtime/drivers.h"

#define USAGE_MS 30000

struct xen *xen_of(struct runtime *rt)
{
	return rt->priv;
}

int xen_config_of(struct xen *xen, const struct xen_config **ret, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&xen->lock);
	if (!xen->loaded)
		r = xen_config_load(xen->file, &xen->config, err);
	xen->loaded |= r == 0;
	pthread_mutex_unlock(&xen->lock);
	if (r == 0)
		*ret = &xen->config;
	return r;
}

static bool booted(void)
{
	_cleanup_buf_ struct buf text = { 0 };

	return fs_read("/proc/xen/capabilities", 256, &text, NULL) == 0 && strstr(buf_text(&text), "control_d");
}

static enum runtime_probe probe(struct runtime *rt, char **ret_version, struct err *err)
{
	struct xen *xen = xen_of(rt);
	const struct xen_config *config;

	if (access(xen->file, F_OK) < 0)
		return RUNTIME_NOT_MINE;
	if (xen_config_of(xen, &config, err) < 0)
		return RUNTIME_BROKEN_HERE;
	if (!booted()) {
		err_set(err, ENODEV,
			_("This host is set up for Xen but was not booted with it; restart it, and if that does not "
			  "help choose 'Xen hypervisor' in its boot loader"));
		return RUNTIME_BROKEN_HERE;
	}
	return xen_info("xen_version", ret_version, err) < 0 ? RUNTIME_BROKEN_HERE : RUNTIME_MINE;
}

static int networks(struct runtime *rt, struct runtime_network **ret, size_t *ret_n, struct err *err)
{
	const struct xen_config *config;
	int r = xen_config_of(xen_of(rt), &config, err);

	if (r < 0)
		return r;
	*ret = xcalloc(config->n_networks, sizeof(**ret));
	*ret_n = config->n_networks;
	for (size_t i = 0; i < config->n_networks; i++) {
		const struct runtime_network *from = &config->networks[i];

		(*ret)[i] = (struct runtime_network){ .bridge = xstrdup(from->bridge),
						      .address = xstrdup(from->address),
						      .last = xstrdup(from->last),
						      .prefix = from->prefix,
						      .gateway = xstrdup(from->gateway) };
		strv_copy(&(*ret)[i].dns, &from->dns);
	}
	return 0;
}

static void take_ports(const struct xen_node *from, struct runtime_node *to)
{
	to->ports = xcalloc(from->n_ports, sizeof(*to->ports));
	for (; to->n_ports < from->n_ports; to->n_ports++) {
		struct runtime_port *port = &to->ports[to->n_ports];

		*port = from->ports[to->n_ports];
		port->name = xstrdup(port->name);
		port->address = xstrdup(from->networks[0].address);
		port->host_port = port->port;
	}
}

/* `full`: also what list leaves out. */
static void tell(const struct xen_seen *seen, bool full, struct runtime_node *ret)
{
	const struct xen_node *node = &seen->node;

	*ret = (struct runtime_node){ .id = xstrdup(node->name), .name = xstrdup(node->name), .state = seen->state };
	strv_copy(&ret->labels, &node->labels);
	strv_sort(&ret->labels);
	if (node->n_networks)
		ret->address = xstrdup(node->networks[0].address);
	if (seen->running && node->n_networks)
		take_ports(node, ret);
	if (seen->state == RUNTIME_EXITED)
		ret->exit_code = seen->record.exit_code;
	if (!full)
		return;
	ret->out_of_memory = seen->state == RUNTIME_EXITED && seen->record.out_of_memory;
	ret->started_ms = seen->record.started_ms;
}

static int list(struct runtime *rt, struct runtime_node **ret, size_t *ret_n, struct err *err)
{
	struct xen *xen = xen_of(rt);
	const struct xen_config *config;
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	_cleanup_strv_ struct strv names = { 0 };
	struct runtime_node *nodes;
	size_t n = 0;
	int r = xen_config_of(xen, &config, err);

	r = r < 0 ? r : xen_node_names(config, &names, err);
	if (r == 0 && names.n)
		r = xen_list_domains(xen, &domains, err);
	if (r < 0)
		return r;
	nodes = xcalloc(names.n, sizeof(*nodes));
	for (size_t i = 0; i < names.n; i++) {
		struct xen_seen seen = { 0 };

		/* One that cannot be read is not in the way of the others; it has no label that could be told. */
		if (xen_look(xen, names.v[i], &domains, &seen, NULL) == 0 && !seen.absent)
			tell(&seen, false, &nodes[n++]);
		xen_seen_release(&seen);
	}
	*ret = nodes;
	*ret_n = n;
	return 0;
}

static int inspect(struct runtime *rt, const char *id, struct runtime_node *ret, struct err *err)
{
	struct xen *xen = xen_of(rt);
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	struct xen_seen seen = { 0 };
	int r = xen_list_domains(xen, &domains, err);

	r = r < 0 ? r : xen_look(xen, id, &domains, &seen, err);
	if (r == 0 && seen.absent)
		r = err_set(err, ENOENT, _("There is no node %s"), id);
	if (r == 0)
		tell(&seen, true, ret);
	xen_seen_release(&seen);
	return r;
}

static int usage(struct runtime *rt, const char *id, struct runtime_usage *ret, struct err *err)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_run_ struct run run = { .timeout_ms = USAGE_MS };
	_cleanup_buf_ struct buf output = { 0 };
	struct xen_record record;
	int r = xen_find_running(xen_of(rt), id, &node, &record, err);

	if (r < 0)
		return r;
	strv_add_all(&run.argv, "xl", "list", id, NULL);
	r = run_program(&run, &output, err);
	if (r > 0)
		return err_set(err, ESRCH, _("The node %s does not run"), id);
	return r < 0 ? r : xen_decode_usage(buf_text(&output), id, ret, err);
}

/* Domains with our names that no node stands for. */
static int strays(struct runtime *rt, struct strv *ret, struct err *err)
{
	struct xen *xen = xen_of(rt);
	const struct xen_config *config;
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	_cleanup_strv_ struct strv names = { 0 };
	int r = xen_config_of(xen, &config, err);

	/* The names after the domains: what was made in between is no stray. */
	r = r < 0 ? r : xen_list_domains(xen, &domains, err);
	r = r < 0 ? r : xen_node_names(config, &names, err);
	for (size_t i = 0; i < domains.n && r == 0; i++)
		if (text_starts(domains.list[i].name, "tepuy.") && !strv_has(&names, domains.list[i].name))
			strv_add(ret, domains.list[i].name);
	return r;
}

static int capacity(struct runtime *rt, uint64_t *ret_memory, struct err *err)
{
	struct xen *xen = xen_of(rt);
	const struct xen_config *config;
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_(freep) char *text = NULL;
	uint64_t mib;
	int r = xen_config_of(xen, &config, err);

	r = r < 0 ? r : xen_info("free_memory", &text, err);
	if (r == 0 && text_u64(text, &mib) < 0)
		r = err_set(err, EBADMSG, _("'xl info' does not tell %s"), "free_memory");
	r = r < 0 ? r : xen_list_domains(xen, &domains, err);
	r = r < 0 ? r : xen_node_names(config, &names, err);
	if (r < 0)
		return r;
	*ret_memory = mib << 20;
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_xen_node_ struct xen_node node = { 0 };
		struct xen_record record;
		bool has_record;

		if (xen_find_domain(&domains, names.v[i]) &&
		    xen_load_node(xen, names.v[i], &node, &record, &has_record, NULL) == 0)
			*ret_memory += xen_node_memory(config, &node);
	}
	return 0;
}

static void xen_free(void *priv)
{
	struct xen *xen = priv;

	xen_forget_sessions(xen, NULL);
	pthread_mutex_destroy(&xen->lock);
	xen_config_release(&xen->config);
	free(xen->file);
	free(xen);
}

static const struct runtime_ops xen_ops = {
	.name = "xen",
	.machines = true,
	.probe = probe,
	.networks = networks,
	.list = list,
	.import = xen_import,
	.prune = xen_prune,
	.create = xen_create,
	.start = xen_start,
	.stop = xen_stop,
	.remove = xen_remove,
	.inspect = inspect,
	.exec = xen_exec,
	.attach = xen_attach,
	.put = xen_put,
	.logs = xen_logs,
	.watch = xen_watch,
	.usage = usage,
	.resize = xen_resize,
	.dial = xen_dial,
	.capacity = capacity,
	.strays = strays,
	.free = xen_free,
};

struct runtime *xen_runtime_new(const char *endpoint)
{
	struct runtime *rt = xcalloc(1, sizeof(*rt));
	struct xen *xen = xcalloc(1, sizeof(*xen));

	xen->file = xstrdup(endpoint ? endpoint : XEN_CONFIG);
	pthread_mutex_init(&xen->lock, NULL);
	*rt = (struct runtime){ &xen_ops, xen };
	return rt;
}
