/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/peers.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>

#include "agent/builder-lock.h"
#include "agent/peer-tls.h"
#include "agent/wish.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/text.h"
#include "image/fetch.h"
#include "model/canonical.h"

#define PREFIX "tepuy/image/"
/* For all of it: waiting for the host that makes it, fetching, making. */
#define MOST_MS ((int64_t)60 * 60 * 1000)
#define FETCH_MS ((int64_t)30 * 60 * 1000)
/* How long Consul holds an answer back while another host is at work: until it is done, but an agent that ends shall
 * not wait. */
#define WATCH_MS 5000
/* A lock that is refused though nobody has it is in the moment after its last holder's end. */
#define DELAY_MS 1000
/* How often a host that could not make it looks whether another one begins to. */
#define MOST_LOOKS 3
#define MOST_ASKED 8 /* hosts for one thing */
#define MOST_TRIES 3 /* of Consul, before this host goes on alone */

struct peers {
	struct consul *consul;
	struct image_store *store;
	char *host;
	bool machines; /* makes images only if nobody else does */
	struct http_tls tls;
	_Atomic bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct strv busy; /* names that a call of this process is at */
};

struct job;

/* How a kind of thing is had. */
struct thing {
	const char *what;
	bool follow; /* the cluster's counts more than one that this host has */
	int (*local)(struct job *job, char **ret_id, uint64_t *ret_size, struct err *err);
	int (*fetch)(struct job *job, const struct fetch *fetch, const char *id, uint64_t size, struct err *err);
	int (*build)(struct job *job, struct err *err); /* NULL: it cannot be made here */
};

struct job {
	struct peers *peers;
	const struct thing *thing;
	const char *name;
	const struct image_recipe *recipe;
	int log_fd;
	struct strv tried; /* hosts that could not give it */
	char *trouble;     /* why not, NULL: none was asked */
	bool told_wait;
	struct err failure; /* of making it here, when another host may do better */
	unsigned looks;     /* since then at which nobody was at it */
	int64_t deadline;
};

/* What Consul says of a name. */
struct view {
	struct consul_kvs kvs;
	char *id; /* the one that was there first, NULL: nobody has it */
	uint64_t size, created;
	struct strv hosts;       /* that have it, without this one and those that were tried */
	char *own;               /* the id that this host says to have */
	char *builder, *session; /* who makes it */
};

struct peers *peers_new(struct consul *consul, struct image_store *store, const char *host, bool machines,
			const char *tls_dir)
{
	struct peers *peers = xcalloc(1, sizeof(*peers));

	peers->consul = consul;
	peers->store = store;
	peers->host = xstrdup(host);
	peers->machines = machines;
	peer_tls_files(tls_dir, &peers->tls);
	pthread_mutex_init(&peers->lock, NULL);
	pthread_cond_init(&peers->freed, NULL);
	return peers;
}

void peers_stop(struct peers *peers)
{
	if (peers)
		peers->stopping = true;
}

void peers_free(struct peers *peers)
{
	if (!peers)
		return;
	pthread_mutex_destroy(&peers->lock);
	pthread_cond_destroy(&peers->freed);
	strv_release(&peers->busy);
	peer_tls_files_release(&peers->tls);
	free(peers->host);
	free(peers);
}

const struct http_tls *peers_tls(const struct peers *peers)
{
	return &peers->tls;
}

/* One call of this process at a time for a name; the others then find it in the store. */
static void claim(struct peers *peers, const char *name)
{
	pthread_mutex_lock(&peers->lock);
	while (strv_has(&peers->busy, name))
		pthread_cond_wait(&peers->freed, &peers->lock);
	strv_add(&peers->busy, name);
	pthread_mutex_unlock(&peers->lock);
}

static void unclaim(struct peers *peers, const char *name)
{
	struct strv rest = { 0 };

	pthread_mutex_lock(&peers->lock);
	for (size_t i = 0; i < peers->busy.n; i++)
		if (strcmp(peers->busy.v[i], name) != 0)
			strv_add(&rest, peers->busy.v[i]);
	strv_release(&peers->busy);
	peers->busy = rest;
	pthread_cond_broadcast(&peers->freed);
	pthread_mutex_unlock(&peers->lock);
}

