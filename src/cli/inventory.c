/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/inventory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/documents.h"
#include "model/diag.h"
#include "model/yaml.h"

enum { MOST_HOSTS = 10000 };

static bool says_port(const struct model_item *item)
{
	return item->node && yaml_get(item->node, "port");
}

static void add(struct inventory *inventory, const struct remote_host *host, const struct host *row)
{
	size_t cap = inventory->cap;

	inventory->hosts = grow_array(inventory->hosts, inventory->n, &inventory->cap, sizeof(*inventory->hosts));
	if (cap != inventory->cap)
		inventory->rows = xreallocarray(inventory->rows, inventory->cap, sizeof(const struct host *));
	inventory->hosts[inventory->n] = *host;
	inventory->rows[inventory->n++] = row;
}

static bool is_chosen(const struct inventory *inventory, const char *name)
{
	for (size_t i = 0; i < inventory->n; i++)
		if (!strcmp(inventory->hosts[i].name, name))
			return true;
	return false;
}

/* A port that nobody wrote is the SSH configuration's to say. */
void inventory_reach(const struct hosts *document, const struct host *row, struct remote_host *ret)
{
	*ret = (struct remote_host){
		.name = row->item.name, .address = row->address, .user = row->user, .fingerprint = row->fingerprint
	};
	if (says_port(&row->item) || says_port(&document->defaults.item))
		ret->port = row->port;
}

static void add_row(struct inventory *inventory, const struct host *row)
{
	struct remote_host host;

	inventory_reach(inventory->document, row, &host);
	if (!is_chosen(inventory, host.name))
		add(inventory, &host, row);
}

/* '*' and '?' */
static bool fits(const char *pattern, const char *name)
{
	if (*pattern == '*')
		return fits(pattern + 1, name) || (*name && fits(pattern, name + 1));
	if (!*pattern || !*name)
		return *pattern == *name;
	return (*pattern == '?' || *pattern == *name) && fits(pattern + 1, name + 1);
}

static bool has_label(const struct host *row, const char *label)
{
	size_t len = strcspn(label, "=");

	for (size_t i = 0; i < row->n_labels; i++) {
		const char *name = row->labels[i].item.name;

		if (strlen(name) == len && !strncmp(name, label, len))
			return !label[len] ||
			       !strcmp(row->labels[i].value ? row->labels[i].value : "", label + len + 1);
	}
	return false;
}

static bool has_labels(const struct host *row, const struct strv *labels)
{
	for (size_t i = 0; labels && i < labels->n; i++)
		if (!has_label(row, labels->v[i]))
			return false;
	return true;
}

/* user@name:port as ssh takes it; the whole is the name that messages have. */
static int add_plain(struct inventory *inventory, const char *text, struct err *err)
{
	_cleanup_(freep) char *copy = xstrdup(text);
	struct remote_host host = { 0 };
	char *name = copy, *at = strrchr(copy, '@'), *port;
	uint64_t number;

	if (at) {
		*at = '\0';
		name = at + 1;
	}
	port = strchr(name, ':');
	if (port && strchr(port + 1, ':')) /* an IPv6 address */
		port = NULL;
	if (port) {
		*port++ = '\0';
		if (text_u64(port, &number) < 0 || !number || number > 65535)
			return err_set(err, EINVAL, _("'%s' is no port in '%s'"), port, text);
		host.port = (uint16_t)number;
	}
	if (!*name || *name == '-')
		return err_set(err, EINVAL, _("'%s' is no name of a host"), text);
	if (is_chosen(inventory, name))
		return 0;
	strv_add(&inventory->texts, name);
	host.name = inventory->texts.v[inventory->texts.n - 1];
	if (at) {
		strv_add(&inventory->texts, copy);
		host.user = inventory->texts.v[inventory->texts.n - 1];
	}
	add(inventory, &host, NULL);
	return 0;
}

static int unknown(const struct inventory *inventory, const char *name, const char *meant, struct err *err)
{
	return err_set(err, ENOENT, _("There is no host '%s' in %s; did you mean '%s'?"), name,
		       inventory->document->file, meant);
}

static int choose(struct inventory *inventory, const char *name, const struct strv *labels, struct err *err)
{
	const struct hosts *document = inventory->document;
	bool pattern = strpbrk(name, "*?") != NULL, found = false;
	_cleanup_(freep) const char **names = xcalloc(document ? document->n_hosts + 1 : 1, sizeof(*names));
	const char *meant;

	for (size_t i = 0; document && i < document->n_hosts; i++) {
		const struct host *row = &document->hosts[i];

		names[i] = row->item.name;
		if (!fits(name, row->item.name))
			continue;
		found = true;
		if (has_labels(row, labels))
			add_row(inventory, row);
	}
	if (found)
		return 0;
	if (pattern)
		return err_set(err, ENOENT, _("No host fits '%s'"), name);
	meant = document ? text_suggest(name, names, document->n_hosts) : NULL;
	if (meant)
		return unknown(inventory, name, meant, err);
	return add_plain(inventory, name, err);
}

static int choose_all(struct inventory *inventory, const struct strv *names, const struct strv *labels, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->n; i++) {
		_cleanup_(freep) char *copy = xstrdup(names->v[i]);
		char *rest = copy, *name;

		while (r == 0 && (name = strsep(&rest, ", \n\t")))
			r = *name ? choose(inventory, name, labels, err) : 0;
	}
	return r;
}

static int read_document(struct cli *cli, const char *file, struct inventory *inventory)
{
	_cleanup_diag_ struct diag diag = { 0 };
	int r = hosts_load(file, &diag, &inventory->document);

	/* Warnings are for whoever writes the file: 'doctor' and 'host apply' show them. */
	if (r < 0)
		documents_print(cli, &diag);
	return r;
}

int inventory_load(struct cli *cli, const char *file, const struct strv *names, const struct strv *labels,
		   struct inventory *ret, struct err *err)
{
	_cleanup_inventory_ struct inventory inventory = { 0 };
	bool any = names && names->n;
	int r = 0;

	if (!file && access("hosts.yaml", F_OK) == 0)
		file = "hosts.yaml";
	if (file)
		r = read_document(cli, file, &inventory);
	if (r < 0)
		return r;
	if (!file && (!any || (labels && labels->n)))
		return err_set(
		    err, ENOENT,
		    _("There is no hosts.yaml here; name it with --inventory FILE, or give names that ssh knows "
		      "with --hosts"));
	for (size_t i = 0; !any && i < inventory.document->n_hosts; i++)
		if (has_labels(&inventory.document->hosts[i], labels))
			add_row(&inventory, &inventory.document->hosts[i]);
	if (any)
		r = choose_all(&inventory, names, labels, err);
	if (r < 0)
		return r;
	if (!inventory.n)
		return err_set(err, ENOENT, _("No host in %s has what was asked for"), file);
	*ret = inventory;
	inventory = (struct inventory){ 0 };
	return 0;
}

int inventory_select(struct cli *cli, const struct arguments *args, struct inventory *ret, struct err *err)
{
	return inventory_load(cli, arguments_text(args, "inventory", NULL), arguments_list(args, "hosts"),
			      arguments_list(args, "label"), ret, err);
}

void inventory_release(struct inventory *inventory)
{
	hosts_free(inventory->document);
	free(inventory->hosts);
	free(inventory->rows);
	strv_release(&inventory->texts);
	*inventory = (struct inventory){ 0 };
}
