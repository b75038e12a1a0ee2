/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "image/digest.h"
#include "image/store.h"
#include "image/untar.h"

#define STALL_MS 15000
#define SMALL_MS 20000 /* for a record */
/* Rounds over all hosts in which not one byte came. */
#define MOST_IDLE_ROUNDS 3
#define PAUSE_MS 1000
#define TOLD_BYTES ((uint64_t)64 << 20)
#define NOBODY SIZE_MAX        /* `from`: the part was there before */
#define SEVERAL (SIZE_MAX - 1) /* more than one host */

/* One thing on its way into the store. */
struct download {
	const struct fetch *fetch;
	const char *what, *sha256; /* "layer" */
	char *path, *part;         /* on the hosts; the partial file */
	uint64_t size, most;       /* size 0: not known */
	uint64_t total;            /* as the host at work says it, 0: it does not */
	uint64_t have, told;
	int fd;
	struct digest *digest; /* of what is there */
	size_t from;           /* the one host that all of it is from, or NOBODY, SEVERAL */
	size_t asked;          /* host at work */
	bool alone;            /* what several gave was wrong: nobody goes on with another's part */
	bool *refused;         /* hosts that do not have it or lied */
	int local;             /* positive errno: this host's own trouble, which no other host can mend */
};

static void tell(const struct fetch *fetch, bool trouble, const char *format, ...) _printf_(3, 4);

static void tell(const struct fetch *fetch, bool trouble, const char *format, ...)
{
	_cleanup_(freep) char *line = NULL;
	va_list ap;

	if (!fetch->tell)
		return;
	va_start(ap, format);
	line = xvasprintf(format, ap);
	va_end(ap);
	fetch->tell(fetch->tell_data, trouble, line);
}

static const char *peer_name(const struct download *d, size_t i)
{
	return d->fetch->peers[i].name;
}

/* Hosts in random order, so that many that want the same do not all ask the same one first. */
static size_t *shuffled(size_t n)
{
	size_t *order = xcalloc(n + 1, sizeof(*order));

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		uint32_t random = 0;
		size_t other, swap;

		if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
			random = (uint32_t)clock_monotonic_ms();
		other = random % i;
		swap = order[i - 1];
		order[i - 1] = order[other];
		order[other] = swap;
	}
	return order;
}

static int over(const struct fetch *fetch)
{
	if (fetch->stopping && *fetch->stopping)
		return -ECANCELED;
	return clock_monotonic_ms() >= fetch->deadline ? -ETIMEDOUT : 0;
}

static int over_error(int code, struct err *err)
{
	if (code == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, _("It took longer than it may"));
	return err_set(err, ECANCELED, _("The agent ends; it goes on with what came when it is back"));
}

