/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The local agent and the catalog, of the blocking client. */
#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "consul/consul-decode.h"
#include "consul/consul-encode.h"
#include "consul/request.h"

static int get_json(struct consul *consul, const char *path, json_t **ret, struct err *err)
{
	return consul_send_json(consul, "GET", path, NULL, 0, ret, err);
}

/* "format" has one %s, for `name` encoded. The caller owns the path. */
static char *path_of(const char *format, const char *name)
{
	_cleanup_(freep) char *encoded = http_encode(name);

	return xasprintf(format, encoded);
}

static char *filter_path(const char *path, const char *filter)
{
	_cleanup_(freep) char *encoded = filter ? http_encode(filter) : NULL;

	return encoded ? xasprintf("%s?filter=%s", path, encoded) : xstrdup(path);
}

int consul_agent_self(struct consul *consul, struct consul_self *ret, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, "/v1/agent/self", &json, err);

	if (r == 0)
		r = consul_decode_self(json, ret, err);
	return consul_wrap(r, err, _("Cannot ask the Consul agent at %s who it is"), consul_base(consul));
}

int consul_agent_members(struct consul *consul, struct consul_members *ret, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, "/v1/agent/members", &json, err);

	if (r == 0)
		r = consul_decode_members(json, ret, err);
	return consul_wrap(r, err, _("Cannot list the members of the Consul cluster at %s"), consul_base(consul));
}

int consul_service_register(struct consul *consul, const struct consul_registration *registration, struct err *err)
{
	_cleanup_(freep) char *body = consul_encode_registration(registration);
	int r = consul_put(consul, "/v1/agent/service/register?replace-existing-checks=true", body, err);

	return consul_wrap(r, err, _("Cannot register %s in Consul"), registration->id);
}

/* Later versions of Consul answer 404 where 1.8 says nothing. */
static int absent_is_fine(int r, struct err *err)
{
	if (r != -ENOENT)
		return r;
	err_release(err);
	return 0;
}

int consul_service_deregister(struct consul *consul, const char *id, struct err *err)
{
	_cleanup_(freep) char *path = path_of("/v1/agent/service/deregister/%s", id);
	int r = absent_is_fine(consul_put(consul, path, NULL, err), err);

	return consul_wrap(r, err, _("Cannot remove the service %s from Consul"), id);
}

int consul_service_maintenance(struct consul *consul, const char *id, bool on, const char *reason, struct err *err)
{
	_cleanup_(freep) char *encoded = http_encode(id), *why = http_encode(reason ? reason : "");
	_cleanup_(freep) char *path =
	    xasprintf("/v1/agent/service/maintenance/%s?enable=%s&reason=%s", encoded, on ? "true" : "false", why);

	return consul_wrap(consul_put(consul, path, NULL, err), err, _("Cannot set the maintenance mode of %s"), id);
}

int consul_check_register(struct consul *consul, const struct consul_check_spec *check, struct err *err)
{
	_cleanup_(freep) char *body = consul_encode_check(check);

	return consul_wrap(consul_put(consul, "/v1/agent/check/register", body, err), err,
			   _("Cannot add the check %s to Consul"), check->id);
}

int consul_check_deregister(struct consul *consul, const char *id, struct err *err)
{
	_cleanup_(freep) char *path = path_of("/v1/agent/check/deregister/%s", id);
	int r = absent_is_fine(consul_put(consul, path, NULL, err), err);

	return consul_wrap(r, err, _("Cannot remove the check %s from Consul"), id);
}

int consul_check_update(struct consul *consul, const char *id, enum consul_status status, const char *output,
			struct err *err)
{
	_cleanup_(freep) char *path = path_of("/v1/agent/check/update/%s", id);
	_cleanup_(freep) char *body = consul_encode_update(status, output);

	return consul_wrap(consul_put(consul, path, body, err), err, _("Cannot report the check %s to Consul"), id);
}

int consul_agent_services(struct consul *consul, const char *filter, struct consul_services *ret, struct err *err)
{
	_cleanup_(freep) char *path = filter_path("/v1/agent/services", filter);
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, path, &json, err);

	if (r == 0)
		r = consul_decode_services(json, ret, err);
	return consul_wrap(r, err, _("Cannot list the services of the Consul agent at %s"), consul_base(consul));
}

