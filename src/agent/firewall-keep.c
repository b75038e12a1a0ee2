/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/firewall-keep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/firewall.h"
#include "agent/guests-keep.h"
#include "agent/guests.h"
#include "agent/host-interface.h"
#include "agent/instance.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/run.h"
#include "base/text.h"
#include "consul/consul-decode.h"
#include "consul/consul-watch.h"
#include "model/canonical.h"

#define ADDRESSES "tepuy/address/"
#define SETTLE_MS 100
#define MOST_PAUSE_MS 60000
#define RETRY_MS 60000
#define FREE_PUT_BACKS 12

struct firewall {
	struct agent *agent;
	struct consul_watch *nodes_watch, *addresses_watch, *guests_watch;
	struct consul_nodes nodes;   /* Consul's catalog */
	struct consul_kvs addresses; /* of hosts, as their agents say */
	bool nodes_known, addresses_known, guests_known;
	struct strv guests; /* addresses of all hosts' machines */
	struct strv hosts;  /* addresses of all hosts and machines; as kept on disk until Consul said them */
	size_t n_hosts;     /* 0: not known yet */

	struct strv seen;       /* the nodes' addresses that `interfaces` were looked up for */
	struct strv interfaces; /* behind which this host's nodes are */

	char *wanted;  /* the table's text, NULL: not known yet */
	char *applied; /* what nft took last */
	char *listing; /* how it looked then, normalised */
	bool busy, again, foreign;
	char *told; /* the last error that was logged */
	int64_t put_back_ms;
	unsigned put_backs;
	int events; /* netlink socket */
	sd_event_source *source, *timer, *retry_timer;
};

/* One run of nft: brings the table to `text`, or, when it was that already, looks whether it still is. */
struct job {
	struct firewall *firewall;
	char *text, *listing;
	bool check;   /* only if it does not look like `listing` any more */
	bool changed; /* it did not */
	bool machines;
	int r;
	struct err err;
};

/* --- nft --- */

/* Takes what is in `input`, or lists our table of that family. */
static int nft(const char *input, const char *family, struct buf *output, struct err *err)
{
	_cleanup_run_ struct run run = { .timeout_ms = 20000, .most_output = 16 << 20 };

	if (input)
		strv_add_all(&run.argv, "nft", "-f", "-", NULL);
	else
		strv_add_all(&run.argv, "nft", "-s", "list", "table", family, "tepuy", NULL);
	run.input = input;
	run.input_len = input ? strlen(input) : 0;
	return run_checked(&run, output, err);
}

static char *list_tables(bool machines)
{
	_cleanup_buf_ struct buf output = { 0 };

	if (nft(NULL, "inet", &output, NULL) < 0 || (machines && nft(NULL, "bridge", &output, NULL) < 0))
		return NULL;
	return firewall_normalise(buf_text(&output));
}

static void work(void *data)
{
	struct job *job = data;

	if (job->check) {
		_cleanup_(freep) char *now = list_tables(job->machines);

		if (now && job->listing && !strcmp(now, job->listing))
			return;
		job->changed = true;
	}
	job->r = nft(job->text, NULL, NULL, &job->err);
	free(job->listing);
	job->listing = job->r == 0 ? list_tables(job->machines) : NULL;
}

static void job_free(struct job *job)
{
	free(job->text);
	free(job->listing);
	err_release(&job->err);
	free(job);
}

static void apply(struct firewall *firewall);

static int on_retry(sd_event_source *source, uint64_t usec, void *data)
{
	struct firewall *firewall = data;

	(void)source, (void)usec;
	firewall->retry_timer = sd_event_source_disable_unref(firewall->retry_timer);
	apply(firewall);
	return 0;
}

