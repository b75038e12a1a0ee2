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
#include "agent/firewall-keep.h"
#include "agent/instance.h"
#include "agent/leader.h"
#include "agent/node-secrets.h"
#include "agent/runtime-watch.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "consul/consul-watch.h"
#include "model/canonical.h"

/* Jobs at once: starts of nodes wait for Docker, not for us. */
#define MOST_THREADS 16

/* Everything that lives as long as the program. */
struct program {
	struct agent agent;
	struct consul_watch *host_watch, *service_watch, *checks_watch;
	struct runtime_watch *runtime_watch;
	struct leader *leader;
	struct api *api;
	char *host, *address, *run_dir, *state_dir, *token;
	int lock_fd; /* on the state directory: one agent at a time */
};

static int read_token(struct program *program, const char *path, struct err *err)
{
	_cleanup_buf_ struct buf text = { 0 };
	struct stat st;
	int r;

	if (!path)
		return 0;
	if (stat(path, &st) == 0 && (st.st_mode & 077))
		return err_set(err, EACCES, _("%s holds a token and may be read by others; give it mode 0600"), path);
	r = fs_read(path, 4096, &text, err);
	if (r < 0)
		return r;
	program->token = buf_take(&text);
	program->token[strcspn(program->token, "\r\n \t")] = '\0';
	return 0;
}

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

/* Name and address are kept, so that an agent can start while Consul is away. */
static char *kept_path(const struct program *program)
{
	return fs_join(program->state_dir, "host.json");
}

static void keep_identity(const struct program *program)
{
	_cleanup_json_ json_t *json = json_pack("{ss ss}", "host", program->host, "address", program->address);
	_cleanup_(freep) char *text = json_canonical(json), *path = kept_path(program);
	_cleanup_err_ struct err err = ERR_INIT;

	if (fs_write(path, text, strlen(text), 0644, &err) < 0)
		log_warning("%s", err_text(&err));
}

static bool kept_identity(struct program *program)
{
	_cleanup_(freep) char *path = kept_path(program);
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_json_ json_t *json = NULL;
	const char *host, *address;

	if (fs_read(path, 4096, &text, NULL) < 0)
		return false;
	json = json_loads(buf_text(&text), 0, NULL);
	host = json_string_value(json_object_get(json, "host"));
	address = json_string_value(json_object_get(json, "address"));
	if (!host || !address)
		return false;
	if (!program->host)
		program->host = xstrdup(host);
	if (!program->address)
		program->address = xstrdup(address);
	return true;
}

/* Asks Consul who we are. Without Consul: as last time; the first time there is nothing to do but to wait for it. */
static void identify(struct program *program, const struct agent_options *options)
{
	struct timespec second = { .tv_sec = 1 };
	bool told = false;

	program->host = xstrdup(options->name && *options->name ? options->name : NULL);
	program->address = xstrdup(options->address && *options->address ? options->address : NULL);
	while (!program->host || !program->address) {
		_cleanup_consul_self_ struct consul_self self = { 0 };
		_cleanup_err_ struct err err = ERR_INIT;

		if (consul_agent_self(program->agent.env.consul, &self, &err) == 0) {
			if (!program->host)
				program->host = xstrdup(self.node);
			if (!program->address)
				program->address = xstrdup(self.address);
		} else if (!kept_identity(program)) {
			if (!told)
				log_warning("Waiting for Consul, which says this host's name and address: %s",
					    err_text(&err));
			told = true;
			nanosleep(&second, NULL);
		}
	}
	keep_identity(program);
}

/* Docker may be starting, or be restarted just now. What is no matter of time is said at once. */
static int open_runtime(struct program *program, const struct agent_options *options, struct err *err)
{
	struct timespec second = { .tv_sec = 1 };
	bool told = false;

	for (;;) {
		_cleanup_err_ struct err why = ERR_INIT;
		int r = runtime_open(options->runtime, options->runtime_endpoint, &program->agent.env.runtime, &why);

		if (r == 0)
			return 0;
		if (r == -EINVAL)
			return err_set(err, EINVAL, "%s", err_text(&why));
		if (!told)
			log_warning("Waiting for a runtime, without which no node can run: %s", err_text(&why));
		told = true;
		nanosleep(&second, NULL);
	}
}

