/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a host gives others of its store, and to whom. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/peer-server.h"
#include "agent/peer-tls.h"
#include "base/clock.h"
#include "base/fs.h"
#include "certificates.h"
#include "http/http.h"
#include "image/digest.h"

#define CONTENT "what a layer holds"

struct fixture {
	char *dir, *layer; /* layer: its sha256 */
	struct image_store *store;
	struct authority cluster, stranger;
	struct peer_server *server;
	char *url;
};

static char *below(const struct fixture *f, const char *name)
{
	return fs_join(f->dir, name);
}

static void issue(const struct fixture *f, const struct authority *authority, const char *name, bool client)
{
	_cleanup_(freep) char *dir = below(f, name);

	assert_int_equal(fs_mkdirs(dir, 0700, NULL), 0);
	authority_issue(authority, dir, name, client, time(NULL) + 3600);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	char template[] = "/tmp/tepuy-test-peers-XXXXXX";
	_cleanup_(freep) char *root = NULL, *tls = NULL, *file = NULL;
	_cleanup_err_ struct err err = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	f->dir = xstrdup(mkdtemp(template));
	root = below(f, "store");
	tls = below(f, "server");
	f->layer = digest_of(CONTENT, strlen(CONTENT));
	authority_init(&f->cluster, "cluster");
	authority_init(&f->stranger, "stranger");
	issue(f, &f->cluster, "server", true);
	issue(f, &f->cluster, "friend", true);
	issue(f, &f->stranger, "other", true);
	*state = f;
	if (image_store_open(root, &f->store, NULL) < 0)
		return -1;
	file = xasprintf("%s/layers/%s.tar", root, f->layer);
	if (fs_write(file, CONTENT, strlen(CONTENT), 0600, NULL) < 0)
		return -1;
	if (peer_server_start(f->store, "127.0.0.1", 0, tls, &f->server, &err) < 0)
		fail_msg("%s", err_text(&err));
	f->url = peer_server_url("127.0.0.1", peer_server_port(f->server));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	peer_server_stop(f->server);
	image_store_free(f->store);
	authority_release(&f->cluster);
	authority_release(&f->stranger);
	r = fs_remove_tree(f->dir, NULL);
	free(f->dir);
	free(f->layer);
	free(f->url);
	free(f);
	return r;
}

/* Asks with the certificate in `who` (NULL: none), believing in the cluster's authority. The status, or -errno. */
static int ask(const struct fixture *f, const char *who, const char *method, const char *path, uint64_t from,
	       struct buf *body)
{
	_cleanup_(freep) char *dir = below(f, who ? who : "friend"), *server = below(f, "server"), *ca = NULL;
	_cleanup_(http_freep) struct http *http = http_new(f->url, NULL);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = method, .path = path, .from = from, .timeout_ms = 5000 };
	struct http_tls files, tls;
	int r;

	peer_tls_files(dir, &files);
	ca = fs_join(server, "ca.pem");
	tls = (struct http_tls){ ca, who ? files.cert_file : NULL, who ? files.key_file : NULL };
	http_set_tls(http, &tls);
	r = http_request(http, &request, &reply, NULL);
	if (r == 0 && body)
		buf_add(body, buf_text(&reply.body), reply.body.len);
	peer_tls_files_release(&files);
	return r < 0 ? r : reply.status;
}

static char *layer_path(const struct fixture *f)
{
	return xasprintf("/v1/layer/%s", f->layer);
}

static void test_layer(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);
	_cleanup_buf_ struct buf body = { 0 };

	assert_int_equal(ask(f, "friend", "GET", path, 0, &body), 200);
	assert_string_equal(buf_text(&body), CONTENT);
}

static void test_rest_of_a_layer(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);
	_cleanup_buf_ struct buf body = { 0 };

	assert_int_equal(ask(f, "friend", "GET", path, 5, &body), 206);
	assert_string_equal(buf_text(&body), &CONTENT[5]);
}

static void test_behind_the_end(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);

	assert_int_equal(ask(f, "friend", "GET", path, strlen(CONTENT), NULL), 416);
}

static void test_head(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);
	_cleanup_buf_ struct buf body = { 0 };

	assert_int_equal(ask(f, "friend", "HEAD", path, 0, &body), 200);
	assert_int_equal(body.len, 0);
}

static void test_only_reading(void **state)
{
	static const char *const methods[] = { "PUT", "POST", "DELETE", "OPTIONS" };
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		assert_int_equal(ask(f, "friend", methods[i], path, 0, NULL), 405);
}

static void test_nothing_else(void **state)
{
	static const struct {
		const char *path;
		int status;
	} cases[] = {
		{ "/", 404 },
		{ "/v1/layer", 404 },
		{ "/v1/layer/", 400 },
		{ "/v1/layer/..%2f..%2fetc%2fpasswd", 400 },
		{ "/v1/layer/../../lock", 404 }, /* libcurl takes ".." out by itself */
		{ "/v1/services", 404 },
		{ "/v1/secret/x", 404 },
		{ "/v1/image/0000000000000000000000000000000000000000000000000000000000000000", 404 },
		{ "/v1/bundle/0000000000000000000000000000000000000000000000000000000000000000", 404 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(ask(f, "friend", "GET", cases[i].path, 0, NULL), cases[i].status);
}

static void test_no_certificate(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);
	_cleanup_buf_ struct buf body = { 0 };

	assert_true(ask(f, NULL, "GET", path, 0, &body) < 0);
	assert_int_equal(body.len, 0);
}

static void test_certificate_of_another_authority(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f);

	assert_true(ask(f, "other", "GET", path, 0, NULL) < 0);
}