/* Ends early when the agent ends. */
static void pause_ms(const struct fetch *fetch, int64_t ms)
{
	int64_t until = clock_monotonic_ms() + ms;

	while (over(fetch) == 0 && clock_monotonic_ms() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
}

/* --- the partial file --- */

static int local_trouble(struct download *d, int code)
{
	d->local = code;
	return -code;
}

static int start_over(struct download *d)
{
	digest_free(d->digest);
	d->digest = digest_new();
	d->have = d->told = 0;
	d->from = NOBODY;
	if (ftruncate(d->fd, 0) < 0 || lseek(d->fd, 0, SEEK_SET) < 0)
		return local_trouble(d, errno);
	return 0;
}

/* What an earlier try left, as far as it can be believed: its hash decides in the end. */
static int open_part(struct download *d, struct err *err)
{
	char chunk[65536];
	ssize_t n;

	d->fd = open(d->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->fd < 0)
		return store_write_error(d->fetch->store, errno, d->part, err);
	d->digest = digest_new();
	d->from = NOBODY;
	while ((n = read(d->fd, chunk, sizeof(chunk))) > 0) {
		digest_add(d->digest, chunk, (size_t)n);
		d->have += (uint64_t)n;
	}
	if (n < 0 || d->have > d->most || (d->size && d->have > d->size))
		n = start_over(d);
	return n < 0 ? store_write_error(d->fetch->store, (int)-n, d->part, err) : 0;
}

/* --- one host --- */

static int on_head(void *data, int status, const struct http_part *part)
{
	struct download *d = data;
	int r = 0;

	(void)status;
	if (part->from != d->have) {
		if (part->from != 0)
			return -EBADMSG;
		r = start_over(d); /* it gives no parts */
	}
	if (r == 0 && part->total != HTTP_TOTAL_UNKNOWN) {
		if (part->total > d->most)
			return -EFBIG;
		if (d->size && part->total != d->size)
			return -EBADMSG;
		d->total = part->total;
	}
	if (d->have && d->from != d->asked)
		d->from = SEVERAL;
	else
		d->from = d->asked;
	return r;
}

static int on_bytes(void *data, const char *bytes, size_t len)
{
	struct download *d = data;
	int r = over(d->fetch);

	if (r < 0)
		return r;
	if (len > (d->total ? d->total : d->most) - d->have)
		return -EFBIG;
	r = fs_write_all(d->fd, bytes, len);
	if (r < 0)
		return local_trouble(d, -r);
	digest_add(d->digest, bytes, len);
	d->have += len;
	if (d->have - d->told >= TOLD_BYTES) {
		d->told = d->have;
		tell(d->fetch, false, _("fetching %s %.12s from %s: %" PRIu64 " of %" PRIu64 " MiB"), d->what,
		     d->sha256, peer_name(d, d->asked), d->have >> 20, d->total >> 20);
	}
	return 0;
}

static int status_error(const struct download *d, int status, struct err *err)
{
	if (status == 404)
		return err_set(err, ENOENT, _("The host %s does not have the %s %.12s"), peer_name(d, d->asked),
			       d->what, d->sha256);
	return err_set(err, EPROTO, _("The host %s answers %d when it is asked for the %s %.12s"),
		       peer_name(d, d->asked), status, d->what, d->sha256);
}

/* 1: all has come that is to come. */
static int transfer(struct download *d, struct err *err)
{
	const struct fetch_peer *peer = &d->fetch->peers[d->asked];
	_cleanup_(http_freep) struct http *http = http_new(peer->base, NULL);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "GET",
					.path = d->path,
					.timeout_ms = -1,
					.stall_ms = STALL_MS,
					.most = 65536,
					.from = d->have,
					.head = on_head,
					.sink = on_bytes,
					.sink_data = d };
	int r;

	d->total = d->size;
	if (d->fetch->tls)
		http_set_tls(http, d->fetch->tls); /* read anew: they may have been renewed */
	tell(d->fetch, false, _("fetching %s %.12s from %s, from byte %" PRIu64 " on"), d->what, d->sha256, peer->name,
	     d->have);
	r = http_request(http, &request, &reply, err);
	if (r < 0)
		return err_wrap(err, _("From the host %s"), peer->name);
	if (reply.status == 416) /* its thing is shorter than our part: one of the two is wrong */
		return start_over(d) < 0 ? -d->local
					 : err_set(err, EAGAIN, _("The part of %.12s is too long"), d->sha256);
	if (reply.status / 100 != 2)
		return status_error(d, reply.status, err);
	return 1;
}

static bool whole(const struct download *d)
{
	return d->size && d->have == d->size;
}

/* All bytes are there: 0 when they are the right ones. */
static int verify(struct download *d, struct err *err)
{
	_cleanup_(freep) char *is = digest_hex(d->digest);
	size_t from = d->from;

	if (strcmp(is, d->sha256) == 0)
		return 0;
	if (start_over(d) < 0)
		return -d->local;
	if (from != NOBODY && from != SEVERAL) {
		d->refused[from] = true;
		tell(d->fetch, true,
		     _("%s gave wrong bytes for the %s %.12s (they are %.12s); they are thrown away and "
		       "it is not asked again"),
		     peer_name(d, from), d->what, d->sha256, is);
	} else {
		d->alone = true;
		tell(d->fetch, true,
		     _("what was put together for the %s %.12s is wrong; it is fetched anew from one host"), d->what,
		     d->sha256);
	}
	return err_set(err, EBADMSG, _("What came for the %s %.12s is something else"), d->what, d->sha256);
}

static int ask(struct download *d, size_t i, struct err *err)
{
	int r = 0;

	d->asked = i;
	if (d->alone && d->have && d->from != i && start_over(d) < 0)
		return -d->local;
	if (!whole(d))
		r = transfer(d, err);
	if (r >= 0 && d->total && d->have != d->total)
		return err_set(err, ECONNRESET, _("The host %s gave less than it said"), peer_name(d, i));
	if (r < 0) {
		d->refused[i] = r == -ENOENT || r == -EBADMSG || r == -EFBIG;
		return r;
	}
	return verify(d, err);
}

