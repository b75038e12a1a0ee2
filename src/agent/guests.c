/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/guests.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "agent/arp-probe.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "model/canonical.h"

struct guests {
	const struct node_env *env;
	pthread_mutex_t work; /* one at a time speaks with Consul: a give-back must not meet a taking */
	bool unprobed;        /* it was told that nobody can be asked who has an address; of `work` */
	pthread_mutex_t lock; /* of `taken` */
	struct strv taken;    /* instances that took addresses in this life of the agent */
};

struct guests *guests_new(const struct node_env *env)
{
	struct guests *guests;

	if (!env->runtime->ops->networks)
		return NULL;
	guests = xcalloc(1, sizeof(*guests));
	guests->env = env;
	pthread_mutex_init(&guests->work, NULL);
	pthread_mutex_init(&guests->lock, NULL);
	return guests;
}

void guests_free(struct guests *guests)
{
	if (!guests)
		return;
	pthread_mutex_destroy(&guests->work);
	pthread_mutex_destroy(&guests->lock);
	strv_release(&guests->taken);
	free(guests);
}

static void note_taken(struct guests *guests, const char *instance)
{
	pthread_mutex_lock(&guests->lock);
	if (!strv_has(&guests->taken, instance))
		strv_add(&guests->taken, instance);
	pthread_mutex_unlock(&guests->lock);
}

static bool has_taken(struct guests *guests, const char *instance)
{
	bool has;

	pthread_mutex_lock(&guests->lock);
	has = strv_has(&guests->taken, instance);
	pthread_mutex_unlock(&guests->lock);
	return has;
}

void guests_drop(struct guests *guests, const char *instance)
{
	struct strv left = { 0 };

	if (!guests)
		return;
	pthread_mutex_lock(&guests->lock);
	for (size_t i = 0; i < guests->taken.n; i++)
		if (strcmp(guests->taken.v[i], instance))
			strv_add(&left, guests->taken.v[i]);
	strv_release(&guests->taken);
	guests->taken = left;
	pthread_mutex_unlock(&guests->lock);
}

/* --- what Consul has --- */

static char *value_of(const struct guests *guests, const char *instance)
{
	_cleanup_json_ json_t *json = json_pack("{ss ss}", "host", guests->env->host, "instance", instance);

	return json_canonical(json);
}

/* The instance of that host whose it is, NULL when it is another host's or cannot be read. The caller owns it. */
static char *owner_on(const char *host, const struct consul_kv *kv)
{
	_cleanup_json_ json_t *json = json_loadb(kv->value, kv->len, 0, NULL);
	const char *its = json_string_value(json_object_get(json, "host"));

	if (!its || strcmp(its, host) != 0)
		return NULL;
	return xstrdup(json_string_value(json_object_get(json, "instance")));
}

static char *owner_here(const struct guests *guests, const struct consul_kv *kv)
{
	return owner_on(guests->env->host, kv);
}

static const struct consul_kv *find(const struct consul_kvs *kvs, const char *address)
{
	for (size_t i = 0; i < kvs->n; i++)
		if (text_starts(kvs->v[i].key, GUESTS_PREFIX) &&
		    !strcmp(kvs->v[i].key + strlen(GUESTS_PREFIX), address))
			return &kvs->v[i];
	return NULL;
}

/* -ESTALE: somebody else was first. */
static int write_down(const struct guests *guests, const char *address, const char *instance, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf(GUESTS_PREFIX "%s", address), *value = value_of(guests, instance);

	return consul_kv_cas(guests->env->consul, key, value, strlen(value), 0, err);
}

/* --- taking --- */

/* Addresses of a range, in host byte order. */
static int bounds(const struct runtime_network *network, uint32_t *ret_first, uint32_t *ret_last, struct err *err)
{
	const char *to = network->last ? network->last : network->address;
	struct in_addr first, last;

	if (inet_pton(AF_INET, network->address, &first) != 1 || inet_pton(AF_INET, to, &last) != 1 ||
	    ntohl(first.s_addr) > ntohl(last.s_addr))
		return err_set(err, EINVAL, _("The range of addresses %s-%s for nodes cannot be used"),
			       network->address, to);
	*ret_first = ntohl(first.s_addr);
	*ret_last = ntohl(last.s_addr);
	return 0;
}