int consul_agent_checks(struct consul *consul, const char *filter, struct consul_checks *ret, struct err *err)
{
	_cleanup_(freep) char *path = filter_path("/v1/agent/checks", filter);
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, path, &json, err);

	if (r == 0)
		r = consul_decode_checks(json, ret, err);
	return consul_wrap(r, err, _("Cannot list the checks of the Consul agent at %s"), consul_base(consul));
}

static int service_health(struct consul *consul, enum consul_consistency mode, const char *name,
			  struct consul_services *ret, struct err *err)
{
	_cleanup_(freep) char *of = consul_health_path(name);
	_cleanup_(freep) char *path = xasprintf("%s%s", of, mode == CONSUL_STALE ? "?stale" : "");
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, path, &json, err);

	if (r == 0)
		r = consul_decode_health(json, ret, err);
	return consul_wrap(r, err, _("Cannot read the health of the service %s"), name);
}

int consul_health_service(struct consul *consul, const char *name, struct consul_services *ret, struct err *err)
{
	return service_health(consul, CONSUL_DEFAULT, name, ret, err);
}

int consul_health_service_as(struct consul *consul, enum consul_consistency *mode, const char *name,
			     struct consul_services *ret, struct err *err)
{
	int r = service_health(consul, *mode, name, ret, err);

	return consul_go_stale(r, mode, err) ? service_health(consul, CONSUL_STALE, name, ret, err) : r;
}

static int get_checks(struct consul *consul, const char *path, struct consul_checks *ret, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, path, &json, err);

	return r < 0 ? r : consul_decode_checks(json, ret, err);
}

int consul_health_all(struct consul *consul, struct consul_checks *ret, struct err *err)
{
	return consul_wrap(get_checks(consul, "/v1/health/state/any", ret, err), err,
			   _("Cannot read the checks from Consul at %s"), consul_base(consul));
}

int consul_health_node(struct consul *consul, const char *node, struct consul_checks *ret, struct err *err)
{
	_cleanup_(freep) char *path = path_of("/v1/health/node/%s", node);

	return consul_wrap(get_checks(consul, path, ret, err), err, _("Cannot read the checks of the node %s"), node);
}

int consul_catalog_nodes(struct consul *consul, struct consul_nodes *ret, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, "/v1/catalog/nodes", &json, err);

	if (r == 0)
		r = consul_decode_nodes(json, ret, err);
	return consul_wrap(r, err, _("Cannot list the nodes that Consul at %s knows"), consul_base(consul));
}

int consul_health_hosts(struct consul *consul, struct consul_checks *ret, struct err *err)
{
	_cleanup_(freep) char *path = filter_path("/v1/health/state/any", "CheckID == \"serfHealth\"");

	return consul_wrap(get_checks(consul, path, ret, err), err,
			   _("Cannot read from Consul at %s which hosts are there"), consul_base(consul));
}

int consul_catalog_services(struct consul *consul, const char *node, struct consul_services *ret, struct err *err)
{
	_cleanup_(freep) char *path = path_of("/v1/catalog/node/%s", node);
	_cleanup_json_ json_t *json = NULL;
	json_t *services;
	int r = get_json(consul, path, &json, err);

	services = json_object_get(json, "Services"); /* Consul says null of a node that it does not know */
	if (r == 0)
		r = consul_decode_services(json_is_null(services) ? NULL : services, ret, err);
	return consul_wrap(r, err, _("Cannot read what Consul's catalog has of %s"), node);
}

int consul_catalog_deregister(struct consul *consul, const char *node, const char *id, struct err *err)
{
	_cleanup_json_ json_t *json = json_pack("{ss ss}", "Node", node, "ServiceID", id);
	char *body = json_dumps(json, JSON_COMPACT);
	int r = consul_put(consul, "/v1/catalog/deregister", body, err);

	free(body);
	return consul_wrap(r, err, _("Cannot take %s out of Consul's catalog"), id);
}

int consul_leader(struct consul *consul, char **ret, struct err *err)
{
	_cleanup_json_ json_t *json = NULL;
	int r = get_json(consul, "/v1/status/leader", &json, err);

	if (r < 0)
		return consul_wrap(r, err, _("Cannot ask Consul at %s for its leader"), consul_base(consul));
	if (!json_is_string(json))
		return err_set(err, EBADMSG, _("Consul at %s does not say who its leader is"), consul_base(consul));
	if (!json_string_length(json))
		return err_set(err, EAGAIN, _("Consul's cluster has no leader at present; try again"));
	*ret = xstrdup(json_string_value(json));
	return 0;
}
