/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <string.h>

#include "agent/api-call.h"
#include "base/i18n.h"
#include "base/text.h"
#include "model/canonical.h"

int api_target_parse(const char *text, struct api_target *ret, struct err *err)
{
	_cleanup_(freep) char *copy = xstrdup(text);
	char *component = strchr(copy, '/'), *number = NULL;
	uint64_t n = 0;

	if (component) {
		*component++ = '\0';
		number = strchr(component, '/');
	}
	if (number)
		*number++ = '\0';
	if (!text_is_name(copy) || (component && !text_is_name(component)) ||
	    (number && (text_u64(number, &n) < 0 || n < 1 || n > 100000)))
		return err_set(
		    err, EINVAL,
		    _("'%s' names no service, component or node; write it as portal, portal/web or portal/web/1"),
		    text);
	*ret = (struct api_target){ .service = xstrdup(copy), .component = xstrdup(component), .n = (unsigned)n };
	return 0;
}

void api_target_release(struct api_target *target)
{
	free(target->service);
	free(target->component);
	*target = (struct api_target){ 0 };
}

bool api_target_matches(const struct api_target *target, const char *component, unsigned n)
{
	return (!target->component || !strcmp(target->component, component)) && (!target->n || target->n == n);
}

static bool is_target(const struct api_target *target, const json_t *node)
{
	_cleanup_(freep) char *name = xstrdup(json_string_value(json_object_get(node, "node")));
	char *slash = name ? strchr(name, '/') : NULL;
	uint64_t n = 0;

	if (!slash)
		return false;
	*slash = '\0';
	return text_u64(slash + 1, &n) == 0 && api_target_matches(target, name, (unsigned)n);
}

int api_elsewhere(struct api_call *call, const struct api_target *target, struct err *err)
{
	_cleanup_json_ json_t *service = NULL;
	_cleanup_strv_ struct strv hosts = { 0 };
	_cleanup_(freep) char *names = NULL;
	int r = api_service_json(call->env, target->service, &service, err);
	json_t *node;
	size_t i;

	if (r < 0)
		return err_wrap(err, _("%s is not on the host %s, and Consul does not say where it is"), call->rest,
				call->env->host);
	json_array_foreach(json_object_get(service, "nodes"), i, node)
	{
		const char *host = json_string_value(json_object_get(node, "host"));

		if (host && strcmp(host, call->env->host) != 0 && is_target(target, node) && !strv_has(&hosts, host))
			strv_add(&hosts, host);
	}
	if (!hosts.n)
		return 0;
	json_decref(call->elsewhere);
	call->elsewhere = json_array();
	for (i = 0; i < hosts.n; i++)
		json_array_append_new(call->elsewhere, json_string(hosts.v[i]));
	names = strv_join(&hosts, ", ");
	return err_set(err, EREMOTE, _("%s is not on the host %s but on %s: ask the agent there"), call->rest,
		       call->env->host, names);
}

const char *api_trouble(const struct node_env *env)
{
	if (env->token_refused)
		return _("Consul refuses this host's token: what runs here is not touched until a valid one is in the "
			 "token file");
	if (env->waits == NODE_WAITS_FOR_RUNTIME)
		return _("This host's agent has not begun its work: it waits for a runtime that answers, without which "
			 "no node can run; 'tepuy doctor' says what is wrong with it");
	if (env->waits)
		return _("This host's agent has not begun its work: it waits for Consul, which says this host's name; "
			 "see whether Consul runs here: systemctl status consul");
	if (env->other_schema && env->old_schema)
		return _(
		    "The keys in Consul have a layout older than this agent's: what runs here is not touched until "
		    "the tepuy that the cluster's other hosts have is installed on this host");
	if (env->other_schema)
		return _(
		    "The keys in Consul have a layout that this agent does not know: what runs here is not touched "
		    "until tepuy is upgraded on this host");
	return NULL;
}

int api_kv_json(struct consul *consul, const char *key, json_t **ret, uint64_t *ret_index, struct err *err)
{
	_cleanup_consul_kv_ struct consul_kv kv = { 0 };
	int r = consul_kv_get(consul, key, &kv, err);
	json_t *json;

	if (r < 0)
		return r;
	json = json_loadb(kv.value, kv.len, 0, NULL);
	if (!json)
		return err_set(err, EBADMSG, _("The key %s in Consul is no JSON"), key);
	*ret = json;
	if (ret_index)
		*ret_index = kv.modify_index;
	return 0;
}
