/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The steps `leave`, on a host that goes, and `remove-host`, on a server, about one that is gone. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "host/acl.h"
#include "host/consul-config.h"
#include "host/pki.h"
#include "host/place.h"
#include "host/service.h"
#include "host/step.h"

#define AGENT_UNIT "tepuy-agent.service"
#define LEAVE_MS 60000

static int stop_agent(struct step *step, struct err *err)
{
	int r;

	if (!service_active(AGENT_UNIT) && !service_enabled(AGENT_UNIT)) {
		step_unchanged(step, "agent", _("tepuy-agent does not run"));
		return 0;
	}
	step_begin(step, "agent", _("Stopping tepuy-agent"));
	r = service_do("stop", AGENT_UNIT, err);
	if (r == 0)
		r = service_do("disable", AGENT_UNIT, err);
	if (r == 0)
		step_done(step, _("tepuy-agent is stopped; containers, images and volumes stay"));
	return r;
}

/* Consul tells the others and ends. Without a token that counts it is only stopped: the others then see it fail. */
static void say_goodbye(struct step *step)
{
	_cleanup_(consul_freep) struct consul *consul = NULL;
	_cleanup_(pki_wipe) char *token = NULL;
	int64_t until = clock_monotonic_ms() + LEAVE_MS;

	if (place_read_line(PLACE_TOKEN, &token, NULL) != 0 && place_read_line(PLACE_MANAGEMENT, &token, NULL) != 0)
		return;
	consul = consul_new(NULL, token, NULL);
	if (consul_put(consul, "/v1/agent/leave", NULL, NULL) < 0)
		return;
	while (service_active(CONSUL_UNIT) && step_pause(step, until, "", NULL) == 0)
		step_waiting(step, _("Waiting until Consul has left"));
}

static int leave_consul(struct step *step, struct err *err)
{
	bool active = service_active(CONSUL_UNIT);
	int r;

	if (!active && !service_enabled(CONSUL_UNIT)) {
		step_unchanged(step, "consul", _("Consul does not run"));
		return 0;
	}
	step_begin(step, "consul", _("Leaving the cluster"));
	if (active)
		say_goodbye(step);
	r = service_do("stop", CONSUL_UNIT, err);
	if (r == 0)
		r = service_do("disable", CONSUL_UNIT, err);
	if (r == 0)
		step_done(step, _("This host has left the cluster, and Consul is disabled"));
	return r;
}

static int delete_files(struct step *step, struct err *err)
{
	/* The mark of membership last: a run that was killed goes on. */
	static const char *const files[] = {
		PLACE_TOKEN,
		PLACE_MANAGEMENT,
		PLACE_AUTHORITY,
		PLACE_CONSUL_DATA "/serf",
		PLACE_CONSUL_DATA "/raft",
		PLACE_CONSUL_DATA "/acl-tokens.json",
		PLACE_CONSUL_DATA "/services",
		PLACE_CONSUL_DATA "/checks",
		PLACE_CONSUL_DATA "/checkpoint-signature",
		PLACE_CONSUL_DATA "/node-id",
		PLACE_CONSUL_DATA "/proxy",
		PLACE_CONSUL_CONFIG,
		PLACE_CONSUL_TLS,
		PLACE_HOST_CERT,
		PLACE_HOST_CA,
	};
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		any |= place_exists(files[i]);
	if (!any) {
		step_unchanged(step, "files", _("Nothing of a cluster is on this host"));
		return 0;
	}
	step_begin(step, "files", _("Deleting what belongs to the cluster"));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = place_remove(files[i], err);
	if (r == 0)
		step_done(step, _("The cluster's secrets and Consul's data are deleted"));
	return r;
}

int step_leave(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { NULL };
	int r = input_keys(step->input, keys, err);

	(void)ret;
	if (r == 0)
		r = stop_agent(step, err);
	if (r == 0)
		r = leave_consul(step, err);
	return r < 0 ? r : delete_files(step, err);
}

static bool still_there(const struct consul_member *member)
{
	return member->status == CONSUL_ALIVE || member->status == CONSUL_LEAVING;
}