static bool in_range(const char *address, uint32_t first, uint32_t last)
{
	struct in_addr binary;

	return inet_pton(AF_INET, address, &binary) == 1 && ntohl(binary.s_addr) >= first &&
	       ntohl(binary.s_addr) <= last;
}

/* What it holds of the range already, as after a creation that failed. The caller owns it. */
static char *held(const struct guests *guests, const struct consul_kvs *kvs, const char *instance, uint32_t first,
		  uint32_t last)
{
	for (size_t i = 0; i < kvs->n; i++) {
		const char *address = kvs->v[i].key + strlen(GUESTS_PREFIX);
		_cleanup_(freep) char *owner =
		    text_starts(kvs->v[i].key, GUESTS_PREFIX) ? owner_here(guests, &kvs->v[i]) : NULL;

		if (owner && !strcmp(owner, instance) && in_range(address, first, last))
			return xstrdup(address);
	}
	return NULL;
}

static int none_left(const struct runtime_network *network, uint32_t n, unsigned strangers, struct err *err)
{
	const char *last = network->last ? network->last : network->address;

	if (strangers)
		return err_set(err, EADDRNOTAVAIL,
			       _("None of the %u addresses %s-%s for machines of this host is free, %u are in use by "
				 "others on the network; give the host another or a wider range under `addresses` in "
				 "hosts.yaml and run 'tepuy host apply'"),
			       n, network->address, last, strangers);
	return err_set(
	    err, EADDRNOTAVAIL,
	    _("None of the %u addresses %s-%s for machines of this host is free; widen the host's range under "
	      "`addresses` in hosts.yaml and run 'tepuy host apply', or take nodes away"),
	    n, network->address, last);
}

/* Once is enough. */
static void tell_unprobed(struct guests *guests, const char *bridge, int code)
{
	if (!guests->unprobed)
		log_warning(
		    "Nobody can be asked on %s who has an address (%s): those that only Consul says are free are "
		    "given to machines.",
		    bridge, strerror(code));
	guests->unprobed = true;
}

/* The lowest that is free by Consul's word and by the network's. */
static int take_one(struct guests *guests, const struct consul_kvs *kvs, const struct runtime_network *network,
		    const char *instance, char **ret, struct err *err)
{
	unsigned strangers = 0;
	uint32_t first = 0, last = 0;
	int r = bounds(network, &first, &last, err);

	if (r < 0)
		return r;
	*ret = held(guests, kvs, instance, first, last);
	if (*ret)
		return 0;
	for (uint64_t at = first; at <= last; at++) {
		struct in_addr binary = { .s_addr = htonl((uint32_t)at) };
		char address[INET_ADDRSTRLEN];
		_cleanup_err_ struct err why = ERR_INIT;

		inet_ntop(AF_INET, &binary, address, sizeof(address));
		if (find(kvs, address))
			continue;
		r = arp_probe(network->bridge, binary);
		if (r < 0)
			tell_unprobed(guests, network->bridge, -r);
		if (r > 0) {
			log_warning("The address %s of this host's range is in use by something else on the network.",
				    address);
			strangers++;
			continue;
		}
		r = write_down(guests, address, instance, &why);
		if (r == -ESTALE) /* another host took it just now */
			continue;
		if (r < 0)
			return err_set(err, -r, "%s", err_text(&why));
		*ret = xstrdup(address);
		return 0;
	}
	return none_left(network, last - first + 1, strangers, err);
}

/* The ranges become the node's own addresses. */
static int take_all(struct guests *guests, const char *instance, struct runtime_network *networks, size_t n,
		    struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r = consul_kv_list(guests->env->consul, GUESTS_PREFIX, &kvs, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		char *address = NULL;

		r = take_one(guests, &kvs, &networks[i], instance, &address, err);
		if (r < 0)
			break;
		free(networks[i].address);
		free(networks[i].last);
		networks[i].address = address;
		networks[i].last = NULL;
	}
	return r;
}

int guests_take(struct guests *guests, const char *instance, struct runtime_network **ret, size_t *ret_n,
		struct err *err)
{
	struct runtime *rt = guests->env->runtime;
	struct runtime_network *networks = NULL;
	size_t n = 0;
	int r = rt->ops->networks(rt, &networks, &n, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&guests->work);
	note_taken(guests, instance);
	r = take_all(guests, instance, networks, n, err);
	pthread_mutex_unlock(&guests->work);
	if (r < 0) {
		runtime_networks_free(networks, n);
		return r;
	}
	*ret = networks;
	*ret_n = n;
	return 0;
}