/* Each trouble is said once, and tried again: nft may be installed meanwhile. */
static void failed(struct firewall *firewall, const struct job *job)
{
	const char *why = job->err.code == ENOENT ? _("nft is not there; install nftables") : err_text(&job->err);

	if (!firewall->told || strcmp(firewall->told, why))
		log_warning("The firewall cannot be set, so that ports which no service publishes can be reached by "
			    "whoever reaches this host: %s",
			    why);
	free(firewall->told);
	firewall->told = xstrdup(why);
	if (!firewall->retry_timer)
		sd_event_add_time_relative(firewall->agent->event, &firewall->retry_timer, CLOCK_MONOTONIC,
					   RETRY_MS * 1000ULL, 0, on_retry, firewall);
}

static void worked(struct firewall *firewall, struct job *job)
{
	if (job->changed) {
		log_warning("The firewall's table was changed by someone else; it has been put back.");
		firewall->put_backs++;
		firewall->put_back_ms = clock_monotonic_ms();
	} else if (!job->check)
		log_debug("The firewall's table is set.");
	free(firewall->told);
	firewall->told = NULL;
	free(firewall->applied);
	firewall->applied = TAKE_PTR(job->text);
	free(firewall->listing);
	firewall->listing = TAKE_PTR(job->listing);
}

static void done(void *data, bool dropped)
{
	struct job *job = data;
	struct firewall *firewall = job->firewall;
	bool again;

	if (dropped) {
		job_free(job);
		return;
	}
	firewall->busy = false;
	if (job->r < 0)
		failed(firewall, job);
	else
		worked(firewall, job);
	job_free(job);
	again = firewall->again;
	firewall->again = false;
	if (again)
		apply(firewall);
}

/* Also when the text is the one that was applied: then it is looked at whether it still is in force. */
static void apply(struct firewall *firewall)
{
	struct job *job;

	if (!firewall->wanted)
		return;
	if (firewall->busy) {
		firewall->again = true;
		return;
	}
	firewall->busy = true;
	job = xcalloc(1, sizeof(*job));
	job->firewall = firewall;
	job->machines = firewall->agent->env.runtime->ops->machines;
	job->text = xstrdup(firewall->wanted);
	job->check = firewall->applied && !strcmp(firewall->applied, firewall->wanted);
	job->listing = xstrdup(firewall->listing);
	pool_submit(firewall->agent->pool, work, done, job);
}

/* --- what is wanted --- */

static void kept_path(const struct firewall *firewall, char **ret)
{
	*ret = fs_join(firewall->agent->env.state_dir, "cluster.json");
}

/* So that the table is right after a start while Consul is away. */
static void keep_hosts(const struct firewall *firewall)
{
	_cleanup_json_ json_t *list = json_array(), *json = NULL;
	_cleanup_(freep) char *path = NULL, *text = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	for (size_t i = 0; i < firewall->hosts.n; i++)
		json_array_append_new(list, json_string(firewall->hosts.v[i]));
	json = json_pack("{sO sI}", "addresses", list, "hosts", (json_int_t)firewall->n_hosts);
	text = json_canonical(json);
	kept_path(firewall, &path);
	if (fs_write(path, text, strlen(text), 0600, &err) < 0)
		log_warning("%s", err_text(&err));
}

static void read_hosts(struct firewall *firewall)
{
	_cleanup_buf_ struct buf text = { 0 };
	_cleanup_(freep) char *path = NULL;
	_cleanup_json_ json_t *json = NULL;
	const json_t *address;
	json_int_t n;
	size_t i;

	kept_path(firewall, &path);
	if (fs_read(path, 1 << 20, &text, NULL) < 0)
		return;
	json = json_loads(buf_text(&text), 0, NULL);
	n = json_integer_value(json_object_get(json, "hosts"));
	if (n < 1)
		return;
	firewall->n_hosts = (size_t)n;
	json_array_foreach(json_object_get(json, "addresses"), i, address) if (json_is_string(address))
	    strv_add(&firewall->hosts, json_string_value(address));
}

static bool in_catalog(const struct firewall *firewall, const char *host)
{
	for (size_t i = 0; i < firewall->nodes.n; i++)
		if (firewall->nodes.v[i].name && !strcmp(firewall->nodes.v[i].name, host))
			return true;
	return false;
}