static void test_certificate_that_is_over(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f), *dir = below(f, "friend");

	authority_issue(&f->cluster, dir, "friend", true, time(NULL) - 60);
	assert_true(ask(f, "friend", "GET", path, 0, NULL) < 0);
}

static void test_certificate_that_is_not_for_clients(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f), *dir = below(f, "friend");

	authority_issue(&f->cluster, dir, "friend", false, time(NULL) + 3600);
	assert_true(ask(f, "friend", "GET", path, 0, NULL) < 0);
}

static void test_the_client_looks_too(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f), *dir = below(f, "server"), *ca = fs_join(dir, "ca.pem");
	_cleanup_(freep) char *other = below(f, "other"), *wrong = fs_join(other, "ca.pem");
	_cleanup_buf_ struct buf text = { 0 };

	/* The server keeps the certificate that it has read; the client is told to believe in somebody else. */
	assert_int_equal(fs_read(wrong, 65536, &text, NULL), 0);
	assert_int_equal(fs_write(ca, text.data, text.len, 0600, NULL), 0);
	assert_int_equal(ask(f, "friend", "GET", path, 0, NULL), -EACCES);
}

static void test_renewed_authority(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f), *dir = below(f, "server");

	assert_int_equal(ask(f, "friend", "GET", path, 0, NULL), 200);
	authority_issue(&f->stranger, dir, "server", true, time(NULL) + 3600);
	assert_int_equal(ask(f, "other", "GET", path, 0, NULL), 200);
	assert_true(ask(f, "friend", "GET", path, 0, NULL) < 0);
}

/* A renewal that is only half done: the one before stays in use. */
static void test_certificate_without_its_key(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *path = layer_path(f), *cert = below(f, "server/host.pem"),
			      *other = below(f, "friend/host.pem");
	_cleanup_buf_ struct buf text = { 0 };

	assert_int_equal(fs_read(other, 65536, &text, NULL), 0);
	assert_int_equal(fs_write(cert, text.data, text.len, 0600, NULL), 0);
	assert_int_equal(ask(f, "friend", "GET", path, 0, NULL), 200);
}

static void test_key_for_everybody(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *dir = below(f, "friend"), *key = below(f, "friend/host-key.pem");
	struct peer_tls *tls = NULL;

	assert_int_equal(chmod(key, 0644), 0);
	assert_int_equal(peer_tls_new(dir, &tls, NULL), -EACCES);
}

static void test_no_files(void **state)
{
	struct peer_tls *tls = NULL;

	assert_int_equal(peer_tls_new("/tmp/tepuy-test-peers-none", &tls, NULL), -ENOENT);
	(void)state;
}

static void test_port_that_is_taken(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *dir = below(f, "server");
	struct peer_server *second = NULL;

	assert_int_equal(peer_server_start(f->store, "127.0.0.1", peer_server_port(f->server), dir, &second, NULL),
			 -EADDRINUSE);
}

static void test_url(void **state)
{
	_cleanup_(freep) char *four = peer_server_url("192.0.2.1", 8470), *six = peer_server_url("2001:db8::1", 8470);

	(void)state;
	assert_string_equal(four, "https://192.0.2.1:8470");
	assert_string_equal(six, "https://[2001:db8::1]:8470");
}

/* One that says something every few moments, but never enough, is sent away all the same. */
static void test_handshake_that_does_not_end(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const unsigned char record[] = { 22, 3, 1, 2, 0 }; /* a handshake of 512 bytes */
	struct timeval half_a_second = { .tv_usec = 500000 };
	int64_t began = clock_monotonic_ms();
	char byte = 1;

	address.sin_port = htons((uint16_t)peer_server_port(f->server));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &half_a_second, sizeof(half_a_second));
	assert_int_equal(send(fd, record, sizeof(record), MSG_NOSIGNAL), sizeof(record));
	/* Reading ends with something else than "nothing yet" when the server has closed. */
	while (clock_monotonic_ms() - began < 40000 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1)
		if (recv(fd, &byte, 1, 0) >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	assert_in_range(clock_monotonic_ms() - began, 1000, 25000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_layer),
		TEST(test_rest_of_a_layer),
		TEST(test_behind_the_end),
		TEST(test_head),
		TEST(test_only_reading),
		TEST(test_nothing_else),
		TEST(test_no_certificate),
		TEST(test_certificate_of_another_authority),
		TEST(test_certificate_that_is_over),
		TEST(test_certificate_that_is_not_for_clients),
		TEST(test_the_client_looks_too),
		TEST(test_renewed_authority),
		TEST(test_certificate_without_its_key),
		TEST(test_key_for_everybody),
		TEST(test_no_files),
		TEST(test_port_that_is_taken),
		TEST(test_url),
		TEST(test_handshake_that_does_not_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