static int prepare(struct program *program, const struct agent_options *options, struct err *err)
{
	const char *socket = options->socket ? options->socket : "/run/tepuy/agent.sock";
	struct node_env *env = &program->agent.env;
	_cleanup_(freep) char *store = NULL;
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
		r = read_token(program, options->consul_token_file, err);
	if (r == 0)
		r = image_store_open(store, &env->store, err);
	if (r == 0)
		r = open_runtime(program, options, err);
	if (r < 0)
		return r;
	env->consul = consul_new(options->consul, program->token, NULL);
	env->times = check_times_new();
	identify(program, options);
	env->host = program->host;
	env->address = program->address;
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

static int take_signals(sd_event *event)
{
	sigset_t set;
	int r;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, NULL);
	return r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, on_signal, NULL);
}

/* tepuy/host/<host>/info: what the planner needs of this host, and what people ask. Written again when Consul lost it.
 */
static void tell_about_host(struct program *program)
{
	struct agent *agent = &program->agent;
	_cleanup_(freep) char *version = NULL;
	_cleanup_json_ json_t *info = NULL;

	agent->env.runtime->ops->probe(agent->env.runtime, &version, NULL);
	info = json_pack("{ss ss ss s{} sf sI ss}", "runtime", agent->env.runtime->ops->name, "version",
			 version ? version : "", "address", agent->env.address, "labels", "cpus",
			 (double)sysconf(_SC_NPROCESSORS_ONLN), "memory",
			 (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE), "agent", TEPUY_VERSION);
	agent->info = json_canonical(info);
	agent_tell_about_host(agent);
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
	if (r == 0)
		r = consul_watch_new(agent->loop, agent->env.consul, "/v1/health/state/any", agent_on_checks, agent,
				     &program->checks_watch, err);
	if (r == 0)
		r = runtime_watch_new(agent->event, agent->env.runtime, agent_on_runtime_event, agent,
				      &program->runtime_watch, err);
	return r;
}

static int start(struct program *program, const struct agent_options *options, struct err *err)
{
	struct agent *agent = &program->agent;
	int r = sd_event_default(&agent->event);

	if (r >= 0)
		r = take_signals(agent->event);
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
	agent->links = links_new(agent->loop, agent->env.consul, agent_on_link, agent);
	tell_about_host(program);
	r = start_watches(program, err);
	if (r == 0)
		r = firewall_new(agent, &agent->firewall, err);
	if (r == 0)
		r = leader_new(agent, &program->leader, err);
	if (r == 0)
		r = api_start(&agent->env, options->socket ? options->socket : "/run/tepuy/agent.sock", &agent->leading,
			      &program->api, err);
	return r;
}

static void release(struct program *program)
{
	struct agent *agent = &program->agent;

	api_stop(program->api);
	runtime_watch_free(program->runtime_watch);
	pool_free(agent->pool);
	firewall_free(agent->firewall);
	leader_free(program->leader);
	consul_watch_free(program->host_watch);
	consul_watch_free(program->service_watch);
	consul_watch_free(program->checks_watch);
	while (agent->instances)
		instance_free(agent->instances);
	added_checks_release(&agent->added);
	links_free(agent->links);
	kv_level_free(agent->kv);
	free(agent->info);
	http_loop_free(agent->loop);
	sd_event_source_disable_unref(agent->retry_timer);
	sd_event_source_disable_unref(agent->look_timer);
	sd_event_source_disable_unref(agent->catalog_timer);
	sd_event_source_disable_unref(agent->rest_timer);
	sd_event_unref(agent->event);
	consul_free(agent->env.consul);
	runtime_free(agent->env.runtime);
	image_store_free(agent->env.store);
	check_times_free(agent->env.times);
	free(program->host);
	free(program->address);
	free(program->run_dir);
	free(program->state_dir);
	if (program->token)
		explicit_bzero(program->token, strlen(program->token));
	free(program->token);
	closep(&program->lock_fd);
}

int agent_main(const struct agent_options *options)
{
	_cleanup_(release) struct program program = { .lock_fd = -1 };
	_cleanup_err_ struct err err = ERR_INIT;
	int r;

	if (options->log_level)
		log_set_level((enum log_level)options->log_level);
	mallopt(M_ARENA_MAX, 2); /* many short-lived threads, little memory */
	r = prepare(&program, options, &err);
	if (r == 0)
		r = start(&program, options, &err);
	if (r < 0) {
		log_error("The agent cannot start: %s", err_text(&err));
		return 1;
	}
	log_info("The agent of %s (%s) is ready.", program.host, program.address);
	sd_notify(0, "READY=1");
	agent_rest_soon(&program.agent);
	r = sd_event_loop(program.agent.event);
	sd_notify(0, "STOPPING=1");
	return r < 0;
}