static int remove_member(struct step *step, struct consul *consul, const char *name, struct err *err)
{
	_cleanup_consul_members_ struct consul_members members = { 0 };
	_cleanup_(freep) char *path = xasprintf("/v1/agent/force-leave/%s?prune", name);
	const struct consul_member *member = NULL;
	int r = consul_agent_members(consul, &members, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < members.n; i++)
		if (!strcmp(members.v[i].name, name))
			member = &members.v[i];
	if (!member) {
		step_unchanged(step, "member", _("%s is no member of the cluster"), name);
		return 0;
	}
	if (still_there(member))
		return err_set(
		    err, EBUSY,
		    _("The host %s is alive: run 'leave' on it, or switch it off and wait until Consul calls it "
		      "failed"),
		    name);
	step_begin(step, "member", _("Removing %s from the members"), name);
	r = consul_put(consul, path, NULL, err);
	if (r == 0)
		step_done(step, _("%s is no member any more"), name);
	return r;
}

/* Identity of the host's vote, owned by the caller; NULL: it has none. */
static int find_peer(struct consul *consul, const char *name, char **ret, struct err *err)
{
	_cleanup_json_ json_t *raft = NULL;
	json_t *server;
	size_t i;
	int r = consul_send_json(consul, "GET", "/v1/operator/raft/configuration", NULL, 0, &raft, err);

	*ret = NULL;
	json_array_foreach(json_object_get(raft, "Servers"), i, server)
	{
		const char *node = json_string_value(json_object_get(server, "Node"));
		const char *id = json_string_value(json_object_get(server, "ID"));

		if (!*ret && node && id && !strcmp(node, name))
			*ret = xstrdup(id);
	}
	return r;
}

static int remove_peer(struct step *step, struct consul *consul, const char *name, struct err *err)
{
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_(freep) char *id = NULL, *path = NULL;
	int r = find_peer(consul, name, &id, err);

	if (r < 0)
		return r;
	if (!id) {
		step_unchanged(step, "peer", _("%s has no vote"), name);
		return 0;
	}
	step_begin(step, "peer", _("Taking away the vote of %s"), name);
	path = xasprintf("/v1/operator/raft/peer?id=%s", id);
	r = consul_send(consul, "DELETE", path, NULL, 0, &reply, err);
	if (r == 0)
		step_done(step, _("%s has no vote any more"), name);
	return r;
}

static bool in_catalog(struct consul *consul, const char *name)
{
	_cleanup_consul_nodes_ struct consul_nodes nodes = { 0 };

	if (consul_catalog_nodes(consul, &nodes, NULL) < 0)
		return true;
	for (size_t i = 0; i < nodes.n; i++)
		if (!strcmp(nodes.v[i].name, name))
			return true;
	return false;
}

static int remove_traces(struct step *step, struct consul *consul, const char *name, struct err *err)
{
	_cleanup_(freep) char *prefix = xasprintf("tepuy/host/%s/", name), *token = xasprintf(ACL_KEY_TOKEN "%s", name);
	_cleanup_(freep) char *address = xasprintf("tepuy/address/%s", name);
	_cleanup_consul_kvs_ struct consul_kvs keys = { 0 };
	_cleanup_consul_kv_ struct consul_kv accessor = { 0 };
	_cleanup_json_ json_t *body = json_pack("{s:s}", "Node", name);
	_cleanup_(freep) char *text = json_dumps(body, JSON_COMPACT);
	bool node = in_catalog(consul, name);
	bool has_token = consul_kv_get(consul, token, &accessor, NULL) != -ENOENT;
	int r = consul_kv_list(consul, prefix, &keys, err);

	if (r < 0)
		return r;
	if (!keys.n && !has_token && !node) {
		step_unchanged(step, "traces", _("Consul knows nothing of %s"), name);
		return 0;
	}
	step_begin(step, "traces", _("Deleting what Consul knows of %s"), name);
	if (node)
		r = consul_put(consul, "/v1/catalog/deregister", text, err);
	if (r == 0)
		r = consul_kv_delete_tree(consul, prefix, err);
	if (r == 0)
		r = consul_kv_delete(consul, address, err);
	if (r == 0)
		r = acl_host_forget(consul, name, err);
	if (r == 0)
		step_done(step, _("The token of %s is revoked; Consul knows nothing of it any more"), name);
	return r;
}

int step_remove_host(struct step *step, json_t **ret, struct err *err)
{
	static const char *const keys[] = { "name", NULL };
	_cleanup_(consul_freep) struct consul *consul = NULL;
	const char *name = "";
	int r = input_keys(step->input, keys, err);

	(void)ret;
	if (r == 0)
		r = input_name(step->input, "name", &name, err);
	if (r == 0)
		r = acl_management(&consul, err);
	if (r == 0)
		r = acl_wait(step, consul, err);
	if (r == 0)
		r = remove_member(step, consul, name, err);
	if (r == 0)
		r = remove_peer(step, consul, name, err);
	return r < 0 ? r : remove_traces(step, consul, name, err);
}