/* A host speaks from the address that Consul advertises, or from the one that its agent was given for nodes. Who is not
 * a member of the cluster any more is not believed. */
static void know_hosts(struct firewall *firewall)
{
	_cleanup_strv_ struct strv hosts = { 0 };

	if (!firewall->nodes_known || !firewall->addresses_known || !firewall->guests_known || !firewall->nodes.n)
		return;
	for (size_t i = 0; i < firewall->nodes.n; i++)
		if (firewall->nodes.v[i].address)
			strv_add(&hosts, firewall->nodes.v[i].address);
	for (size_t i = 0; i < firewall->addresses.n; i++) {
		const struct consul_kv *kv = &firewall->addresses.v[i];

		if (text_starts(kv->key, ADDRESSES) && in_catalog(firewall, kv->key + strlen(ADDRESSES)) &&
		    !strv_has(&hosts, kv->value))
			strv_add(&hosts, kv->value);
	}
	strv_copy(&hosts, &firewall->guests);
	strv_sort(&hosts);
	if (firewall->n_hosts == firewall->nodes.n && strv_equal(&hosts, &firewall->hosts))
		return;
	strv_release(&firewall->hosts);
	firewall->hosts = hosts;
	hosts = (struct strv){ 0 };
	firewall->n_hosts = firewall->nodes.n;
	keep_hosts(firewall);
	firewall_look(firewall);
}

static bool is_unspecified(const char *address)
{
	return !*address || !strcmp(address, "0.0.0.0") || !strcmp(address, "::");
}

/* A machine's ports are where the recipe has them; its service says which are for everybody. */
static void collect_address(const struct instance *instance, const char *address, struct firewall_rules *rules)
{
	strv_add(&rules->guests, address);
	for (size_t i = 0; instance->spec && i < instance->spec->n_ports; i++) {
		const struct node_port *port = &instance->spec->ports[i];

		if (port->publish)
			firewall_add_open(rules, address, port->port, port->udp);
	}
}

/* It has one address for each of its cards. */
static void collect_machine(const struct instance *instance, struct firewall_rules *rules)
{
	_cleanup_(freep) char *list = xstrdup(instance->addresses ? instance->addresses : instance->node.address);
	char *rest = NULL;

	for (const char *one = list ? strtok_r(list, ",", &rest) : NULL; one; one = strtok_r(NULL, ",", &rest))
		collect_address(instance, one, rules);
}

/* A port is published if it is bound to all addresses (node-launch.c): what the runtime says counts, not what was
 * wanted. */
static void collect(const struct firewall *firewall, struct firewall_rules *rules)
{
	for (const struct instance *instance = firewall->agent->instances; instance; instance = instance->next) {
		const struct runtime_node *node = &instance->node;

		if (instance->container == CONTAINER_NONE || instance->container == CONTAINER_EXITED)
			continue;
		if (rules->machines) {
			collect_machine(instance, rules);
			continue;
		}
		if (node->address && *node->address)
			strv_add(&rules->nodes, node->address);
		for (size_t i = 0; i < node->n_ports; i++) {
			const struct runtime_port *port = &node->ports[i];

			if (port->host_port && port->address && !is_unspecified(port->address))
				firewall_add_port(rules, port->address, port->host_port, port->udp);
		}
	}
	strv_sort(&rules->nodes);
}

/* Asks the kernel only when there is a node whose address was not seen before. */
static void know_interfaces(struct firewall *firewall, const struct strv *nodes)
{
	if (strv_equal(nodes, &firewall->seen))
		return;
	strv_release(&firewall->seen);
	strv_copy(&firewall->seen, nodes);
	for (size_t i = 0; i < nodes->n; i++) {
		_cleanup_(freep) char *name = host_interface_towards(nodes->v[i]);

		if (name && !strv_has(&firewall->interfaces, name))
			strv_add(&firewall->interfaces, name);
	}
}