/* To the agent's log and to the build's. */
static void say(void *data, bool trouble, const char *line)
{
	struct job *job = data;
	_cleanup_(freep) char *text = xasprintf("+ %s\n", line);

	if (trouble)
		log_warning("%s", line);
	else
		log_info("%s", line);
	if (job->log_fd >= 0)
		fs_write_all(job->log_fd, text, strlen(text));
}

/* --- what Consul says --- */

static char *have_key(const struct peers *peers, const char *name)
{
	return xasprintf(PREFIX "%s/have/%s", name, peers->host);
}

static char *have_value(const char *id, uint64_t size)
{
	_cleanup_json_ json_t *json = json_pack("{ss sI}", "id", id, "size", (json_int_t)size);

	return json_canonical(json);
}

/* `ret_id` is owned by the caller; NULL when the value says nothing. */
static char *read_have(const struct consul_kv *kv, uint64_t *ret_size)
{
	_cleanup_json_ json_t *json = json_loadb(kv->value, kv->len, 0, NULL);
	json_int_t size = json_integer_value(json_object_get(json, "size"));

	*ret_size = size > 0 ? (uint64_t)size : 0;
	return xstrdup(json_string_value(json_object_get(json, "id")));
}

static void view_release(struct view *view)
{
	consul_kvs_release(&view->kvs);
	free(view->id);
	strv_release(&view->hosts);
	free(view->own);
	free(view->builder);
	free(view->session);
	*view = (struct view){ 0 };
}

/* The first id that was told counts: should two hosts ever have made the same thing differently, all take one. */
static void take_oldest(struct view *view, const struct peers *peers, const char *prefix)
{
	for (size_t i = 0; i < view->kvs.n; i++) {
		const struct consul_kv *kv = &view->kvs.v[i];
		uint64_t size;
		char *id;

		if (!text_starts(kv->key, prefix) || !(id = read_have(kv, &size)))
			continue;
		if (!strcmp(kv->key + strlen(prefix), peers->host)) {
			free(view->own);
			view->own = xstrdup(id);
		}
		if (!view->id || kv->create_index < view->created) {
			free(view->id);
			view->id = TAKE_PTR(id);
			view->size = size;
			view->created = kv->create_index;
		}
		free(id);
	}
}

static void take_hosts(struct view *view, const struct job *job, const char *prefix)
{
	for (size_t i = 0; view->id && i < view->kvs.n; i++) {
		const struct consul_kv *kv = &view->kvs.v[i];
		_cleanup_(freep) char *id = NULL;
		const char *host = kv->key + strlen(prefix);
		uint64_t size;

		if (!text_starts(kv->key, prefix) || !strcmp(host, job->peers->host) || strv_has(&job->tried, host))
			continue;
		id = read_have(kv, &size);
		if (id && !strcmp(id, view->id))
			strv_add(&view->hosts, host);
	}
}

static void read_view(struct view *view, const struct job *job)
{
	_cleanup_(freep) char *have = xasprintf(PREFIX "%s/have/", job->name);
	_cleanup_(freep) char *builder = xasprintf(PREFIX "%s/builder", job->name);

	take_oldest(view, job->peers, have);
	take_hosts(view, job, have);
	for (size_t i = 0; i < view->kvs.n; i++)
		if (!strcmp(view->kvs.v[i].key, builder) && view->kvs.v[i].session) {
			view->builder = xstrdup(view->kvs.v[i].value);
			view->session = xstrdup(view->kvs.v[i].session);
		}
}

/* `wait_ms` 0: as it is now. A moment without a leader is waited out. */
static int look(const struct job *job, uint64_t index, int64_t wait_ms, struct view *ret, struct err *err)
{
	_cleanup_(freep) char *prefix = xasprintf(PREFIX "%s/", job->name);
	int r = 0;

	for (int tries = 0; tries < MOST_TRIES && !job->peers->stopping; tries++) {
		r = consul_kv_wait(job->peers->consul, prefix, wait_ms ? index : 0, wait_ms ? wait_ms : WATCH_MS,
				   &ret->kvs, err);
		if (r != -EAGAIN)
			break;
	}
	if (r == 0)
		read_view(ret, job);
	return r;
}