/* --- keeping --- */

/* Takes the address again if nobody has it. -EADDRINUSE: another has. */
static int confirm(const struct guests *guests, const struct consul_kvs *kvs, const char *address, const char *instance,
		   struct err *err)
{
	const struct consul_kv *kv = find(kvs, address);
	_cleanup_(freep) char *owner = kv ? owner_here(guests, kv) : NULL;
	_cleanup_err_ struct err why = ERR_INIT;
	int r;

	if (owner && !strcmp(owner, instance))
		return 0;
	r = kv ? -ESTALE : write_down(guests, address, instance, &why);
	if (r == -ESTALE)
		return err_set(
		    err, EADDRINUSE,
		    _("The address %s of %s was given to another node (%s), as Consul had lost its data; make "
		      "one of both anew"),
		    address, instance, kv ? kv->value : _("just now"));
	return r < 0 ? err_set(err, -r, "%s", err_text(&why)) : 0;
}

static int confirm_all(const struct guests *guests, const struct consul_kvs *kvs, const char *instance,
		       const char *addresses, struct err *err)
{
	_cleanup_(freep) char *list = xstrdup(addresses);
	char *rest = NULL;
	int r = 0;

	for (const char *one = list ? strtok_r(list, ",", &rest) : NULL; r == 0 && one;
	     one = strtok_r(NULL, ",", &rest))
		r = confirm(guests, kvs, one, instance, err);
	return r;
}

int guests_confirm(struct guests *guests, const char *instance, const char *addresses, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r;

	pthread_mutex_lock(&guests->work);
	note_taken(guests, instance);
	r = consul_kv_list(guests->env->consul, GUESTS_PREFIX, &kvs, NULL);
	/* Whoever has it, has it since before Consul went away: a node is not kept from running by that. */
	r = r < 0 ? 0 : confirm_all(guests, &kvs, instance, addresses, err);
	pthread_mutex_unlock(&guests->work);
	return r == -EADDRINUSE ? r : 0;
}

static bool exists(const struct guest *there, size_t n, const char *instance)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(there[i].instance, instance))
			return true;
	return false;
}

static int give_back(struct guests *guests, const struct consul_kv *kv, struct err *err)
{
	int r = consul_kv_delete_cas(guests->env->consul, kv->key, kv->modify_index, err);

	if (r == 0)
		log_info("The address %s is free again.", kv->key + strlen(GUESTS_PREFIX));
	return r == -ESTALE ? 0 : r;
}

static int level(struct guests *guests, const struct guest *there, size_t n, const struct strv *keep, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r = consul_kv_list(guests->env->consul, GUESTS_PREFIX, &kvs, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		_cleanup_err_ struct err why = ERR_INIT;

		r = confirm_all(guests, &kvs, there[i].instance, there[i].addresses, &why);
		if (r == -EADDRINUSE) {
			log_error("%s", err_text(&why));
			r = 0;
		} else if (r < 0)
			err_set(err, -r, "%s", err_text(&why));
	}
	for (size_t i = 0; r == 0 && i < kvs.n; i++) {
		_cleanup_(freep) char *owner = owner_here(guests, &kvs.v[i]);

		if (owner && !exists(there, n, owner) && !strv_has(keep, owner) && !has_taken(guests, owner))
			r = give_back(guests, &kvs.v[i], err);
	}
	return r;
}

int guests_level(struct guests *guests, const struct guest *there, size_t n, const struct strv *keep, struct err *err)
{
	int r;

	pthread_mutex_lock(&guests->work);
	r = level(guests, there, n, keep, err);
	pthread_mutex_unlock(&guests->work);
	return r;
}

int guests_forget_host(struct consul *consul, const char *host, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	int r = consul_kv_list(consul, GUESTS_PREFIX, &kvs, err);

	for (size_t i = 0; r == 0 && i < kvs.n; i++) {
		_cleanup_(freep) char *owner = owner_on(host, &kvs.v[i]);

		if (owner)
			r = consul_kv_delete_cas(consul, kvs.v[i].key, kvs.v[i].modify_index, err);
		if (r == -ESTALE)
			r = 0;
	}
	return r;
}
