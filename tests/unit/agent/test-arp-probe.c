/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether somebody on a network has an address: in a network of its own, whose two cards are joined by a cable. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/arp-probe.h"
#include "base/run.h"

static int ip(const char *first, ...)
{
	_cleanup_run_ struct run run = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;
	va_list ap;
	int r;

	strv_add(&run.argv, "ip");
	va_start(ap, first);
	for (const char *word = first; word; word = va_arg(ap, const char *))
		strv_add(&run.argv, word);
	va_end(ap);
	r = run_checked(&run, NULL, &err);
	if (r < 0)
		fprintf(stderr, "%s\n", err_text(&err));
	return r;
}

static int make_network(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 0; /* not here: the tests say so */
	if (ip("link", "add", "ours", "type", "veth", "peer", "name", "theirs", NULL) < 0)
		return 0;
	ip("address", "add", "192.0.2.7/24", "dev", "theirs", NULL);
	ip("link", "set", "ours", "up", NULL);
	return ip("link", "set", "theirs", "up", NULL);
}

static int probe(const char *interface, const char *text)
{
	struct in_addr address;

	assert_int_equal(inet_pton(AF_INET, text, &address), 1);
	return arp_probe(interface, address);
}

static void an_address_that_somebody_has_is_found(void **state)
{
	(void)state;
	if (ip("link", "show", "ours", NULL) < 0)
		skip();
	assert_int_equal(probe("ours", "192.0.2.7"), 1);
}

static void one_that_nobody_has_is_not(void **state)
{
	(void)state;
	if (ip("link", "show", "ours", NULL) < 0)
		skip();
	assert_int_equal(probe("ours", "192.0.2.8"), 0);
}

static void without_a_network_nobody_can_be_asked(void **state)
{
	(void)state;
	assert_true(probe("nonexistent", "192.0.2.7") < 0);
	assert_true(probe("a-name-that-no-interface-can-have", "192.0.2.7") < 0);
	assert_true(probe(NULL, "192.0.2.7") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_that_somebody_has_is_found),
		cmocka_unit_test(one_that_nobody_has_is_not),
		cmocka_unit_test(without_a_network_nobody_can_be_asked),
	};

	return cmocka_run_group_tests(tests, make_network, NULL);
}