/* That this host has it, once it does. */
static void tell(const struct job *job, const struct view *view)
{
	_cleanup_(freep) char *id = NULL, *value = NULL, *key = have_key(job->peers, job->name);
	_cleanup_err_ struct err err = ERR_INIT;
	uint64_t size;

	if (job->thing->local((struct job *)job, &id, &size, NULL) < 0)
		return;
	if (view && view->own && !strcmp(view->own, id))
		return;
	value = have_value(id, size);
	if (consul_kv_put(job->peers->consul, key, value, strlen(value), &err) < 0)
		log_debug("The others are not told of the %s %.12s: %s", job->thing->what, job->name, err_text(&err));
}

/* --- having it --- */

static void remember(struct job *job, const char *why)
{
	free(job->trouble);
	job->trouble = xstrdup(why);
}

/* The hosts that have it and say where they can be asked, a few of them by chance. */
static size_t addresses(struct job *job, const struct view *view, struct fetch_peer *peers)
{
	size_t n = 0, first = view->hosts.n ? (size_t)clock_realtime_ms() % view->hosts.n : 0;

	for (size_t i = 0; i < view->hosts.n && n < MOST_ASKED; i++) {
		const char *host = view->hosts.v[(first + i) % view->hosts.n];
		_cleanup_(freep) char *key = xasprintf("tepuy/host/%s/info", host);
		_cleanup_consul_kv_ struct consul_kv kv = { 0 };
		_cleanup_json_ json_t *info = NULL;
		const char *base;

		strv_add(&job->tried, host); /* whatever comes of it */
		if (consul_kv_get(job->peers->consul, key, &kv, NULL) < 0)
			continue;
		info = json_loadb(kv.value, kv.len, 0, NULL);
		base = json_string_value(json_object_get(info, "peer"));
		if (base && text_starts(base, "https://"))
			peers[n++] = (struct fetch_peer){ xstrdup(host), xstrdup(base) };
	}
	return n;
}

static int fetch(struct job *job, const struct view *view, struct err *err)
{
	struct fetch_peer from[MOST_ASKED];
	struct fetch how = { .store = job->peers->store,
			     .tls = &job->peers->tls,
			     .peers = from,
			     .n_peers = addresses(job, view, from),
			     .deadline = clock_monotonic_ms() + FETCH_MS,
			     .stopping = &job->peers->stopping,
			     .tell = say,
			     .tell_data = job };
	int r = how.n_peers ? job->thing->fetch(job, &how, view->id, view->size, err)
			    : err_set(err, ENOENT, _("The hosts that have it do not say where they can be asked"));

	for (size_t i = 0; i < how.n_peers; i++) {
		free(from[i].name);
		free(from[i].base);
	}
	return r;
}

static int build(struct job *job, struct err *err)
{
	int r = job->thing->build(job, err);

	if (r < 0 && job->trouble)
		err_wrap(err, _("No other host could give it (%s), and it cannot be made here"), job->trouble);
	return r;
}

static bool is_here(struct job *job, char **ret_id)
{
	uint64_t size;

	return job->thing->local(job, ret_id, &size, NULL) == 0;
}

static int without_consul(struct job *job, const struct err *why, struct err *err)
{
	_cleanup_(freep) char *id = NULL, *line = NULL;

	if (is_here(job, &id))
		return 0;
	if (job->peers->stopping)
		return err_set(err, ECANCELED, _("The agent ends"));
	if (!job->thing->build)
		return err_set(err, why->code, _("The %s %.12s is not on this host, and nobody says who has it: %s"),
			       job->thing->what, job->name, err_text(why));
	line = xasprintf(_("Consul cannot say who has the %s %s; it is made here: %s"), job->thing->what, job->name,
			 err_text(why));
	say(job, true, line);
	return build(job, err);
}

/* 1: look again, as another one was faster. */
static int build_alone(struct job *job, int64_t *wait_ms, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf(PREFIX "%s/builder", job->name), *line = NULL;
	_cleanup_(builder_lock_freep) struct builder_lock *lock = NULL;
	_cleanup_(view_release) struct view view = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	int r = builder_lock_take(job->peers->consul, key, job->peers->host, &lock, &why);

	if (r == -ESTALE) {
		*wait_ms = DELAY_MS;
		return 1;
	}
	if (r == 0)
		r = look(job, 0, 0, &view, &why);
	if (r < 0)
		return without_consul(job, &why, err);
	if (view.hosts.n) { /* it was done just before */
		*wait_ms = 0;
		return 1;
	}
	line = xasprintf(_("this host makes the %s %s for the cluster"), job->thing->what, job->name);
	say(job, false, line);
	r = build(job, &job->failure);
	if (r == 0)
		tell(job, &view);
	/* No mirror, or one without that suite or package: the others that wait may have a better one. */
	if (r == -EHOSTUNREACH || r == -ENOENT) {
		*wait_ms = DELAY_MS;
		return 1;
	}
	return r < 0 ? err_set(err, -r, "%s", err_text(&job->failure)) : 0;
}

