/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent-run.h"
#include "agent/api.h"
#include "agent/attempt.h"
#include "agent/firewall-keep.h"
#include "agent/guests-keep.h"
#include "agent/guests.h"
#include "agent/instance.h"
#include "agent/leader.h"
#include "agent/node-secrets.h"
#include "agent/peer-run.h"
#include "agent/peer-server.h"
#include "agent/peers.h"
#include "agent/runtime-watch.h"
#include "agent/schema-gate.h"
#include "agent/secrets-back.h"
#include "agent/token.h"
#include "agent/wish.h"
#include "agent/wishes.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/protocol.h"
#include "base/text.h"
#include "consul/consul-watch.h"
#include "model/canonical.h"
#include "plan/plan.h"

/* Jobs at once: starts of nodes wait for Docker, not for us. */
#define MOST_THREADS 16
#define MOST_LABEL 63
/* So long jobs have to end when the agent does: the build of an image takes minutes. */
#define JOBS_END_SECONDS 5
/* Until the next try to begin. */
#define AGAIN_USEC (1000 * 1000ULL)

/* Everything that lives as long as the program. */
struct program {
	struct agent agent;
	struct consul_watch *host_watch, *service_watch, *checks_watch, *wish_watch;
	struct runtime_watch *runtime_watch;
	struct leader *leader;
	struct schema_gate *gate;
	struct token *token;
	json_t *labels;
	struct api *api;
	struct identity identity;
	char *run_dir, *state_dir;
	int lock_fd; /* on the state directory: one agent at a time */
	const struct agent_options *options;
	sd_event_source *again; /* the next try to begin */
};

