/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/peer-run.h"

#include "agent/peer-server.h"
#include "agent/peers.h"
#include "agent/usage.h"
#include "base/log.h"
#include "model/canonical.h"

#define AGAIN_USEC (10 * 1000000ULL)

static void try_to_listen(struct agent *agent);

static int on_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent *agent = data;

	(void)source, (void)usec;
	agent->peer_timer = sd_event_source_disable_unref(agent->peer_timer);
	try_to_listen(agent);
	return 0;
}

static char *tell_usage(void *data)
{
	struct agent *agent = data;
	_cleanup_json_ json_t *rows = NULL;

	return usage_here(&agent->env, &rows, NULL) < 0 ? NULL : json_canonical(rows);
}

static void try_to_listen(struct agent *agent)
{
	_cleanup_err_ struct err err = ERR_INIT;

	if (peer_server_start(agent->env.store, agent->env.address, agent->peer_port, agent->tls_dir,
			      &agent->peer_server, &err) == 0) {
		peer_server_set_usage(agent->peer_server, tell_usage, agent);
		log_info("Other hosts are served on %s port %u.", agent->env.address,
			 peer_server_port(agent->peer_server));
		return;
	}
	if (!agent->peer_trouble_told)
		log_error("Other hosts cannot fetch from this one; it is tried again: %s", err_text(&err));
	agent->peer_trouble_told = true;
	sd_event_add_time_relative(agent->event, &agent->peer_timer, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, agent);
}

void agent_listen_for_peers(struct agent *agent, const char *tls_dir, unsigned port)
{
	agent->tls_dir = tls_dir;
	agent->peer_port = port;
	if (tls_dir)
		try_to_listen(agent);
}

struct level {
	struct agent *agent;
	int r;
	struct err err;
};

static void work(void *data)
{
	struct level *level = data;

	level->r = peers_level(level->agent->env.peers, &level->err);
}

static void done(void *data, bool dropped)
{
	struct level *level = data;

	if (!dropped && level->r < 0)
		log_debug("Consul is not told what this host has: %s", err_text(&level->err));
	err_release(&level->err);
	free(level);
}

void agent_level_peers(struct agent *agent)
{
	struct level *level;

	if (!agent->env.peers)
		return;
	level = xcalloc(1, sizeof(*level));
	level->agent = agent;
	pool_submit(agent->pool, work, done, level);
}

void agent_stop_peers(struct agent *agent)
{
	peers_stop(agent->env.peers);
	agent->peer_timer = sd_event_source_disable_unref(agent->peer_timer);
	peer_server_stop(agent->peer_server);
	agent->peer_server = NULL;
}

void agent_free_peers(struct agent *agent)
{
	peers_free(agent->env.peers);
	agent->env.peers = NULL;
}
