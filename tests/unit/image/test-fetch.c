/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Taking things over from other hosts that break off, lie, or have nothing. The hosts are threads of this program. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"
#include "image/base.h"
#include "image/digest.h"
#include "image/fetch.h"
#include "image/record.h"
#include "scratch.h"

#define SIZE ((size_t)300000)
#define MOST_ASKED 16

/* Another host, and what is wrong with it. */
struct host {
	const char *content;
	size_t size;
	size_t cut;      /* closes after so many bytes of a body, once; 0: never */
	bool cut_always; /* not only once */
	bool whole;      /* knows no Range */
	bool empty;      /* answers 404 */
	bool shifted;    /* says another part than it was asked for */
	bool chatty;     /* sends more than it said */
	pthread_t thread;
	int fd;
	size_t asked[MOST_ASKED]; /* from which byte, each time */
	unsigned n_asked;
};

struct fixture {
	char *dir;
	struct image_store *store;
	char *content, *wrong, *sha256;
	struct host hosts[3];
	size_t n;
	struct buf told;
	_Atomic bool stopping;
};

static void send_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n)
		if ((n = send(fd, p, len, MSG_NOSIGNAL)) <= 0)
			return;
}

static void give(struct host *host, int fd, size_t from)
{
	size_t size = host->size, len = size - from, most = len;
	_cleanup_(freep) char *head = NULL;

	if (host->empty)
		head = xstrdup("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	else if (from >= size && size)
		head = xstrdup("HTTP/1.1 416 Beyond\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	else if (from)
		head = xasprintf("HTTP/1.1 206 Part\r\nContent-Length: %zu\r\nContent-Range: bytes %zu-%zu/%zu\r\n"
				 "Connection: close\r\n\r\n",
				 len, from - host->shifted, size - 1, size);
	else if (host->chatty)
		head = xstrdup("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	else
		head = xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", len);
	send_all(fd, head, strlen(head));
	if (host->empty || (from >= size && size))
		return;
	if (host->cut && host->cut < len) {
		most = host->cut;
		if (!host->cut_always)
			host->cut = 0;
	}
	send_all(fd, host->content + from, most);
	if (host->chatty)
		send_all(fd, host->content, size);
}

static void serve(struct host *host, int fd)
{
	char request[8192], *range;
	size_t len = 0, from = 0;
	ssize_t n;

	do {
		n = recv(fd, request + len, sizeof(request) - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
		request[len] = '\0';
	} while (n > 0 && len < sizeof(request) - 1 && !strstr(request, "\r\n\r\n"));
	range = strstr(request, "Range: bytes=");
	if (range)
		from = strtoul(range + strlen("Range: bytes="), NULL, 10);
	if (host->n_asked < MOST_ASKED)
		host->asked[host->n_asked++] = from;
	give(host, fd, host->whole ? 0 : from);
	shutdown(fd, SHUT_WR);
	while (recv(fd, request, sizeof(request), 0) > 0)
		;
}

static void *run_host(void *data)
{
	struct host *host = data;
	int fd;

	while ((fd = accept(host->fd, NULL, NULL)) >= 0) {
		serve(host, fd);
		close(fd);
	}
	return NULL;
}

static char *host_start(struct host *host)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	host->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(host->fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(host->fd, 16), 0);
	assert_int_equal(getsockname(host->fd, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(pthread_create(&host->thread, NULL, run_host, host), 0);
	return xasprintf("http://127.0.0.1:%d", ntohs(address.sin_port));
}

static void host_stop(struct host *host)
{
	shutdown(host->fd, SHUT_RDWR);
	pthread_join(host->thread, NULL);
	close(host->fd);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_cleanup_(freep) char *root = NULL;

	signal(SIGPIPE, SIG_IGN);
	if (scratch_setup((void **)&f->dir) < 0)
		return -1;
	root = fs_join(f->dir, "store");
	f->content = xmalloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		f->content[i] = (char)(i * 7 + i / 251);
	f->sha256 = digest_of(f->content, SIZE);
	f->wrong = xmalloc(SIZE);
	memcpy(f->wrong, f->content, SIZE);
	f->wrong[1] = (char)~f->wrong[1];
	*state = f;
	return image_store_open(root, &f->store, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	image_store_free(f->store);
	free(f->content);
	free(f->wrong);
	free(f->sha256);
	buf_release(&f->told);
	r = scratch_teardown((void **)&f->dir);
	free(f);
	return r;
}

static void keep_told(void *data, bool trouble, const char *line)
{
	struct fixture *f = data;

	buf_printf(&f->told, "%s%s\n", trouble ? "! " : "", line);
}

/* Asks the fixture's first `f->n` hosts for what `sha256` names. */
static int fetch_from(struct fixture *f, int (*how)(const struct fetch *fetch, struct fixture *f, struct err *err),
		      struct err *err)
{
	static const char *const names[] = { "srv1", "srv2", "srv3" };
	struct fetch_peer peers[3];
	struct fetch fetch = { .store = f->store,
			       .peers = peers,
			       .n_peers = f->n,
			       .deadline = clock_monotonic_ms() + 60000,
			       .stopping = &f->stopping,
			       .tell = keep_told,
			       .tell_data = f };
	int r;

	for (size_t i = 0; i < f->n; i++)
		peers[i] = (struct fetch_peer){ (char *)names[i], host_start(&f->hosts[i]) };
	r = how(&fetch, f, err);
	for (size_t i = 0; i < f->n; i++) {
		host_stop(&f->hosts[i]);
		free(peers[i].base);
	}
	return r;
}

static int the_layer(const struct fetch *fetch, struct fixture *f, struct err *err)
{
	return fetch_layer(fetch, f->sha256, SIZE, err);
}

static int the_layer_of_unknown_size(const struct fetch *fetch, struct fixture *f, struct err *err)
{
	return fetch_layer(fetch, f->sha256, 0, err);
}

static char *part_path(const struct fixture *f)
{
	return xasprintf("%s/store/build/fetch-%s.part", f->dir, f->sha256);
}

static void put_part(const struct fixture *f, const char *content, size_t len)
{
	_cleanup_(freep) char *path = part_path(f);

	assert_int_equal(fs_write(path, content, len, 0600, NULL), 0);
}

static void assert_there(const struct fixture *f)
{
	_cleanup_(freep) char *path = xasprintf("%s/store/layers/%s.tar", f->dir, f->sha256), *is = NULL;
	_cleanup_(freep) char *part = part_path(f);

	assert_int_equal(digest_of_file(path, &is, NULL), 0);
	assert_string_equal(is, f->sha256);
	assert_int_not_equal(access(part, F_OK), 0);
}

static void assert_not_there(const struct fixture *f)
{
	_cleanup_(freep) char *path = xasprintf("%s/store/layers/%s.tar", f->dir, f->sha256);

	assert_int_not_equal(access(path, F_OK), 0);
}

static struct host good(const struct fixture *f)
{
	return (struct host){ .content = f->content, .size = SIZE };
}

static struct host lying(const struct fixture *f)
{
	return (struct host){ .content = f->wrong, .size = SIZE };
}

static void test_one_host(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[0].n_asked, 1);
}

static void test_size_unknown(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer_of_unknown_size, NULL), 0);
	assert_there(f);
}

static void test_what_is_there_is_not_asked_for(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	f->hosts[0].n_asked = 0;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_int_equal(f->hosts[0].n_asked, 0);
}

static void test_cut_link_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->hosts[0].cut = SIZE / 2;
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[0].n_asked, 2);
	assert_int_equal(f->hosts[0].asked[1], SIZE / 2);
}

static void test_cut_link_goes_on_with_another_host(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = f->hosts[1] = good(f);
	f->hosts[0].cut = f->hosts[1].cut = SIZE / 2 + 1;
	f->n = 2;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[0].n_asked, 1);
	assert_int_equal(f->hosts[1].n_asked, 1);
	assert_int_equal(f->hosts[0].asked[0] + f->hosts[1].asked[0], SIZE / 2 + 1);
}

