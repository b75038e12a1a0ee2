/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/schema-gate.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/agent-run.h"
#include "base/log.h"
#include "base/protocol.h"
#include "base/text.h"
#include "consul/consul-decode.h"
#include "consul/consul-watch.h"

#define KEY "tepuy/schema"
#define RETRY_USEC (1000 * 1000ULL)

struct schema_gate {
	struct agent *agent;
	schema_gate_fn fn;
	void *data;
	struct consul_watch *watch;
	sd_event_source *timer; /* to write the key again */
	bool told, open, writing;
};

uint64_t schema_gate_parse(const char *value)
{
	_cleanup_(freep) char *text = xstrdup(value);
	uint64_t schema = 0;

	text[strcspn(text, " \r\n")] = '\0';
	return text_u64(text, &schema) < 0 ? 0 : schema;
}

/* --- a cluster that has none yet --- */

struct first {
	struct schema_gate *gate;
	struct consul *consul;
	int r;
};

static void write_first(void *data)
{
	struct first *first = data;

	/* Only if there is none: another agent, perhaps a newer one, may be as quick. The watch tells who was. */
	first->r = consul_kv_cas(first->consul, KEY, protocol_schema_text, strlen(protocol_schema_text), 0, NULL);
}

static void begin_cluster(struct schema_gate *gate);

static int on_retry(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source, (void)usec;
	begin_cluster(data);
	return 0;
}

static void first_written(void *data, bool dropped)
{
	struct first *first = data;
	struct schema_gate *gate = first->gate;
	bool again = !dropped && first->r < 0 && first->r != -ESTALE;

	free(first);
	if (dropped)
		return;
	gate->writing = false;
	gate->timer = sd_event_source_disable_unref(gate->timer);
	if (again)
		sd_event_add_time_relative(gate->agent->event, &gate->timer, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry,
					   gate);
}

static void begin_cluster(struct schema_gate *gate)
{
	struct first *first = xcalloc(1, sizeof(*first));

	*first = (struct first){ .gate = gate, .consul = gate->agent->env.consul };
	gate->writing = true;
	pool_submit(gate->agent->pool, write_first, first_written, first);
}

/* --- */

static void say(struct schema_gate *gate, uint64_t schema)
{
	bool open = schema == (uint64_t)protocol_schema;

	gate->agent->env.old_schema = schema < (uint64_t)protocol_schema;
	gate->agent->env.other_schema = !open;
	if (gate->told && gate->open == open)
		return;
	if (!open)
		log_error(
		    "The keys in Consul have layout %llu, this agent (tepuy %s) knows layout %d. It plans and writes "
		    "nothing, and what runs here stays as it is: %s.",
		    (unsigned long long)schema, protocol_program, protocol_schema,
		    gate->agent->env.old_schema ? "install the tepuy that the cluster's other hosts have"
						: "upgrade tepuy on this host");
	else if (gate->told)
		log_info("The keys in Consul have layout %d: the agent works again.", protocol_schema);
	gate->told = true;
	gate->open = open;
	gate->fn(gate->data, open);
}

static void on_key(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	struct schema_gate *gate = data;

	(void)index;
	if (err && !gate->told) /* later the watches behind the gate see it themselves */
		agent_consul_away(gate->agent, err);
	if (err || consul_decode_kvs(value, &kvs, NULL) < 0)
		return; /* Consul is away: what it said last counts */
	if (kvs.n)
		say(gate, schema_gate_parse(kvs.v[0].value));
	else if (!gate->writing)
		begin_cluster(gate);
}

int schema_gate_new(struct agent *agent, schema_gate_fn fn, void *data, struct schema_gate **ret, struct err *err)
{
	struct schema_gate *gate = xcalloc(1, sizeof(*gate));
	int r;

	*gate = (struct schema_gate){ .agent = agent, .fn = fn, .data = data };
	r = consul_watch_new(agent->loop, agent->env.consul, "/v1/kv/" KEY "?consistent", on_key, gate, &gate->watch,
			     err);
	if (r < 0) {
		free(gate);
		return r;
	}
	*ret = gate;
	return 0;
}

void schema_gate_free(struct schema_gate *gate)
{
	if (!gate)
		return;
	consul_watch_free(gate->watch);
	sd_event_source_disable_unref(gate->timer);
	free(gate);
}
