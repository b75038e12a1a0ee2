/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runtime/runtime.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "base/text.h"
#include "runtime/drivers.h"

/* Every driver that this program has, in the order in which they are tried. Xen's says no at once on a host that was
 * not set up for it; one that was is to use it, even if Docker is there too. */
static struct runtime *(*const drivers[])(const char *endpoint) = {
	xen_runtime_new,
	docker_runtime_new,
};

void runtime_free(struct runtime *rt)
{
	if (!rt)
		return;
	rt->ops->free(rt->priv);
	free(rt);
}

static int open_named(const char *name, const char *endpoint, struct runtime **ret, struct err *err)
{
	_cleanup_buf_ struct buf known = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		struct runtime *rt = drivers[i](endpoint);

		if (!strcmp(rt->ops->name, name)) {
			*ret = rt;
			return 0;
		}
		buf_printf(&known, "%s%s", known.len ? ", " : "", rt->ops->name);
		runtime_free(rt);
	}
	return err_set(err, EINVAL, _("There is no runtime '%s'; this program knows: %s"), name, buf_text(&known));
}

int runtime_open(const char *name, const char *endpoint, struct runtime **ret, struct err *err)
{
	_cleanup_err_ struct err broken = ERR_INIT;

	if (name)
		return open_named(name, endpoint, ret, err);
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		struct runtime *rt = drivers[i](endpoint);
		_cleanup_(freep) char *version = NULL;

		if (rt->ops->probe(rt, &version, &broken) == RUNTIME_MINE) {
			*ret = rt;
			return 0;
		}
		runtime_free(rt);
	}
	if (broken.code)
		return err_set(err, broken.code, "%s", err_text(&broken));
	if (endpoint)
		return err_set(err, ENOENT, _("No runtime for nodes listens on %s; start it, or correct the path"),
			       endpoint);
	return err_set(err, ENOENT, _("This host has no runtime for nodes; install docker.io and start it"));
}

void runtime_networks_free(struct runtime_network *networks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(networks[i].bridge);
		free(networks[i].address);
		free(networks[i].last);
		free(networks[i].gateway);
		strv_release(&networks[i].dns);
	}
	free(networks);
}

static void port_release(struct runtime_port *port)
{
	free(port->name);
	free(port->address);
}

void runtime_node_release(struct runtime_node *node)
{
	if (!node)
		return;
	free(node->id);
	free(node->name);
	free(node->address);
	strv_release(&node->labels);
	for (size_t i = 0; i < node->n_ports; i++)
		port_release(&node->ports[i]);
	free(node->ports);
	*node = (struct runtime_node){ 0 };
}

void runtime_nodes_free(struct runtime_node *nodes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		runtime_node_release(&nodes[i]);
	free(nodes);
}

const char *runtime_node_label(const struct runtime_node *node, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < node->labels.n; i++) {
		const char *label = node->labels.v[i];

		if (!strncmp(label, key, len) && label[len] == '=')
			return label + len + 1;
	}
	return NULL;
}

bool runtime_has_instance(const struct strv *labels)
{
	for (size_t i = 0; labels && i < labels->n; i++)
		if (text_starts(labels->v[i], RUNTIME_LABEL_INSTANCE "="))
			return true;
	return false;
}

int runtime_create(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err)
{
	_cleanup_(freep) char *image_ref = NULL;
	struct runtime_spec again = *spec;
	int r = rt->ops->create(rt, spec, ret_id, err);

	if (r != -ENOENT)
		return r;
	err_release(err);
	r = rt->ops->import(rt, spec->image, &image_ref, err);
	if (r < 0)
		return r;
	again.image_ref = image_ref;
	return rt->ops->create(rt, &again, ret_id, err);
}