/* One round over all hosts; 1: go on with another one. */
static int round_of_hosts(struct download *d, bool *ret_progress, struct err *err)
{
	size_t n = d->fetch->n_peers, asked = 0;
	_cleanup_(freep) size_t *order = shuffled(n);

	*ret_progress = false;
	for (size_t k = 0; k < n; k++) {
		_cleanup_err_ struct err why = ERR_INIT;
		uint64_t before = d->have;
		int r = over(d->fetch);

		if (r < 0)
			return over_error(r, err);
		if (d->refused[order[k]])
			continue;
		asked++;
		r = ask(d, order[k], &why);
		if (r == 0)
			return 0;
		if (d->local)
			return store_write_error(d->fetch->store, d->local, d->part, err);
		*ret_progress |= d->have > before || r == -EBADMSG; /* then there is one host less to ask */
		tell(d->fetch, r != -ENOENT && r != -ECANCELED, "%s", err_text(&why));
		err_set(err, -r, "%s", err_text(&why));
	}
	return asked ? 1 : -ENOENT;
}

static int rounds(struct download *d, struct err *err)
{
	unsigned idle = 0;

	while (idle < MOST_IDLE_ROUNDS) {
		bool progress;
		int r = round_of_hosts(d, &progress, err);

		if (r <= 0)
			return r;
		idle = progress ? 0 : idle + 1;
		if (idle && idle < MOST_IDLE_ROUNDS)
			pause_ms(d->fetch, PAUSE_MS << idle);
	}
	return -EHOSTUNREACH;
}

static int run(struct download *d, struct err *err)
{
	_cleanup_err_ struct err last = ERR_INIT;
	int r = open_part(d, err);

	if (r < 0)
		return r;
	if (whole(d)) { /* a predecessor was ended just before it looked */
		_cleanup_err_ struct err why = ERR_INIT;

		if (verify(d, &why) == 0)
			return 0;
	}
	r = rounds(d, &last);
	if (r == 0)
		return 0;
	if (!last.code)
		return err_set(err, ENOENT, _("No other host has the %s %.12s"), d->what, d->sha256);
	return err_set(err, last.code, _("The %s %.12s cannot be fetched: %s"), d->what, d->sha256, err_text(&last));
}

static void download_init(struct download *d, const struct fetch *fetch, const char *what, const char *sha256)
{
	_cleanup_(freep) char *name = xasprintf("fetch-%s.part", sha256);

	*d = (struct download){ .fetch = fetch, .what = what, .sha256 = sha256, .fd = -1 };
	d->part = store_path(fetch->store, "build", name);
	d->refused = xcalloc(fetch->n_peers + 1, sizeof(*d->refused));
}

static void download_release(struct download *d)
{
	closep(&d->fd);
	digest_free(d->digest);
	free(d->path);
	free(d->part);
	free(d->refused);
}

/* Two that want the same: one fetches, the other waits. */
static int fetch_lock(const struct fetch *fetch, const char *sha256, struct err *err)
{
	_cleanup_(freep) char *key = xasprintf("fetch-%s", sha256);

	return store_build_lock(fetch->store, key, true, err);
}

static bool layer_present(const struct fetch *fetch, const char *sha256)
{
	struct image_layer layer = { 0 };
	int r = store_layer(fetch->store, sha256, &layer);

	image_layer_release(&layer);
	return r == 0;
}

/* The store's lock is held. */
static int take_layer(const struct fetch *fetch, const char *sha256, uint64_t size, struct err *err)
{
	_cleanup_(closep) int lock = fetch_lock(fetch, sha256, err);
	_cleanup_(download_release) struct download d = { .fd = -1 };
	struct image_layer layer = { 0 };
	int r;

	if (lock < 0)
		return lock;
	if (layer_present(fetch, sha256))
		return 0;
	download_init(&d, fetch, "layer", sha256);
	d.path = xasprintf("/v1/layer/%s", sha256);
	d.size = size;
	d.most = size ? size : SHARE_MOST_LAYER;
	r = run(&d, err);
	if (r == 0)
		r = store_adopt_layer(fetch->store, d.part, sha256, &layer, err);
	image_layer_release(&layer);
	return r;
}

int fetch_layer(const struct fetch *fetch, const char *sha256, uint64_t size, struct err *err)
{
	_cleanup_(closep) int lock = -1;

	if (!digest_valid(sha256))
		return err_set(err, EINVAL, _("'%.80s' is no sha256"), sha256 ? sha256 : "");
	lock = store_lock(fetch->store, STORE_SHARED, err);
	return lock < 0 ? lock : take_layer(fetch, sha256, size, err);
}