static void test_every_link_is_cut_again_and_again(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->hosts[0].cut = SIZE / 7;
	f->hosts[0].cut_always = true;
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
}

static void test_part_of_an_earlier_agent(void **state)
{
	struct fixture *f = *state;

	put_part(f, f->content, 1000);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[0].n_asked, 1);
	assert_int_equal(f->hosts[0].asked[0], 1000);
}

static void test_whole_of_an_earlier_agent(void **state)
{
	struct fixture *f = *state;

	put_part(f, f->content, SIZE);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[0].n_asked, 0);
}

static void test_wrong_part_of_an_earlier_agent(void **state)
{
	struct fixture *f = *state;

	put_part(f, f->wrong, 1000);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[0].n_asked, 2);
	assert_int_equal(f->hosts[0].asked[1], 0);
	assert_null(strstr(buf_text(&f->told), "srv1 gave wrong bytes")); /* it did not */
}

static void test_part_that_is_too_long(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *longer = xcalloc(1, SIZE + 1);

	put_part(f, longer, SIZE + 1);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
}

static void test_part_that_is_too_long_for_an_unknown_size(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *longer = xcalloc(1, SIZE + 1);

	put_part(f, longer, SIZE + 1);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer_of_unknown_size, NULL), 0);
	assert_there(f);
}