/* The interface of this host's own address may be its runtime's bridge: behind it are no others then. */
static bool has_others(const struct firewall *firewall, const char *interface)
{
	for (size_t i = 0; i < firewall->hosts.n; i++) {
		_cleanup_(freep) char *towards = host_interface_towards(firewall->hosts.v[i]);

		if (strcmp(firewall->hosts.v[i], firewall->agent->env.address) && towards &&
		    !strcmp(towards, interface))
			return true;
	}
	return false;
}

/*
 * Whether there is to be a table; -EAGAIN while it cannot be said. None is needed when nodes' ports are bound to
 * loopback, or to the bridge of this host's own nodes.
 */
static int is_needed(const struct firewall *firewall, const char *own)
{
	const char *address = firewall->agent->env.address;

	if (firewall->agent->env.runtime->ops->machines)
		return 1;
	if (text_starts(address, "127.") || !strcmp(address, "::1"))
		return 0;
	if (!firewall->interfaces.n)
		return firewall->n_hosts > 1 ? 1 : -EAGAIN;
	return !own || !strv_has(&firewall->interfaces, own) || has_others(firewall, own);
}

void firewall_look(struct firewall *firewall)
{
	_cleanup_firewall_rules_ struct firewall_rules rules = { 0 };
	_cleanup_(freep) char *own = NULL;
	char *text;
	int needed;

	if (!firewall || !firewall->agent->runtime_listed || !firewall->n_hosts)
		return;
	rules.machines = firewall->agent->env.runtime->ops->machines;
	if (rules.machines) /* an address is taken before its machine is made, and closed before it starts */
		strv_copy(&rules.guests, &firewall->guests);
	collect(firewall, &rules);
	know_interfaces(firewall, &rules.nodes);
	own = host_interface_with(firewall->agent->env.address);
	needed = is_needed(firewall, own);
	if (needed < 0 || (!needed && !firewall->applied))
		return;
	for (size_t i = 0; i < firewall->interfaces.n; i++)
		if (!own || strcmp(firewall->interfaces.v[i], own))
			strv_add(&rules.interfaces, firewall->interfaces.v[i]);
	strv_copy(&rules.hosts, &firewall->hosts);
	strv_add(&rules.hosts, firewall->agent->env.address);
	text = needed ? firewall_render(&rules) : xstrdup(firewall_render_none(rules.machines));
	if (firewall->wanted && !strcmp(firewall->wanted, text)) {
		free(text);
		return;
	}
	free(firewall->wanted);
	firewall->wanted = text;
	apply(firewall);
}

static void on_nodes(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct firewall *firewall = data;
	struct consul_nodes nodes;

	(void)index;
	if (err || consul_decode_nodes(value, &nodes, NULL) < 0)
		return;
	consul_nodes_release(&firewall->nodes);
	firewall->nodes = nodes;
	firewall->nodes_known = true;
	know_hosts(firewall);
}

static void on_addresses(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	struct firewall *firewall = data;
	struct consul_kvs addresses;

	(void)index;
	if (err || consul_decode_kvs(value, &addresses, NULL) < 0)
		return;
	consul_kvs_release(&firewall->addresses);
	firewall->addresses = addresses;
	firewall->addresses_known = true;
	know_hosts(firewall);
}

/* Machines are among those who may use unpublished ports, as nodes in containers are under the addresses of their
 * hosts. */
static void on_guests(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	struct firewall *firewall = data;

	(void)index;
	if (err || consul_decode_kvs(value, &kvs, NULL) < 0)
		return;
	strv_release(&firewall->guests);
	for (size_t i = 0; i < kvs.n; i++)
		if (text_starts(kvs.v[i].key, GUESTS_PREFIX))
			strv_add(&firewall->guests, kvs.v[i].key + strlen(GUESTS_PREFIX));
	firewall->guests_known = true;
	know_hosts(firewall);
	guests_changed(firewall->agent); /* somebody may have taken one of ours away */
	guests_look(firewall->agent);
}

/* --- others' changes --- */

