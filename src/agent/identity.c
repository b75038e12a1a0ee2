/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/identity.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "model/canonical.h"

#define MOST_KEPT 4096

void identity_release(struct identity *identity)
{
	free(identity->host);
	free(identity->address);
	*identity = (struct identity){ 0 };
}

static char *kept_path(const char *state_dir)
{
	return fs_join(state_dir, "host.json");
}

static void keep(const char *state_dir, const struct identity *identity)
{
	_cleanup_json_ json_t *json = json_pack("{ss ss}", "host", identity->host, "address", identity->address);
	_cleanup_(freep) char *text = json_canonical(json), *path = kept_path(state_dir);
	_cleanup_err_ struct err err = ERR_INIT;

	if (fs_write(path, text, strlen(text), 0644, &err) < 0)
		log_warning("%s", err_text(&err));
}

/* False too when it is not that of `name` (NULL: any): Consul may have been given another name since. */
static bool read_kept(const char *state_dir, const char *name, const char *address, struct identity *ret)
{
	_cleanup_(freep) char *path = kept_path(state_dir);
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_json_ json_t *json = NULL;
	const char *host, *kept_address;

	if (fs_read(path, MOST_KEPT, &text, NULL) < 0)
		return false;
	json = json_loads(buf_text(&text), 0, NULL);
	host = json_string_value(json_object_get(json, "host"));
	kept_address = json_string_value(json_object_get(json, "address"));
	if (!host || !kept_address || (name && *name && strcmp(name, host) != 0))
		return false;
	*ret = (struct identity){ xstrdup(host), xstrdup(address && *address ? address : kept_address) };
	return true;
}

/* Consul's catalog says which hosts are alive: one that it knows under another name would never get a node. */
static int check_name(const char *name, const char *host, struct err *err)
{
	if (!name || !*name || !strcmp(name, host))
		return 0;
	return err_set(err, EINVAL,
		       _("The agent was given the name %s, but this host's Consul agent is called %s; both must be the "
			 "same: leave --name out, or set node_name in Consul's configuration"),
		       name, host);
}

int identity_find(struct consul *consul, const char *state_dir, const char *name, const char *address,
		  struct identity *ret, struct err *err)
{
	_cleanup_consul_self_ struct consul_self self = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r = consul_agent_self(consul, &self, &why);

	if (r < 0 && read_kept(state_dir, name, address, ret))
		return 0;
	if (r < 0) /* -EINVAL is kept for what is final */
		return err_set(err, r == -EINVAL ? EBADMSG : -r, "%s", err_text(&why));
	r = check_name(name, self.node, err);
	if (r < 0)
		return r;
	*ret = (struct identity){ xstrdup(self.node), xstrdup(address && *address ? address : self.address) };
	keep(state_dir, ret);
	return 0;
}
