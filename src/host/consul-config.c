/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/consul-config.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "host/step.h"

static char *in(const char *directory, const char *name)
{
	return xasprintf("%s/%s", directory, name);
}

static void set_tls(json_t *object, const char *directory)
{
	_cleanup_(freep) char *ca = in(directory, "ca.pem"), *certificate = in(directory, "cert.pem");
	_cleanup_(freep) char *key = in(directory, "key.pem");

	json_object_set_new(object, "ca_file", json_string(ca));
	json_object_set_new(object, "cert_file", json_string(certificate));
	json_object_set_new(object, "key_file", json_string(key));
	json_object_set_new(object, "verify_incoming_rpc", json_true());
	json_object_set_new(object, "verify_outgoing", json_true());
	json_object_set_new(object, "verify_server_hostname", json_true());
}

/*
 * The cache is extended while the servers are away, so that a host cut off goes on (fail static). The token of the
 * agent itself comes through the API and is kept in Consul's own data.
 */
static json_t *acl(const char *management)
{
	json_t *object = json_pack("{s:b, s:s, s:s, s:b}", "enabled", 1, "default_policy", "deny", "down_policy",
				   "extend-cache", "enable_token_persistence", 1);

	if (management)
		json_object_set_new(object, "tokens", json_pack("{s:s}", "master", management));
	return object;
}

/* An address of its own in retry_join is harmless, and the same list on all servers is easier to read. */
static json_t *join(const struct strv *servers)
{
	json_t *list = json_array();

	for (size_t i = 0; i < servers->n; i++) {
		const char *address = servers->v[i];
		_cleanup_(freep) char *bracketed = xasprintf(strchr(address, ':') ? "[%s]" : "%s", address);

		json_array_append_new(list, json_string(bracketed));
	}
	return list;
}

static char *dump(const json_t *object)
{
	_cleanup_(freep) char *text = json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS);

	return xasprintf("%s\n", text);
}

char *consul_config_text(const struct consul_config *config)
{
	_cleanup_json_ json_t *object =
	    json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "node_name", config->host.name, "datacenter",
		      config->host.datacenter, "server", (int)config->host.server, "data_dir", config->data,
		      "bind_addr", config->host.address, "client_addr", "127.0.0.1", "encrypt", config->gossip);

	json_object_set_new(object, "retry_join", join(config->servers));
	json_object_set_new(object, "acl", acl(config->host.server ? config->management : NULL));
	json_object_set_new(object, "performance", json_pack("{s:i}", "raft_multiplier", 1));
	/* No port but those of gossip and, on servers, RPC is open outside of loopback; no other datacenters. */
	json_object_set_new(object, "ports", json_pack("{s:i, s:i, s:i}", "https", -1, "grpc", -1, "serf_wan", -1));
	json_object_set_new(object, "leave_on_terminate", json_false());
	json_object_set_new(object, "skip_leave_on_interrupt", json_true());
	json_object_set_new(object, "disable_update_check", json_true());
	set_tls(object, config->tls);
	if (config->host.server)
		json_object_set_new(object, "bootstrap_expect", json_integer(config->bootstrap_expect));
	return dump(object);
}

char *consul_config_essence(const char *text)
{
	static const char *const keys[] = { "retry_join", "bootstrap_expect", "encrypt" };
	_cleanup_json_ json_t *object = json_loads(text, 0, NULL);

	if (!json_is_object(object))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_object_del(object, keys[i]);
	return dump(object);
}

int consul_config_with_gossip(const char *now, const char *gossip, char **ret, struct err *err)
{
	_cleanup_json_ json_t *object = json_loads(now, 0, NULL);
	const char *had = json_string_value(json_object_get(object, "encrypt"));

	if (!json_is_object(object))
		return err_set(err, EINVAL, _("Consul's configuration on this host is no JSON object: run 'consul'"));
	*ret = NULL;
	if (had && !strcmp(had, gossip))
		return 0;
	json_object_set_new(object, "encrypt", json_string(gossip));
	*ret = dump(object);
	return 0;
}