static void test_wrong_bytes_are_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_err_ struct err err = ERR_INIT;

	f->hosts[0] = lying(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, &err), -EBADMSG);
	assert_not_there(f);
	assert_int_equal(f->hosts[0].n_asked, 1); /* and not asked again */
	assert_non_null(strstr(buf_text(&f->told), "! srv1 gave wrong bytes"));
}

static void test_after_a_liar_the_next_one_is_asked(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = f->hosts[1] = lying(f);
	f->hosts[2] = good(f);
	f->n = 3;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
	assert_int_equal(f->hosts[2].n_asked, 1);
	assert_int_equal(f->hosts[2].asked[0], 0);
}

/* The liar's half is in front: it takes one more try to find out who is to blame, but nothing wrong gets in. */
static void test_half_of_it_from_a_liar(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = lying(f);
	f->hosts[0].cut = SIZE / 2;
	f->hosts[0].cut_always = true;
	f->hosts[1] = good(f);
	f->hosts[1].cut = SIZE - 1;
	f->n = 2;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
}

static void test_liar_about_the_size(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->hosts[0].size = SIZE - 1;
	f->hosts[1] = good(f);
	f->n = 2;
	assert_int_equal(fetch_from(f, the_layer_of_unknown_size, NULL), 0);
	assert_there(f);
}

static void test_more_than_was_said(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = lying(f);
	f->hosts[0].chatty = true;
	f->hosts[1] = good(f);
	f->n = 2;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
}

static void test_host_without_parts(void **state)
{
	struct fixture *f = *state;

	put_part(f, f->content, 1000);
	f->hosts[0] = good(f);
	f->hosts[0].whole = true;
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_there(f);
}

static void test_host_that_gives_another_part(void **state)
{
	struct fixture *f = *state;

	put_part(f, f->content, 1000);
	f->hosts[0] = good(f);
	f->hosts[0].shifted = true;
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), -EBADMSG);
	assert_not_there(f);
}

static void test_nobody_has_it(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = f->hosts[1] = (struct host){ .empty = true };
	f->n = 2;
	assert_int_equal(fetch_from(f, the_layer, NULL), -ENOENT);
	assert_int_equal(f->hosts[0].n_asked, 1);
	assert_null(strchr(buf_text(&f->told), '!')); /* no trouble to look after */
}

static void test_no_hosts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fetch_from(f, the_layer, NULL), -ENOENT);
}

static void test_told_to_stop(void **state)
{
	struct fixture *f = *state;

	f->hosts[0] = good(f);
	f->n = 1;
	f->stopping = true;
	assert_int_equal(fetch_from(f, the_layer, NULL), -ECANCELED);
	assert_int_equal(f->hosts[0].n_asked, 0);
}

static int a_bad_name(const struct fetch *fetch, struct fixture *f, struct err *err)
{
	(void)f;
	return fetch_layer(fetch, "../../etc/passwd", 0, err);
}

static void test_bad_name(void **state)
{
	assert_int_equal(fetch_from(*state, a_bad_name, NULL), -EINVAL);
}

/* --- bundles --- */

static int the_bundle(const struct fetch *fetch, struct fixture *f, struct err *err)
{
	return fetch_bundle(fetch, f->sha256, err);
}

/* A bundle as the fixture's content. */
static void make_bundle(struct fixture *f, struct buf *tar)
{
	_cleanup_(freep) char *recipe = fs_join(f->dir, "recipe");

	scratch_directory(f->dir, "recipe", 0755);
	scratch_file(f->dir, "recipe/recipe.yaml", "recipe: web\n", 0644);
	free(f->sha256);
	f->sha256 = NULL;
	assert_int_equal(bundle_pack(recipe, tar, &f->sha256, NULL), 0);
}