static int on_settled(sd_event_source *source, uint64_t usec, void *data)
{
	struct firewall *firewall = data;

	(void)source, (void)usec;
	firewall->timer = sd_event_source_disable_unref(firewall->timer);
	if (firewall->applied)
		apply(firewall);
	return 0;
}

/* Two programs that both insist on the table must not keep the machine busy: the pause doubles up to a minute. */
static int64_t pause_ms(struct firewall *firewall)
{
	int64_t pause = SETTLE_MS;

	if (clock_monotonic_ms() - firewall->put_back_ms > 2 * MOST_PAUSE_MS)
		firewall->put_backs = 0;
	for (unsigned i = FREE_PUT_BACKS; i < firewall->put_backs && pause < MOST_PAUSE_MS; i++)
		pause *= 2;
	return pause < MOST_PAUSE_MS ? pause : MOST_PAUSE_MS;
}

/* Our own changes are told too; the look that follows finds nothing to do. */
static int on_event(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	struct firewall *firewall = data;
	char messages[32768];
	bool concerns = false;

	(void)source, (void)revents;
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(fd, messages, sizeof(messages), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS) /* some were lost */
			concerns = true;
		else if (n <= 0)
			break;
		else if (firewall_concerns(messages, (size_t)n))
			concerns = true;
	}
	if (concerns && !firewall->timer)
		sd_event_add_time_relative(firewall->agent->event, &firewall->timer, CLOCK_MONOTONIC,
					   (uint64_t)pause_ms(firewall) * 1000, 0, on_settled, firewall);
	return 0;
}

static void listen_to_kernel(struct firewall *firewall)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int group = NFNLGRP_NFTABLES, r = 0;

	firewall->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	/* Without a name of its own a socket is told nothing. */
	if (firewall->events < 0 || bind(firewall->events, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(firewall->events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		r = -errno;
	else
		r = sd_event_add_io(firewall->agent->event, &firewall->source, firewall->events, EPOLLIN, on_event,
				    firewall);
	if (r < 0)
		log_warning("The kernel does not tell of changes of its firewall, so that a table that someone else "
			    "flushes comes back only with the next change: %s",
			    strerror(-r));
}

/* --- life --- */

int firewall_new(struct agent *agent, struct firewall **ret, struct err *err)
{
	struct firewall *firewall = xcalloc(1, sizeof(*firewall));
	int r;

	firewall->agent = agent;
	firewall->events = -1;
	read_hosts(firewall);
	listen_to_kernel(firewall);
	r = consul_watch_new(agent->loop, agent->env.consul, "/v1/catalog/nodes", on_nodes, firewall,
			     &firewall->nodes_watch, err);
	if (r == 0)
		r = consul_watch_new(agent->loop, agent->env.consul, "/v1/kv/" ADDRESSES "?recurse", on_addresses,
				     firewall, &firewall->addresses_watch, err);
	if (r == 0)
		r = consul_watch_new(agent->loop, agent->env.consul, "/v1/kv/" GUESTS_PREFIX "?recurse", on_guests,
				     firewall, &firewall->guests_watch, err);
	if (r < 0)
		firewall_free(firewall);
	else
		*ret = firewall;
	return r;
}

void firewall_free(struct firewall *firewall)
{
	if (!firewall)
		return;
	consul_watch_free(firewall->nodes_watch);
	consul_watch_free(firewall->addresses_watch);
	consul_watch_free(firewall->guests_watch);
	consul_nodes_release(&firewall->nodes);
	consul_kvs_release(&firewall->addresses);
	strv_release(&firewall->guests);
	strv_release(&firewall->hosts);
	strv_release(&firewall->seen);
	strv_release(&firewall->interfaces);
	sd_event_source_disable_unref(firewall->source);
	sd_event_source_disable_unref(firewall->timer);
	sd_event_source_disable_unref(firewall->retry_timer);
	closep(&firewall->events);
	free(firewall->wanted);
	free(firewall->applied);
	free(firewall->listing);
	free(firewall->told);
	free(firewall);
}
