/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/relay.h"

#define MANY (4u << 20)

/* A relay in a thread, between the far ends of two pairs of sockets. */
struct fixture {
	pthread_t thread;
	int a[2], b[2]; /* [0] is the test's */
	const char *early;
};

static void *run(void *data)
{
	struct fixture *f = data;

	relay(f->a[1], f->b[1], f->early, f->early ? strlen(f->early) : 0, NULL);
	close(f->a[1]);
	close(f->b[1]);
	return NULL;
}

static void start(struct fixture *f, const char *early)
{
	*f = (struct fixture){ .early = early };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->b), 0);
	fcntl(f->a[1], F_SETFL, O_NONBLOCK); /* as the HTTP server gives them */
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
}

static void end(struct fixture *f)
{
	close(f->a[0]);
	close(f->b[0]);
	pthread_join(f->thread, NULL);
}

static size_t read_all(int fd, size_t most)
{
	char piece[65536];
	size_t got = 0;
	ssize_t n;

	while (got < most && (n = read(fd, piece, sizeof(piece))) > 0)
		got += (size_t)n;
	return got;
}

static void *write_many(void *data)
{
	static const char piece[65536];
	int fd = *(int *)data;

	for (size_t sent = 0; sent < MANY; sent += sizeof(piece))
		if (send(fd, piece, sizeof(piece), MSG_NOSIGNAL) < 0)
			break;
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void test_early_bytes_come_first(void **state)
{
	struct fixture f;
	char got[8] = "";

	(void)state;
	start(&f, "ab");
	assert_int_equal(read(f.b[0], got, 2), 2);
	assert_int_equal(write(f.a[0], "cd", 2), 2);
	assert_int_equal(read(f.b[0], got + 2, 2), 2);
	assert_string_equal(got, "abcd");
	end(&f);
}

/* The receiver is slower than the socket between us: a non-blocking socket must not end it. */
static void test_a_slow_reader_gets_all(void **state)
{
	struct fixture f;
	pthread_t writer;

	(void)state;
	start(&f, NULL);
	pthread_create(&writer, NULL, write_many, &f.b[0]);
	poll(NULL, 0, 50); /* until everything between us is full */
	assert_int_equal(read_all(f.a[0], SIZE_MAX), MANY);
	pthread_join(writer, NULL);
	end(&f);
}

/* As `cat` does: it reads no more before its output is taken, and its output waits behind our input. */
static void test_one_full_way_does_not_stop_the_other(void **state)
{
	struct fixture f;
	pthread_t writer;

	(void)state;
	start(&f, NULL);
	pthread_create(&writer, NULL, write_many, &f.a[0]);
	poll(NULL, 0, 50);
	assert_int_equal(write(f.b[0], "x", 1), 1);
	assert_int_equal(read_all(f.a[0], 1), 1);
	assert_int_equal(read_all(f.b[0], MANY), MANY);
	pthread_join(writer, NULL);
	end(&f);
}

/* A program that reads no input has last words all the same. */
static void test_last_bytes_come_from_one_that_refuses_input(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, NULL);
	assert_int_equal(write(f.b[0], "end", 3), 3);
	shutdown(f.b[0], SHUT_RD);
	send(f.a[0], "input", 5, MSG_NOSIGNAL);
	assert_int_equal(read_all(f.a[0], 3), 3);
	end(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_early_bytes_come_first),
		cmocka_unit_test(test_a_slow_reader_gets_all),
		cmocka_unit_test(test_one_full_way_does_not_stop_the_other),
		cmocka_unit_test(test_last_bytes_come_from_one_that_refuses_input),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