static void test_bundle(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf tar = { 0 };

	make_bundle(f, &tar);
	f->hosts[0] = (struct host){ .content = tar.data, .size = tar.len, .cut = 700 };
	f->n = 1;
	assert_int_equal(fetch_from(f, the_bundle, NULL), 0);
	assert_true(bundle_present(f->store, f->sha256));
	assert_int_equal(f->hosts[0].asked[1], 700);
}

static void test_bundle_is_given_as_it_was_taken(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf tar = { 0 };
	_cleanup_(closep) int fd = -1;
	_cleanup_(freep) char *given = NULL;
	uint64_t size;

	make_bundle(f, &tar);
	assert_int_equal(bundle_store(f->store, f->sha256, tar.data, tar.len, NULL), 0);
	assert_int_equal(share_open(f->store, SHARE_BUNDLE, f->sha256, &fd, &size, NULL), 0);
	assert_int_equal(size, tar.len);
	given = xmalloc(size);
	assert_int_equal(pread(fd, given, size, 0), size);
	assert_memory_equal(given, tar.data, size);
}

static void test_bundle_that_was_changed_is_not_given(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf tar = { 0 };
	_cleanup_(freep) char *file = NULL;
	uint64_t size;
	int fd;

	make_bundle(f, &tar);
	assert_int_equal(bundle_store(f->store, f->sha256, tar.data, tar.len, NULL), 0);
	file = xasprintf("store/bundles/%s/recipe.yaml", f->sha256);
	scratch_file(f->dir, file, "recipe: evil\n", 0644);
	assert_int_equal(share_open(f->store, SHARE_BUNDLE, f->sha256, &fd, &size, NULL), -ENOENT);
}

static void test_names_that_leave_the_store_are_refused(void **state)
{
	static const char *const names[] = { "", "..", "../layers/x", "/etc/passwd", "ABCDEF" };
	struct fixture *f = *state;
	uint64_t size;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (int kind = SHARE_LAYER; kind <= SHARE_IMAGE; kind++)
			assert_int_equal(share_open(f->store, (enum share_kind)kind, names[i], &fd, &size, NULL),
					 -EINVAL);
}

/* --- images --- */

/* The record of an image of the fixture's one layer; the caller owns it. */
static char *record_of(struct fixture *f, char **ret_id)
{
	struct image_layer layer = { .sha256 = f->sha256, .size = SIZE };
	struct image image = { .architecture = (char *)"amd64", .layers = &layer, .n_layers = 1 };

	*ret_id = image_id(&image);
	return xasprintf("{\"id\":\"%s\",\"architecture\":\"amd64\",\"base\":1,\"layers\":[{\"sha256\":\"%s\",\"size\":"
			 "%zu}]}",
			 *ret_id, f->sha256, SIZE);
}

static void test_record(void **state)
{
	struct fixture *f = *state;
	_cleanup_share_record_ struct share_record record = { 0 };
	_cleanup_(freep) char *id = NULL, *text = record_of(f, &id);

	assert_int_equal(share_record_parse(text, strlen(text), &record, NULL), 0);
	assert_string_equal(record.id, id);
	assert_int_equal(record.n_layers, 1);
	assert_int_equal(record.layers[0].size, SIZE);
}

static void test_record_with_another_layer(void **state)
{
	struct fixture *f = *state;
	struct share_record record = { 0 };
	_cleanup_(freep) char *id = NULL, *text = record_of(f, &id);
	char *layer = strstr(text, f->sha256);

	layer[0] = layer[0] == '0' ? '1' : '0';
	assert_int_equal(share_record_parse(text, strlen(text), &record, NULL), -EBADMSG);
}

static void test_records_that_are_none(void **state)
{
	static const char *const texts[] = { "",
					     "[]",
					     "{}",
					     "{\"id\":1}",
					     "{\"id\":\"x\",\"architecture\":\"amd64\",\"layers\":[]}",
					     "{\"layers\":[{\"sha256\":\"../x\",\"size\":1}]}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct share_record record = { 0 };

		assert_int_equal(share_record_parse(texts[i], strlen(texts[i]), &record, NULL), -EBADMSG);
	}
}

