/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions of the blocking client. */
#include <string.h>

#include "base/i18n.h"
#include "consul/consul-decode.h"
#include "consul/consul-encode.h"
#include "consul/request.h"

int consul_session_create(struct consul *consul, const char *name, int64_t ttl_ms, int64_t lock_delay_ms,
			  bool delete_keys, char **ret_id, struct err *err)
{
	_cleanup_(freep) char *body = consul_encode_session(name, ttl_ms, lock_delay_ms, delete_keys);
	_cleanup_json_ json_t *json = NULL;
	int r = consul_send_json(consul, "PUT", "/v1/session/create", body, strlen(body), &json, err);

	if (r == 0)
		r = consul_decode_session(json, ret_id, err);
	return consul_wrap(r, err, _("Cannot create the session %s"), name);
}

static int session_put(struct consul *consul, const char *what, const char *id, struct err *err)
{
	_cleanup_(freep) char *encoded = http_encode(id);
	_cleanup_(freep) char *path = xasprintf("/v1/session/%s/%s", what, encoded);

	return consul_put(consul, path, NULL, err);
}

int consul_session_renew(struct consul *consul, const char *id, struct err *err)
{
	return consul_wrap(session_put(consul, "renew", id, err), err, _("Cannot renew the session %s"), id);
}

int consul_session_destroy(struct consul *consul, const char *id, struct err *err)
{
	return consul_wrap(session_put(consul, "destroy", id, err), err, _("Cannot end the session %s"), id);
}