static int wait_for_builder(struct job *job, const struct view *view, int64_t *wait_ms)
{
	*wait_ms = WATCH_MS;
	if (!strcmp(view->builder, job->peers->host)) {
		/* An agent of this host that was killed: of this process there is but one at a name at a time. */
		consul_session_destroy(job->peers->consul, view->session, NULL);
		*wait_ms = DELAY_MS;
	} else if (!job->told_wait) {
		_cleanup_(freep) char *line =
		    xasprintf(_("waiting for %s, which makes the %s %s"), view->builder, job->thing->what, job->name);

		say(job, false, line);
		job->told_wait = true;
	}
	return 1;
}

/* It could not be made here: another host that needs it, too, may be able to. */
static int after_failure(struct job *job, const struct view *view, int64_t *wait_ms, struct err *err)
{
	if (view->builder) {
		job->looks = 0;
		return wait_for_builder(job, view, wait_ms);
	}
	if (++job->looks > MOST_LOOKS)
		return err_set(err, job->failure.code, "%s", err_text(&job->failure));
	*wait_ms = DELAY_MS;
	return 1;
}

/* 0: it is there; 1: look again after `*wait_ms`. */
static int act(struct job *job, const struct view *view, int64_t *wait_ms, struct err *err)
{
	_cleanup_(freep) char *id = NULL;
	bool here = is_here(job, &id);

	*wait_ms = 0;
	if (here && (!job->thing->follow || !view->id || !strcmp(view->id, id))) {
		tell(job, view);
		return 0;
	}
	if (view->hosts.n) {
		_cleanup_err_ struct err why = ERR_INIT;
		int r = fetch(job, view, &why);

		if (r == 0) {
			tell(job, view);
			return 0;
		}
		if (r == -ENOSPC || r == -ECANCELED)
			return err_set(err, -r, "%s", err_text(&why));
		say(job, true, err_text(&why));
		remember(job, err_text(&why));
		return 1;
	}
	if (here)
		return 0; /* the cluster's cannot be had now */
	if (!job->thing->build)
		return err_set(err, job->trouble ? EHOSTUNREACH : ENOENT,
			       _("No other host could give the %s %.12s: %s"), job->thing->what, job->name,
			       job->trouble ? job->trouble : _("none has it"));
	if (job->failure.code)
		return after_failure(job, view, wait_ms, err);
	return view->builder ? wait_for_builder(job, view, wait_ms) : build_alone(job, wait_ms, err);
}

static int obtain_claimed(struct job *job, struct err *err)
{
	uint64_t index = 0;
	int64_t wait_ms = 0;

	for (;;) {
		_cleanup_(view_release) struct view view = { 0 };
		_cleanup_err_ struct err why = ERR_INIT;
		int r;

		if (job->peers->stopping)
			return err_set(err, ECANCELED, _("The agent ends"));
		if (clock_monotonic_ms() >= job->deadline)
			return err_set(err, ETIMEDOUT, _("The %s %s took longer than it may"), job->thing->what,
				       job->name);
		r = look(job, index, wait_ms, &view, &why);
		if (r < 0)
			return without_consul(job, &why, err);
		index = view.kvs.index;
		r = act(job, &view, &wait_ms, err);
		if (r <= 0)
			return r;
	}
}

static int obtain(struct job *job, struct err *err)
{
	int r;

	claim(job->peers, job->name);
	job->deadline = clock_monotonic_ms() + MOST_MS;
	r = obtain_claimed(job, err);
	unclaim(job->peers, job->name);
	strv_release(&job->tried);
	free(job->trouble);
	err_release(&job->failure);
	return r;
}

/* --- bundles --- */