/* A predecessor that was killed may have left a program that still holds its lock for a moment. */
static int lock_state(struct program *program, struct err *err)
{
	_cleanup_(freep) char *path = fs_join(program->state_dir, "agent.lock");
	struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	int tries = 50;

	program->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (program->lock_fd < 0)
		return err_errno(err, errno, _("Cannot write %s"), path);
	while (flock(program->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_errno(err, errno, _("Cannot lock %s"), path);
		if (!--tries)
			return err_set(err, EBUSY,
				       _("Another agent works with %s; stop it first, or give this one another "
					 "--state-dir"),
				       program->state_dir);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* "disk=ssd": names as of services and hosts, values of up to 63 printable characters. */
static int read_labels(struct program *program, const struct strv *labels, struct err *err)
{
	program->labels = json_object();
	for (size_t i = 0; labels && i < labels->n; i++) {
		const char *equals = strchr(labels->v[i], '=');
		_cleanup_(freep) char *name = equals ? xstrndup(labels->v[i], (size_t)(equals - labels->v[i])) : NULL;
		json_t *value = equals && strlen(equals + 1) <= MOST_LABEL ? json_string(equals + 1) : NULL;

		if (!value || !equals[1] || !text_is_name(name)) {
			json_decref(value);
			return err_set(err, EINVAL, _("'%s' is no label; write it as disk=ssd"), labels->v[i]);
		}
		json_object_set_new(program->labels, name, value);
	}
	return 0;
}

static const char *socket_path(const struct agent_options *options)
{
	return options->socket ? options->socket : "/run/tepuy/agent.sock";
}

static int prepare(struct program *program, const struct agent_options *options, struct err *err)
{
	const char *socket = socket_path(options);
	struct node_env *env = &program->agent.env;
	_cleanup_(freep) char *store = NULL, *token = NULL;
	int r;

	program->run_dir = xstrndup(socket, (size_t)(strrchr(socket, '/') ? strrchr(socket, '/') - socket : 0));
	program->state_dir = xstrdup(options->state_dir ? options->state_dir : "/var/lib/tepuy");
	if (*socket != '/' || *program->state_dir != '/')
		return err_set(err, EINVAL, _("The socket and the state directory must be absolute paths"));
	store = fs_join(program->state_dir, "store");
	r = fs_mkdirs(program->state_dir, 0755, err);
	if (r == 0)
		r = lock_state(program, err);
	if (r == 0)
		r = node_secrets_prepare(program->run_dir, err);
	if (r == 0)
		r = read_labels(program, options->labels, err);
	if (r == 0 && options->consul_token_file)
		r = token_read(options->consul_token_file, &token, err);
	if (r == 0)
		r = image_store_open(store, &env->store, err);
	if (r < 0)
		return r;
	env->consul = consul_new(options->consul, token, NULL);
	if (token)
		explicit_bzero(token, strlen(token));
	env->times = check_times_new();
	program->agent.reschedule_ms = options->reschedule_ms ? options->reschedule_ms : PLAN_RESCHEDULE_MS;
	env->run_dir = program->run_dir;
	env->state_dir = program->state_dir;
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)data;
	log_info("Signal %u: the agent ends, nodes run on.", info->ssi_signo);
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct program *program = data;

	(void)source, (void)info;
	if (program->token)
		token_renew(program->token);
	return 0;
}

static int take_signals(struct program *program)
{
	sd_event *event = program->agent.event;
	sigset_t set;
	int r;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGINT, on_signal, NULL);
	return r < 0 ? r : sd_event_add_signal(event, NULL, SIGHUP, on_hangup, program);
}

static unsigned peer_port(const struct agent_options *options)
{
	return options->peer_port ? options->peer_port : PEER_PORT;
}

/* tepuy/host/<host>/info: what the planner needs of this host, and what people ask. */
static void describe_host(struct program *program, const struct attempt *attempt)
{
	const struct agent_options *options = program->options;
	struct agent *agent = &program->agent;
	_cleanup_json_ json_t *info = NULL;

	info = json_pack("{ss ss ss sO sf sI ss si sI sb}", "runtime", agent->env.runtime->ops->name, "version",
			 attempt->version ? attempt->version : "", "address", agent->env.address, "labels",
			 program->labels, "cpus", (double)sysconf(_SC_NPROCESSORS_ONLN), "memory",
			 (json_int_t)attempt->memory, "agent", TEPUY_VERSION, "api", protocol_api, "reschedule_after",
			 (json_int_t)agent->reschedule_ms, "machines", (int)agent->env.runtime->ops->machines);
	if (options->tls_dir) {
		_cleanup_(freep) char *peer = peer_server_url(agent->env.address, peer_port(options));

		json_object_set_new(info, "peer", json_string(peer));
	}
	agent->info = json_canonical(info);
}

/* Consistent reads: a server that has just been elected answers plain ones from a log that it is still replaying. */
static int start_watches(struct program *program, struct err *err)
{
	struct agent *agent = &program->agent;
	_cleanup_(freep) char *path = xasprintf("/v1/kv/tepuy/host/%s/?recurse&consistent", agent->env.host);
	int r = consul_watch_new(agent->loop, agent->env.consul, path, agent_on_host_keys, agent, &program->host_watch,
				 err);

	if (r == 0)
		r = consul_watch_new(agent->loop, agent->env.consul, "/v1/kv/tepuy/service/?recurse&consistent",
				     agent_on_service_keys, agent, &program->service_watch, err);
	if (r == 0 && agent->wishes)
		r = consul_watch_new(agent->loop, agent->env.consul, "/v1/kv/" WISH_PREFIX "?recurse", wishes_on_keys,
				     agent->wishes, &program->wish_watch, err);
	return r;
}

/* Whether this program may use the cluster's keys. What runs stays as it was last told in any case. */
static void on_gate(void *data, bool open)
{
	struct program *program = data;
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	kv_level_hold(program->agent.kv, !open);
	consul_watch_freep(&program->host_watch);
	consul_watch_freep(&program->service_watch);
	consul_watch_freep(&program->wish_watch);
	program->host_watch = program->service_watch = program->wish_watch = NULL;
	r = open ? start_watches(program, &err) : 0;
	if (r == 0)
		r = leader_compete(program->leader, open, &err);
	if (r < 0)
		log_error("The agent cannot work: %s", err_text(&err));
}

/* What needs neither a runtime nor to know who this host is. */
static int start(struct program *program, struct err *err)
{
	struct agent *agent = &program->agent;
	int r = sd_event_default(&agent->event);

	if (r >= 0)
		r = take_signals(program);
	if (r >= 0)
		r = sd_event_set_watchdog(agent->event, true);
	if (r < 0)
		return err_errno(err, -r, _("Cannot start the event loop"));
	r = http_loop_new(agent->event, &agent->loop, err);
	if (r == 0)
		r = pool_new(agent->event, MOST_THREADS, &agent->pool, err);
	if (r < 0)
		return r;
	agent->kv = kv_level_new(agent->loop, agent->env.consul);
	kv_level_hold(agent->kv, true); /* until the gate is open */
	return token_new(agent, program->options->consul_token_file, &program->token, err);
}

/* All is there that the agent needs. */
static int begin(struct program *program, const struct attempt *attempt, struct err *err)
{
	const struct agent_options *options = program->options;
	struct agent *agent = &program->agent;
	int r;

	agent->env.host = program->identity.host;
	agent->env.address = program->identity.address;
	agent->env.guests = guests_new(&agent->env);
	guests_changed(agent);
	agent->started_ms = clock_monotonic_ms();
	if (options->tls_dir)
		agent->env.peers = peers_new(agent->env.consul, agent->env.store, agent->env.host,
					     agent->env.runtime->ops->machines, options->tls_dir);
	program->leader = leader_new(agent);
	if (agent->env.peers && !agent->env.runtime->ops->machines)
		agent->wishes = wishes_new(agent);
	agent->links = links_new(agent->loop, agent->env.consul, agent->env.host, agent_on_link, agent);
	describe_host(program, attempt);
	r = firewall_new(agent, &agent->firewall, err);
	if (r == 0)
		r = schema_gate_new(agent, on_gate, program, &program->gate, err);
	if (r == 0)
		r = consul_watch_new(agent->loop, agent->env.consul, "/v1/health/state/any", agent_on_checks, agent,
				     &program->checks_watch, err);
	if (r == 0)
		r = runtime_watch_new(agent->event, agent->env.runtime, agent_on_runtime_event, agent,
				      &program->runtime_watch, err);
	agent->env.waits = NODE_WAITS_FOR_NOTHING; /* from here on the API's threads use all of `env` */
	if (r == 0 && !program->api)
		r = api_start(&agent->env, socket_path(options), &agent->leading, &program->api, err);
	if (r < 0)
		return r;
	agent_listen_for_peers(agent, options->tls_dir, peer_port(options));
	log_info("The agent of %s (%s) is ready.", agent->env.host, agent->env.address);
	sd_notifyf(0, "READY=1\nSTATUS=At work as %s (%s).", agent->env.host, agent->env.address);
	agent_rest_soon(agent);
	return 0;
}

/* --- until it can begin --- */

static struct attempt *attempt_new(struct program *program)
{
	struct attempt *attempt = xcalloc(1, sizeof(*attempt));

	*attempt = (struct attempt){ .program = program,
				     .options = program->options,
				     .consul = program->agent.env.consul,
				     .state_dir = program->state_dir,
				     .runtime = program->agent.env.runtime,
				     .err = ERR_INIT };
	return attempt;
}

static void attempt_work(void *data)
{
	attempt_run(data);
}

static void attempted(void *data, bool dropped);

static int on_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct program *program = data;

	(void)source, (void)usec;
	program->again = sd_event_source_disable_unref(program->again);
	pool_submit(program->agent.pool, attempt_work, attempted, attempt_new(program));
	return 0;
}