static void test_image_of_what_is_there(void **state)
{
	struct fixture *f = *state;
	_cleanup_share_record_ struct share_record record = { 0 };
	_cleanup_(freep) char *id = NULL, *text = record_of(f, &id), *is = NULL;
	struct image_recipe recipe = { .name = "web", .bundle = f->sha256 };

	assert_int_equal(share_record_parse(text, strlen(text), &record, NULL), 0);
	assert_int_equal(share_image_take(f->store, f->sha256, &recipe, &record, NULL), -ENOENT);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_int_equal(share_image_take(f->store, f->sha256, &recipe, &record, NULL), 0);
	assert_int_equal(share_image(f->store, f->sha256, &is, NULL), 0);
	assert_string_equal(is, id);
}

static const struct image_base bookworm = { .suite = "bookworm" }, machine = { "bookworm", true };

static void test_base_is_taken_and_listed(void **state)
{
	struct fixture *f = *state;
	_cleanup_shares_ struct shares shares = { 0 };
	_cleanup_(freep) char *name = share_base_name(&bookworm), *id = NULL;
	uint64_t size;

	assert_int_equal(share_base_take(f->store, &bookworm, f->sha256, NULL), -ENOENT);
	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_int_equal(share_base_take(f->store, &bookworm, f->sha256, NULL), 0);
	assert_int_equal(share_base(f->store, &bookworm, &id, &size, NULL), 0);
	assert_string_equal(id, f->sha256);
	assert_int_equal(size, SIZE);
	assert_int_equal(share_list(f->store, &shares, NULL), 0);
	assert_int_equal(shares.n, 1);
	assert_string_equal(shares.v[0].name, name);
	assert_int_equal(shares.v[0].size, SIZE);
}

static void test_base_for_machines_is_another_one(void **state)
{
	struct fixture *f = *state;
	_cleanup_shares_ struct shares shares = { 0 };
	_cleanup_(freep) char *name = share_base_name(&machine), *id = NULL;
	uint64_t size;

	f->hosts[0] = good(f);
	f->n = 1;
	assert_int_equal(fetch_from(f, the_layer, NULL), 0);
	assert_int_equal(share_base_take(f->store, &machine, f->sha256, NULL), 0);
	assert_int_equal(share_base(f->store, &bookworm, &id, &size, NULL), -ENOENT);
	assert_int_equal(share_base(f->store, &machine, &id, &size, NULL), 0);
	assert_int_equal(share_list(f->store, &shares, NULL), 0);
	assert_int_equal(shares.n, 1);
	assert_string_equal(shares.v[0].name, name);
	assert_non_null(strstr(name, "base-bookworm-machine-"));
}

static void test_collecting_keeps_a_young_part(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = part_path(f);
	struct strv none = { 0 };

	put_part(f, f->content, 1000);
	assert_int_equal(image_collect(f->store, &none, 3600000, NULL, NULL), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(image_collect(f->store, &none, 0, NULL, NULL), 0);
	assert_int_not_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_host),
		TEST(test_size_unknown),
		TEST(test_what_is_there_is_not_asked_for),
		TEST(test_cut_link_goes_on_where_it_was),
		TEST(test_cut_link_goes_on_with_another_host),
		TEST(test_every_link_is_cut_again_and_again),
		TEST(test_part_of_an_earlier_agent),
		TEST(test_whole_of_an_earlier_agent),
		TEST(test_wrong_part_of_an_earlier_agent),
		TEST(test_part_that_is_too_long),
		TEST(test_part_that_is_too_long_for_an_unknown_size),
		TEST(test_wrong_bytes_are_refused),
		TEST(test_after_a_liar_the_next_one_is_asked),
		TEST(test_half_of_it_from_a_liar),
		TEST(test_liar_about_the_size),
		TEST(test_more_than_was_said),
		TEST(test_host_without_parts),
		TEST(test_host_that_gives_another_part),
		TEST(test_nobody_has_it),
		TEST(test_no_hosts),
		TEST(test_told_to_stop),
		TEST(test_bad_name),
		TEST(test_bundle),
		TEST(test_bundle_is_given_as_it_was_taken),
		TEST(test_bundle_that_was_changed_is_not_given),
		TEST(test_names_that_leave_the_store_are_refused),
		TEST(test_record),
		TEST(test_record_with_another_layer),
		TEST(test_records_that_are_none),
		TEST(test_image_of_what_is_there),
		TEST(test_base_is_taken_and_listed),
		TEST(test_base_for_machines_is_another_one),
		TEST(test_collecting_keeps_a_young_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