static int local_bundle(struct job *job, char **ret_id, uint64_t *ret_size, struct err *err)
{
	const char *sha256 = job->name + strlen("bundle-");

	if (!bundle_present(job->peers->store, sha256))
		return err_set(err, ENOENT, _("The bundle %.12s is not on this host"), sha256);
	*ret_id = xstrdup(sha256);
	*ret_size = 0;
	return 0;
}

static int get_bundle(struct job *job, const struct fetch *how, const char *id, uint64_t size, struct err *err)
{
	(void)id, (void)size;
	return fetch_bundle(how, job->name + strlen("bundle-"), err);
}

static const struct thing bundle = { .what = "bundle", .local = local_bundle, .fetch = get_bundle };

int peers_bundle(struct peers *peers, const char *sha256, struct err *err)
{
	_cleanup_(freep) char *name = share_bundle_name(sha256);
	struct job job = { .peers = peers, .thing = &bundle, .name = name, .log_fd = -1 };

	return obtain(&job, err);
}

void peers_tell_bundle(struct peers *peers, const char *sha256)
{
	_cleanup_(freep) char *name = share_bundle_name(sha256);
	struct job job = { .peers = peers, .thing = &bundle, .name = name, .log_fd = -1 };

	tell(&job, NULL);
}

/* --- bases --- */

static int local_base(struct job *job, char **ret_id, uint64_t *ret_size, struct err *err)
{
	struct image_base what = { job->recipe->suite, job->recipe->machine };

	return share_base(job->peers->store, &what, ret_id, ret_size, err);
}

static int get_base(struct job *job, const struct fetch *how, const char *id, uint64_t size, struct err *err)
{
	struct image_base what = { job->recipe->suite, job->recipe->machine };
	int r = fetch_layer(how, id, size, err);

	return r < 0 ? r : share_base_take(job->peers->store, &what, id, err);
}

static int make_base(struct job *job, struct err *err)
{
	return share_base_build(job->peers->store, job->recipe, job->log_fd, 0, err);
}

static const struct thing base = {
	.what = "base", .follow = true, .local = local_base, .fetch = get_base, .build = make_base
};

/* --- images --- */

static int local_image(struct job *job, char **ret_id, uint64_t *ret_size, struct err *err)
{
	*ret_size = 0;
	return share_image(job->peers->store, job->name, ret_id, err);
}

static int get_image(struct job *job, const struct fetch *how, const char *id, uint64_t size, struct err *err)
{
	(void)size;
	return fetch_image(how, job->name, id, job->recipe, err);
}

static int make_image(struct job *job, struct err *err)
{
	struct image image = { 0 };
	int r = image_build(job->peers->store, job->recipe, job->log_fd, 0, &image, err);

	image_release(&image);
	return r;
}

static const struct thing image = { .what = "image", .local = local_image, .fetch = get_image, .build = make_image };

/* What is below the recipe's own layer; what is no suite's each host has by itself. */
static int obtain_base(struct peers *peers, const struct image_recipe *recipe, int log_fd, struct err *err)
{
	struct image_base what = { recipe->suite, recipe->machine };
	_cleanup_(freep) char *name = recipe->suite ? share_base_name(&what) : NULL;
	struct job job = { .peers = peers, .thing = &base, .name = name, .recipe = recipe, .log_fd = log_fd };

	return name ? obtain(&job, err) : make_base(&job, err);
}

/* --- leaving it to others --- */

static bool others_have(const struct peers *peers, const char *name)
{
	_cleanup_(freep) char *prefix = xasprintf(PREFIX "%s/have/", name);
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };

	if (consul_kv_list(peers->consul, prefix, &kvs, NULL) < 0)
		return false;
	for (size_t i = 0; i < kvs.n; i++)
		if (strcmp(kvs.v[i].key + strlen(prefix), peers->host) != 0)
			return true;
	return false;
}

/* Whether nothing of the image needs to be made any more. Fetches the base on the way, as it is in the image's name. */
static bool to_be_had(struct peers *peers, const struct image_recipe *recipe, int log_fd)
{
	struct image_base what = { recipe->suite, recipe->machine };
	_cleanup_(freep) char *base_name = share_base_name(&what), *name = NULL, *id = NULL, *made = NULL;
	uint64_t size;

	if (share_base(peers->store, &what, &id, &size, NULL) < 0 && !others_have(peers, base_name))
		return false;
	if (obtain_base(peers, recipe, log_fd, NULL) < 0 || share_image_name(peers->store, recipe, &name, NULL) < 0)
		return false;
	return share_image(peers->store, name, &made, NULL) == 0 || others_have(peers, name);
}