static void say_waiting(struct program *program, enum node_wait waits, const struct err *why)
{
	const char *what = waits == NODE_WAITS_FOR_RUNTIME
			       ? "Waiting for a runtime, without which no node can run"
			       : "Waiting for Consul, which says this host's name and address";

	if (program->api && program->agent.env.waits == (int)waits)
		return;
	program->agent.env.waits = waits;
	log_warning("%s: %s", what, err_text(why));
	sd_notifyf(0, "STATUS=%s.", what);
}

/*
 * Who starts the agent need not wait for Consul with it: it is ready to be asked, and says what it waits for. systemd
 * would end a start that lasts, and apt, which restarts an agent when it upgrades it, would wait as long.
 */
static int wait_for_it(struct program *program, const struct attempt *attempt, struct err *err)
{
	int r;

	say_waiting(program, attempt->waits, &attempt->err);
	if (!program->api) {
		r = api_start(&program->agent.env, socket_path(program->options), &program->agent.leading,
			      &program->api, err);
		if (r < 0)
			return r;
		sd_notify(0, "READY=1");
	}
	r = sd_event_add_time_relative(program->agent.event, &program->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again,
				       program);
	return r < 0 ? err_errno(err, -r, _("Cannot start the event loop")) : 0;
}

static int take_up(struct program *program, struct attempt *attempt, struct err *err)
{
	program->agent.env.runtime = TAKE_PTR(attempt->runtime);
	if (attempt->r == -EINVAL)
		return err_set(err, EINVAL, "%s", err_text(&attempt->err));
	if (attempt->r < 0)
		return wait_for_it(program, attempt, err);
	program->identity = attempt->identity;
	attempt->identity = (struct identity){ 0 };
	return begin(program, attempt, err);
}

