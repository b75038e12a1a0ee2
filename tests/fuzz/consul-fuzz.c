/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consul's answers: every decoder gets every input, and the text of an error. */
#include "consul/consul-decode.h"
#include "consul/consul.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_lists(const json_t *json)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	_cleanup_consul_checks_ struct consul_checks checks = { 0 };
	_cleanup_consul_services_ struct consul_services services = { 0 }, health = { 0 };
	_cleanup_consul_nodes_ struct consul_nodes nodes = { 0 };
	_cleanup_consul_members_ struct consul_members members = { 0 };

	consul_decode_kvs(json, &kvs, NULL);
	if (consul_decode_checks(json, &checks, NULL) == 0) {
		consul_checks_worst(&checks);
		consul_in_maintenance(&checks, NULL);
	}
	consul_decode_services(json, &services, NULL);
	consul_decode_health(json, &health, NULL);
	for (size_t i = 0; i < health.n; i++)
		consul_meta(&health.v[i].meta, "gen");
	consul_decode_nodes(json, &nodes, NULL);
	consul_decode_members(json, &members, NULL);
}

static void decode_objects(const json_t *json)
{
	_cleanup_consul_self_ struct consul_self self = { 0 };
	_cleanup_consul_kvs_ struct consul_kvs results = { 0 };
	_cleanup_(freep) char *session = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	size_t failed;

	consul_decode_self(json, &self, NULL);
	consul_decode_session(json, &session, NULL);
	consul_decode_txn(json, &results, &failed, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(http_reply_release) struct http_reply reply = { .status = 500 };
	_cleanup_err_ struct err err = ERR_INIT;
	json_t *json = NULL;

	buf_add(&reply.body, data, size);
	consul_reply_error(&reply, &err);
	if (consul_json(buf_text(&reply.body), reply.body.len, &json, NULL) < 0)
		return 0;
	decode_lists(json);
	decode_objects(json);
	json_decref(json);
	return 0;
}