/* Whatever comes of it, the image is then had in the usual way, which makes it here when it must be. */
static void leave_to_others(struct peers *peers, const struct image_recipe *recipe, int log_fd)
{
	struct job job = { .peers = peers, .log_fd = log_fd };
	struct wish_request request = { .consul = peers->consul,
					.host = peers->host,
					.bundle = recipe->bundle,
					.recipe = recipe->name,
					.stopping = &peers->stopping,
					.deadline = clock_monotonic_ms() + MOST_MS,
					.tell = say,
					.tell_data = &job };
	_cleanup_(wish_freep) struct wish *wish = NULL;
	_cleanup_err_ struct err err = ERR_INIT;
	int r = 0;

	if (!to_be_had(peers, recipe, log_fd))
		r = wish_new(&request, &wish, &err);
	while (r >= 0 && wish) {
		r = wish_wait(wish, &err);
		if (r <= 0 || to_be_had(peers, recipe, log_fd))
			break;
	}
	if (wish && r == 0 && !peers->stopping)
		say(&job, false, _("no other host makes the image; it is made here, on a host of machines"));
	if (r < 0)
		log_debug("No other host is asked to make the image of %s: %s", recipe->name, err_text(&err));
}

int peers_image(struct peers *peers, const struct image_recipe *recipe, int log_fd, struct err *err)
{
	_cleanup_(freep) char *name = NULL;
	int r;

	if (peers->machines && recipe->suite)
		leave_to_others(peers, recipe, log_fd);
	r = obtain_base(peers, recipe, log_fd, err);
	if (r == 0)
		r = share_image_name(peers->store, recipe, &name, err);
	if (r == 0) {
		struct job job = { .peers = peers, .thing = &image, .name = name, .recipe = recipe, .log_fd = log_fd };

		r = obtain(&job, err);
	}
	return r;
}

/* --- all of it --- */

/* The name in a key of this host, tepuy/image/<name>/have/<host>; NULL: it is none. The caller owns it. */
static char *name_of_own(const struct peers *peers, const char *key)
{
	_cleanup_(freep) char *end = xasprintf("/have/%s", peers->host);

	if (!text_starts(key, PREFIX) || !text_ends(key, end) || strlen(key) < strlen(PREFIX) + strlen(end))
		return NULL;
	return xstrndup(key + strlen(PREFIX), strlen(key) - strlen(PREFIX) - strlen(end));
}

static const struct share *find_share(const struct shares *shares, const char *name)
{
	for (size_t i = 0; i < shares->n; i++)
		if (!strcmp(shares->v[i].name, name))
			return &shares->v[i];
	return NULL;
}

int peers_level(struct peers *peers, struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	_cleanup_shares_ struct shares shares = { 0 };
	_cleanup_strv_ struct strv level = { 0 };
	/* Before the store: what comes into it and is told of meanwhile is not taken for gone. */
	int r = consul_kv_list(peers->consul, PREFIX, &kvs, err);

	if (r == 0)
		r = share_list(peers->store, &shares, err);
	for (size_t i = 0; r == 0 && i < kvs.n; i++) {
		_cleanup_(freep) char *name = name_of_own(peers, kvs.v[i].key), *id = NULL;
		const struct share *share = name ? find_share(&shares, name) : NULL;
		uint64_t size;

		id = read_have(&kvs.v[i], &size);
		if (share && id && !strcmp(id, share->id))
			strv_add(&level, name);
		else if (name && !share)
			r = consul_kv_delete_cas(peers->consul, kvs.v[i].key, kvs.v[i].modify_index, err);
		if (r == -ESTALE) /* told anew meanwhile */
			r = 0;
	}
	for (size_t i = 0; r == 0 && i < shares.n && !peers->stopping; i++) {
		_cleanup_(freep) char *key = have_key(peers, shares.v[i].name);
		_cleanup_(freep) char *value = have_value(shares.v[i].id, shares.v[i].size);

		if (!strv_has(&level, shares.v[i].name))
			r = consul_kv_put(peers->consul, key, value, strlen(value), err);
	}
	return r;
}