int fetch_bundle(const struct fetch *fetch, const char *sha256, struct err *err)
{
	_cleanup_(download_release) struct download d = { .fd = -1 };
	_cleanup_(closep) int lock = -1, own = -1;
	_cleanup_buf_ struct buf tar = { 0 };
	int r;

	if (!digest_valid(sha256))
		return err_set(err, EINVAL, _("'%.80s' is no sha256"), sha256 ? sha256 : "");
	lock = store_lock(fetch->store, STORE_SHARED, err);
	own = lock < 0 ? lock : fetch_lock(fetch, sha256, err);
	if (own < 0)
		return own;
	if (bundle_present(fetch->store, sha256))
		return 0;
	download_init(&d, fetch, "bundle", sha256);
	d.path = xasprintf("/v1/bundle/%s", sha256);
	d.most = UNTAR_MOST_BYTES;
	r = run(&d, err);
	if (r == 0)
		r = fs_read(d.part, UNTAR_MOST_BYTES, &tar, err);
	if (r == 0)
		r = bundle_store(fetch->store, sha256, buf_text(&tar), tar.len, err);
	if (r == 0)
		unlink(d.part);
	return r;
}

/* --- images --- */

/* The record from one host, whose layers must come to `id`. */
static int ask_record(const struct fetch *fetch, const struct fetch_peer *peer, const char *name, const char *id,
		      struct share_record *ret, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/v1/image/%s", name);
	_cleanup_(http_freep) struct http *http = http_new(peer->base, NULL);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	_cleanup_share_record_ struct share_record record = { 0 };
	struct http_request request = {
		.method = "GET", .path = path, .timeout_ms = SMALL_MS, .most = SHARE_MOST_RECORD
	};
	int r;

	if (fetch->tls)
		http_set_tls(http, fetch->tls);
	r = http_request(http, &request, &reply, err);
	if (r < 0)
		return err_wrap(err, _("From the host %s"), peer->name);
	if (reply.status != 200)
		return err_set(err, reply.status == 404 ? ENOENT : EPROTO,
			       _("The host %s answers %d when it is asked for the image %.12s"), peer->name,
			       reply.status, name);
	r = share_record_parse(buf_text(&reply.body), reply.body.len, &record, err);
	if (r == 0 && strcmp(record.id, id) != 0)
		r = err_set(err, EBADMSG, _("Its layers are not those that Consul says"));
	if (r < 0)
		return err_wrap(err, _("The host %s gave a wrong list of layers for the image %.12s"), peer->name,
				name);
	*ret = record;
	record = (struct share_record){ 0 };
	return 0;
}

static int find_record(const struct fetch *fetch, const char *name, const char *id, struct share_record *ret,
		       struct err *err)
{
	_cleanup_(freep) size_t *order = shuffled(fetch->n_peers);
	int r = err_set(err, ENOENT, _("No other host has the image %.12s"), name);

	for (size_t k = 0; r < 0 && k < fetch->n_peers; k++) {
		_cleanup_err_ struct err why = ERR_INIT;

		if (over(fetch) < 0)
			return over_error(over(fetch), err);
		r = ask_record(fetch, &fetch->peers[order[k]], name, id, ret, &why);
		if (r < 0) {
			tell(fetch, r != -ENOENT, "%s", err_text(&why));
			err_set(err, -r, "%s", err_text(&why));
		}
	}
	if (r == 0)
		err_release(err);
	return r;
}

int fetch_image(const struct fetch *fetch, const char *name, const char *id, const struct image_recipe *recipe,
		struct err *err)
{
	_cleanup_share_record_ struct share_record record = { 0 };
	_cleanup_err_ struct err why = ERR_INIT;
	_cleanup_(closep) int lock = store_lock(fetch->store, STORE_SHARED, err);
	int r;

	if (lock < 0)
		return lock;
	r = find_record(fetch, name, id, &record, &why);
	if (r < 0)
		return err_set(err, -r, "%s", err_text(&why));
	for (size_t i = 0; r == 0 && i < record.n_layers; i++)
		r = take_layer(fetch, record.layers[i].sha256, record.layers[i].size, err);
	return r < 0 ? r : share_image_take(fetch->store, name, recipe, &record, err);
}