static void say_failure(const struct err *err)
{
	log_error("The agent cannot start: %s", err_text(err));
}

static void attempt_free(struct attempt *attempt)
{
	attempt_release(attempt);
	free(attempt);
}

static void attempted(void *data, bool dropped)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct attempt *attempt = data;
	struct program *program = attempt->program;

	if (!dropped && take_up(program, attempt, &err) < 0) {
		say_failure(&err);
		sd_event_exit(program->agent.event, 1);
	}
	attempt_free(attempt);
}

/* What a job was at is found and taken up again as after a kill -9; the programs that it runs end with us. */
static void end_jobs(struct agent *agent)
{
	if (!agent->pool || pool_stop(agent->pool, JOBS_END_SECONDS))
		return;
	log_info("What is under way, as the build of an image, is cut off.");
	_exit(0);
}

static void release(struct program *program)
{
	struct agent *agent = &program->agent;

	api_stop(program->api);
	runtime_watch_free(program->runtime_watch);
	agent_stop_peers(agent);
	pool_free(agent->pool);
	firewall_free(agent->firewall);
	leader_free(program->leader);
	schema_gate_free(program->gate);
	token_free(program->token);
	consul_watch_free(program->host_watch);
	consul_watch_free(program->service_watch);
	consul_watch_free(program->wish_watch);
	wishes_free(agent->wishes);
	consul_watch_free(program->checks_watch);
	while (agent->instances)
		instance_free(agent->instances);
	added_checks_release(&agent->added);
	links_free(agent->links);
	kv_level_free(agent->kv);
	free(agent->info);
	strv_release(&agent->strays);
	http_loop_free(agent->loop);
	sd_event_source_disable_unref(agent->retry_timer);
	sd_event_source_disable_unref(agent->look_timer);
	sd_event_source_disable_unref(agent->catalog_timer);
	sd_event_source_disable_unref(agent->rest_timer);
	sd_event_source_disable_unref(agent->guests_timer);
	sd_event_source_disable_unref(program->again);
	secrets_back_stop(agent);
	sd_event_unref(agent->event);
	agent_free_peers(agent);
	guests_free(agent->env.guests);
	consul_free(agent->env.consul);
	runtime_free(agent->env.runtime);
	image_store_free(agent->env.store);
	check_times_free(agent->env.times);
	identity_release(&program->identity);
	free(program->run_dir);
	free(program->state_dir);
	json_decref(program->labels);
	closep(&program->lock_fd);
}

int agent_main(const struct agent_options *options)
{
	_cleanup_(release) struct program program = { .lock_fd = -1, .options = options };
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (options->log_level)
		log_set_level((enum log_level)options->log_level);
	mallopt(M_ARENA_MAX, 2); /* many short-lived threads, little memory */
	r = prepare(&program, options, &err);
	if (r == 0)
		r = start(&program, &err);
	if (r == 0) {
		struct attempt *first = attempt_new(&program);

		attempt_run(first);
		r = take_up(&program, first, &err);
		attempt_free(first);
	}
	if (r < 0) {
		say_failure(&err);
		return 1;
	}
	r = sd_event_loop(program.agent.event);
	sd_notify(0, "STOPPING=1");
	end_jobs(&program.agent);
	return r != 0;
}
